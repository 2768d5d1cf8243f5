/* Counts the system calls of a test's loop, exactly: the functions below stand
 * before the C library's for the whole program, the loop's library included;
 * they count and pass the call on. The test needs the link line
 * "-rdynamic -lpthread -ldl". Included by one file only. */
#ifndef EVLOOP_TESTS_COUNT_SYSCALLS_H
#define EVLOOP_TESTS_COUNT_SYSCALLS_H

#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "find_real.h"

/* Several threads may count at once. */
static struct counts {
  atomic_int add, mod, del, waits;
  atomic_int writes;
  atomic_int others; /* reads, polls, timers, anything through syscall() */
  atomic_int clocks; /* of CLOCK_MONOTONIC: cheap, so not among CHECK_CALLS */
} counted;

static void (*when_asleep)(void); /* called once inside the next wait that may block */
static void (*after_clock)(clockid_t clock, struct timespec *time); /* called with what a clock said */

static void count_wait(int may_block) {
  void (*call)(void) = when_asleep;
  counted.waits++;
  if (!may_block || call == NULL) return;
  when_asleep = NULL;
  call();
}

int epoll_ctl(int set, int op, int fd, struct epoll_event *event) {
  int (*real)(int, int, int, struct epoll_event *);
  FIND_REAL(real, "epoll_ctl");
  counted.add += op == EPOLL_CTL_ADD;
  counted.mod += op == EPOLL_CTL_MOD;
  counted.del += op == EPOLL_CTL_DEL;
  return real(set, op, fd, event);
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout) {
  int (*real)(int, struct epoll_event *, int, int);
  FIND_REAL(real, "epoll_wait");
  count_wait(timeout != 0);
  return real(set, events, max, timeout);
}

int epoll_pwait(int set, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
  int (*real)(int, struct epoll_event *, int, int, const sigset_t *);
  FIND_REAL(real, "epoll_pwait");
  count_wait(timeout != 0);
  return real(set, events, max, timeout, mask);
}

int epoll_pwait2(int set, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask) {
  int (*real)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
  FIND_REAL(real, "epoll_pwait2");
  count_wait(timeout == NULL || timeout->tv_sec != 0 || timeout->tv_nsec != 0);
  return real(set, events, max, timeout, mask);
}

long syscall(long number, ...) {
  long (*real)(long, ...);
  long a[6];
  TAKE_ARGUMENTS(a, number);
  FIND_REAL(real, "syscall");
#ifdef SYS_epoll_pwait2
  if (number == SYS_epoll_pwait2) {
    const struct timespec *t = (const struct timespec *)a[3];
    count_wait(t == NULL || t->tv_sec != 0 || t->tv_nsec != 0);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
#endif
  counted.others++;
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t (*real)(int, const void *, size_t);
  FIND_REAL(real, "write");
  counted.writes++;
  return real(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length) {
  ssize_t (*real)(int, void *, size_t);
  FIND_REAL(real, "read");
  counted.others++;
  return real(fd, bytes, length);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
  int (*real)(struct pollfd *, nfds_t, int);
  FIND_REAL(real, "poll");
  counted.others++;
  return real(fds, count, timeout);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
  FIND_REAL(real, "ppoll");
  counted.others++;
  return real(fds, count, timeout, mask);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old) {
  int (*real)(int, int, const struct itimerspec *, struct itimerspec *);
  FIND_REAL(real, "timerfd_settime");
  counted.others++;
  return real(fd, flags, value, old);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int (*real)(clockid_t, struct timespec *);
  FIND_REAL(real, "clock_gettime");
  counted.clocks += clock == CLOCK_MONOTONIC;
  int result = real(clock, time);
  if (after_clock != NULL) after_clock(clock, time);
  return result;
}

static inline void count_from_here(void) {
  memset(&counted, 0, sizeof counted);
}

/* Exactly these calls were made since the last time, and no other. */
#define CHECK_CALLS(adds, mods, dels, wait_calls)             \
  do {                                                        \
    struct counts now = counted;                              \
    CHECK_EQ(now.add, adds);                                  \
    CHECK_EQ(now.mod, mods);                                  \
    CHECK_EQ(now.del, dels);                                  \
    CHECK_EQ(now.waits, wait_calls);                          \
    CHECK_EQ(now.writes, 0);                                  \
    CHECK_EQ(now.others, 0);                                  \
    count_from_here();                                        \
  } while (0)

#endif
