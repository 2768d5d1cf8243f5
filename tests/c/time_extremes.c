/* link: -lpthread */
/* Times at the ends of their range: delays of 2^63 ns and more, deadlines and
 * intervals near the largest number, waits and budgets without end, clocks that
 * come to the end of time. Nothing wraps round, nothing fires early or for ever,
 * and ordinary timers beside them are as exact as ever. */
#define _GNU_SOURCE 1
#include "host_support.h"

#define HALF (UINT64_C(1) << 63)

static const uint64_t extremes[] = {HALF - 2, HALF - 1, HALF,           HALF + 1,       UINT64_MAX - MS(1),
                                    UINT64_MAX - 2, UINT64_MAX - 1, UINT64_MAX};
enum { EXTREMES = sizeof extremes / sizeof *extremes };

static loop_t *new_clock(uint32_t flags, uint64_t begin) {
  loop_options_t options = {.size = sizeof options, .flags = flags, .virtual_start_ns = begin};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  return loop;
}

/* As delay, as deadline, as first tick; then as the new time of a timer that was near. */
static int arm_extremes(loop_t *loop, loop_handle_t *handles, int *early) {
  int count = 0;
  for (int i = 0; i < EXTREMES; i++) {
    loop_handle_t near[] = {loop_call_later(loop, 0, count_run, early), loop_call_later(loop, 0, count_run, early)};
    CHECK_EQ(loop_reschedule(loop, near[0], extremes[i]), 0);
    CHECK_EQ(loop_reschedule_at(loop, near[1], extremes[i]), 0);
    handles[count++] = near[0];
    handles[count++] = near[1];
    handles[count++] = loop_call_later(loop, extremes[i], count_run, early);
    handles[count++] = loop_call_at(loop, extremes[i], count_run, early);
    handles[count++] = loop_call_every(loop, extremes[i], 1, i % 3, count_tick, early);
    handles[count++] = loop_call_every(loop, extremes[i], extremes[i], i % 3, count_tick, early);
  }
  for (int i = 0; i < count; i++) {
    CHECK(handles[i] > 0);
    CHECK(loop_remaining(loop, handles[i]) > INT64_MAX / 2);
  }
  return count;
}

static void check_exact_beside(uint32_t flags, int is_embedded) {
  loop_handle_t handles[EXTREMES * 6];
  int early = 0, runs = 0;
  loop_t *loop = new_loop(flags);
  if (is_embedded) embed(loop);
  int count = arm_extremes(loop, handles, &early);
  if (is_embedded) check_quiet(loop);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  for (int i = 0; i < 20; i++) {
    uint64_t due = loop_clock(loop) + US(300);
    CHECK(loop_call_at(loop, due, count_run, &runs) > 0);
    if (is_embedded) wait_readable(host_fd);
    while (runs == i) CHECK(loop_run_once(loop, -1) >= 0);
    CHECK(loop_clock(loop) >= due);
  }
  CHECK_EQ(early, 0);
  for (int i = 0; i < count; i++) CHECK_EQ(loop_reschedule(loop, handles[i], 0), 0);
  CHECK_EQ(loop_run_once(loop, -1), count); /* each of them still can */
  free_loop(loop);
}

TEST(far_timers_do_not_fire_and_near_ones_are_exact) {
  check_exact_beside(0, 0);
  check_exact_beside(LOOP_TIMER_SLACK, 0);
  check_exact_beside(0, 1);
}

static void *wake_later(void *loop) {
  usleep(2000);
  CHECK_EQ(loop_wake(loop), 0);
  return NULL;
}

/* The wait itself has to be as long: it ends by a wake-up, not by its time. */
TEST(waits_without_end) {
  int early = 0, runs = 0;
  for (int i = 0; i < EXTREMES; i++) {
    loop_t *loop = new_loop(0);
    CHECK(loop_call_later(loop, extremes[i], count_run, &early) > 0);
    pthread_t thread = start_thread(wake_later, loop);
    int64_t limits[] = {INT64_MAX, INT64_MAX - 1, INT64_MIN, -1};
    CHECK_EQ(loop_run_once(loop, limits[i % 4]), 0);
    join_thread(thread);
    CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
    CHECK(loop_timeout(loop) > INT64_MAX / 2);
    free_loop(loop);
  }
  CHECK_EQ(early, 0);
}

static uint64_t told_ticks;

static void note_ticks(loop_t *loop, uint64_t ticks, void *arg) {
  told_ticks = ticks;
  count_run(loop, arg);
}

TEST(missed_ticks_are_counted_over_half_of_time) {
  int runs = 0;
  loop_t *loop = new_clock(LOOP_MANUAL_CLOCK, 0);
  CHECK(loop_call_every(loop, 1, 1, LOOP_SKIP_MISSED, note_ticks, &runs) > 0);
  CHECK_EQ(loop_advance(loop, HALF), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK(told_ticks == HALF);
  CHECK_EQ(loop_advance(loop, HALF - 2), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK(told_ticks == HALF - 2);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
}

static void check_interval(uint64_t interval, uint32_t policy, int expected) {
  int runs = 0;
  loop_t *loop = new_clock(LOOP_VIRTUAL_CLOCK, 0);
  CHECK(loop_call_every(loop, interval, interval, policy, count_tick, &runs) > 0);
  for (int i = 0; i < 6; i++) CHECK(loop_run_once(loop, INT64_MAX) >= 0);
  CHECK_EQ(runs, expected);
  free_loop(loop);
}

/* A grid that comes to the end of time ends there. */
TEST(long_intervals) {
  for (uint32_t policy = LOOP_SKIP_MISSED; policy <= LOOP_RESTART_GRID; policy++) {
    check_interval(HALF - 1, policy, 2);
    check_interval(HALF, policy, 1);
    check_interval(UINT64_MAX - 1, policy, 1);
    check_interval(UINT64_MAX, policy, 0);
  }
}

/* What would be after the end of time is never; a wait with a limit is over there. */
static void end_of_time(uint32_t flags) {
  int runs = 0, early = 0;
  loop_t *loop = new_clock(flags, UINT64_MAX - 10);
  CHECK(loop_call_later(loop, 9, count_run, &runs) > 0);
  CHECK(loop_call_later(loop, 10, count_run, &early) > 0);
  CHECK(loop_call_later(loop, 11, count_run, &early) > 0);
  CHECK(loop_call_every(loop, 9, 3, LOOP_RUN_MISSED, count_tick, &runs) > 0);
  if (flags == LOOP_MANUAL_CLOCK) CHECK_EQ(loop_advance(loop, 9), 0);
  CHECK_EQ(loop_run_once(loop, INT64_MAX), 2);
  CHECK(loop_clock(loop) == UINT64_MAX - 1);
  for (int i = 0; i < 3; i++) CHECK_EQ(loop_run_once(loop, (int64_t)MS(1)), 0);
  CHECK_EQ(loop_run_once(loop, INT64_MAX), 0);
  CHECK_EQ(loop_advance(loop, UINT64_MAX), 0);
  CHECK_EQ(loop_advance(loop, 1), 0);
  CHECK(loop_clock(loop) == UINT64_MAX);
  CHECK_EQ(loop_run_once(loop, 1), 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
  CHECK_EQ(early, 0);
  CHECK_EQ(runs, 3);
  free_loop(loop);
}

TEST(the_end_of_a_manual_clocks_time) { end_of_time(LOOP_MANUAL_CLOCK); }
TEST(a_limited_wait_near_the_end_of_virtual_time_had_no_end) { end_of_time(LOOP_VIRTUAL_CLOCK); }

static void count_by_pull(loop_t *loop, int64_t timeout, int expected) {
  loop_event_t events[4];
  CHECK_EQ(loop_next_events(loop, events, 4, timeout), expected);
}

TEST(pull_mode_at_the_end_of_time) {
  loop_t *loop = new_clock(LOOP_VIRTUAL_CLOCK | LOOP_PULL, UINT64_MAX - 10);
  CHECK(loop_call_later(loop, 5, NULL, NULL) > 0);
  CHECK(loop_call_later(loop, UINT64_MAX, NULL, NULL) > 0);
  count_by_pull(loop, INT64_MAX, 1);
  count_by_pull(loop, INT64_MAX, 0);
  count_by_pull(loop, 1, 0);
  free_loop(loop);
}
