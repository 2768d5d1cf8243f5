/* Law 3: timers fire by (deadline, order of scheduling), and never early. A
 * deadline in the past is due in the next turn; a delay counts from its arming;
 * arithmetic saturates. */
#define _GNU_SOURCE 1
#include "journal.h"

enum { TIMERS = 1000 };

static uint64_t not_before[TIMERS];
static int fired;

static void check_not_early(loop_t *loop, void *arg) {
  uint64_t deadline = *(uint64_t *)arg;
  CHECK(check_clock() >= deadline);
  CHECK(loop_clock(loop) >= deadline);
  CHECK(loop_now(loop) >= deadline);
  fired++;
}

TEST(a_thousand_random_timers_are_never_early) {
  loop_t *loop = loop_new();
  for (int i = 0; i < TIMERS; i++) {
    uint64_t delay = next_random() % MS(200);
    not_before[i] = check_clock() + delay;
    CHECK(loop_call_later(loop, delay, check_not_early, &not_before[i]) > 0);
  }
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(fired, TIMERS);
  free_loop(loop);
}

struct timer {
  uint64_t deadline;
  int number;
};

static struct timer timers[TIMERS];
static struct timer last_fired;

static void check_order(loop_t *loop, void *arg) {
  struct timer *timer = arg;
  CHECK(loop_clock(loop) >= timer->deadline);
  CHECK(timer->deadline > last_fired.deadline ||
        (timer->deadline == last_fired.deadline && timer->number > last_fired.number));
  last_fired = *timer;
  fired++;
}

TEST(timers_fire_by_deadline_and_equal_deadlines_in_the_order_of_scheduling) {
  loop_t *loop = loop_new();
  uint64_t start = loop_clock(loop);
  fired = 0;
  for (int i = 0; i < TIMERS; i++) {
    timers[i] = (struct timer){start - MS(20) + MS(next_random() % 50), i};
    CHECK(loop_call_at(loop, timers[i].deadline, check_order, &timers[i]) > 0);
  }
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(fired, TIMERS);
  free_loop(loop);
}

TEST(rescheduling_counts_as_newly_scheduled_among_equals) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  uint64_t at = loop_clock(loop) + 100;
  loop_handle_t a = loop_call_at(loop, at, write_letter, "a");
  loop_handle_t b = loop_call_later(loop, 100, write_letter, "b");
  CHECK(loop_call_at(loop, at, write_letter, "c") > 0);
  CHECK_EQ(loop_reschedule_at(loop, a, at), 0);
  CHECK(loop_call_at(loop, at, write_letter, "d") > 0);
  CHECK_EQ(loop_reschedule(loop, b, 100), 0);
  CHECK_EQ(loop_advance(loop, 99), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_advance(loop, 1), 0);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("cadb");
  free_loop(loop);
}

static loop_handle_t peer;

static void reschedule_peer_by_5(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_reschedule(loop, peer, 5), 0);
}

static void reschedule_peer_to_the_past(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_reschedule_at(loop, peer, 1), 0);
}

TEST(rescheduling_takes_a_ready_timer_out_of_the_queue) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  CHECK(loop_call_later(loop, 10, reschedule_peer_by_5, "a") > 0);
  peer = loop_call_later(loop, 10, write_letter, "b");
  CHECK_EQ(loop_advance(loop, 10), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("a");
  CHECK_EQ(loop_is_active(loop, peer), 1);
  CHECK_EQ(loop_remaining(loop, peer), 5);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_advance(loop, 5), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("b");

  CHECK(loop_call_later(loop, 10, reschedule_peer_to_the_past, "a") > 0);
  peer = loop_call_later(loop, 10, write_letter, "b");
  CHECK_EQ(loop_advance(loop, 10), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("a");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("b");
  free_loop(loop);
}

static loop_handle_t rearmed;
static uint64_t twenty_ms_from_each_arming;

static void check_twenty_ms(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK(check_clock() >= twenty_ms_from_each_arming);
}

static void check_twenty_ms_tick(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  check_twenty_ms(loop, arg);
  CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
}

static void work_40_ms_then_arm_20_ms(loop_t *loop, void *arg) {
  (void)arg;
  CHECK(loop_now(loop) > 0); /* the turn's time is cached from here on */
  check_burn(MS(40));
  twenty_ms_from_each_arming = check_clock() + MS(20);
  CHECK(loop_call_later(loop, MS(20), check_twenty_ms, "l") > 0);
  CHECK(loop_call_every(loop, MS(20), MS(1), LOOP_SKIP_MISSED, check_twenty_ms_tick, "e") > 0);
  CHECK_EQ(loop_reschedule(loop, rearmed, MS(20)), 0);
}

TEST(a_delay_counts_from_its_arming_not_from_the_turns_cached_time) {
  loop_t *loop = loop_new();
  rearmed = loop_call_later(loop, MS(1000), check_twenty_ms, "r");
  CHECK(loop_call_soon(loop, work_40_ms_then_arm_20_ms, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("ler");
  free_loop(loop);
}

static void schedule_in_the_past(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK(loop_call_at(loop, 900, write_letter, "9") > 0);
  CHECK(loop_call_at(loop, 0, write_letter, "0") > 0);
  CHECK(loop_call_at(loop, 500, write_letter, "5") > 0);
  CHECK_EQ(loop_reschedule_at(loop, peer, 600), 0);
}

TEST(a_deadline_in_the_past_is_due_in_the_next_turn_in_order_of_deadlines) {
  loop_options_t options = {
      .size = sizeof options, .flags = LOOP_MANUAL_CLOCK, .virtual_start_ns = 1000};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  peer = loop_call_at(loop, 5000, write_letter, "6");
  CHECK(loop_call_at(loop, 1, schedule_in_the_past, "!") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("!");
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("0569");
  free_loop(loop);
}

static void rearm_in_the_past(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_reschedule_at(loop, loop_current(loop), 0), 0);
}

TEST(a_timer_that_rearms_itself_in_the_past_runs_once_a_turn) {
  loop_t *loop = loop_new();
  CHECK(loop_call_at(loop, 0, rearm_in_the_past, "a") > 0);
  CHECK(loop_call_at(loop, 0, write_letter, "b") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("abaa");
  free_loop(loop);
}

TEST(a_delay_without_end_never_fires_and_does_not_wrap) {
  loop_t *loop = loop_new();
  loop_handle_t due = loop_call_at(loop, 0, write_letter, "r");
  CHECK_EQ(loop_reschedule(loop, due, UINT64_MAX), 0);
  loop_handle_t never[] = {
      due,
      loop_call_later(loop, UINT64_MAX, write_letter, "l"),
      loop_call_later(loop, UINT64_MAX - 1, write_letter, "s"),
      loop_call_at(loop, UINT64_MAX, write_letter, "a"),
      loop_call_every(loop, UINT64_MAX, 1, LOOP_RUN_MISSED, write_tick, "e"),
  };
  for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
    CHECK(never[i] > 0);
    CHECK_EQ(loop_remaining(loop, never[i]), INT64_MAX);
    CHECK_EQ(loop_is_active(loop, never[i]), 1);
  }
  CHECK_EQ(loop_run_once(loop, MS(5)), 0);
  CHECK_EQ(loop_reschedule(loop, due, 0), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("r");
  free_loop(loop);
}

TEST(never_does_not_come_even_at_the_end_of_time) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  CHECK(loop_call_at(loop, UINT64_MAX, write_letter, "n") > 0);
  CHECK(loop_call_at(loop, UINT64_MAX - 1, write_letter, "l") > 0);
  CHECK(loop_call_every(loop, 0, UINT64_MAX, LOOP_RUN_MISSED, write_tick, "e") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("e");
  CHECK_EQ(loop_advance(loop, UINT64_MAX), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
  CHECK_JOURNAL("l");
  free_loop(loop);
}

static void check_nothing_remains(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_remaining(loop, loop_current(loop)), 0);
}

TEST(loop_remaining_tells_the_time_left) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  loop_handle_t timer = loop_call_later(loop, 100, check_nothing_remains, "t");
  loop_handle_t every = loop_call_every(loop, 150, 10, LOOP_SKIP_MISSED, write_tick, "e");
  loop_handle_t past = loop_call_at(loop, 0, write_letter, "p");
  loop_handle_t soon = loop_call_soon(loop, write_letter, "s");
  CHECK_EQ(loop_remaining(loop, timer), 100);
  CHECK_EQ(loop_remaining(loop, every), 150);
  CHECK_EQ(loop_remaining(loop, past), 0);
  CHECK_EQ(loop_remaining(loop, soon), LOOP_EKIND);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(loop_remaining(loop, past), LOOP_ESTALE);
  CHECK_EQ(loop_advance(loop, 40), 0);
  CHECK_EQ(loop_remaining(loop, timer), 60);
  CHECK_EQ(loop_advance(loop, 61), 0);
  CHECK_EQ(loop_remaining(loop, timer), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("spt");
  CHECK_EQ(loop_remaining(loop, timer), LOOP_ESTALE);
  CHECK_EQ(loop_advance(loop, 50), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_remaining(loop, every), 9);
  CHECK_JOURNAL("e");
  free_loop(loop);
}
