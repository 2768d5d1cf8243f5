/* link: -lpthread */
/* A fork inside a hook, a release function, or a callback of pull mode: the
 * child comes back into a run that is its parent's. It ends with LOOP_EFORKED,
 * runs nothing more, and does not wait with the parent's set, whose events are
 * the parent's. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static int edges, fds[2];
static pid_t child;
static loop_handle_t stopper; /* of a run that has no other end, an hour away until the edge has come */

static void take_edge(loop_t *l, int fd, uint32_t events, void *arg) {
  count_event(l, fd, events, arg);
  if (stopper != 0) CHECK_EQ(loop_reschedule(l, stopper, MS(1)), 0);
}

/* An edge can be taken once: a child that waits with its parent's set steals it. */
static void start(void) {
  loop = new_loop(0);
  edges = 0;
  make_pair(fds);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_EDGE, take_edge, &edges) > 0);
}

static void end_run(int result, int expected_in_parent) {
  if (child == 0) {
    CHECK_EQ(result, LOOP_EFORKED);
    CHECK_EQ(edges, 0);
    CHECK_EQ(loop_free(loop), 0);
    _exit(0);
  }
  CHECK_EQ(result, expected_in_parent);
  CHECK_EQ(edges, 1);
  close_pair(fds);
  free_loop(loop);
}

static void stop_in_parent(loop_t *l, void *arg) {
  CHECK(child > 0);
  stop_loop(l, arg);
}

static void fork_in_a_hook(loop_t *l, void *arg) {
  CHECK_EQ(loop_cancel(l, loop_current(l)), 0);
  CHECK(arg == NULL);
  put_byte(fds[1]);
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(60);
  } else {
    check_child(child);
  }
}

static void run_and_fork_in_a_hook(uint32_t when) {
  int runs = 0;
  start();
  CHECK(loop_call_soon(loop, count_run, &runs) > 0); /* the first wait does not last */
  stopper = loop_call_later(loop, HOUR, stop_in_parent, NULL);
  CHECK(stopper > 0);
  CHECK(loop_add_hook(loop, when, fork_in_a_hook, NULL) > 0);
  end_run(loop_run_forever(loop), 0);
  stopper = 0;
}

TEST(a_fork_before_a_wait) { run_and_fork_in_a_hook(LOOP_BEFORE_WAIT); }
TEST(a_fork_after_a_wait) { run_and_fork_in_a_hook(LOOP_AFTER_WAIT); }
TEST(a_fork_before_an_idle_wait) { run_and_fork_in_a_hook(LOOP_WHEN_IDLE); }

static void fork_in_a_release(void *arg) {
  (void)arg;
  child = fork();
  CHECK(child >= 0);
  if (child > 0) check_child(child);
}

TEST(a_fork_inside_a_release_function) {
  start();
  put_byte(fds[1]);
  loop_handle_t far = loop_call_later(loop, HOUR, count_run, &edges);
  CHECK_EQ(loop_set_release(loop, far, fork_in_a_release), 0);
  CHECK_EQ(loop_cancel(loop, far), 0);
  end_run(loop_run_once(loop, 0), 1);
}

static void fork_in_a_callback(loop_t *l, void *arg) {
  (void)l;
  fork_in_a_release(arg);
}

TEST(a_fork_inside_a_callback_of_pull_mode) {
  loop_event_t events[4];
  int runs = 0;
  loop = new_loop(LOOP_PULL);
  CHECK(loop_call_soon(loop, fork_in_a_callback, NULL) > 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK(loop_call_soon(loop, NULL, NULL) > 0);
  int result = loop_next_events(loop, events, 4, 0);
  if (child == 0) {
    CHECK_EQ(result, LOOP_EFORKED);
    CHECK_EQ(runs, 0);
    CHECK_EQ(loop_free(loop), 0);
    _exit(0);
  }
  CHECK_EQ(result, 1);
  CHECK_EQ(runs, 1);
  free_loop(loop);
}
