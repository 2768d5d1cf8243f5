/* Law 4, inside the callback: a one-shot's handle lives until its callback
 * returns and may be cancelled again and again, or armed again; a repeating
 * source is active inside its own callback and is ended there by a cancel. */
#define _GNU_SOURCE 1
#include "journal.h"

static void cancel_own_one_shot(loop_t *loop, void *arg) {
  loop_handle_t self = loop_current(loop);
  CHECK(self > 0);
  CHECK_EQ(loop_is_active(loop, self), 0);
  CHECK_EQ(loop_cancel(loop, self), 0);
  CHECK_EQ(loop_cancel(loop, self), 0);
  CHECK_EQ(loop_is_active(loop, self), 0);
  write_letter(loop, arg);
}

TEST(a_one_shot_cancels_itself_twice_and_is_finished_when_it_returns) {
  loop_t *loop = loop_new();
  loop_handle_t soon = loop_call_soon(loop, cancel_own_one_shot, "s");
  loop_handle_t timer = loop_call_later(loop, 0, cancel_own_one_shot, "t");
  CHECK_EQ(loop_call_soon_threadsafe(loop, cancel_own_one_shot, "p", NULL), 0);
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_JOURNAL("stp");
  CHECK_EQ(loop_cancel(loop, soon), LOOP_ESTALE);
  CHECK_EQ(loop_cancel(loop, timer), LOOP_ESTALE);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
}

static int runs_left;

static void rearm_while_runs_are_left(loop_t *loop, void *arg) {
  loop_handle_t self = loop_current(loop);
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, self), 0);
  if (--runs_left == 0) return;
  CHECK_EQ(loop_reschedule(loop, self, 0), 0);
  CHECK_EQ(loop_is_active(loop, self), 1);
}

TEST(a_one_shot_arms_itself_again_even_after_it_has_cancelled_itself) {
  loop_t *loop = loop_new();
  runs_left = 3;
  loop_handle_t timer = loop_call_later(loop, 0, rearm_while_runs_are_left, "t");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_is_active(loop, timer), 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("ttt");
  CHECK_EQ(loop_is_active(loop, timer), 0);
  CHECK_EQ(loop_reschedule(loop, timer, 0), LOOP_ESTALE);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

static void rearm_then_cancel(loop_t *loop, void *arg) {
  loop_handle_t self = loop_current(loop);
  write_letter(loop, arg);
  CHECK_EQ(loop_reschedule(loop, self, 0), 0);
  CHECK_EQ(loop_is_active(loop, self), 1);
  CHECK_EQ(loop_cancel(loop, self), 0);
  CHECK_EQ(loop_is_active(loop, self), 0);
  CHECK_EQ(loop_cancel(loop, self), 0);
}

TEST(a_one_shot_armed_again_and_then_cancelled_does_not_run_again) {
  loop_t *loop = loop_new();
  loop_handle_t timer = loop_call_later(loop, 0, rearm_then_cancel, "t");
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("t");
  CHECK_EQ(loop_cancel(loop, timer), LOOP_ESTALE);
  free_loop(loop);
}

static void soon_cannot_be_rearmed(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_reschedule(loop, loop_current(loop), 0), LOOP_EKIND);
}

TEST(a_soon_callback_cannot_be_armed_again) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, soon_cannot_be_rearmed, "s") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("s");
  free_loop(loop);
}

static void cancel_own_repeating(loop_t *loop, void *arg) {
  loop_handle_t self = loop_current(loop);
  write_letter(loop, arg);
  CHECK_EQ(loop_is_active(loop, self), 1);
  CHECK_EQ(loop_cancel(loop, self), 0);
  CHECK_EQ(loop_is_active(loop, self), 0);
  CHECK_EQ(loop_cancel(loop, self), LOOP_ESTALE);
}

static void cancel_own_every(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  loop_handle_t self = loop_current(loop);
  cancel_own_repeating(loop, arg);
  CHECK_EQ(loop_reschedule(loop, self, 0), LOOP_ESTALE);
}

static void cancel_own_watch(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK(fd >= 0);
  CHECK_EQ(events, LOOP_READABLE);
  loop_handle_t self = loop_current(loop);
  cancel_own_repeating(loop, arg);
  CHECK_EQ(loop_watch_update(loop, self, LOOP_READABLE), LOOP_ESTALE);
}

TEST(a_repeating_source_ends_itself_and_is_finished_at_once) {
  loop_t *loop = loop_new();
  int ends[2];
  open_ready_pipe(ends);
  loop_handle_t every = loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, cancel_own_every, "e");
  loop_handle_t watch = loop_watch_fd(loop, ends[0], LOOP_READABLE, cancel_own_watch, "f");
  loop_handle_t hook = loop_add_hook(loop, LOOP_BEFORE_WAIT, cancel_own_repeating, "b");
  CHECK(every > 0 && watch > 0 && hook > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("bfe");
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
  close_pair(ends);
}

static loop_handle_t earlier;

static void earlier_peer_is_finished(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_is_active(loop, earlier), 0);
  CHECK_EQ(loop_cancel(loop, earlier), LOOP_ESTALE);
}

TEST(a_one_shot_is_finished_for_the_peers_that_run_after_it) {
  loop_t *loop = loop_new();
  earlier = loop_call_soon(loop, write_letter, "a");
  CHECK(loop_call_soon(loop, earlier_peer_is_finished, "b") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  earlier = loop_call_at(loop, 0, write_letter, "c");
  CHECK(loop_call_at(loop, 0, earlier_peer_is_finished, "d") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("abcd");
  free_loop(loop);
}
