/* Law 13: runs nest. The rest of the outer snapshot runs first in the inner
 * run; a source whose callback is on the stack is delivered again; loop_stop
 * ends the innermost run only. */
#define _GNU_SOURCE 1
#include "journal.h"

static void run_one_turn_nested(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('(');
  CHECK(loop_run_once(loop, 0) >= 0);
  journal_write(')');
}

static void schedule_then_nest(loop_t *loop, void *arg) {
  CHECK(loop_call_soon(loop, write_letter, arg) > 0);
  run_one_turn_nested(loop, NULL);
}

TEST(the_rest_of_the_outer_snapshot_runs_first_in_the_inner_run) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK(loop_call_soon(loop, schedule_then_nest, "n") > 0);
  CHECK(loop_call_soon(loop, write_letter, "b") > 0);
  CHECK(loop_call_at(loop, 0, write_letter, "t") > 0);
  post_from_thread(loop, write_letter, "p", NULL);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("a(btpn)");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
}

TEST(nested_runs_nested_again_keep_the_order) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, schedule_then_nest, "x") > 0);
  CHECK(loop_call_soon(loop, schedule_then_nest, "y") > 0);
  CHECK(loop_call_soon(loop, write_letter, "c") > 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("((cxy))");
  free_loop(loop);
}

static void nested_run_ready(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('<');
  CHECK(loop_run_ready(loop, UINT64_MAX) > 0);
  journal_write('>');
}

TEST(an_inner_run_of_many_turns_leaves_nothing_ready_for_the_outer_one) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, nested_run_ready, NULL) > 0);
  CHECK(loop_call_soon(loop, schedule_then_nest, "b") > 0);
  CHECK(loop_call_soon(loop, write_letter, "c") > 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("<(cb)>");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
}

static void nested_run_forever(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('[');
  CHECK_EQ(loop_run_forever(loop), 0);
  journal_write(']');
  CHECK(loop_call_soon(loop, write_and_stop, "2") > 0);
}

TEST(loop_stop_ends_the_innermost_run_only_and_after_its_snapshot) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, nested_run_forever, NULL) > 0);
  CHECK(loop_call_soon(loop, write_and_stop, "1") > 0);
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("[1a]2");
  free_loop(loop);
}

static void nested_loop_run(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('{');
  CHECK_EQ(loop_run(loop), 1);
  journal_write('}');
}

TEST(an_inner_loop_run_ends_when_nothing_is_left) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, nested_loop_run, NULL) > 0);
  CHECK(loop_call_later(loop, MS(3), write_letter, "t") > 0);
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("{at}");
  /* A timer whose callback is on the stack is nothing that could run. */
  CHECK(loop_call_later(loop, 0, nested_loop_run, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("{}");
  free_loop(loop);
}

static void go_down(loop_t *loop, void *arg) {
  int depth = (int)(intptr_t)arg;
  loop_handle_t self = loop_current(loop);
  CHECK_EQ(loop_is_running(loop), depth);
  if (depth < 10) {
    loop_handle_t next = loop_call_soon(loop, go_down, (void *)(intptr_t)(depth + 1));
    CHECK(loop_run_once(loop, 0) > 0);
    CHECK(next > 0 && next != self);
  }
  CHECK_EQ(loop_is_running(loop), depth);
  CHECK_EQ(loop_current(loop), self);
}

TEST(loop_is_running_tells_the_depth_and_loop_current_the_innermost_callback) {
  loop_t *loop = loop_new();
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_current(loop), 0);
  CHECK(loop_call_soon(loop, go_down, (void *)(intptr_t)1) > 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_current(loop), 0);
  free_loop(loop);
}

static void nest_inside_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)arg;
  CHECK_EQ(events, LOOP_READABLE);
  journal_write('(');
  if (loop_is_running(loop) == 1) {
    CHECK_EQ(loop_run_once(loop, 0), 1);
  } else {
    drain_byte(fd);
  }
  journal_write(')');
}

TEST(a_watcher_on_the_stack_is_delivered_again) {
  loop_t *loop = loop_new();
  int ends[2];
  open_ready_pipe(ends);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE, nest_inside_event, NULL) > 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("(())");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
  close_pair(ends);
}

static void pause_and_nest(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)arg;
  CHECK_EQ(events, LOOP_READABLE);
  loop_handle_t self = loop_current(loop);
  journal_write('(');
  CHECK_EQ(loop_watch_update(loop, self, 0), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_watch_update(loop, self, LOOP_READABLE), 0);
  journal_write(')');
}

TEST(a_paused_watcher_on_the_stack_is_not) {
  loop_t *loop = loop_new();
  int ends[2];
  open_ready_pipe(ends);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE, pause_and_nest, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("()()");
  free_loop(loop);
  close_pair(ends);
}

static void nest_inside_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)arg;
  CHECK_EQ(ticks, 1);
  journal_write('(');
  if (loop_is_running(loop) < 3) {
    CHECK_EQ(loop_advance(loop, 10), 0);
    CHECK(loop_run_once(loop, 0) > 0);
  }
  journal_write(')');
}

TEST(a_periodic_timer_on_the_stack_is_delivered_again) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  CHECK(loop_call_every(loop, 0, 10, LOOP_SKIP_MISSED, nest_inside_tick, NULL) > 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("((()))");
  free_loop(loop);
}

static void rearm_and_nest(loop_t *loop, void *arg) {
  loop_handle_t self = loop_current(loop);
  (void)arg;
  journal_write('(');
  if (loop_is_running(loop) == 1) {
    CHECK_EQ(loop_reschedule(loop, self, 0), 0);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    /* The inner callback's return did not finish what still runs here. */
    CHECK_EQ(loop_is_active(loop, self), 0);
    CHECK_EQ(loop_cancel(loop, self), 0);
  }
  journal_write(')');
}

TEST(a_one_shot_armed_again_on_the_stack_runs_in_the_inner_run) {
  loop_t *loop = loop_new();
  loop_handle_t timer = loop_call_later(loop, 0, rearm_and_nest, NULL);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("(())");
  CHECK_EQ(loop_cancel(loop, timer), LOOP_ESTALE);
  free_loop(loop);
}

static loop_handle_t outer_one_shot;

static void outer_one_shot_still_lives(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_is_running(loop), 2);
  CHECK_EQ(loop_is_active(loop, outer_one_shot), 0);
  CHECK_EQ(loop_cancel(loop, outer_one_shot), 0);
  CHECK_EQ(loop_cancel(loop, outer_one_shot), 0);
}

static void outer_timer_is_armed_and_cancelled(loop_t *loop, void *arg) {
  outer_one_shot_still_lives(loop, arg);
  CHECK_EQ(loop_reschedule(loop, outer_one_shot, 0), 0);
  CHECK_EQ(loop_is_active(loop, outer_one_shot), 1);
  CHECK_EQ(loop_cancel(loop, outer_one_shot), 0);
  CHECK_EQ(loop_is_active(loop, outer_one_shot), 0);
}

TEST(a_one_shots_handle_lives_while_its_callback_is_on_the_outer_stack) {
  loop_t *loop = loop_new();
  outer_one_shot = loop_call_soon(loop, run_one_turn_nested, NULL);
  CHECK(loop_call_soon(loop, outer_one_shot_still_lives, "s") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_cancel(loop, outer_one_shot), LOOP_ESTALE);

  outer_one_shot = loop_call_at(loop, 0, run_one_turn_nested, NULL);
  CHECK(loop_call_at(loop, 0, outer_timer_is_armed_and_cancelled, "t") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_cancel(loop, outer_one_shot), LOOP_ESTALE);
  CHECK_JOURNAL("(s)(t)");
  free_loop(loop);
}
