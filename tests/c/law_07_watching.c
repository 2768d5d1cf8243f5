/* link: -rdynamic -lpthread -ldl */
/* Law 7, watching: level-triggered unless edge is asked for; any number of
 * watchers share one fd, each told its own bits; a mask of 0 pauses; a hang-up
 * or error is told to whoever has any interest, with the reason to be read. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

struct seen {
  int calls;
  uint32_t events; /* of the last call */
};

static void see(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct seen *seen = arg;
  (void)loop;
  (void)fd;
  seen->calls++;
  seen->events = events;
}

static loop_handle_t watch(loop_t *loop, int fd, uint32_t events, struct seen *seen) {
  loop_handle_t handle = loop_watch_fd(loop, fd, events, see, seen);
  CHECK(handle > 0);
  return handle;
}

static void make_pair(int fds[2]) {
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* A socket with a local address of its own that nobody listens on yet. */
static int bound_socket(struct sockaddr_in *address) {
  socklen_t length = sizeof *address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_EQ(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
  CHECK_EQ(getsockname(fd, (struct sockaddr *)address, &length), 0);
  return fd;
}

/* Waits 300 ms in which nothing may happen: a few waits, since the time comes in pieces. */
static void check_sleeps_in_peace(loop_t *loop) {
  uint64_t start = check_clock();
  count_from_here();
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(300)), 0);
  CHECK(check_clock() - start >= MS(300));
  CHECK(counted.waits <= 4 * CHECK_SLOWDOWN * CHECK_SLOWDOWN);
}

TEST(level_triggered_by_default) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  char byte;
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  watch(loop, fds[0], LOOP_READABLE, &seen);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  for (int turn = 1; turn <= 3; turn++) {
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(seen.calls, turn);
    CHECK_EQ(seen.events, LOOP_READABLE);
  }
  CHECK_EQ(read(fds[0], &byte, 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(seen.calls, 3);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(watchers_of_one_fd_see_their_own_bits) {
  loop_t *loop = loop_new();
  struct seen reader = {0, 0}, writer = {0, 0}, both = {0, 0}, priority = {0, 0};
  int fds[2];
  make_pair(fds);
  watch(loop, fds[0], LOOP_READABLE, &reader);
  loop_handle_t w = watch(loop, fds[0], LOOP_WRITABLE, &writer);
  watch(loop, fds[0], LOOP_READABLE | LOOP_WRITABLE, &both);
  watch(loop, fds[0], LOOP_PRIORITY, &priority);
  CHECK_EQ(loop_run_once(loop, 0), 2); /* writable only: nothing to read yet */
  CHECK_EQ(reader.calls, 0);
  CHECK_EQ(both.events, LOOP_WRITABLE);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_EQ(reader.events, LOOP_READABLE);
  CHECK_EQ(writer.events, LOOP_WRITABLE);
  CHECK_EQ(both.events, LOOP_READABLE | LOOP_WRITABLE);
  CHECK_EQ(priority.calls, 0);
  CHECK_EQ(loop_cancel(loop, w), 0); /* the others keep what they asked for */
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(writer.calls, 2);
  CHECK_EQ(both.events, LOOP_READABLE | LOOP_WRITABLE);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(hangup_is_told_to_whoever_has_any_interest) {
  loop_t *loop = loop_new();
  struct seen reader = {0, 0}, writer = {0, 0}, priority = {0, 0}, hangup = {0, 0}, paused = {0, 0};
  int fds[2];
  make_pair(fds);
  watch(loop, fds[0], LOOP_READABLE, &reader);
  watch(loop, fds[0], LOOP_WRITABLE, &writer);
  watch(loop, fds[0], LOOP_PRIORITY, &priority);
  watch(loop, fds[0], LOOP_HANGUP, &hangup);
  watch(loop, fds[0], 0, &paused);
  close(fds[1]);
  for (int turn = 1; turn <= 2; turn++) { /* as long as it stands */
    CHECK_EQ(loop_run_once(loop, 0), 4);
    CHECK_EQ(reader.events, LOOP_READABLE | LOOP_HANGUP);
    CHECK_EQ(writer.events, LOOP_WRITABLE | LOOP_HANGUP);
    CHECK_EQ(priority.events, LOOP_HANGUP);
    CHECK_EQ(hangup.events, LOOP_HANGUP);
    CHECK_EQ(paused.calls, 0);
  }
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
}

TEST(the_end_of_a_pipe_is_readable_and_hangup) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  watch(loop, fds[0], LOOP_READABLE, &seen);
  close(fds[1]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen.events, LOOP_READABLE | LOOP_HANGUP);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
}

TEST(a_pipe_without_readers_is_writable_and_error) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  watch(loop, fds[1], LOOP_WRITABLE, &seen);
  close(fds[0]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen.events, LOOP_WRITABLE | LOOP_ERROR);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[1]);
}

TEST(a_half_close_is_told_only_if_asked_for) {
  loop_t *loop = loop_new();
  struct seen reader = {0, 0}, asked = {0, 0}, only = {0, 0};
  int fds[2];
  make_pair(fds);
  watch(loop, fds[0], LOOP_READABLE, &reader);
  watch(loop, fds[0], LOOP_READABLE | LOOP_READ_CLOSED, &asked);
  watch(loop, fds[0], LOOP_READ_CLOSED, &only);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(asked.events, LOOP_READABLE);
  CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_EQ(reader.events, LOOP_READABLE);
  CHECK_EQ(asked.events, LOOP_READABLE | LOOP_READ_CLOSED);
  CHECK_EQ(only.events, LOOP_READ_CLOSED);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(a_refused_connect_is_writable_and_error) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  struct sockaddr_in address;
  socklen_t length = sizeof(int);
  int reason = 0, nobody = bound_socket(&address);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
  CHECK_EQ(errno, EINPROGRESS);
  watch(loop, fd, LOOP_WRITABLE, &seen);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen.events & ~LOOP_HANGUP, LOOP_WRITABLE | LOOP_ERROR);
  CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &length), 0);
  CHECK_EQ(reason, ECONNREFUSED);
  CHECK_EQ(loop_free(loop), 0);
  close(fd);
  close(nobody);
}

TEST(out_of_band_data_is_priority) {
  loop_t *loop = loop_new();
  struct seen reader = {0, 0}, priority = {0, 0};
  struct sockaddr_in address;
  int listener = bound_socket(&address), client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(listen(listener, 1), 0);
  CHECK_EQ(connect(client, (struct sockaddr *)&address, sizeof address), 0);
  int server = accept(listener, NULL, NULL);
  CHECK(server >= 0);
  watch(loop, server, LOOP_READABLE, &reader);
  watch(loop, server, LOOP_PRIORITY, &priority);
  CHECK_EQ(send(client, "!", 1, MSG_OOB), 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(priority.events, LOOP_PRIORITY);
  CHECK_EQ(reader.calls, 0); /* nothing in the ordinary stream */
  CHECK_EQ(loop_free(loop), 0);
  close(server);
  close(client);
  close(listener);
}

TEST(a_paused_watcher_is_silent_and_does_not_spin) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  make_pair(fds);
  loop_handle_t w = watch(loop, fds[0], LOOP_READABLE | LOOP_WRITABLE, &seen);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_watch_events(loop, w), LOOP_READABLE | LOOP_WRITABLE);
  CHECK_EQ(loop_watch_update(loop, w, 0), 0);
  CHECK_EQ(loop_watch_events(loop, w), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  close(fds[1]); /* the kernel tells a hang-up even to a mask of 0 */
  check_sleeps_in_peace(loop);
  CHECK_EQ(seen.calls, 1);
  CHECK_EQ(loop_is_active(loop, w), 1);
  CHECK_EQ(loop_watch_update(loop, w, LOOP_READABLE), 0); /* told at once */
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen.events, LOOP_READABLE | LOOP_HANGUP);
  CHECK_EQ(loop_watch_update(loop, w, 0), 0); /* and paused again */
  check_sleeps_in_peace(loop);
  CHECK_EQ(seen.calls, 2);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
}
