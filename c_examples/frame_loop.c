/* frame_loop.c: a game's main loop. It makes 60 frames a second, sleeps between them by itself, and
 * gives evloop 1 ms of each. Callbacks flood the loop without end: they get this millisecond and no
 * more, and a timer goes on ticking beside them. After 120 frames it prints how long the frames
 * took, and how much of that the loop used. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <evloop.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FRAME (LOOP_SECOND / 60)

enum { FRAMES = 120 };

static void flood(loop_t *loop, void *arg) {
  long *calls = arg;
  ++*calls;
  loop_call_soon(loop, flood, arg); /* there is always more to do */
}

static void tick(loop_t *loop, uint64_t ticks, void *arg) {
  long *count = arg;
  (void)loop;
  *count += (long)ticks;
}

static void sleep_until(uint64_t time) {
  struct timespec until = {.tv_sec = (time_t)(time / (LOOP_SECOND)),
                           .tv_nsec = (long)(time % (LOOP_SECOND))};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) continue;
}

static int by_length(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

static void print_statistics(const char *what, uint64_t times[FRAMES]) {
  qsort(times, FRAMES, sizeof times[0], by_length);
  printf("%s: median %.3f ms, p99 %.3f ms, max %.3f ms\n", what, (double)times[FRAMES / 2] / LOOP_MS,
         (double)times[FRAMES * 99 / 100] / LOOP_MS, (double)times[FRAMES - 1] / LOOP_MS);
}

int main(void) {
  uint64_t frames[FRAMES], parts[FRAMES];
  long calls = 0, ticks = 0;
  loop_t *loop = loop_new();
  loop_call_soon(loop, flood, &calls);
  loop_call_every(loop, 100 * LOOP_MS, 100 * LOOP_MS, LOOP_SKIP_MISSED, tick, &ticks);

  uint64_t start = loop_clock(loop); /* nanoseconds of CLOCK_MONOTONIC */
  uint64_t last = start;
  for (uint64_t i = 0; i < FRAMES; i++) {
    /* here: read input, update the world, draw */
    uint64_t before = loop_clock(loop);
    int called = loop_run_ready(loop, 1 * LOOP_MS); /* what is left over goes first in the next frame */
    if (called < 0) errx(1, "%s", loop_strerror(called));
    parts[i] = loop_clock(loop) - before;
    sleep_until(start + (i + 1) * FRAME);
    frames[i] = loop_clock(loop) - last;
    last += frames[i];
  }

  print_statistics("frames", frames);
  print_statistics("the loop's part", parts);
  printf("%ld callbacks of the flood, %ld ticks\n", calls, ticks);
  loop_free(loop);
  return 0;
}
