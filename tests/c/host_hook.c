/* link: -lpthread */
/* The wake hook: called once, from whichever thread brings work or an earlier
 * deadline while no run is on the stack; not again before the next run has
 * ended; never inside a run, never for descriptors; and not after it was
 * replaced. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <signal.h>

static loop_t *loop;
static int calls, runs;
static pthread_t caller;

static void hook(void *arg) {
  CHECK(arg == &calls);
  caller = pthread_self();
  calls++;
}

static void start(void) {
  loop = new_loop(0);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &calls), 0);
  calls = runs = 0;
}

static void end(void) { free_loop(loop); }

/* The hook was called so many times since the last check; then the host runs the loop. */
static void check_calls_and_run(int expected_calls, int expected_runs) {
  CHECK_EQ(calls, expected_calls);
  calls = 0;
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), expected_runs);
  CHECK_EQ(calls, 0);
}

static void *post(void *arg) {
  for (int i = 0; i < *(int *)arg; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  }
  return NULL;
}

TEST(once_for_a_burst_on_the_thread_that_posts) {
  int burst = 1000;
  start();
  for (int round = 0; round < 10; round++) {
    pthread_t thread = start_thread(post, &burst);
    join_thread(thread);
    CHECK(pthread_equal(caller, thread));
    check_calls_and_run(1, burst);
  }
  end();
}

TEST(once_until_the_next_run_has_ended_whatever_comes) {
  int one = 1;
  start();
  for (int round = 0; round < 10; round++) {
    on_thread(post, &one);
    CHECK_EQ(calls, 1);
    CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    CHECK(loop_call_later(loop, 0, count_run, &runs) > 0);
    CHECK_EQ(loop_wake(loop), 0);
    on_thread(post, &one);
    check_calls_and_run(1, 4);
  }
  end();
}

TEST(for_work_that_the_loops_own_thread_brings) {
  start();
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK(pthread_equal(caller, pthread_self()));
  check_calls_and_run(1, 1);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  check_calls_and_run(1, 1);
  CHECK(loop_call_at(loop, 0, count_run, &runs) > 0);
  check_calls_and_run(1, 1);
  CHECK_EQ(loop_wake(loop), 0);
  check_calls_and_run(1, 0);
  CHECK_EQ(loop_stop(loop), 0);
  check_calls_and_run(1, 0);
  end();
}

TEST(for_earlier_deadlines_and_not_for_later_ones) {
  start();
  loop_handle_t first = loop_call_later(loop, HOUR, count_run, &runs);
  check_calls_and_run(1, 0);
  loop_handle_t second = loop_call_later(loop, 2 * HOUR, count_run, &runs);
  CHECK_EQ(loop_reschedule(loop, second, 3 * HOUR), 0);
  CHECK(loop_call_at(loop, UINT64_MAX, count_run, &runs) > 0);
  check_calls_and_run(0, 0);
  CHECK_EQ(loop_reschedule(loop, second, HOUR / 2), 0);
  check_calls_and_run(1, 0);
  CHECK(loop_call_every(loop, HOUR / 3, HOUR, LOOP_SKIP_MISSED, count_tick, &runs) > 0);
  check_calls_and_run(1, 0);
  CHECK_EQ(loop_reschedule(loop, first, HOUR / 4), 0);
  check_calls_and_run(1, 0);
  CHECK_EQ(loop_cancel(loop, first), 0);
  CHECK_EQ(loop_reschedule(loop, second, 4 * HOUR), 0);
  check_calls_and_run(0, 0);
  end();
}

TEST(for_an_earlier_deadline_than_there_was_before_the_hook) {
  loop = new_loop(0);
  calls = 0;
  CHECK(loop_call_later(loop, HOUR, count_run, &runs) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &calls), 0);
  CHECK(loop_call_later(loop, 2 * HOUR, count_run, &runs) > 0);
  CHECK_EQ(calls, 0);
  CHECK(loop_call_later(loop, HOUR / 2, count_run, &runs) > 0);
  CHECK_EQ(calls, 1);
  end();
}

/* Work that nobody was told of does not keep the hook from being called. */
TEST(for_what_comes_after_it_was_set_whatever_came_before) {
  int one = 1;
  for (int before = 0; before < 3; before++) {
    loop = new_loop(0);
    calls = 0;
    if (before == 0) on_thread(post, &one);
    if (before == 1) CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    if (before == 2) CHECK_EQ(loop_wake(loop), 0);
    CHECK_EQ(loop_set_wake_hook(loop, hook, &calls), 0);
    on_thread(post, &one);
    CHECK_EQ(calls, 1); /* by the second post, or when it was set */
    end();
  }
}

TEST(never_for_descriptors) {
  int fds[2];
  start();
  make_pair(fds);
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs);
  put_byte(fds[1]);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_READABLE | LOOP_WRITABLE), 0);
  usleep(2000);
  CHECK_EQ(calls, 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  check_calls_and_run(0, 0);
  close_pair(fds);
  end();
}

/* Brings all that there is, inside a callback: the run sees to it. */
static void bring_work(loop_t *l, void *arg) {
  int burst = 10;
  (void)arg;
  on_thread(post, &burst);
  CHECK(loop_call_soon(l, count_run, &runs) > 0);
  CHECK(loop_call_later(l, 0, count_run, &runs) > 0);
  CHECK_EQ(loop_wake(l), 0);
  CHECK_EQ(calls, 0);
}

static void bring_work_in_a_nested_run(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, bring_work, arg) > 0);
  CHECK_EQ(loop_run_ready(l, UINT64_MAX), 13);
  CHECK_EQ(calls, 0);
}

/* Whoever has run the loop in a callback may wait there for more, and is told of it. */
static void bring_work_after_a_nested_run(loop_t *l, void *arg) {
  bring_work_in_a_nested_run(l, arg);
  CHECK(loop_call_soon(l, count_run, &runs) > 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(loop_wake(l), 0);
  CHECK_EQ(calls, 1);
  calls = 0;
  CHECK_EQ(loop_run_ready(l, UINT64_MAX), 1);
  CHECK_EQ(calls, 0);
}

TEST(never_inside_a_run) {
  start();
  CHECK(loop_call_soon(loop, bring_work, NULL) > 0);
  check_calls_and_run(1, 13);
  CHECK(loop_call_soon(loop, bring_work_in_a_nested_run, NULL) > 0);
  check_calls_and_run(1, 1);
  end();
}

TEST(in_a_callback_that_has_run_the_loop) {
  start();
  CHECK(loop_call_soon(loop, bring_work_after_a_nested_run, NULL) > 0);
  check_calls_and_run(1, 1);
  end();
}

static void post_and_stop(loop_t *l, void *arg) {
  int one = 1;
  (void)arg;
  on_thread(post, &one);
  CHECK_EQ(calls, 0);
  CHECK_EQ(loop_stop(l), 0);
}

TEST(for_a_post_that_the_run_did_not_get_to) {
  start();
  CHECK_EQ(loop_run_once(loop, 0), 0);
  loop_handle_t timer = loop_call_later(loop, 1, post_and_stop, NULL);
  CHECK(timer > 0);
  calls = 0;
  CHECK_EQ(loop_run_forever(loop), 0);
  check_calls_and_run(1, 1);
  end();
}

static volatile sig_atomic_t in_handler, called_in_handler;

static void signal_hook(void *arg) {
  (void)arg;
  called_in_handler += in_handler;
}

static void wake_in_handler(int number) {
  (void)number;
  in_handler = 1;
  loop_wake(loop);
  in_handler = 0;
}

TEST(in_the_signal_handler_that_wakes_the_loop) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = wake_in_handler;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  start();
  CHECK_EQ(loop_set_wake_hook(loop, signal_hook, NULL), 0);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(called_in_handler, 1);
  end();
}

static void hook_that_wakes(void *arg) {
  hook(arg);
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK(loop_clock(loop) > 0);
  CHECK_EQ(loop_in_thread(loop), 1);
}

TEST(it_may_call_what_any_thread_may_call) {
  start();
  CHECK_EQ(loop_set_wake_hook(loop, hook_that_wakes, &calls), 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(calls, 1);
  end();
}

static void other_hook(void *arg) { ++*(int *)arg; }

TEST(another_one_takes_its_place_and_null_takes_it_away) {
  int others = 0;
  start();
  CHECK_EQ(loop_set_wake_hook(loop, other_hook, &others), 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(others, 1);
  check_calls_and_run(0, 1);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(others, 1);
  check_calls_and_run(0, 1);
  CHECK_EQ(loop_set_wake_hook(NULL, hook, NULL), LOOP_ENULL);
  end();
  CHECK_EQ(calls, 0); /* loop_free brings no work */
}
