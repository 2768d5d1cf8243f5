/* The run functions and loop_stop: a stop lets the current snapshot run to its
 * end, is remembered when nothing runs, and may come from another thread or a
 * signal handler. loop_run ends by itself when nothing is left. */
#define _GNU_SOURCE 1
#include "journal.h"
#include "signal_storm.h"

static void schedule_soon(loop_t *loop, void *arg) {
  CHECK(loop_call_soon(loop, write_letter, arg) > 0);
}

TEST(a_stop_in_mid_snapshot_lets_the_snapshot_run_to_its_end) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, schedule_soon, "n") > 0);
  CHECK(loop_call_soon(loop, write_and_stop, "s") > 0);
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK(loop_call_at(loop, 0, write_letter, "t") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("sat");
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("n");
  free_loop(loop);
}

TEST(a_stop_before_the_run_leaves_one_turn_that_does_not_block) {
  loop_t *loop = loop_new();
  loop_handle_t far = loop_call_later(loop, MS(3600000), write_letter, "t");
  CHECK(far > 0);
  CHECK(loop_call_soon(loop, schedule_soon, "n") > 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_stop(loop), 0); /* a flag, not a count */
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("n");

  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run(loop), 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);

  /* All of them are used up now. */
  CHECK_EQ(loop_reschedule(loop, far, MS(2)), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("t");
  free_loop(loop);
}

static void stop_then_chain(loop_t *loop, void *arg) {
  write_and_stop(loop, arg);
  schedule_soon(loop, "c");
}

TEST(a_stop_inside_run_once_or_run_ready_is_used_up_by_it) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, write_and_stop, "a") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK(loop_call_later(loop, MS(2), write_letter, "t") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("at");

  CHECK(loop_call_soon(loop, stop_then_chain, "b") > 0);
  CHECK(loop_call_soon(loop, write_letter, "d") > 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 2);
  CHECK_JOURNAL("bd");
  CHECK(loop_call_later(loop, MS(2), write_letter, "t") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("ct");
  free_loop(loop);
}

static int go_pipe[2];

static void *stop_when_told(void *loop) {
  drain_byte(go_pipe[0]);
  CHECK_EQ(loop_stop(loop), 0);
  return NULL;
}

static void tell_the_other_thread(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(write(go_pipe[1], "x", 1), 1);
}

TEST(another_thread_stops_a_run_that_waits) {
  loop_t *loop = loop_new();
  pthread_t thread;
  CHECK_EQ(pipe(go_pipe), 0);
  CHECK_EQ(pthread_create(&thread, NULL, stop_when_told, loop), 0);
  CHECK(loop_call_soon(loop, tell_the_other_thread, "a") > 0);
  CHECK(loop_call_later(loop, MS(3600000), write_letter, "t") > 0);
  CHECK_EQ(loop_run(loop), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_JOURNAL("a");
  free_loop(loop);
  close_pair(go_pipe);
}

static loop_t *signalled_loop;
static volatile sig_atomic_t signals_left;
static volatile sig_atomic_t stop_result;

static void stop_in_handler(int signal_number) {
  (void)signal_number;
  if (signals_left == 0 || --signals_left > 0) return;
  stop_result = loop_stop(signalled_loop);
}

TEST(a_signal_handler_stops_a_run_that_waits) {
  loop_t *loop = signalled_loop = loop_new();
  signals_left = 5;
  stop_result = -1;
  storm_begin(stop_in_handler);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(stop_result, 0);
  storm_end();
  free_loop(loop);
}

static volatile sig_atomic_t signals_seen;

static void count_signal(int signal_number) {
  (void)signal_number;
  signals_seen++;
}

TEST(interrupted_waits_are_neither_short_nor_lost) {
  loop_t *loop = loop_new();
  signals_seen = 0;
  storm_begin(count_signal);
  do {
    uint64_t start = check_clock();
    CHECK_EQ(loop_run_once(loop, MS(40)), 0);
    CHECK(check_clock() >= start + MS(40));
  } while (signals_seen == 0);
  uint64_t start = check_clock();
  CHECK(loop_call_later(loop, MS(40), write_and_stop, "t") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK(check_clock() >= start + MS(40));
  storm_end();
  CHECK_JOURNAL("t");
  free_loop(loop);
}

TEST(loop_run_returns_1_when_nothing_is_left_and_0_on_a_stop) {
  loop_t *loop = loop_new();
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK(loop_call_soon(loop, schedule_soon, "b") > 0);
  CHECK(loop_call_later(loop, MS(2), schedule_soon, "c") > 0);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("bc");
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "p", NULL), 0);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("p");
  CHECK(loop_call_soon(loop, write_and_stop, "s") > 0);
  CHECK_EQ(loop_run(loop), 0);
  CHECK_JOURNAL("s");
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

TEST(run_once_waits_at_least_its_timeout_when_nothing_happens) {
  loop_t *loop = loop_new();
  const uint64_t timeouts[] = {1, US(10), US(300), MS(1), US(1500), MS(15)};
  for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
    uint64_t start = check_clock();
    CHECK_EQ(loop_run_once(loop, (int64_t)timeouts[i]), 0);
    CHECK(check_clock() >= start + timeouts[i]);
  }
  free_loop(loop);
}

TEST(run_once_of_0_does_not_wait_and_a_negative_timeout_waits_for_work) {
  loop_t *loop = loop_new();
  CHECK(loop_call_later(loop, MS(3600000), write_letter, "f") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 0);
  CHECK(loop_call_later(loop, MS(3), write_letter, "t") > 0);
  CHECK(loop_call_later(loop, MS(3600000), write_letter, "g") > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("t");
  CHECK(loop_call_later(loop, MS(3), write_letter, "u") > 0);
  CHECK_EQ(loop_run_once(loop, INT64_MAX), 1);
  CHECK_JOURNAL("u");
  free_loop(loop);
}

static void *wake_when_told(void *loop) {
  drain_byte(go_pipe[0]);
  CHECK_EQ(loop_wake(loop), 0);
  return NULL;
}

TEST(loop_wake_ends_a_wait_and_calls_nothing) {
  loop_t *loop = loop_new();
  pthread_t thread;
  CHECK_EQ(pipe(go_pipe), 0);
  CHECK(loop_add_hook(loop, LOOP_WHEN_IDLE, tell_the_other_thread, "i") > 0);
  CHECK_EQ(pthread_create(&thread, NULL, wake_when_told, loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_JOURNAL("i");
  free_loop(loop);
  close_pair(go_pipe);
}

static loop_handle_t running_handle;

static void check_current(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_current(loop), running_handle);
  CHECK_EQ(loop_is_running(loop), 1);
  CHECK_EQ(loop_in_thread(loop), 1);
}

TEST(the_counts_leave_out_hooks_and_loop_current_is_the_callbacks_handle) {
  loop_t *loop = loop_new();
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "b") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  running_handle = loop_call_soon(loop, check_current, "s");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  running_handle = loop_call_at(loop, 0, check_current, "t");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("bbsbt");
  CHECK_EQ(loop_current(loop), 0);
  free_loop(loop);
}
