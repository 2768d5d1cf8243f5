/* What keeps loop_run going: ready callbacks, timers, watchers (paused ones
 * too). Not: hooks and unref'd sources. loop_has_work tells the same. */
#define _GNU_SOURCE 1
#include "journal.h"

static void check_nothing_is_left(loop_t *loop) {
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("");
}

/* An unref'd timer can only end the run if something else has kept it going. */
static void check_loop_run_goes_on(loop_t *loop) {
  CHECK_EQ(loop_has_work(loop), 1);
  loop_handle_t timer = loop_call_later(loop, MS(2), write_and_stop, "u");
  CHECK_EQ(loop_unref(loop, timer), 0);
  CHECK_EQ(loop_run(loop), 0);
  CHECK_JOURNAL("u");
}

TEST(ready_callbacks_and_posts_are_work) {
  loop_t *loop = loop_new();
  check_nothing_is_left(loop);
  loop_handle_t soon = loop_call_soon(loop, write_letter, "s");
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_cancel(loop, soon), 0);
  check_nothing_is_left(loop);
  post_from_thread(loop, write_letter, "p", NULL);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("p");
  check_nothing_is_left(loop);
  free_loop(loop);
}

TEST(timers_keep_loop_run_going_until_they_are_finished) {
  loop_t *loop = loop_new();
  loop_handle_t far = loop_call_later(loop, MS(3600000), write_letter, "!");
  check_loop_run_goes_on(loop);
  CHECK_EQ(loop_cancel(loop, far), 0);
  check_nothing_is_left(loop);
  loop_handle_t every = loop_call_every(loop, MS(3600000), MS(1), LOOP_SKIP_MISSED, write_tick, "!");
  check_loop_run_goes_on(loop);
  CHECK_EQ(loop_cancel(loop, every), 0);
  check_nothing_is_left(loop);
  free_loop(loop);
}

TEST(watchers_keep_loop_run_going_paused_ones_too) {
  loop_t *loop = loop_new();
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  loop_handle_t watch = loop_watch_fd(loop, ends[0], LOOP_READABLE, write_event, "!");
  check_loop_run_goes_on(loop);
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  check_loop_run_goes_on(loop);
  loop_handle_t born_paused = loop_watch_fd(loop, ends[0], 0, write_event, "!");
  CHECK_EQ(loop_cancel(loop, watch), 0);
  check_loop_run_goes_on(loop);
  CHECK_EQ(loop_cancel(loop, born_paused), 0);
  check_nothing_is_left(loop);
  free_loop(loop);
  close_pair(ends);
}

TEST(hooks_are_no_work) {
  loop_t *loop = loop_new();
  for (uint32_t when = LOOP_BEFORE_WAIT; when <= LOOP_ON_INTERRUPT; when++) {
    CHECK(loop_add_hook(loop, when, write_letter, "h") > 0);
  }
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

TEST(unrefd_sources_do_not_keep_loop_run_going) {
  loop_t *loop = loop_new();
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  loop_handle_t sources[] = {
      loop_call_later(loop, MS(3600000), write_letter, "!"),
      loop_call_every(loop, MS(3600000), MS(1), LOOP_SKIP_MISSED, write_tick, "!"),
      loop_watch_fd(loop, ends[0], LOOP_READABLE, write_event, "!"),
      loop_watch_fd(loop, ends[0], 0, write_event, "!"),
  };
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    CHECK_EQ(loop_unref(loop, sources[i]), 0);
  }
  check_nothing_is_left(loop);
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    CHECK_EQ(loop_is_active(loop, sources[i]), 1);
    CHECK_EQ(loop_ref(loop, sources[i]), 0);
    check_loop_run_goes_on(loop);
    CHECK_EQ(loop_unref(loop, sources[i]), 0);
    check_nothing_is_left(loop);
  }
  free_loop(loop);
  close_pair(ends);
}

TEST(ref_is_a_flag_and_not_a_count) {
  loop_t *loop = loop_new();
  loop_handle_t timer = loop_call_later(loop, MS(3600000), write_letter, "!");
  CHECK_EQ(loop_ref(loop, timer), 0);
  CHECK_EQ(loop_ref(loop, timer), 0);
  CHECK_EQ(loop_unref(loop, timer), 0);
  check_nothing_is_left(loop);
  CHECK_EQ(loop_unref(loop, timer), 0);
  CHECK_EQ(loop_unref(loop, timer), 0);
  CHECK_EQ(loop_ref(loop, timer), 0);
  check_loop_run_goes_on(loop);

  /* The end of an unref'd source takes nothing from the others. */
  loop_handle_t other = loop_call_later(loop, MS(3600000), write_letter, "!");
  CHECK_EQ(loop_unref(loop, other), 0);
  CHECK_EQ(loop_cancel(loop, other), 0);
  check_loop_run_goes_on(loop);
  CHECK_EQ(loop_cancel(loop, timer), 0);
  check_nothing_is_left(loop);
  free_loop(loop);
}

TEST(an_unrefd_source_still_runs_while_something_else_keeps_the_loop) {
  loop_t *loop = loop_new();
  int ends[2];
  open_ready_pipe(ends);
  loop_handle_t watch = loop_watch_fd(loop, ends[0], LOOP_READABLE | LOOP_ONESHOT, write_event, "f");
  loop_handle_t timer = loop_call_later(loop, MS(1), write_letter, "t");
  CHECK_EQ(loop_unref(loop, watch), 0);
  CHECK_EQ(loop_unref(loop, timer), 0);
  CHECK(loop_call_later(loop, MS(3), write_letter, "k") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("ftk");
  free_loop(loop);
  close_pair(ends);
}

static void stay_unrefd(loop_t *loop, void *arg) {
  const char *letters = arg;
  journal_write(letters[0]);
  if (letters[1] == '\0') return;
  loop_handle_t self = loop_current(loop);
  CHECK_EQ(loop_set_arg(loop, self, (void *)(letters + 1)), 0);
  CHECK_EQ(loop_reschedule(loop, self, 0), 0);
}

TEST(an_unrefd_timer_armed_again_stays_unrefd) {
  loop_t *loop = loop_new();
  loop_handle_t timer = loop_call_later(loop, 0, stay_unrefd, "abc");
  CHECK_EQ(loop_unref(loop, timer), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("a");
  check_nothing_is_left(loop);
  CHECK_EQ(loop_ref(loop, timer), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("bc");
  free_loop(loop);
}

static void end_on_third_tick(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK_EQ(ticks, 1);
  write_letter(loop, arg);
  if (journal_length == 3) CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
}

TEST(loop_run_ends_when_the_last_periodic_timer_ends_itself) {
  loop_t *loop = loop_new();
  CHECK(loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, end_on_third_tick, "e") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("eee");
  free_loop(loop);
}

static loop_handle_t last_source;

static void cancel_last_source(loop_t *loop, void *arg) {
  (void)arg;
  loop_cancel(loop, last_source);
}

TEST(a_hook_that_cancels_the_last_source_ends_the_run) {
  const uint32_t kinds[] = {LOOP_BEFORE_WAIT, LOOP_WHEN_IDLE};
  for (int i = 0; i < 2; i++) {
    loop_t *loop = loop_new();
    last_source = loop_call_later(loop, NS_PER_SEC * UINT64_C(3600), cancel_last_source, NULL);
    CHECK(last_source > 0);
    CHECK(loop_add_hook(loop, kinds[i], cancel_last_source, NULL) > 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(loop_free(loop), 0);
  }
}
