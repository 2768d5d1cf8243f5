/* The manual clock: time moves in loop_advance only, and with nothing ready a
 * run returns instead of waiting. */
#define _GNU_SOURCE 1
#include "journal.h"

#define START 1000u

static loop_t *new_manual_loop(void) {
  loop_options_t options = {
      .size = sizeof options, .flags = LOOP_MANUAL_CLOCK, .virtual_start_ns = START};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  return loop;
}

TEST(time_moves_in_loop_advance_only) {
  loop_t *loop = new_manual_loop();
  CHECK_EQ(loop_clock(loop), START);
  check_burn(US(100));
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_run_once(loop, MS(1)), 0);
  CHECK_EQ(loop_clock(loop), START);
  CHECK_EQ(loop_advance(loop, 0), 0);
  CHECK_EQ(loop_clock(loop), START);
  CHECK_EQ(loop_advance(loop, 7), 0);
  CHECK_EQ(loop_clock(loop), START + 7);
  CHECK_EQ(loop_advance(loop, UINT64_MAX), 0);
  CHECK(loop_clock(loop) == UINT64_MAX);
  free_loop(loop);
}

TEST(every_run_returns_when_nothing_is_ready) {
  loop_t *loop = new_manual_loop();
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK(loop_call_later(loop, 10, write_letter, "t") > 0);
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
  CHECK_EQ(loop_run(loop), 0);
  CHECK_JOURNAL("s");
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 0);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_advance(loop, 10), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("t");
  free_loop(loop);
}

static void check_time(loop_t *loop, void *arg) {
  CHECK_EQ(loop_now(loop), *(uint64_t *)arg);
  CHECK_EQ(loop_clock(loop), *(uint64_t *)arg);
  journal_write('t');
}

TEST(a_timer_is_due_exactly_at_its_deadline) {
  loop_t *loop = new_manual_loop();
  uint64_t deadline = START + 10, late = START + 35;
  CHECK(loop_call_later(loop, 10, check_time, &deadline) > 0);
  CHECK(loop_call_later(loop, 30, check_time, &late) > 0);
  CHECK_EQ(loop_advance(loop, 9), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_EQ(loop_advance(loop, 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_advance(loop, 25), 0); /* past the second one */
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("tt");
  free_loop(loop);
}

TEST(an_advance_over_many_deadlines_keeps_their_order) {
  loop_t *loop = new_manual_loop();
  CHECK(loop_call_later(loop, 30, write_letter, "c") > 0);
  CHECK(loop_call_later(loop, 10, write_letter, "a") > 0);
  CHECK(loop_call_later(loop, 30, write_letter, "d") > 0);
  CHECK(loop_call_later(loop, 20, write_letter, "b") > 0);
  CHECK_EQ(loop_advance(loop, 100), 0);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("abcd");
  free_loop(loop);
}

static void advance_by_50(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  uint64_t before = loop_clock(loop);
  CHECK_EQ(loop_advance(loop, 50), 0);
  CHECK_EQ(loop_clock(loop), before + 50);
}

TEST(an_advance_inside_a_callback_makes_timers_due_in_the_next_turn) {
  loop_t *loop = new_manual_loop();
  CHECK(loop_call_later(loop, 20, write_letter, "b") > 0);
  CHECK(loop_call_later(loop, 10, write_letter, "a") > 0);
  CHECK(loop_call_soon(loop, advance_by_50, "!") > 0);
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("!s");
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("ab");
  free_loop(loop);
}

TEST(fds_and_posts_are_served_without_time) {
  loop_t *loop = new_manual_loop();
  int ends[2];
  open_ready_pipe(ends);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE | LOOP_ONESHOT, write_event, "f") > 0);
  post_from_thread(loop, write_letter, "p", NULL);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("fp");
  CHECK_EQ(loop_clock(loop), START);
  free_loop(loop);
  close_pair(ends);
}

TEST(loop_advance_is_refused_on_a_real_clock_and_changes_nothing) {
  loop_t *loop = loop_new();
  CHECK(loop_call_later(loop, MS(3600000), write_letter, "!") > 0);
  CHECK_EQ(loop_advance(loop, MS(3600001)), LOOP_ECLOCK);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_advance(NULL, 1), LOOP_ENULL);
  uint64_t before = check_clock(), now = loop_clock(loop), after = check_clock();
  CHECK(before <= now && now <= after);
  free_loop(loop);
}

static uint64_t turns_time;

static void keep_the_turns_time(loop_t *loop, void *arg) {
  (void)arg;
  turns_time = loop_now(loop);
  CHECK(turns_time > 0 && turns_time <= check_clock());
  check_burn(US(200));
  CHECK(loop_clock(loop) >= turns_time + US(200));
}

static void check_the_turns_time(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_now(loop), turns_time);
}

TEST(on_the_real_clock_loop_now_is_of_the_turn_and_loop_clock_is_fresh) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, keep_the_turns_time, NULL) > 0);
  CHECK(loop_call_soon(loop, check_the_turns_time, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  uint64_t first_turn = turns_time;
  CHECK(loop_call_soon(loop, keep_the_turns_time, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK(turns_time >= first_turn + US(200));
  free_loop(loop);
}
