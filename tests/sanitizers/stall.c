/* Preloaded by `make stall`: now and then, in the middle of anything, the thread
 * that makes a call of the C library stands still, for up to 0.7 s. That is what a
 * busy machine does to a process, only more often. A test that has relied on time
 * fails; a library that loses something between two calls does, too. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "../c/find_real.h"

#define MS(n) ((uint64_t)(n) * 1000000u)
#define NS_PER_SEC 1000000000u

/* A process has one or the other: many stalls, or long ones. */
static const struct weather {
  uint64_t longest, longest_between;
} weathers[] = {{MS(100), MS(20)}, {MS(700), MS(50)}};

static _Atomic uint64_t next_stall; /* not before; of the whole process */
static __thread uint64_t random_state;

static uint64_t next_random(uint64_t seed) {
  if (random_state == 0) random_state = seed | 1;
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

/* As if nothing had happened: errno is the caller's, and so are interrupts. */
static void stand_still_until(uint64_t end) {
  struct timespec until = {(time_t)(end / NS_PER_SEC), (long)(end % NS_PER_SEC)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
  }
}

static void maybe_stall(void) {
  int (*real_clock)(clockid_t, struct timespec *);
  struct timespec t;
  FIND_REAL(real_clock, "clock_gettime");
  real_clock(CLOCK_MONOTONIC, &t);
  uint64_t now = (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
  if (now < atomic_load(&next_stall)) return;
  if (next_random(now) % 8 != 0) return; /* any call that comes then, not always the first */
  const struct weather *weather = &weathers[getpid() % 2];
  uint64_t end = now + next_random(now) % weather->longest;
  atomic_store(&next_stall, end + next_random(now) % weather->longest_between);
  stand_still_until(end);
}

/* The call, with a stall before it or after it. */
#define MAY_STALL(result, name, parameters, arguments) \
  result name parameters {                             \
    result(*real) parameters;                          \
    FIND_REAL(real, #name);                            \
    maybe_stall();                                     \
    result answer = real arguments;                    \
    maybe_stall();                                     \
    return answer;                                     \
  }

MAY_STALL(int, clock_gettime, (clockid_t clock, struct timespec *time), (clock, time))
MAY_STALL(int, epoll_wait, (int set, struct epoll_event *events, int room, int ms), (set, events, room, ms))
MAY_STALL(int, epoll_ctl, (int set, int change, int fd, struct epoll_event *event), (set, change, fd, event))
MAY_STALL(int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms))
MAY_STALL(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size))
MAY_STALL(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
MAY_STALL(int, close, (int fd), (fd))
MAY_STALL(int, usleep, (useconds_t us), (us))
MAY_STALL(int, sem_wait, (sem_t * semaphore), (semaphore))
MAY_STALL(int, sem_post, (sem_t * semaphore), (semaphore))
MAY_STALL(pid_t, fork, (void), ())
MAY_STALL(int, pthread_create, (pthread_t * thread, const pthread_attr_t *how, void *(*body)(void *), void *arg),
          (thread, how, body, arg))
MAY_STALL(int, pthread_join, (pthread_t thread, void **result), (thread, result))

long syscall(long number, ...) {
  long (*real)(long, ...);
  long a[6];
  TAKE_ARGUMENTS(a, number);
  FIND_REAL(real, "syscall");
  maybe_stall();
  long answer = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  maybe_stall();
  return answer;
}
