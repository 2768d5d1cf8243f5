/* link: -lpthread */
/* In a forked child every call with an inherited loop is LOOP_EFORKED, but for
 * loop_free and loop_after_fork, and does nothing; also in the middle of a
 * callback. loop_free frees the child's copy, with its releases. The parent's
 * loop notices none of it. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static loop_remote_t *remote;
static loop_handle_t timer, watch;
static int runs, releases, hook_calls, data, fds[2];

static void hook(void *arg) { ++*(int *)arg; }

static void never(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  CHECK(0);
}
static void never_tick(loop_t *l, uint64_t ticks, void *arg) {
  (void)ticks;
  never(l, arg);
}
static void never_event(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)events;
  never(l, arg);
}
static void never_release(void *arg) { never(NULL, arg); }

/* A loop with a host, a hook, a timer, a watcher and a remote. */
static void start(void) {
  loop = new_loop(0);
  runs = releases = hook_calls = 0;
  make_pair(fds);
  CHECK_EQ(loop_set_data(loop, &data), 0);
  embed(loop);
  timer = loop_call_later(loop, HOUR, count_run, &runs);
  watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs);
  CHECK_EQ(loop_set_release(loop, timer, count_release), 0);
  CHECK_EQ(loop_set_arg(loop, timer, &releases), 0);
  remote = loop_remote_new(loop);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &hook_calls), 0);
  check_quiet(loop);
}

/* The parent's loop is as it was: nothing came, nothing went, and it all works. */
static void check_undisturbed_and_end(void) {
  CHECK_EQ(hook_calls, 0);
  CHECK_EQ(releases, 0);
  check_quiet(loop);
  CHECK(loop_remaining(loop, timer) > (int64_t)(HOUR / 2));
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_READABLE);
  CHECK(loop_data(loop) == &data);
  put_byte(fds[1]);
  wait_readable(host_fd);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  take_byte(fds[0]);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  CHECK_EQ(hook_calls, 1);
  CHECK_EQ(loop_reschedule(loop, timer, MS(1)), 0);
  wait_readable(host_fd);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(runs, 2);
  CHECK_EQ(releases, 2); /* the run, and the release */
  free_loop(loop);
  close_pair(fds);
}

static void call_everything(void) {
  loop_event_t event;
  CHECK_EQ(loop_set_data(loop, NULL), LOOP_EFORKED);
  CHECK(loop_data(loop) == NULL);
  CHECK_EQ(loop_run_forever(loop), LOOP_EFORKED);
  CHECK_EQ(loop_run(loop), LOOP_EFORKED);
  CHECK_EQ(loop_run_once(loop, 0), LOOP_EFORKED);
  CHECK_EQ(loop_run_ready(loop, 0), LOOP_EFORKED);
  CHECK_EQ(loop_stop(loop), LOOP_EFORKED);
  CHECK_EQ(loop_is_running(loop), LOOP_EFORKED);
  CHECK_EQ(loop_has_work(loop), LOOP_EFORKED);
  CHECK_EQ(loop_in_thread(loop), LOOP_EFORKED);
  CHECK_EQ(loop_call_soon(loop, never, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_call_later(loop, 0, never, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_call_at(loop, 0, never, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, never_tick, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_reschedule(loop, timer, 0), LOOP_EFORKED);
  CHECK_EQ(loop_reschedule_at(loop, timer, 0), LOOP_EFORKED);
  CHECK_EQ(loop_remaining(loop, timer), LOOP_EFORKED);
  CHECK_EQ(loop_cancel(loop, watch), LOOP_EFORKED);
  CHECK_EQ(loop_is_active(loop, timer), LOOP_EFORKED);
  CHECK_EQ(loop_current(loop), LOOP_EFORKED);
  CHECK_EQ(loop_set_arg(loop, timer, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_set_release(loop, timer, never_release), LOOP_EFORKED);
  CHECK_EQ(loop_set_name(loop, timer, "name"), LOOP_EFORKED);
  CHECK_EQ(loop_ref(loop, timer), LOOP_EFORKED);
  CHECK_EQ(loop_unref(loop, timer), LOOP_EFORKED);
  CHECK_EQ(loop_watch_fd(loop, fds[1], LOOP_WRITABLE, never_event, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_watch_update(loop, watch, 0), LOOP_EFORKED);
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_EFORKED);
  CHECK_EQ(loop_add_hook(loop, LOOP_BEFORE_WAIT, never, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_call_soon_threadsafe(loop, never, NULL, never_release), LOOP_EFORKED);
  CHECK_EQ(loop_wake(loop), LOOP_EFORKED);
  CHECK(loop_remote_new(loop) == NULL);
  CHECK_EQ(loop_remote_call_soon(remote, never, NULL, never_release), LOOP_EFORKED);
  CHECK_EQ(loop_fd(loop), LOOP_EFORKED);
  CHECK_EQ(loop_timeout(loop), LOOP_EFORKED);
  CHECK_EQ(loop_flush(loop), LOOP_EFORKED);
  CHECK_EQ(loop_set_wake_hook(loop, hook, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), LOOP_EFORKED);
  CHECK_EQ(loop_now(loop), 0);
  CHECK_EQ(loop_clock(loop), 0);
  CHECK_EQ(loop_advance(loop, 1), LOOP_EFORKED);
  CHECK_EQ(hook_calls, 0);
}

TEST(every_call_but_two_is_refused_in_a_child) {
  start();
  in_child(call_everything);
  check_undisturbed_and_end();
}

static void refuse_then_free(void) {
  call_everything();
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(releases, 1); /* the timer's; in the parent it is still owed */
  CHECK_EQ(runs, 0);
  CHECK_EQ(hook_calls, 0);
  CHECK(loop_remote_call_soon(remote, never, NULL, never_release) < 0);
  CHECK_EQ(loop_remote_free(remote), 0);
}

TEST(loop_free_in_a_child_frees_the_childs_copy) {
  start();
  for (int i = 0; i < 5; i++) in_child(refuse_then_free);
  check_undisturbed_and_end();
}

static void live_with_a_loop_of_its_own(void) {
  int own_runs = 0;
  loop_t *own = new_loop(0);
  CHECK(loop_call_later(own, MS(1), count_run, &own_runs) > 0);
  CHECK_EQ(loop_call_soon_threadsafe(own, count_run, &own_runs, NULL), 0);
  CHECK_EQ(loop_run(own), 1);
  CHECK_EQ(own_runs, 2);
  call_everything(); /* the other one is refused all the same */
  free_loop(own);
  CHECK_EQ(loop_free(loop), 0);
}

TEST(a_child_may_have_loops_of_its_own) {
  start();
  in_child(live_with_a_loop_of_its_own);
  check_undisturbed_and_end();
}

static void grandchild_is_refused(void) {
  in_child(call_everything);
  in_child(refuse_then_free);
  call_everything();
}

TEST(a_grandchild_is_refused_too) {
  start();
  in_child(grandchild_is_refused);
  check_undisturbed_and_end();
}

static pid_t child;

/* The child comes back from the callback into the run, which is its parent's. */
static void fork_inside(loop_t *l, void *body) {
  CHECK(l == loop);
  CHECK_EQ(loop_is_running(l), 1);
  child = fork();
  CHECK(child >= 0);
  if (child > 0) return;
  alarm(60);
  call_everything();
  if (body != NULL) {
    CHECK_EQ(loop_free(l), 0);
    CHECK_EQ(loop_free(l), LOOP_ECLOSED);
    CHECK_EQ(loop_run_once(l, 0), LOOP_ECLOSED);
    CHECK_EQ(releases, 0);
  }
}

static void run_and_fork_inside(void *body, int expected) {
  int after = 0;
  start();
  CHECK(loop_call_soon(loop, fork_inside, body) > 0);
  CHECK(loop_call_soon(loop, count_run, &after) > 0);
  CHECK(loop_call_later(loop, MS(20), stop_loop, NULL) > 0);
  hook_calls = 0;
  int result = loop_run_forever(loop);
  if (child == 0) {
    CHECK_EQ(result, expected);
    CHECK_EQ(after, 0); /* nothing more has run */
    if (body != NULL) CHECK_EQ(releases, 1);
    _exit(0);
  }
  check_child(child);
  CHECK_EQ(result, 0);
  CHECK_EQ(after, 1);
  hook_calls = 0;
  check_undisturbed_and_end();
}

TEST(a_fork_inside_a_callback_ends_the_childs_run) { run_and_fork_inside(NULL, LOOP_EFORKED); }

TEST(loop_free_inside_the_callback_of_a_child) { run_and_fork_inside("free", LOOP_ECLOSED); }

TEST(loop_after_fork_without_a_fork_does_nothing) {
  start();
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_after_fork(NULL), LOOP_ENULL);
  check_undisturbed_and_end();
}
