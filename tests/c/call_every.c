/* loop_call_every keeps its grid without drift; its policy says what becomes of
 * missed ticks. On the manual clock, so that every tick is exact. */
#define _GNU_SOURCE 1
#include "journal.h"

/* The journal gets the number of intervals each call stands for. */
static void write_ticks(loop_t *loop, uint64_t ticks, void *arg) {
  (void)loop;
  (void)arg;
  CHECK(ticks >= 1 && ticks <= 9);
  journal_write((char)('0' + ticks));
}

static void turn_after(loop_t *loop, uint64_t ns) {
  CHECK_EQ(loop_advance(loop, ns), 0);
  CHECK(loop_run_once(loop, 0) >= 0);
}

TEST(ticks_keep_the_grid_however_late_they_are_called) {
  const uint32_t policies[] = {LOOP_SKIP_MISSED, LOOP_RUN_MISSED};
  for (int i = 0; i < 2; i++) {
    loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
    loop_handle_t every = loop_call_every(loop, 5, 10, policies[i], write_ticks, NULL);
    CHECK_EQ(loop_remaining(loop, every), 5);
    turn_after(loop, 4);
    CHECK_JOURNAL("");
    turn_after(loop, 1); /* at 5 */
    CHECK_EQ(loop_remaining(loop, every), 10);
    turn_after(loop, 19); /* at 24, the tick of 15 */
    CHECK_EQ(loop_remaining(loop, every), 1);
    turn_after(loop, 1); /* at 25 */
    CHECK_EQ(loop_remaining(loop, every), 10);
    CHECK_JOURNAL("111");
    free_loop(loop);
  }
}

TEST(skip_missed_makes_one_call_that_tells_how_many_ticks_it_stands_for) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  loop_handle_t every = loop_call_every(loop, 10, 10, LOOP_SKIP_MISSED, write_ticks, NULL);
  turn_after(loop, 35);
  CHECK_JOURNAL("3");
  CHECK_EQ(loop_remaining(loop, every), 5);
  turn_after(loop, 0);
  CHECK_JOURNAL("");
  turn_after(loop, 5); /* at 40 */
  turn_after(loop, 19);
  turn_after(loop, 1); /* at 60 */
  turn_after(loop, 20); /* at 80 */
  CHECK_JOURNAL("1112");
  free_loop(loop);
}

static uint64_t last_ticks;

static void keep_ticks(loop_t *loop, uint64_t ticks, void *arg) {
  (void)loop;
  (void)arg;
  last_ticks = ticks;
}

TEST(skip_missed_counts_a_million_million_ticks_at_once) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  CHECK(loop_call_every(loop, 1, 1, LOOP_SKIP_MISSED, keep_ticks, NULL) > 0);
  turn_after(loop, 1000000000000);
  CHECK_EQ(last_ticks, 1000000000000);
  free_loop(loop);
}

TEST(run_missed_calls_every_tick_one_a_turn) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  loop_handle_t every = loop_call_every(loop, 10, 10, LOOP_RUN_MISSED, write_ticks, NULL);
  CHECK(loop_call_later(loop, 15, write_letter, "t") > 0);
  CHECK_EQ(loop_advance(loop, 35), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("1t");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("11");
  CHECK_EQ(loop_remaining(loop, every), 5);
  CHECK_EQ(loop_advance(loop, 25), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 3);
  CHECK_JOURNAL("111");
  free_loop(loop);
}

TEST(restart_grid_counts_one_interval_from_the_late_call) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  loop_handle_t every = loop_call_every(loop, 10, 10, LOOP_RESTART_GRID, write_ticks, NULL);
  turn_after(loop, 10);
  CHECK_EQ(loop_remaining(loop, every), 10);
  turn_after(loop, 25); /* at 35 */
  CHECK_JOURNAL("11");
  CHECK_EQ(loop_remaining(loop, every), 10);
  turn_after(loop, 9);
  CHECK_JOURNAL("");
  turn_after(loop, 1); /* at 45 */
  CHECK_JOURNAL("1");
  free_loop(loop);
}

TEST(equal_grids_keep_the_order_of_scheduling) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  CHECK(loop_call_every(loop, 0, 10, LOOP_RUN_MISSED, write_tick, "a") > 0);
  CHECK(loop_call_every(loop, 0, 10, LOOP_SKIP_MISSED, write_tick, "b") > 0);
  CHECK(loop_call_every(loop, 0, 10, LOOP_RESTART_GRID, write_tick, "c") > 0);
  for (int i = 0; i < 3; i++) turn_after(loop, i == 0 ? 0 : 10);
  CHECK_JOURNAL("abcabcabc");
  free_loop(loop);
}

TEST(interval_0_and_unknown_policies_are_refused) {
  loop_t *loop = loop_new();
  CHECK_EQ(loop_call_every(loop, 1, 0, LOOP_SKIP_MISSED, write_ticks, NULL), -EINVAL);
  CHECK_EQ(loop_call_every(loop, 1, 1, LOOP_RESTART_GRID + 1, write_ticks, NULL), -EINVAL);
  CHECK_EQ(loop_call_every(loop, 1, 1, UINT32_MAX, write_ticks, NULL), -EINVAL);
  CHECK_EQ(loop_call_every(loop, 1, 1, LOOP_SKIP_MISSED, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run_once(loop, MS(1)), 0);
  free_loop(loop);
}

static void cancel_on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  write_ticks(loop, ticks, arg);
  CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
}

TEST(a_cancel_inside_drops_the_missed_ticks_too) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  CHECK(loop_call_every(loop, 10, 10, LOOP_RUN_MISSED, cancel_on_tick, NULL) > 0);
  CHECK_EQ(loop_advance(loop, 35), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
  CHECK_JOURNAL("1");
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

static void reschedule_by_3_once(loop_t *loop, uint64_t ticks, void *arg) {
  int *done = arg;
  write_ticks(loop, ticks, NULL);
  if (!*done) CHECK_EQ(loop_reschedule(loop, loop_current(loop), 3), 0);
  *done = 1;
}

TEST(a_reschedule_inside_begins_a_new_grid_and_drops_the_missed_ticks) {
  const uint32_t policies[] = {LOOP_SKIP_MISSED, LOOP_RUN_MISSED, LOOP_RESTART_GRID};
  for (int i = 0; i < 3; i++) {
    loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
    int done = 0;
    loop_handle_t every = loop_call_every(loop, 10, 10, policies[i], reschedule_by_3_once, &done);
    CHECK_EQ(loop_advance(loop, 35), 0);
    CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
    CHECK_JOURNAL(policies[i] == LOOP_SKIP_MISSED ? "3" : "1");
    CHECK_EQ(loop_remaining(loop, every), 3);
    turn_after(loop, 2);
    CHECK_JOURNAL("");
    turn_after(loop, 1); /* at 38 */
    CHECK_EQ(loop_remaining(loop, every), 10);
    turn_after(loop, 10); /* at 48 */
    CHECK_JOURNAL("11");
    free_loop(loop);
  }
}

TEST(a_reschedule_from_outside_moves_the_grid) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  loop_handle_t every = loop_call_every(loop, 10, 10, LOOP_SKIP_MISSED, write_ticks, NULL);
  turn_after(loop, 10);
  CHECK_EQ(loop_reschedule(loop, every, 4), 0); /* 14, 24, 34 */
  turn_after(loop, 4);
  CHECK_EQ(loop_remaining(loop, every), 10);
  turn_after(loop, 25); /* at 39 */
  CHECK_JOURNAL("112");
  CHECK_EQ(loop_remaining(loop, every), 5);
  free_loop(loop);
}

static uint64_t grid_start;
static uint64_t ticks_seen;
static int calls_left;

static void check_real_grid(loop_t *loop, uint64_t ticks, void *arg) {
  (void)arg;
  ticks_seen += ticks;
  CHECK(check_clock() >= grid_start + MS(3) + (ticks_seen - 1) * MS(1));
  check_burn(calls_left % 4 == 0 ? US(2500) : 0);
  if (--calls_left == 0) CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
}

TEST(on_the_real_clock_no_tick_is_early_and_none_is_lost) {
  const uint32_t policies[] = {LOOP_SKIP_MISSED, LOOP_RUN_MISSED};
  for (int i = 0; i < 2; i++) {
    loop_t *loop = loop_new();
    ticks_seen = 0;
    calls_left = 20;
    grid_start = check_clock();
    CHECK(loop_call_every(loop, MS(3), MS(1), policies[i], check_real_grid, NULL) > 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(calls_left, 0);
    if (policies[i] == LOOP_RUN_MISSED) CHECK_EQ(ticks_seen, 20);
    if (policies[i] == LOOP_SKIP_MISSED) CHECK(ticks_seen > 20);
    free_loop(loop);
  }
}
