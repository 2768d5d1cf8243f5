/* link: -rdynamic -lpthread -ldl */
/* Law 7, a mask of 0 pauses: whatever happens to the descriptor meanwhile, there
 * is no callback, no spinning and hardly a system call; resumed, the watcher is
 * told at once what stands. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

/* Each makes a descriptor to which something lasting will happen. */
enum what { DATA, ROOM, HANGUP, HALF_CLOSE, RESET, ERROR_PENDING, PIPE_END, NO_READER, WHATS };

static loop_t *loop;
static int fds[2];

static void make(enum what what) {
  struct sockaddr_in nobody;
  switch (what) {
    case RESET: make_tcp_pair(fds); break;
    case PIPE_END: CHECK_EQ(pipe(fds), 0); break;
    case NO_READER: {
      int ends[2];
      CHECK_EQ(pipe(ends), 0);
      fds[0] = ends[1];
      fds[1] = ends[0];
      break;
    }
    case ERROR_PENDING: /* a datagram that nobody will receive */
      fds[1] = bound_socket(SOCK_DGRAM, &nobody);
      fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
      CHECK_EQ(connect(fds[0], (struct sockaddr *)&nobody, sizeof nobody), 0);
      break;
    default: make_pair(fds);
  }
}

static void happen(enum what what) {
  struct linger at_once = {1, 0};
  struct pollfd arrival = {fds[0], POLLIN | POLLOUT, 0};
  switch (what) {
    case DATA: put_byte(fds[1]); break;
    case ROOM: break;
    case HANGUP: CHECK_EQ(shutdown(fds[1], SHUT_RDWR), 0); break;
    case HALF_CLOSE: CHECK_EQ(shutdown(fds[1], SHUT_WR), 0); break;
    case RESET: CHECK_EQ(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0); /* fall through */
    default: CHECK_EQ(close(fds[1]), 0);
  }
  if (what == ERROR_PENDING) CHECK_EQ(send(fds[0], "x", 1, 0), 1);
  do CHECK_EQ(poll(&arrival, 1, -1), 1);
  while (what >= RESET && (arrival.revents & (POLLERR | POLLHUP)) == 0);
}

static void close_all(enum what what) {
  CHECK_EQ(close(fds[0]), 0);
  if (what < RESET) CHECK_EQ(close(fds[1]), 0);
}

/* What a watcher of everything but priority is told. */
static const uint32_t told[WHATS] = {
    [DATA] = LOOP_READABLE | LOOP_WRITABLE,
    [ROOM] = LOOP_WRITABLE,
    [HANGUP] = LOOP_READABLE | LOOP_WRITABLE | LOOP_READ_CLOSED | LOOP_HANGUP,
    [HALF_CLOSE] = LOOP_READABLE | LOOP_WRITABLE | LOOP_READ_CLOSED,
    [RESET] = LOOP_READABLE | LOOP_WRITABLE | LOOP_READ_CLOSED | LOOP_HANGUP | LOOP_ERROR,
    [ERROR_PENDING] = LOOP_READABLE | LOOP_WRITABLE | LOOP_ERROR,
    [PIPE_END] = LOOP_READABLE | LOOP_WRITABLE | LOOP_HANGUP,
    [NO_READER] = LOOP_READABLE | LOOP_WRITABLE | LOOP_ERROR,
};

/* Silent, asleep, and the kernel is told at most once that nobody wants to hear. */
static void check_paused(struct seen *seen, int changes) {
  int calls = seen->calls;
  count_from_here();
  check_idle(loop, MS(30));
  CHECK(counted.waits <= waits_allowed());
  /* On a busy machine that was over before the kernel was told. */
  for (int turn = 0; turn < 2; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK(counted.mod + counted.del <= changes);
  CHECK_EQ(seen->calls, calls);
}

static void check_resumed(loop_handle_t handle, struct seen *seen, enum what what) {
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE | LOOP_READ_CLOSED), 0);
  for (int turn = 0; turn < 3; turn++) {
    int calls = seen->calls;
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(seen->calls, calls + 1);
    CHECK_EQ(seen->events, told[what]);
  }
  CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
  CHECK_EQ(loop_watch_events(loop, handle), 0);
}

TEST(paused_from_the_beginning) {
  for (int what = 0; what < WHATS; what++) {
    struct seen seen = {0, 0};
    loop = loop_new();
    make(what);
    loop_handle_t handle = watch(loop, fds[0], 0, &seen);
    check_paused(&seen, 0);
    happen(what);
    check_paused(&seen, 1);
    check_resumed(handle, &seen, what);
    check_paused(&seen, 2); /* it had asked to write: that is told */
    check_paused(&seen, 0);
    CHECK_EQ(loop_free(loop), 0);
    close_all(what);
  }
}

TEST(paused_by_an_update_before_it_happens_and_after) {
  for (int what = 0; what < WHATS; what++) {
    for (int before = 0; before <= 1; before++) {
      struct seen seen = {0, 0};
      loop = loop_new();
      make(what);
      loop_handle_t handle = watch(loop, fds[0], LOOP_READABLE, &seen);
      CHECK_EQ(loop_run_once(loop, 0), 0);
      if (before) CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
      happen(what);
      if (!before) CHECK_EQ(loop_run_once(loop, 0), what != ROOM);
      CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
      check_paused(&seen, 1);
      check_paused(&seen, 0);
      check_resumed(handle, &seen, what);
      CHECK_EQ(loop_free(loop), 0);
      close_all(what);
    }
  }
}

TEST(resumed_and_paused_again_and_again_it_is_told_once_each_time) {
  for (int what = 0; what < WHATS; what++) {
    struct seen seen = {0, 0};
    loop = loop_new();
    make(what);
    happen(what);
    loop_handle_t handle = watch(loop, fds[0], 0, &seen);
    for (int round = 1; round <= 100; round++) {
      CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
      CHECK_EQ(loop_run_once(loop, 0), 1);
      CHECK_EQ(seen.events, told[what] & ~LOOP_READ_CLOSED);
      CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
      for (int turn = 0; turn < round % 4; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
      CHECK_EQ(seen.calls, round);
    }
    CHECK_EQ(loop_free(loop), 0);
    close_all(what);
  }
}

TEST(beside_an_active_watcher_of_the_same_descriptor) {
  for (int what = 0; what < WHATS; what++) {
    struct seen paused = {0, 0}, active = {0, 0};
    loop = loop_new();
    make(what);
    loop_handle_t silent = watch(loop, fds[0], 0, &paused);
    loop_handle_t other = watch(loop, fds[0], LOOP_WRITABLE, &active);
    happen(what);
    for (int turn = 1; turn <= 5; turn++) CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(active.calls, 5);
    CHECK_EQ(active.events, told[what] & (LOOP_WRITABLE | LOOP_HANGUP | LOOP_ERROR));
    CHECK_EQ(loop_cancel(loop, other), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    check_paused(&paused, 1);
    CHECK_EQ(paused.calls, 0);
    check_resumed(silent, &paused, what);
    CHECK_EQ(loop_free(loop), 0);
    close_all(what);
  }
}

/* The callback pauses itself: the await of a coroutine library. */
static void see_and_pause(loop_t *l, int fd, uint32_t events, void *arg) {
  see(l, fd, events, arg);
  CHECK_EQ(loop_watch_update(l, loop_current(l), 0), 0);
}

TEST(a_callback_pauses_itself) {
  for (int what = 0; what < WHATS; what++) {
    struct seen seen = {0, 0};
    loop = loop_new();
    make(what);
    happen(what);
    loop_handle_t handle = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_WRITABLE, see_and_pause, &seen);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    check_paused(&seen, 2);
    check_paused(&seen, 0);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(seen.calls, 2);
    CHECK_EQ(loop_free(loop), 0);
    close_all(what);
  }
}

/* What came and went during the pause is not told. */
TEST(data_that_is_gone_by_the_time_of_the_resume) {
  struct seen seen = {0, 0};
  loop = loop_new();
  make_pair(fds);
  loop_handle_t handle = watch(loop, fds[0], LOOP_READABLE, &seen);
  for (int round = 0; round < 100; round++) {
    CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
    put_byte(fds[1]);
    for (int turn = 0; turn < round % 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
    take_byte(fds[0]);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
  }
  CHECK_EQ(seen.calls, 0);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

/* A TCP socket that is not connected yet is hung up, for the kernel. */
TEST(a_socket_that_is_watched_before_it_connects) {
  struct seen seen = {0, 0};
  struct sockaddr_in address;
  loop = loop_new();
  fds[1] = bound_socket(SOCK_STREAM, &address);
  CHECK_EQ(listen(fds[1], 1), 0);
  fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  loop_handle_t handle = watch(loop, fds[0], 0, &seen);
  check_paused(&seen, 1);
  CHECK(connect(fds[0], (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_WRITABLE), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen.events, LOOP_WRITABLE);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}
