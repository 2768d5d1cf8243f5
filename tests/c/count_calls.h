/* Callbacks of each shape that only count their calls. Included by one file only. */
#ifndef EVLOOP_TESTS_COUNT_CALLS_H
#define EVLOOP_TESTS_COUNT_CALLS_H

#include <evloop.h>

static long runs, releases;

static void count_run(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  runs++;
}
static void count_tick(loop_t *l, uint64_t ticks, void *arg) {
  (void)ticks;
  count_run(l, arg);
}
static void count_event(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)events;
  count_run(l, arg);
}
static void count_release(void *arg) {
  (void)arg;
  releases++;
}

#endif
