// first.c: a first program. It says hello, ticks three times, and ends.
#include <evloop.h>
#include <stdio.h>

static void hello(loop_t *loop, void *arg) {
  (void)loop;
  puts(arg);
}

static void tick(loop_t *loop, uint64_t ticks, void *arg) {
  int *count = arg;
  *count += (int)ticks;
  printf("tick %d\n", *count);
  if (*count == 3) loop_cancel(loop, loop_current(loop));
}

int main(void) {
  int count = 0;
  loop_t *loop = loop_new();
  loop_call_soon(loop, hello, "hello");
  loop_call_every(loop, 100 * LOOP_MS, 100 * LOOP_MS, LOOP_RUN_MISSED, tick, &count);
  int result = loop_run(loop); // until nothing is left to do
  loop_free(loop);
  return result < 0; // negative: an error (LOOP_ENULL if loop_new failed)
}
