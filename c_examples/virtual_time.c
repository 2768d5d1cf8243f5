/* virtual_time.c: an hour of timers in a moment. When a loop with the virtual clock has
 * nothing left to do but wait, it moves its clock to the next timer instead. So code that
 * is full of delays and time-outs can be tested at once, and runs the same each time. */
#include <evloop.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MINUTE UINT64_C(60000000000) /* times are in nanoseconds */

/* A retry with back-off: a timer that arms itself again, twice as late each time. */
struct retry {
  loop_handle_t timer;
  uint64_t delay;
};

static loop_handle_t check(loop_handle_t result) {
  if (result >= 0) return result;
  fprintf(stderr, "virtual_time: %s\n", loop_strerror((int)result));
  exit(1);
}

static void say(loop_t *loop, const char *text) {
  unsigned seconds = (unsigned)(loop_now(loop) / (MINUTE / 60));
  printf("%02u:%02u:%02u %s\n", seconds / 3600, seconds / 60 % 60, seconds % 60, text);
}

static void heartbeat(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks, (void)arg;
  say(loop, "heartbeat");
  if (loop_now(loop) >= 60 * MINUTE) check(loop_cancel(loop, loop_current(loop)));
}

static void try_to_connect(loop_t *loop, void *arg) {
  struct retry *retry = arg;
  say(loop, "no answer, trying again later");
  check(loop_reschedule(loop, retry->timer, retry->delay));
  retry->delay *= 2;
}

static void give_up(loop_t *loop, void *arg) {
  struct retry *retry = arg;
  say(loop, "time-out, no more tries");
  check(loop_cancel(loop, retry->timer));
}

int main(void) {
  clock_t begin = clock();
  loop_t *loop;
  loop_options_t options = {.size = sizeof options, .flags = LOOP_VIRTUAL_CLOCK};
  check(loop_new_with(&options, &loop));

  struct retry retry = {.delay = MINUTE / 2};
  retry.timer = check(loop_call_later(loop, 0, try_to_connect, &retry));
  check(loop_call_later(loop, 25 * MINUTE, give_up, &retry));
  check(loop_call_every(loop, 10 * MINUTE, 10 * MINUTE, LOOP_RUN_MISSED, heartbeat, NULL));
  check(loop_run(loop)); /* until the heartbeat has cancelled itself */
  check(loop_free(loop));

  long us = (clock() - begin) * 1000000 / CLOCKS_PER_SEC;
  printf("an hour in %ld microseconds of processor time\n", us);
  return 0;
}
