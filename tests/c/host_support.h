/* What the host_*.c, thread_*.c, pull_*.c and fork_*.c tests share: loops,
 * pairs of descriptors, threads, and a host's wait for one descriptor. Including
 * this also ends a test that hangs: a lost wake-up is a hang. */
#ifndef EVLOOP_TESTS_HOST_SUPPORT_H
#define EVLOOP_TESTS_HOST_SUPPORT_H

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pairs.h"

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

static inline loop_t *new_loop(uint32_t flags) {
  loop_options_t options = {.size = sizeof options, .flags = flags};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  CHECK(loop != NULL);
  return loop;
}

static inline void free_loop(loop_t *loop) { CHECK_EQ(loop_free(loop), 0); }

/* Callbacks whose argument is an int that they count up. */
static inline void count_run(loop_t *loop, void *arg) {
  (void)loop;
  ++*(int *)arg;
}

static inline void count_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  count_run(loop, arg);
}

static inline void count_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  CHECK(events != 0);
  count_run(loop, arg);
}

static inline void count_release(void *arg) { ++*(int *)arg; }

static inline void stop_loop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop(loop), 0);
}

static inline void make_pair(int fds[2]) { make_pair_with(fds, 0); }

/* Answers each byte with a byte, and counts it. */
static inline void echo_byte(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  take_byte(fd);
  put_byte(fd);
  count_run(loop, arg);
}

/* Would a host that waits for this descriptor go on now? */
static inline int is_readable(int fd) {
  struct pollfd one = {fd, POLLIN, 0};
  int count = poll(&one, 1, 0);
  CHECK(count >= 0);
  return count;
}

/* A host's wait: for this descriptor alone, and without any time limit. */
static inline void wait_readable(int fd) {
  struct pollfd one = {fd, POLLIN, 0};
  int count;
  do {
    count = poll(&one, 1, -1);
  } while (count == -1 && errno == EINTR);
  CHECK_EQ(count, 1);
}

/* What a host knows of its loop. It asks once: each call of loop_fd makes the
 * descriptor true again, so one before every wait would hide a lost wake-up. */
static int host_fd;

static inline void embed(loop_t *loop) {
  host_fd = loop_fd(loop);
  CHECK(host_fd >= 0);
}

/* The loop of the host has nothing to do: its descriptor is quiet, at the latest
 * after the one run for nothing that is allowed. */
static inline void check_quiet(loop_t *loop) {
  if (is_readable(host_fd)) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(is_readable(host_fd), 0);
  CHECK(loop_timeout(loop) > 0);
  CHECK_EQ(loop_fd(loop), host_fd);
}

static inline pthread_t start_thread(void *(*body)(void *), void *arg) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, body, arg), 0);
  return thread;
}

static inline void join_thread(pthread_t thread) { CHECK_EQ(pthread_join(thread, NULL), 0); }

static inline void on_thread(void *(*body)(void *), void *arg) {
  join_thread(start_thread(body, arg));
}

/* A child that does this and no more. It fails by exit(1), as every test does. */
static inline pid_t start_child(void (*body)(void)) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(60);
    body();
    _exit(0);
  }
  return child;
}

static inline void check_child(pid_t child) {
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(!WIFSIGNALED(status));
  CHECK_EQ(WEXITSTATUS(status), 0);
}

static inline void in_child(void (*body)(void)) { check_child(start_child(body)); }

/* Pseudo-random numbers, the same in every run; a state for each thread. */
static inline uint64_t next_random(uint64_t *state) {
  *state += 0x9e3779b97f4a7c15u;
  uint64_t mixed = (*state ^ (*state >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

#endif
