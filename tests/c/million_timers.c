/* Laws 3 and 4 at scale: a million timers with random deadlines, many of them
 * equal; half of them are cancelled in random order; the rest fire in the exact
 * order of (deadline, order of scheduling), none early, none late by a step. */
#define _GNU_SOURCE 1
#include "journal.h"

enum { TIMERS = 1000000, SPAN = 300000, STEPS = 300 };

/* Deadlines are counted in units: 300,000 of them are about three seconds. */
#define UNIT_NS UINT64_C(10007)

static uint32_t deadlines[TIMERS];
static loop_handle_t handles[TIMERS];
static uint32_t order[TIMERS];
static uint8_t cancelled[TIMERS];

static uint32_t due_by_step[STEPS + 1];
static uint64_t start;
static uint32_t fired;
static intptr_t last_fired;

static void check_next(loop_t *loop, void *arg) {
  intptr_t number = (intptr_t)arg;
  CHECK(!cancelled[number]);
  CHECK(loop_now(loop) >= start + deadlines[number] * UNIT_NS);
  if (last_fired >= 0) {
    CHECK(deadlines[number] > deadlines[last_fired] ||
          (deadlines[number] == deadlines[last_fired] && number > last_fired));
  }
  last_fired = number;
  fired++;
}

static void advance_over_all(loop_t *loop) {
  uint32_t due = 0;
  fired = 0;
  last_fired = -1;
  for (int step = 0; step <= STEPS; step++) {
    due += due_by_step[step];
    CHECK(loop_run_ready(loop, UINT64_MAX) >= 0);
    CHECK_EQ(fired, due);
    CHECK_EQ(loop_advance(loop, SPAN / STEPS * UNIT_NS), 0);
  }
}

/* Timers are due in the first step whose time has reached their deadline. */
static int step_of(uint32_t deadline) { return (int)((deadline + SPAN / STEPS - 1) / (SPAN / STEPS)); }

TEST(a_million_timers_half_of_them_cancelled_fire_in_exact_order) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  start = loop_clock(loop);
  for (intptr_t i = 0; i < TIMERS; i++) {
    deadlines[i] = (uint32_t)(next_random() % SPAN);
    handles[i] = loop_call_at(loop, start + deadlines[i] * UNIT_NS, check_next, (void *)i);
    CHECK(handles[i] > 0);
  }
  shuffled_order(order, TIMERS);
  for (uint32_t i = 0; i < TIMERS / 2; i++) {
    cancelled[order[i]] = 1;
    CHECK_EQ(loop_cancel(loop, handles[order[i]]), 0);
  }
  for (uint32_t i = 0; i < TIMERS; i++) {
    if (!cancelled[i]) due_by_step[step_of(deadlines[i])]++;
  }
  advance_over_all(loop);
  CHECK_EQ(fired, TIMERS / 2);
  for (uint32_t i = 0; i < TIMERS; i++) CHECK_EQ(loop_cancel(loop, handles[i]), LOOP_ESTALE);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

TEST(a_hundred_thousand_timers_rescheduled_again_and_again_fire_in_exact_order) {
  enum { COUNT = 100000 };
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  start = loop_clock(loop);
  for (intptr_t i = 0; i < COUNT; i++) {
    cancelled[i] = 0;
    handles[i] = loop_call_at(loop, start + next_random() % SPAN * UNIT_NS, check_next, (void *)i);
  }
  /* The last rescheduling of each is in the order of the numbers. */
  for (int round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < COUNT; i++) {
      deadlines[i] = (uint32_t)(next_random() % SPAN);
      CHECK_EQ(loop_reschedule_at(loop, handles[i], start + deadlines[i] * UNIT_NS), 0);
    }
  }
  memset(due_by_step, 0, sizeof due_by_step);
  for (uint32_t i = 0; i < COUNT; i++) due_by_step[step_of(deadlines[i])]++;
  advance_over_all(loop);
  CHECK_EQ(fired, COUNT);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}
