/* link: -lpthread */
/* After loop_after_fork all sources of an inherited loop work in the child, and
 * go on in the parent: timers, watchers, posts, wake-ups, hooks, the descriptor
 * for hosts, nested runs. Also in a grandchild, and when the fork was inside a
 * callback. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>

/* Every kind of source, made before the fork. */
static struct {
  loop_t *loop;
  loop_remote_t *remote;
  loop_handle_t watch, paused, edge, timer, tick;
  int is_embedded, file;
  int a[2], b[2], c[2];
  int soons, timers, ticks, posts, reads, unpaused, edges, alwayses, hooks, hook_calls;
} w;

static void read_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  take_byte(fd);
  count_run(loop, arg);
}

static void hook(void *arg) { ++*(int *)arg; }

static loop_handle_t watch(int fd, uint32_t events, loop_fd_cb cb, int *count) {
  loop_handle_t handle = loop_watch_fd(w.loop, fd, events, cb, count);
  CHECK(handle > 0);
  return handle;
}

static void start(int is_embedded) {
  memset(&w, 0, sizeof w);
  loop_t *loop = w.loop = new_loop(0);
  w.is_embedded = is_embedded;
  make_pair(w.a);
  make_pair(w.b);
  make_pair(w.c);
  w.file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  w.watch = watch(w.a[0], LOOP_READABLE, read_event, &w.reads);
  w.paused = watch(w.b[0], 0, read_event, &w.unpaused);
  w.edge = watch(w.c[0], LOOP_READABLE | LOOP_EDGE, count_event, &w.edges);
  w.timer = loop_call_later(loop, HOUR, count_run, &w.timers);
  w.tick = loop_call_every(loop, HOUR, MS(1), LOOP_SKIP_MISSED, count_tick, &w.ticks);
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, count_run, &w.hooks) > 0);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &w.hook_calls), 0);
  CHECK_EQ(loop_set_release(loop, w.timer, count_release), 0);
  w.remote = loop_remote_new(loop);
  if (is_embedded) embed(loop);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  w.hook_calls = 0;
}

static void end(void) {
  CHECK_EQ(loop_remote_free(w.remote), 0);
  free_loop(w.loop);
  close_pair(w.a);
  close_pair(w.b);
  close_pair(w.c);
  close(w.file);
}

/* Waits as a host does, or lets the loop wait, until so many more have come. */
static void wait_for(const int *count, int more) {
  for (int wanted = *count + more; *count < wanted;) {
    if (w.is_embedded) wait_readable(host_fd);
    CHECK(loop_run_once(w.loop, w.is_embedded ? 0 : -1) >= 0);
  }
}

static void *post_late(void *arg) {
  usleep(1000);
  CHECK_EQ(loop_call_soon_threadsafe(w.loop, count_run, arg, NULL), 0);
  CHECK_EQ(loop_remote_call_soon(w.remote, count_run, arg, NULL), 0);
  return NULL;
}

static void run_nested(loop_t *loop, void *arg) {
  CHECK(loop_call_later(loop, US(100), stop_loop, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  count_run(loop, arg);
}

/* One thing after the other, each waited for alone. */
static void check_everything_works(void) {
  loop_t *loop = w.loop;
  CHECK_EQ(loop_in_thread(loop), 1);
  put_byte(w.a[1]);
  wait_for(&w.reads, 1);
  put_byte(w.c[1]);
  wait_for(&w.edges, 1);
  take_byte(w.c[0]);
  CHECK_EQ(loop_watch_update(loop, w.paused, LOOP_READABLE), 0);
  put_byte(w.b[1]);
  wait_for(&w.unpaused, 1);
  CHECK_EQ(loop_watch_update(loop, w.paused, 0), 0);
  CHECK_EQ(loop_reschedule(loop, w.timer, MS(1)), 0);
  wait_for(&w.timers, 1);
  CHECK_EQ(w.timers, 2); /* it has been released as well */
  w.timers = 0;
  w.timer = loop_call_later(loop, HOUR, count_run, &w.timers);
  CHECK_EQ(loop_set_release(loop, w.timer, count_release), 0);
  CHECK_EQ(loop_reschedule(loop, w.tick, MS(1)), 0);
  wait_for(&w.ticks, 2);
  CHECK_EQ(loop_reschedule(loop, w.tick, HOUR), 0);
  CHECK(loop_call_soon(loop, count_run, &w.soons) > 0);
  CHECK(loop_call_soon(loop, run_nested, &w.soons) > 0);
  wait_for(&w.soons, 2);
  pthread_t thread = start_thread(post_late, &w.posts);
  wait_for(&w.posts, 2);
  join_thread(thread);
  loop_handle_t always = watch(w.file, LOOP_READABLE | LOOP_ALWAYS, count_event, &w.alwayses);
  wait_for(&w.alwayses, 2);
  CHECK_EQ(loop_cancel(loop, always), 0);
  CHECK(w.hooks > 0);
  w.hook_calls = 0;
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(w.hook_calls, 1);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  if (w.is_embedded) {
    check_quiet(loop);
  }
}

static void go_on_in_child(void) {
  CHECK_EQ(loop_run_once(w.loop, 0), LOOP_EFORKED);
  CHECK_EQ(loop_after_fork(w.loop), 0);
  CHECK_EQ(loop_after_fork(w.loop), 0); /* once is enough */
  check_everything_works();
  end();
}

TEST(all_sources_go_on_in_the_child_and_in_the_parent) {
  for (int is_embedded = 0; is_embedded < 2; is_embedded++) {
    start(is_embedded);
    check_everything_works();
    for (int i = 0; i < 3; i++) {
      in_child(go_on_in_child);
      check_everything_works();
    }
    end();
  }
}

/* The descriptor is first asked for in the child. */
static void embed_in_child(void) {
  CHECK_EQ(loop_after_fork(w.loop), 0);
  w.is_embedded = 1;
  embed(w.loop);
  check_everything_works();
  end();
}

TEST(a_child_may_embed_the_loop) {
  start(0);
  in_child(embed_in_child);
  check_everything_works();
  end();
}

static void go_on_in_grandchild(void) {
  CHECK_EQ(loop_after_fork(w.loop), 0);
  check_everything_works();
  in_child(go_on_in_child);
  check_everything_works();
  end();
}

TEST(so_do_they_in_a_grandchild) {
  for (int is_embedded = 0; is_embedded < 2; is_embedded++) {
    start(is_embedded);
    in_child(go_on_in_grandchild);
    check_everything_works();
    end();
  }
}

/* A middle generation that never touched the loop, or freed it. */
static void leave_it_to_the_grandchild(void) { in_child(go_on_in_child); }

TEST(a_grandchild_may_take_it_up_where_the_child_did_not) {
  start(1);
  in_child(leave_it_to_the_grandchild);
  check_everything_works();
  end();
}

static pid_t child;

static void fork_and_go_on(loop_t *loop, void *arg) {
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(60);
    CHECK_EQ(loop_call_soon(loop, count_run, arg), LOOP_EFORKED);
    CHECK_EQ(loop_after_fork(loop), 0);
    CHECK_EQ(loop_is_running(loop), 1);
    CHECK(loop_current(loop) > 0);
  } else {
    check_child(child); /* they would read from the same sockets */
  }
  CHECK(loop_call_soon(loop, count_run, arg) > 0);
  CHECK(loop_call_later(loop, MS(2), stop_loop, NULL) > 0);
}

TEST(so_do_they_when_the_fork_was_inside_a_callback) {
  for (int is_embedded = 0; is_embedded < 2; is_embedded++) {
    start(is_embedded);
    CHECK(loop_call_soon(w.loop, fork_and_go_on, &w.soons) > 0);
    CHECK(loop_call_soon(w.loop, count_run, &w.soons) > 0); /* the rest of the snapshot */
    CHECK_EQ(loop_run_forever(w.loop), 0);
    CHECK_EQ(w.soons, 2);
    check_everything_works();
    end();
    if (child == 0) _exit(0);
  }
}
