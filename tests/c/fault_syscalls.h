/* Makes system calls of a test's loop fail: the functions below stand before the
 * C library's for the whole program, the loop's library included. Calls of one
 * kind are counted; from one of them on so many fail, and all others are passed
 * on. The test needs the link line "-rdynamic -lpthread -ldl". Included by one
 * file only, after the scenarios. */
#ifndef EVLOOP_TESTS_FAULT_SYSCALLS_H
#define EVLOOP_TESTS_FAULT_SYSCALLS_H

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "find_real.h"

enum call {
  CREATE, ADD, MOD, DEL, WAIT, PWAIT2, EVENTFD, TIMERFD, SETTIME, WRITE, READ, POLL, NAP, DUP3, PRCTL,
  KCMP, MMAP, MADVISE
};

static struct {
  enum call call;
  int error;  /* 0: nothing fails */
  long at;    /* the first that fails */
  long times; /* how many do */
  long met, injected;
} inject;

static int is_injected(enum call call) {
  if (inject.error == 0 || call != inject.call) return 0;
  if (++inject.met < inject.at || inject.injected >= inject.times) return 0;
  inject.injected++;
  return 1;
}

static int fails(enum call call) {
  if (!is_injected(call)) return 0;
  errno = inject.error;
  return 1;
}

int epoll_create1(int flags) {
  int (*real)(int);
  FIND_REAL(real, "epoll_create1");
  return fails(CREATE) ? -1 : real(flags);
}

/* What the kernel has to say of the descriptor comes before its lack of memory. */
static int add_and_undo(int (*real)(int, int, int, struct epoll_event *), int set, int fd,
                        struct epoll_event *event) {
  if (real(set, EPOLL_CTL_ADD, fd, event) != 0) return -1;
  CHECK_EQ(real(set, EPOLL_CTL_DEL, fd, event), 0);
  errno = inject.error;
  return -1;
}

int epoll_ctl(int set, int op, int fd, struct epoll_event *event) {
  int (*real)(int, int, int, struct epoll_event *);
  FIND_REAL(real, "epoll_ctl");
  enum call call = op == EPOLL_CTL_ADD ? ADD : op == EPOLL_CTL_MOD ? MOD : DEL;
  if (!fails(call)) return real(set, op, fd, event);
  int is_honest = inject.error == ENOMEM || inject.error == ENOSPC;
  return call == ADD && is_honest ? add_and_undo(real, set, fd, event) : -1;
}

static void fall_asleep(int may_block) {
  void (*call)(void) = when_asleep;
  if (!may_block || call == NULL) return;
  when_asleep = NULL;
  call();
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout) {
  int (*real)(int, struct epoll_event *, int, int);
  FIND_REAL(real, "epoll_wait");
  fall_asleep(timeout != 0);
  return fails(WAIT) ? -1 : real(set, events, max, timeout);
}

static struct timespec last_wait; /* for how long epoll_pwait2 was asked to wait */

long syscall(long number, ...) {
  static long (*real)(long, ...);
  long a[6];
  TAKE_ARGUMENTS(a, number);
  FIND_REAL(real, "syscall");
  if (number == SYS_epoll_pwait2) {
    last_wait = *(const struct timespec *)a[3];
    fall_asleep(1);
    if (fails(PWAIT2)) return -1;
  } else if (number == SYS_kcmp) {
    if (fails(KCMP)) return -1;
  } else {
    /* The library makes no other ones this way. Of these it needs nothing: they only ask. */
    CHECK(number == SYS_futex || number == SYS_gettid || number == SYS_tgkill || number == SYS_fstat);
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int eventfd(unsigned value, int flags) {
  int (*real)(unsigned, int);
  FIND_REAL(real, "eventfd");
  return fails(EVENTFD) ? -1 : real(value, flags);
}

int timerfd_create(int clock, int flags) {
  int (*real)(int, int);
  FIND_REAL(real, "timerfd_create");
  return fails(TIMERFD) ? -1 : real(clock, flags);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old) {
  int (*real)(int, int, const struct itimerspec *, struct itimerspec *);
  FIND_REAL(real, "timerfd_settime");
  return fails(SETTIME) ? -1 : real(fd, flags, value, old);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t (*real)(int, const void *, size_t);
  FIND_REAL(real, "write");
  return fails(WRITE) ? -1 : real(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length) {
  ssize_t (*real)(int, void *, size_t);
  FIND_REAL(real, "read");
  return fails(READ) ? -1 : real(fd, bytes, length);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
  int (*real)(struct pollfd *, nfds_t, int);
  FIND_REAL(real, "poll");
  return fails(POLL) ? -1 : real(fds, count, timeout);
}

int nanosleep(const struct timespec *time, struct timespec *rest) {
  int (*real)(const struct timespec *, struct timespec *);
  FIND_REAL(real, "nanosleep");
  return fails(NAP) ? -1 : real(time, rest);
}

int dup3(int from, int to, int flags) {
  int (*real)(int, int, int);
  FIND_REAL(real, "dup3");
  return fails(DUP3) ? -1 : real(from, to, flags);
}

int prctl(int option, ...) {
  static int (*real)(int, ...);
  va_list list;
  va_start(list, option);
  unsigned long value = va_arg(list, unsigned long);
  va_end(list);
  FIND_REAL(real, "prctl");
  if (fails(PRCTL)) return -1;
  if (option == PR_SET_TIMERSLACK) CHECK(value > 0 && value <= 50000); /* nobody sleeps longer than before */
  return real(option, value, 0, 0, 0);
}

void *mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset) {
  void *(*real)(void *, size_t, int, int, int, off_t);
  FIND_REAL(real, "mmap");
  return fails(MMAP) ? MAP_FAILED : real(place, size, protection, flags, fd, offset);
}

int madvise(void *place, size_t size, int advice) {
  int (*real)(void *, size_t, int);
  FIND_REAL(real, "madvise");
  return fails(MADVISE) ? -1 : real(place, size, advice);
}

#endif
