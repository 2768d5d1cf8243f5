/* link: -rdynamic */
/* Law 11: structures grow in segments that never move, without a stall, and
 * give memory back after a burst. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_allocations.h"

#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

static int runs;

static void count_run(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  runs++;
}

static void ordinary_turn(loop_t *loop) {
  for (int i = 0; i < 3; i++) {
    CHECK(loop_call_soon(loop, count_run, NULL) > 0);
    CHECK(loop_call_later(loop, 0, count_run, NULL) > 0);
  }
  CHECK_EQ(loop_run_once(loop, -1), 6);
}

TEST(memory_is_given_back_after_a_burst) {
  enum { SOONS = 1000000, TIMERS = 500000 };
  loop_t *loop = loop_new();
  for (int i = 0; i < 5000; i++) ordinary_turn(loop);
  size_t before = heap.live;
  heap.peak = heap.live;
  runs = 0;
  for (int i = 0; i < SOONS; i++) CHECK(loop_call_soon(loop, count_run, NULL) > 0);
  for (int i = 0; i < TIMERS; i++) CHECK(loop_call_later(loop, 0, count_run, NULL) > 0);
  size_t burst = heap.peak - before;
  CHECK(burst >= (size_t)SOONS * 16); /* so this is the heap it lives on */
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(runs, SOONS + TIMERS);
  int turns = 0;
  while (heap.live > before + burst / 10) {
    CHECK(turns++ < 100000);
    ordinary_turn(loop);
  }
  printf("    a burst of %zu KB, %zu KB kept after %d ordinary turns\n", burst / 1024,
         (heap.live - before) / 1024, turns);
  CHECK_EQ(loop_free(loop), 0);
}

enum { MILLION = 1000000, DIRECTORY = 65536 };

static loop_handle_t add_timer(loop_t *loop, int i) {
  return loop_call_later(loop, MS(1000) + (uint64_t)i * 7919 % MILLION, count_run, NULL);
}

static loop_handle_t add_soon(loop_t *loop, int i) {
  (void)i;
  return loop_call_soon(loop, count_run, NULL);
}

/* A million into a fresh loop: no call moves what is there already: what is made
 * larger in place is at most a directory. */
static void check_no_stall(loop_handle_t (*add)(loop_t *loop, int i)) {
  loop_t *loop = loop_new();
  heap.largest_end = 0;
  for (int i = 0; i < MILLION; i++) CHECK(add(loop, i) > 0);
  CHECK(heap.largest_end <= DIRECTORY); /* a directory may move, a table may not */
  CHECK_EQ(loop_free(loop), 0);
}

TEST(a_million_timers_are_added_without_a_stall) { check_no_stall(add_timer); }

TEST(a_million_soons_are_added_without_a_stall) { check_no_stall(add_soon); }
