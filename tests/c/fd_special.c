/* link: -rdynamic -lpthread -ldl */
/* Descriptors that are neither sockets nor pipes: each is watched like those,
 * told as long as it is ready, and left with the flags that it had. And
 * blocking descriptors, which never block when the loop has said they are
 * ready. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

/* A kind of descriptor: make one that is not ready, make it ready, and make it not
 * ready again, if that is possible. Negative if the system has none. */
struct kind {
  const char *name;
  int (*make)(void);
  void (*ready)(int fd);
  void (*quiet)(int fd);
  void (*end)(int fd);
};

static void just_close(int fd) { CHECK_EQ(close(fd), 0); }

static int make_eventfd(void) { return eventfd(0, 0); }
static void ready_eventfd(int fd) { CHECK_EQ(eventfd_write(fd, 3), 0); }
static void quiet_eventfd(int fd) {
  eventfd_t value;
  CHECK_EQ(eventfd_read(fd, &value), 0);
  CHECK_EQ(value, 3);
}

static int make_timerfd(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static void ready_timerfd(int fd) {
  struct itimerspec soon = {{0, 0}, {0, 1000}};
  CHECK_EQ(timerfd_settime(fd, 0, &soon, NULL), 0);
}
static void read_64_bits(int fd) {
  uint64_t value;
  CHECK_EQ(read(fd, &value, sizeof value), sizeof value);
  CHECK_EQ(value, 1);
}

static int make_signalfd(void) {
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  CHECK_EQ(sigprocmask(SIG_BLOCK, &usr1, NULL), 0);
  return signalfd(-1, &usr1, 0);
}
static void ready_signalfd(int fd) {
  (void)fd;
  CHECK_EQ(raise(SIGUSR1), 0);
}
static void quiet_signalfd(int fd) {
  struct signalfd_siginfo info;
  CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
  CHECK_EQ(info.ssi_signo, SIGUSR1);
}

static pid_t child;
static int make_pidfd(void) {
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    for (;;) pause();
  }
#ifdef SYS_pidfd_open
  int fd = (int)syscall(SYS_pidfd_open, child, 0);
#else
  int fd = -1;
#endif
  if (fd < 0) kill(child, SIGKILL), waitpid(child, NULL, 0);
  return fd;
}
static void ready_pidfd(int fd) {
  (void)fd;
  CHECK_EQ(kill(child, SIGKILL), 0);
}
static void end_pidfd(int fd) {
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status));
  just_close(fd);
}

static char watched_file[] = "/tmp/evloop-fd-special-XXXXXX";
static int make_inotify(void) {
  int fd = inotify_init1(0), file = mkstemp(watched_file);
  CHECK(file >= 0);
  close(file);
  if (fd >= 0) CHECK(inotify_add_watch(fd, watched_file, IN_ATTRIB) >= 0);
  return fd;
}
static void ready_inotify(int fd) {
  (void)fd;
  CHECK_EQ(chmod(watched_file, 0600), 0);
}
static void quiet_inotify(int fd) {
  char events[4096];
  CHECK(read(fd, events, sizeof events) > 0);
}
static void end_inotify(int fd) {
  CHECK_EQ(unlink(watched_file), 0);
  just_close(fd);
}

static int inner_event; /* in a set of its own */
static int make_epoll(void) {
  struct epoll_event event = {EPOLLIN, {0}};
  int set = epoll_create1(0);
  inner_event = eventfd(0, 0);
  CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, inner_event, &event), 0);
  return set;
}
static void ready_epoll(int fd) { (void)fd, ready_eventfd(inner_event); }
static void quiet_epoll(int fd) { (void)fd, quiet_eventfd(inner_event); }
static void end_epoll(int fd) {
  just_close(inner_event);
  just_close(fd);
}

/* A ring that does nothing: one no-operation makes one completion. */
static struct io_uring_params ring;
static char *ring_memory;
static struct io_uring_sqe *entries;

static uint32_t *ring_word(uint32_t offset) { return (uint32_t *)(void *)(ring_memory + offset); }

static int make_uring(void) {
  memset(&ring, 0, sizeof ring);
  int fd = (int)syscall(SYS_io_uring_setup, 1, &ring);
  if (fd < 0 || !(ring.features & IORING_FEAT_SINGLE_MMAP)) return -1;
  ring_memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)IORING_OFF_SQ_RING);
  entries = mmap(NULL, sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)IORING_OFF_SQES);
  CHECK(ring_memory != MAP_FAILED && entries != MAP_FAILED);
  return fd;
}
static void ready_uring(int fd) {
  uint32_t *tail = ring_word(ring.sq_off.tail);
  memset(entries, 0, sizeof *entries);
  entries->opcode = IORING_OP_NOP;
  *ring_word(ring.sq_off.array) = 0;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  CHECK_EQ(syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0), 1);
}
static void quiet_uring(int fd) {
  (void)fd;
  uint32_t tail = __atomic_load_n(ring_word(ring.cq_off.tail), __ATOMIC_ACQUIRE);
  __atomic_store_n(ring_word(ring.cq_off.head), tail, __ATOMIC_RELEASE);
}
static void end_uring(int fd) {
  CHECK_EQ(munmap(ring_memory, 4096), 0);
  CHECK_EQ(munmap(entries, sizeof *entries), 0);
  just_close(fd);
}

static const struct kind kinds[] = {
    {"eventfd", make_eventfd, ready_eventfd, quiet_eventfd, just_close},
    {"timerfd", make_timerfd, ready_timerfd, read_64_bits, just_close},
    {"signalfd", make_signalfd, ready_signalfd, quiet_signalfd, just_close},
    {"pidfd", make_pidfd, ready_pidfd, NULL, end_pidfd},
    {"inotify", make_inotify, ready_inotify, quiet_inotify, end_inotify},
    {"epoll", make_epoll, ready_epoll, quiet_epoll, end_epoll},
    {"io_uring", make_uring, ready_uring, quiet_uring, end_uring},
};

static void check_kind(const struct kind *kind, int fd) {
  struct seen seen = {0, 0};
  int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);
  loop_t *loop = loop_new();
  loop_handle_t handle = watch(loop, fd, LOOP_READABLE, &seen);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(5)), 0);
  for (int round = 0; round < (kind->quiet != NULL ? 3 : 1); round++) {
    kind->ready(fd);
    for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(seen.calls, 3 * round + 3);
    CHECK_EQ(seen.events, LOOP_READABLE);
    CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
    check_idle(loop, MS(5));
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
    if (kind->quiet == NULL) continue;
    kind->quiet(fd);
    CHECK_EQ(loop_run_once(loop, (int64_t)MS(5)), 0);
  }
  CHECK_EQ(fcntl(fd, F_GETFL), flags);
  CHECK_EQ(fcntl(fd, F_GETFD), fd_flags);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(fcntl(fd, F_GETFL), flags);
  CHECK_EQ(fcntl(fd, F_GETFD), fd_flags);
}

TEST(every_kind_of_descriptor_is_watched_and_left_as_it_was) {
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    int fd = kinds[k].make();
    if (fd < 0) {
      fprintf(stderr, "    not covered: the system has no %s (%s)\n", kinds[k].name, strerror(errno));
      continue;
    }
    check_kind(&kinds[k], fd);
    kinds[k].end(fd);
  }
}

enum { MESSAGES = 200, LENGTH = 1000 };

/* One blocking read for each call; it would block for ever if it was called for nothing. */
static void echo(loop_t *loop, int fd, uint32_t events, void *arg) {
  char bytes[LENGTH];
  (void)loop;
  (void)arg;
  CHECK_EQ(events & LOOP_READABLE, LOOP_READABLE);
  ssize_t length = read(fd, bytes, sizeof bytes);
  CHECK(length > 0);
  CHECK_EQ(write(fd, bytes, (size_t)length), length);
}

static void send_and_count(loop_t *loop, int fd, uint32_t events, void *arg) {
  int *left = arg;
  char bytes[LENGTH] = {0};
  if (events & LOOP_READABLE) {
    CHECK(read(fd, bytes, sizeof bytes) > 0);
    if (--*left == 0) CHECK_EQ(loop_stop(loop), 0);
    CHECK_EQ(loop_watch_update(loop, loop_current(loop), LOOP_WRITABLE), 0);
  } else {
    CHECK_EQ(write(fd, bytes, LENGTH), LENGTH); /* there is room: it does not block */
    CHECK_EQ(loop_watch_update(loop, loop_current(loop), LOOP_READABLE), 0);
  }
}

TEST(blocking_descriptors_work_and_stay_blocking) {
  for (int tcp = 0; tcp <= 1; tcp++) {
    int fds[2], left = MESSAGES;
    if (tcp) {
      make_tcp_pair(fds);
    } else {
      CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    }
    int flags = fcntl(fds[0], F_GETFL);
    CHECK_EQ(flags & O_NONBLOCK, 0);
    loop_t *loop = loop_new();
    CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, echo, NULL) > 0);
    CHECK(loop_watch_fd(loop, fds[1], LOOP_WRITABLE, send_and_count, &left) > 0);
    CHECK_EQ(loop_run_forever(loop), 0);
    CHECK_EQ(left, 0);
    CHECK_EQ(loop_free(loop), 0);
    CHECK_EQ(fcntl(fds[0], F_GETFL), flags);
    CHECK_EQ(fcntl(fds[1], F_GETFL), flags);
    close_pair(fds);
  }
}
