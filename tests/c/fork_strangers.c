/* link: -rdynamic -lpthread -ldl */
/* Law 7 in a forked child: loop_after_fork takes over the watchers whose number still means the
 * file that was registered, and no others. What the parent does meanwhile with its own watchers
 * takes none away from the child, and the child's asking changes nothing for the parent. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "find_real.h"

/* A container may forbid kcmp. */
static int kcmp_is_forbidden;

long syscall(long number, ...) {
  static long (*real)(long, ...);
  long a[6];
  TAKE_ARGUMENTS(a, number);
  FIND_REAL(real, "syscall");
  if (number == SYS_kcmp && kcmp_is_forbidden) {
    errno = EPERM;
    return -1;
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static loop_t *loop;
static int number, calls, other_fds[2], other_calls;
static loop_handle_t handle;

static void start(void) {
  calls = other_calls = 0;
  loop = new_loop(0);
  CHECK((number = eventfd(0, 0)) >= 0);
  handle = loop_watch_fd(loop, number, LOOP_READABLE, count_event, &calls);
  CHECK(handle > 0);
  make_pair(other_fds);
  CHECK(loop_watch_fd(loop, other_fds[0], LOOP_READABLE, count_event, &other_calls) > 0);
}

static void end(void) {
  close(number);
  close_pair(other_fds);
  free_loop(loop);
}

/* Another file, which is readable, takes the number. */
static void reuse(void) {
  int fd = eventfd(1, 0);
  CHECK(fd >= 0 && fd != number);
  CHECK_EQ(dup2(fd, number), number);
  CHECK_EQ(close(fd), 0);
}

static void check_child_hears_the_other_alone(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), -EBADF);
  for (int i = 0; i < 3; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  put_byte(other_fds[1]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(calls, 0);
  CHECK_EQ(other_calls, 1);
}

static void in_both_ways(void (*test)(void)) {
  for (kcmp_is_forbidden = 0; kcmp_is_forbidden < 2; kcmp_is_forbidden++) {
    start();
    test();
    end();
  }
}

static void reused_before(void) {
  reuse();
  in_child(check_child_hears_the_other_alone);
}
TEST(closed_and_reused_before_the_fork) { in_both_ways(reused_before); }

static void reused_with_a_duplicate(void) {
  int copy = dup(number);
  reuse();
  in_child(check_child_hears_the_other_alone);
  CHECK_EQ(close(copy), 0);
}
TEST(closed_and_reused_before_the_fork_with_a_living_duplicate) { in_both_ways(reused_with_a_duplicate); }

static void reuse_and_check(void) {
  reuse();
  check_child_hears_the_other_alone();
}
static void reused_in_the_child(void) {
  in_child(reuse_and_check);
  /* The parent's file is still its own, and watched. */
  CHECK_EQ(eventfd_write(number, 1), 0);
  CHECK(loop_run_once(loop, -1) >= 1);
  CHECK_EQ(calls, 1);
}
TEST(closed_and_reused_in_the_child) { in_both_ways(reused_in_the_child); }

static void close_and_check(void) {
  CHECK_EQ(close(number), 0);
  check_child_hears_the_other_alone();
}
static void close_in_child(void) { in_child(close_and_check); }
TEST(closed_in_the_child) { in_both_ways(close_in_child); }

/* The parent hands its descriptors over: it cancels and closes as soon as it has forked. */
static int handed_over[2];
static void go_on_with_what_was_handed_over(void) {
  char byte;
  CHECK_EQ(read(handed_over[0], &byte, 1), 1); /* the parent has cancelled */
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_is_active(loop, handle), 1);
  CHECK_EQ(eventfd_write(number, 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(calls, 1);
}
static void hand_over(void) {
  CHECK_EQ(pipe(handed_over), 0);
  pid_t child = start_child(go_on_with_what_was_handed_over);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(close(number), 0);
  CHECK_EQ(write(handed_over[1], "x", 1), 1);
  check_child(child);
  close_pair(handed_over);
  CHECK_EQ(calls, 0);
}
TEST(cancelled_by_the_parent_after_the_fork) { in_both_ways(hand_over); }

/* Watchers of files that the kernel cannot watch need no set to be asked. */
static void check_always_is_silent(void) {
  CHECK_EQ(dup2(open("/dev/zero", O_RDONLY), number), number);
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(calls, 0);
}
TEST(an_always_watcher_in_a_child) {
  start();
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(close(number), 0);
  CHECK((number = open("/dev/null", O_RDONLY)) >= 0);
  handle = loop_watch_fd(loop, number, LOOP_READABLE | LOOP_ALWAYS, count_event, &calls);
  CHECK(handle > 0);
  in_child(check_always_is_silent);
  end();
}

/* More loops than the counts of a process have room for: a child trusts the numbers then. */
static void check_all_loops(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(eventfd_write(number, 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
}
TEST(a_hundred_loops) {
  enum { LOOPS = 100 };
  loop_t *loops[LOOPS];
  for (int i = 0; i < LOOPS; i++) loops[i] = new_loop(0);
  start();
  in_child(check_all_loops);
  for (int i = 0; i < LOOPS; i++) free_loop(loops[i]);
  in_child(check_all_loops);
  end();
}
