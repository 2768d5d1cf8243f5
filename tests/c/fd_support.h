/* What the fd_*.c tests share: a callback that remembers, pairs of descriptors,
 * moving a file to another number, and a wait in which nothing happens. Included after
 * check.h (and after count_syscalls.h, where calls are counted). */
#ifndef EVLOOP_TESTS_FD_SUPPORT_H
#define EVLOOP_TESTS_FD_SUPPORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pairs.h"

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

enum { ALL_EVENTS = LOOP_READABLE | LOOP_WRITABLE | LOOP_PRIORITY | LOOP_HANGUP | LOOP_ERROR | LOOP_READ_CLOSED };

struct seen {
  int calls;
  uint32_t events; /* of the last call */
};

static inline void see(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct seen *seen = arg;
  (void)loop;
  (void)fd;
  seen->calls++;
  seen->events = events;
}

/* A watcher that remembers what it was told. */
static inline loop_handle_t watch(loop_t *loop, int fd, uint32_t events, struct seen *seen) {
  loop_handle_t handle = loop_watch_fd(loop, fd, events, see, seen);
  if (handle <= 0) CHECK_EQ(handle, 1); /* says the code */
  return handle;
}

static inline void stop_loop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop(loop), 0);
}

/* Runs the loop for so long, with whatever happens meanwhile. */
static inline void run_for(loop_t *loop, uint64_t ns) {
  CHECK(loop_call_later(loop, ns, stop_loop, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
}

static inline void make_pair(int fds[2]) { make_pair_with(fds, SOCK_NONBLOCK); }

/* A socket with a local address of its own that nobody else uses. */
static inline int bound_socket(int type, struct sockaddr_in *address) {
  socklen_t length = sizeof *address;
  int fd = socket(AF_INET, type, 0);
  CHECK(fd >= 0);
  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_EQ(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
  CHECK_EQ(getsockname(fd, (struct sockaddr *)address, &length), 0);
  return fd;
}

static inline void make_tcp_pair(int fds[2]) {
  struct sockaddr_in address;
  int listener = bound_socket(SOCK_STREAM, &address);
  CHECK_EQ(listen(listener, 1), 0);
  fds[0] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(connect(fds[0], (struct sockaddr *)&address, sizeof address), 0);
  fds[1] = accept(listener, NULL, NULL);
  CHECK(fds[1] >= 0);
  CHECK_EQ(close(listener), 0);
}

/* Gives an open file another number; whatever had that number is closed. */
static inline void move_fd(int from, int to) {
  if (from == to) return;
  CHECK_EQ(dup2(from, to), to);
  CHECK_EQ(close(from), 0);
}

/* Takes every descriptor that is left, by a limit below what is open. The old
 * limit is returned, to be set again. */
static inline struct rlimit take_all_descriptors(void) {
  struct rlimit old, none;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  none = (struct rlimit){1, old.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  CHECK_EQ(dup(2), -1);
  CHECK_EQ(errno, EMFILE);
  return old;
}

/* Under valgrind everything is slow, and some system calls are missing. */
static inline int under_valgrind(void) {
  const char *preload = getenv("LD_PRELOAD");
  return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

#ifdef EVLOOP_TESTS_COUNT_SYSCALLS_H

/* For how many calls a wait that nothing ends may take: its time comes in pieces. */
static inline int waits_allowed(void) { return under_valgrind() ? 1000 : 4; }

/* The loop has nothing to do for so long: it calls nobody, and the kernel a few
 * times, or once in a nap where an orphan cannot be ended: a nap is a millisecond. */
static inline void check_idle(loop_t *loop, uint64_t ns) {
  int waits = counted.waits;
  uint64_t start = check_clock();
  CHECK_EQ(loop_run_once(loop, (int64_t)ns), 0);
  uint64_t time = check_clock() - start;
  CHECK(time >= ns);
  CHECK(counted.waits - waits <= waits_allowed() + 4 + (int)(time / MS(1)));
}

#endif

#endif
