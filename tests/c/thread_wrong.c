/* link: -lpthread */
/* A call from the wrong thread is detected, and does nothing: while another
 * thread runs the loop, and always if the loop is bound to another. Here: the
 * functions for hosts and remotes; law_12_threads.c has the others. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static int hook_calls, runs;

static void hook(void *arg) {
  CHECK(arg == &hook_calls);
  hook_calls++;
}

static void wrong_hook(void *arg) {
  (void)arg;
  CHECK(0);
}

static void *call_all_for_hosts(void *arg) {
  loop_event_t event;
  CHECK_EQ(loop_fd(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_timeout(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_flush(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_set_wake_hook(loop, wrong_hook, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_after_fork(loop), LOOP_EWRONGTHREAD);
  CHECK(loop_remote_new(loop) == NULL);
  CHECK_EQ(loop_in_thread(loop), 0);
  return arg;
}

/* The hook is still there, the descriptor the same, and nothing keeps the loop going. */
static void check_unchanged(int fd) {
  hook_calls = 0;
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_fd(loop), fd);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(hook_calls, 1);
  CHECK_EQ(is_readable(fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  check_quiet(loop);
}

static int start(uint32_t flags) {
  loop = new_loop(flags);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &hook_calls), 0);
  embed(loop);
  return host_fd;
}

static void let_a_stranger_call(loop_t *l, void *arg) {
  (void)l;
  on_thread(call_all_for_hosts, arg);
}

TEST(while_a_callback_runs) {
  int fd = start(0);
  CHECK(loop_call_soon(loop, let_a_stranger_call, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_unchanged(fd);
  free_loop(loop);
}

/* A flush is for hosts: it does not make the loop anybody's. */
static void flush_and_let_a_stranger_call(loop_t *l, void *arg) {
  CHECK_EQ(loop_flush(l), 0);
  on_thread(call_all_for_hosts, arg);
}

TEST(while_a_callback_runs_that_has_flushed) {
  int fd = start(0);
  CHECK(loop_call_soon(loop, flush_and_let_a_stranger_call, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_unchanged(fd);
  free_loop(loop);
}

TEST(always_of_a_bound_loop) {
  int fd = start(LOOP_BOUND);
  on_thread(call_all_for_hosts, NULL);
  check_unchanged(fd);
  CHECK_EQ(loop_in_thread(loop), 1);
  free_loop(loop);
}

static void *run_forever(void *arg) {
  CHECK_EQ(loop_run_forever(loop), 0);
  return arg;
}

TEST(while_the_loop_sleeps_on_another_thread) {
  int fd = start(0);
  pthread_t thread = start_thread(run_forever, NULL);
  while (loop_in_thread(loop) == 1) usleep(100); /* until that thread has it */
  call_all_for_hosts(NULL);
  CHECK_EQ(loop_stop(loop), 0);
  join_thread(thread);
  CHECK_EQ(loop_in_thread(loop), 1);
  check_unchanged(fd);
  free_loop(loop);
}

/* A remote's functions are any thread's, also with a loop that is bound or runs. */
static void *use_a_remote(void *remote) {
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  CHECK_EQ(loop_remote_free(remote), 0);
  return NULL;
}

static void let_a_stranger_use_a_remote(loop_t *l, void *arg) {
  (void)arg;
  on_thread(use_a_remote, loop_remote_new(l));
}

TEST(remotes_are_any_threads) {
  start(LOOP_BOUND);
  runs = 0;
  on_thread(use_a_remote, loop_remote_new(loop));
  CHECK(loop_call_soon(loop, let_a_stranger_use_a_remote, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(runs, 2);
  free_loop(loop);
}
