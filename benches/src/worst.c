/* The worst case: how long single calls take while a million timers live and the structures grow
 * and shrink.
 *
 * The same sequence of calls is made several times, each time on a new loop. What a library does at
 * its thousandth call it does every time; what the machine does to it, only once. So a call's
 * time is the least that was seen at its place in the sequence. */
#include "backend.h"

#include <stdlib.h>
#include <string.h>

enum { PASSES = 3, TURNS = 500 };

typedef struct times {
  const char *row;
  uint32_t *least;
  uint64_t count;
} times;

static times make_times(const char *row, uint64_t count) {
  times made = {row, touched(count, sizeof *made.least), count};
  memset(made.least, 0xff, count * sizeof *made.least);
  return made;
}

static inline void note(times *t, uint64_t i, uint64_t ns) {
  if (ns < t->least[i]) t->least[i] = (uint32_t)ns;
}

static void report_times(times *t) {
  char row[64];
  double *values = touched(t->count, sizeof *values);
  for (uint64_t i = 0; i < t->count; i++) values[i] = t->least[i];
  strcat(strcpy(row, t->row), "_p999_us");
  report(row, percentile(values, t->count, 0.999) / 1000);
  strcat(strcpy(row, t->row), "_max_us");
  report(row, percentile(values, t->count, 1) / 1000);
  free(values);
  free(t->least);
}

#define TIMED(times, i, call) \
  do { \
    uint64_t began_ = now_ns(); \
    call; \
    note(times, i, now_ns() - began_); \
  } while (0)

ON_TIMER(no_timer) { must(!ARG && 0, "a timer that is not due"); }
ON_SOON(count_soon) {
  SOON_ENTER;
  ++*(uint64_t *)ARG;
}

void run_worst(uint64_t count) {
  b_timer *timers = touched(count, sizeof *timers);
  b_soon *soon = touched(count, sizeof *soon);
  b_delay *delays = touched(count, sizeof *delays);
  for (uint64_t i = 0; i < count; i++) delays[i] = b_delay_of(60000000000u + next_random() % 60000000000u);
  times later = make_times("worst_later", count), cancel = make_times("worst_cancel", count);
  times one_soon = make_times("worst_soon", count), turns = make_times("worst_turn", TURNS);
  for (int pass = 0; pass < PASSES; pass++) {
    b_loop *l = b_new();
    b_keep(l);
    calls = 0;
    b_base_of(l);
    for (uint64_t i = 0; i < count; i++)
      TIMED(&later, i, b_timer_later(l, &timers[i], no_timer, NULL, delays[i]));
    for (uint64_t i = 0; i < count; i++) b_soon_init(l, &soon[i], count_soon, &calls);
    for (uint64_t i = 0; i < count; i++) TIMED(&one_soon, i, b_call_soon(l, &soon[i]));
    b_turn(l);
    must_equal("soon callbacks", count, calls);
    for (uint64_t i = 0; i < count; i++) TIMED(&cancel, i, b_timer_cancel(l, &timers[i]));
    for (uint64_t i = 0; i < count; i++) b_timer_end(l, &timers[i]);
    b_turn(l);
    /* Memory goes back in turns. */
    for (uint64_t i = 0; i < TURNS; i++) TIMED(&turns, i, b_turn(l));
    b_free(l);
  }
  report_times(&later);
  report_times(&cancel);
  report_times(&one_soon);
  report_times(&turns);
}
