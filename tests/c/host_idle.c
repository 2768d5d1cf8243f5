/* link: -rdynamic -lpthread -ldl */
/* A host of a loop with nothing to do sleeps: loop_fd is not readable, whatever
 * went before, and neither a call nor a thread of the loop does anything. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_syscalls.h"

#include <dirent.h>

static loop_t *loop;
static int runs, fds[2];

static void start(void) {
  loop = new_loop(0);
  embed(loop);
  runs = 0;
  make_pair(fds);
}

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

static loop_handle_t watch(uint32_t events) {
  loop_handle_t handle = loop_watch_fd(loop, fds[0], events, count_event, &runs);
  CHECK(handle > 0);
  return handle;
}

TEST(quiet_from_the_beginning) {
  start();
  CHECK_EQ(is_readable(host_fd), 0);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  watch(LOOP_READABLE);
  CHECK(loop_call_later(loop, HOUR, count_run, &runs) > 0);
  CHECK(loop_call_at(loop, UINT64_MAX, count_run, &runs) > 0);
  CHECK(loop_call_at(loop, UINT64_MAX - 1, count_run, &runs) > 0);
  CHECK_EQ(is_readable(host_fd), 0);
  end();
}

TEST(quiet_after_work_was_done) {
  start();
  loop_handle_t handle = watch(LOOP_READABLE);
  for (int round = 1; round <= 20; round++) {
    runs = 0;
    put_byte(fds[1]);
    CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    CHECK(loop_call_later(loop, 0, count_run, &runs) > 0);
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
    CHECK_EQ(loop_wake(loop), 0);
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_run_once(loop, 0), 4);
    take_byte(fds[0]);
    check_quiet(loop);
  }
  CHECK_EQ(loop_cancel(loop, handle), 0);
  end();
}

TEST(quiet_after_work_was_taken_away) {
  start();
  for (int round = 0; round < 20; round++) {
    loop_handle_t soon = loop_call_soon(loop, count_run, &runs);
    loop_handle_t due = loop_call_at(loop, 0, count_run, &runs);
    loop_handle_t later = loop_call_later(loop, US(300), count_run, &runs);
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_cancel(loop, soon), 0);
    CHECK_EQ(loop_cancel(loop, due), 0);
    CHECK_EQ(loop_reschedule(loop, later, HOUR), 0);
    usleep(500);
    check_quiet(loop);
    CHECK_EQ(loop_cancel(loop, later), 0);
    check_quiet(loop);
  }
  CHECK_EQ(runs, 0);
  end();
}

TEST(quiet_with_unread_data_that_nobody_asks_for) {
  start();
  put_byte(fds[1]);
  loop_handle_t handle = watch(LOOP_READABLE);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
  check_quiet(loop);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_ONESHOT), 0);
  wait_readable(host_fd);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_quiet(loop); /* it has fired once */
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  check_quiet(loop);
  end();
}

/* The kernel reports it for a mask of 0 as well: once, and as an edge once more. */
static void check_quiet_after_hang_up(void) {
  if (is_readable(host_fd)) CHECK_EQ(loop_run_once(loop, 0), 0);
  check_quiet(loop);
}

TEST(quiet_with_a_hang_up_that_nobody_asks_for) {
  start();
  loop_handle_t handle = watch(LOOP_READABLE);
  CHECK_EQ(shutdown(fds[1], SHUT_RDWR), 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
  check_quiet_after_hang_up();
  CHECK_EQ(runs, 0);
  end();
}

TEST(quiet_after_a_descriptor_was_closed_before_it_was_cancelled) {
  int other[2];
  start();
  make_pair(other);
  loop_handle_t handle = loop_watch_fd(loop, other[0], LOOP_READABLE, count_event, &runs);
  put_byte(other[1]);
  CHECK_EQ(is_readable(host_fd), 1);
  close_pair(other);
  check_quiet(loop);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  check_quiet(loop);
  CHECK_EQ(runs, 0);
  end();
}

static void stop_and_schedule(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, count_run, arg) > 0);
  CHECK_EQ(loop_stop(l), 0);
}

TEST(quiet_after_a_run_that_was_stopped_has_been_caught_up) {
  start();
  CHECK(loop_call_soon(loop, stop_and_schedule, &runs) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_quiet(loop);
  end();
}

static void never_called(void *arg) {
  (void)arg;
  CHECK(0);
}

static int count_threads(void) {
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (struct dirent *one; (one = readdir(tasks)) != NULL;) count += one->d_name[0] != '.';
  CHECK_EQ(closedir(tasks), 0);
  return count;
}

/* All that a loop may have without having anything to do. */
TEST(an_idle_embedded_loop_does_nothing) {
  int hung_up[2], threads = count_threads(), measured = 500;
  start();
  make_pair(hung_up);
  watch(LOOP_READABLE | LOOP_PRIORITY);
  loop_handle_t paused = loop_watch_fd(loop, hung_up[0], 0, count_event, &runs);
  CHECK_EQ(shutdown(hung_up[1], SHUT_RDWR), 0);
  CHECK(loop_call_every(loop, HOUR, HOUR, LOOP_SKIP_MISSED, count_tick, &runs) > 0);
  CHECK(loop_add_hook(loop, LOOP_WHEN_IDLE, count_run, &runs) > 0);
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK_EQ(loop_set_wake_hook(loop, never_called, NULL), 0);
  check_quiet_after_hang_up();
  runs = 0; /* of the hook */
  uint64_t start_time = check_clock();
  struct pollfd host = {host_fd, POLLIN, 0};
  count_from_here();
  CHECK_EQ(poll(&host, 1, measured), 0); /* not woken once */
  CHECK(check_clock() - start_time >= MS(measured));
  CHECK_EQ(counted.waits + counted.writes, 0);
  CHECK_EQ(counted.others, 1); /* the host's poll */
  CHECK_EQ(count_threads(), threads);
  CHECK_EQ(runs, 0);
  CHECK_EQ(loop_cancel(loop, paused), 0);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  CHECK_EQ(loop_remote_free(remote), 0);
  close_pair(hung_up);
  end();
}

/* A host that has one timer every 100 ms runs the loop at most twice for each tick. */
TEST(a_host_runs_only_when_there_is_something_to_run) {
  int host_runs = 0, ticks = 0;
  start();
  watch(LOOP_READABLE);
  CHECK(loop_call_every(loop, MS(100), MS(100), LOOP_SKIP_MISSED, count_tick, &ticks) > 0);
  while (ticks < 5) {
    wait_readable(host_fd);
    CHECK(loop_run_once(loop, 0) >= 0);
    host_runs++;
  }
  CHECK(host_runs <= 2 * ticks);
  end();
}
