/* link: -rdynamic -lpthread -ldl */
/* loop_fd is right also when it is first asked for late: with sources already
 * there, in the middle of a callback, after a set was renewed because of a
 * orphan (a closed file that lives on in a duplicate). And it stays right when
 * the set is renewed afterwards. */
#define _GNU_SOURCE 1
#include "find_real.h"
#include "host_support.h"

#include <fcntl.h>
#include <sys/epoll.h>

static loop_t *loop;
static int runs, fds[2];

/* Stands before the C library's, for the loop's library too. */
static int sets_made;

int epoll_create1(int flags) {
  int (*real)(int);
  FIND_REAL(real, "epoll_create1");
  sets_made++;
  return real(flags);
}

static void start(void) {
  loop = new_loop(0);
  runs = 0;
  make_pair(fds);
}

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

/* A host waits, and runs the loop, until so many callbacks have run. */
static void host_runs(int count) {
  for (int wanted = runs + count; runs < wanted;) {
    wait_readable(host_fd);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
}

/* A host that comes late, but in time for so many callbacks. */
static void host_comes_and_runs(int count) {
  embed(loop);
  host_runs(count);
}

TEST(with_a_readable_descriptor_already_watched) {
  start();
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs);
  put_byte(fds[1]);
  host_comes_and_runs(3);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  check_quiet(loop);
  end();
}

TEST(with_a_descriptor_that_becomes_readable_later) {
  start();
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs) > 0);
  embed(loop);
  check_quiet(loop);
  put_byte(fds[1]);
  host_runs(1);
  take_byte(fds[0]);
  check_quiet(loop);
  end();
}

TEST(with_a_mask_that_the_kernel_was_not_told_yet) {
  start();
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_WRITABLE), 0);
  host_comes_and_runs(1);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_READABLE), 0);
  check_quiet(loop);
  end();
}

TEST(with_timers_already_armed_and_overdue) {
  start();
  CHECK(loop_call_later(loop, MS(5), count_run, &runs) > 0);
  CHECK(loop_call_later(loop, MS(10), count_run, &runs) > 0);
  host_comes_and_runs(2);
  check_quiet(loop);
  free_loop(loop);
  loop = new_loop(0);
  CHECK(loop_call_at(loop, 0, count_run, &runs) > 0);
  host_comes_and_runs(1);
  check_quiet(loop);
  end();
}

TEST(with_callbacks_already_ready) {
  start();
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  host_comes_and_runs(1);
  check_quiet(loop);
  end();
}

TEST(with_a_post_already_made) {
  start();
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  host_comes_and_runs(1);
  check_quiet(loop);
  end();
}

TEST(with_a_wake_or_a_stop_already_asked_for) {
  int (*const asks[])(loop_t *) = {loop_wake, loop_stop};
  for (int i = 0; i < 2; i++) {
    start();
    CHECK_EQ(asks[i](loop), 0);
    embed(loop);
    wait_readable(host_fd);
    CHECK_EQ(loop_timeout(loop), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    check_quiet(loop);
    end();
  }
}

TEST(with_a_descriptor_that_is_always_ready) {
  start();
  int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  loop_handle_t watch = loop_watch_fd(loop, file, LOOP_READABLE | LOOP_ALWAYS, count_event, &runs);
  CHECK(watch > 0);
  host_comes_and_runs(3);
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  check_quiet(loop);
  close(file);
  end();
}

TEST(with_work_that_a_budget_left_over) {
  start();
  for (int i = 0; i < 5; i++) CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_run_ready(loop, 0), 1);
  host_comes_and_runs(4);
  check_quiet(loop);
  end();
}

/* Everything that a callback does after it has asked, and before. */
static void ask_in_the_middle(loop_t *l, void *how) {
  loop_handle_t watch = loop_watch_fd(l, fds[0], 0, count_event, &runs);
  CHECK(watch > 0);
  CHECK_EQ(loop_watch_update(l, watch, LOOP_READABLE | LOOP_ONESHOT), 0);
  CHECK(loop_call_later(l, MS(2), count_run, &runs) > 0);
  if (how != NULL) CHECK_EQ(loop_flush(l), 0);
  embed(l);
  CHECK(loop_call_later(l, MS(1), count_run, &runs) > 0);
  CHECK(loop_call_soon(l, count_run, &runs) > 0);
  CHECK_EQ(loop_call_soon_threadsafe(l, count_run, &runs, NULL), 0);
  put_byte(fds[1]);
}

TEST(in_the_middle_of_a_callback) {
  start();
  CHECK(loop_call_soon(loop, ask_in_the_middle, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  host_runs(5);
  check_quiet(loop);
  end();
}

TEST(in_the_middle_of_a_callback_that_has_flushed) {
  start();
  CHECK(loop_call_soon(loop, ask_in_the_middle, "flushed") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  host_runs(5);
  check_quiet(loop);
  end();
}

static void ask_in_a_nested_run(loop_t *l, void *arg) {
  (void)arg;
  CHECK(loop_call_soon(l, ask_in_the_middle, NULL) > 0);
  CHECK_EQ(loop_run_once(l, 0), 1);
}

TEST(in_the_middle_of_a_nested_run) {
  start();
  CHECK(loop_call_soon(loop, ask_in_a_nested_run, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  host_runs(5);
  check_quiet(loop);
  end();
}

/* A file that was watched and closed here, lives on, and is readable for ever. */
static int make_orphan(void) {
  int orphan[2];
  make_pair(orphan);
  loop_handle_t watch = loop_watch_fd(loop, orphan[0], LOOP_READABLE, count_event, NULL);
  put_byte(orphan[1]);
  int copy = fcntl(orphan[0], F_DUPFD_CLOEXEC, 0);
  CHECK_EQ(close(orphan[0]), 0);
  CHECK_EQ(close(orphan[1]), 0);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK(copy >= 0);
  return copy;
}

/* What the loop is for goes on: a descriptor, a post, a timer, each heard alone. */
static void check_hears_everything(void) {
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs);
  check_quiet(loop);
  put_byte(fds[1]);
  host_runs(1);
  take_byte(fds[0]);
  check_quiet(loop);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  host_runs(1);
  CHECK(loop_call_later(loop, MS(2), count_run, &runs) > 0);
  host_runs(1);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  check_quiet(loop);
}

TEST(after_a_set_was_renewed) {
  start();
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs) > 0);
  int copy = make_orphan();
  for (sets_made = 0; sets_made == 0;) CHECK_EQ(loop_run_once(loop, (int64_t)MS(1)), 0);
  CHECK_EQ(runs, 0);
  put_byte(fds[1]);
  host_comes_and_runs(1);
  take_byte(fds[0]);
  check_hears_everything();
  CHECK_EQ(close(copy), 0);
  end();
}

TEST(a_set_that_is_renewed_later_does_not_deafen_the_host) {
  struct epoll_event event = {.events = EPOLLIN};
  start();
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  embed(loop);
  CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, host_fd, &event), 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs) > 0);
  for (int round = 1; round <= 3; round++) { /* the later ones have to wait for their turn */
    int copy = make_orphan();
    while (epoll_wait(epoll, &event, 1, 20) == 1) CHECK_EQ(loop_run_once(loop, 0), 0);
    put_byte(fds[1]);
    CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(runs, round);
    take_byte(fds[0]);
    CHECK_EQ(loop_fd(loop), host_fd);
    CHECK_EQ(close(copy), 0);
  }
  check_hears_everything();
  CHECK_EQ(close(epoll), 0);
  end();
}
