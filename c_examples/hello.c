/* hello.c: call something soon, later, every so often; and cancel it. */
#include <evloop.h>
#include <stdio.h>
#include <stdlib.h>

/* Every function returns a negative number when it fails. */
static loop_handle_t check(loop_handle_t result) {
  if (result >= 0) return result;
  fprintf(stderr, "hello: %s\n", loop_strerror((int)result));
  exit(1);
}

static void say(loop_t *loop, void *arg) {
  (void)loop;
  puts(arg);
}

static void tick(loop_t *loop, uint64_t ticks, void *arg) {
  int *left = arg;
  (void)ticks; /* 1, or more when the program was too busy for some */
  printf("tick, %d to go\n", --*left);
  if (*left == 0) loop_cancel(loop, loop_current(loop)); /* ends this timer */
}

int main(void) {
  int left = 3;
  loop_t *loop = loop_new();
  if (loop == NULL) return 1;
  check(loop_call_soon(loop, say, "soon"));
  check(loop_call_later(loop, 250 * LOOP_MS, say, "later"));
  check(loop_call_every(loop, 100 * LOOP_MS, 100 * LOOP_MS, LOOP_SKIP_MISSED, tick, &left));
  loop_handle_t never = check(loop_call_later(loop, 150 * LOOP_MS, say, "never"));
  check(loop_cancel(loop, never));
  check(loop_run(loop)); /* until nothing is left to do */
  check(loop_free(loop));
  return 0;
}
