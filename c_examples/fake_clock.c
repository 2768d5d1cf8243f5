/* fake_clock.c: a test of code with timers that neither sleeps nor depends on the machine. With
 * LOOP_MANUAL_CLOCK time does not pass until the test advances it, to the nanosecond. */
#include <assert.h>
#include <evloop.h>
#include <stdio.h>

/* The code under test: a door that closes 30 seconds after the last push. */
struct door {
  loop_handle_t timer;
  int is_open;
};

static void on_time(loop_t *loop, void *arg) {
  struct door *door = arg;
  (void)loop;
  door->is_open = 0;
}

static void door_push(struct door *door, loop_t *loop) {
  door->is_open = 1;
  if (loop_reschedule(loop, door->timer, 30 * LOOP_SECOND) < 0) /* there is none, or it has fired */
    door->timer = loop_call_later(loop, 30 * LOOP_SECOND, on_time, door);
}

/* Lets time pass, and everything run that becomes due. */
static void pass(loop_t *loop, uint64_t ns) {
  int code = loop_advance(loop, ns);
  assert(code == 0);
  code = loop_run_ready(loop, UINT64_MAX);
  assert(code >= 0);
  (void)code;
}

static void test_door(loop_t *loop) {
  struct door door = {.is_open = 0};
  door_push(&door, loop);
  pass(loop, 30 * LOOP_SECOND - 1);
  assert(door.is_open);
  pass(loop, 1);
  assert(!door.is_open);

  door_push(&door, loop);
  pass(loop, 20 * LOOP_SECOND);
  door_push(&door, loop); /* counts anew */
  pass(loop, 20 * LOOP_SECOND);
  assert(door.is_open);
  pass(loop, 10 * LOOP_SECOND);
  assert(!door.is_open && !loop_has_work(loop));
}

int main(void) {
  loop_t *loop;
  loop_options_t options = {.size = sizeof options, .flags = LOOP_MANUAL_CLOCK};
  int code = loop_new_with(&options, &loop);
  if (code < 0) return 1;
  test_door(loop);
  printf("80 seconds of a door, tested; the clock says %d s\n", (int)(loop_now(loop) / LOOP_SECOND));
  loop_free(loop);
  return 0;
}
