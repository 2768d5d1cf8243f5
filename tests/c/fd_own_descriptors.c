/* Law 7, the loop's own descriptors: they are made with the loop and by loop_fd,
 * above the standard three, and no watcher of a number that the user has closed
 * ever acts on one of them. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static int is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

/* Waits of all lengths. */
static void wait_shortly(loop_t *loop) {
  for (int i = 0; i < 10; i++) CHECK_EQ(loop_run_once(loop, (int64_t)US(20)), 0);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(2)), 0);
}

TEST(short_waits_take_no_number) {
  struct seen seen = {0, 0};
  loop_t *loop = loop_new();
  int fd = eventfd(0, 0);
  loop_handle_t handle = watch(loop, fd, LOOP_READABLE, &seen);
  CHECK_EQ(close(fd), 0);
  wait_shortly(loop);
  CHECK(!is_open(fd));
  CHECK_EQ(loop_cancel(loop, handle), 0);
  wait_shortly(loop); /* (hung: the cancel took the timerfd out of the set) */
  CHECK_EQ(loop_free(loop), 0);
}

TEST(an_update_gives_no_descriptor_of_the_loop_to_a_callback) {
  struct seen seen = {0, 0};
  loop_t *loop = loop_new();
  int fd = eventfd(0, 0);
  loop_handle_t handle = watch(loop, fd, LOOP_READABLE, &seen);
  CHECK_EQ(close(fd), 0);
  wait_shortly(loop);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
  wait_shortly(loop);
  CHECK_EQ(seen.calls, 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), -EBADF);
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* loop_fd makes three descriptors: the numbers are no longer those of the old watchers. */
TEST(the_hosts_descriptors_take_closed_numbers) {
  enum { FDS = 5 };
  struct seen seen = {0, 0};
  loop_handle_t handles[FDS];
  int fds[FDS], ticks = 0;
  loop_t *loop = loop_new();
  for (int i = 0; i < FDS; i++) CHECK((fds[i] = eventfd(0, 0)) >= 0);
  for (int i = 0; i < FDS; i++) handles[i] = watch(loop, fds[i], LOOP_READABLE, &seen);
  for (int i = 0; i < FDS; i++) CHECK_EQ(close(fds[i]), 0);
  int host = loop_fd(loop), taken = 0;
  CHECK(host >= 0);
  for (int i = 0; i < FDS; i++) {
    if (is_open(fds[i])) {
      taken++;
      CHECK_EQ(loop_is_active(loop, handles[i]), 0);
      CHECK_EQ(loop_watch_update(loop, handles[i], LOOP_WRITABLE), -EBADF);
    }
    CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  }
  CHECK_EQ(taken, 3);
  for (; ticks < 3; ticks++) {
    struct pollfd one = {host, POLLIN, 0};
    CHECK(loop_call_later(loop, MS(1), stop_loop, NULL) > 0);
    CHECK_EQ(poll(&one, 1, -1), 1);
    while (loop_run_once(loop, 0) == 0) CHECK_EQ(poll(&one, 1, -1), 1);
  }
  CHECK_EQ(seen.calls, 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* A set that is renewed for an orphan has the old number, and only that. */
TEST(a_renewed_set_takes_no_number) {
  struct seen seen = {0, 0};
  loop_t *loop = loop_new();
  int closed = eventfd(0, 0), orphan = eventfd(1, 0), copy = dup(orphan);
  loop_handle_t handle = watch(loop, closed, LOOP_READABLE, &seen);
  loop_handle_t orphan_handle = watch(loop, orphan, LOOP_READABLE, &seen);
  CHECK_EQ(close(closed), 0);
  CHECK_EQ(close(orphan), 0);
  CHECK_EQ(loop_cancel(loop, orphan_handle), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(loop_run_once(loop, (int64_t)MS(30)), 0);
  CHECK(!is_open(closed));
  CHECK(!is_open(orphan));
  CHECK_EQ(loop_is_active(loop, handle), 0); /* found out on the way */
  CHECK_EQ(loop_cancel(loop, handle), 0);
  wait_shortly(loop);
  CHECK_EQ(seen.calls, 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(copy), 0);
}

/* In a child that was forked, the numbers are those of the parent. */
TEST(a_forked_childs_loop_takes_no_number) {
  loop_t *loop = loop_new();
  CHECK(loop_fd(loop) >= 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    int free_number = dup(2);
    close(free_number);
    CHECK_EQ(loop_after_fork(loop), 0);
    wait_shortly(loop);
    CHECK(!is_open(free_number));
    CHECK_EQ(loop_free(loop), 0);
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* What a daemon does that was started with everything closed. Exits with a number for what is wrong. */
static int become_a_daemon(void) {
  close(0);
  close(1);
  close(2);
  loop_t *loop = loop_new();
  if (loop == NULL || loop_fd(loop) < 3) return 2;
  if (is_open(0) || is_open(1) || is_open(2)) return 3;
  int null = open("/dev/null", O_RDWR);
  if (null != 0 || dup2(null, 1) != 1 || dup2(null, 2) != 2) return 4;
  for (int i = 0; i < 10; i++) {
    if (loop_run_once(loop, (int64_t)US(20)) != 0) return 5;
  }
  if (loop_wake(loop) != 0 || loop_run_once(loop, -1) != 0) return 6;
  struct pollfd one = {loop_fd(loop), POLLIN, 0};
  if (loop_call_soon(loop, stop_loop, NULL) <= 0 || poll(&one, 1, -1) != 1) return 7;
  return loop_free(loop) == 0 ? 0 : 8;
}

TEST(a_loop_made_while_the_standard_descriptors_are_closed) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(become_a_daemon());
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 0);
}
