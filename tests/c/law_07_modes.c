/* Law 7, modes of watching: one-shot and edge-triggered watchers, descriptors
 * the kernel cannot watch, and that a watched fd is left as it was. */
#define _GNU_SOURCE 1
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
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

static void stop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop(loop), 0);
}

static int regular_file(void) {
  FILE *file = tmpfile();
  CHECK(file != NULL);
  int fd = dup(fileno(file));
  CHECK(fd >= 0);
  fclose(file);
  return fd;
}

static int open_descriptors(void) {
  int count = 0;
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir != NULL);
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count;
}

TEST(oneshot_fires_once_until_updated) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  loop_handle_t w = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, see, &seen);
  CHECK_EQ(loop_watch_events(loop, w), LOOP_READABLE | LOOP_ONESHOT);
  for (int round = 1; round <= 3; round++) {
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(seen.calls, round);
    CHECK_EQ(loop_watch_events(loop, w), 0);
    CHECK_EQ(loop_is_active(loop, w), 1); /* paused, not finished */
    CHECK_EQ(loop_watch_update(loop, w, LOOP_READABLE | LOOP_ONESHOT), 0);
  }
  close(fds[1]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen.events, LOOP_READABLE | LOOP_HANGUP);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(10)), 0); /* the hang-up is not told twice */
  CHECK_EQ(loop_watch_update(loop, w, LOOP_READABLE), 0); /* an ordinary one from now on */
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
}

static void rearm(loop_t *loop, int fd, uint32_t events, void *arg) {
  int *calls = arg;
  (void)fd;
  (void)events;
  if (++*calls < 3) {
    CHECK_EQ(loop_watch_update(loop, loop_current(loop), LOOP_READABLE | LOOP_ONESHOT), 0);
  }
}

TEST(oneshot_is_rearmed_inside_its_callback) {
  loop_t *loop = loop_new();
  int calls = 0, fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, rearm, &calls) > 0);
  for (int turn = 1; turn <= 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(calls, 3);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(edge_reports_once_per_edge) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  loop_handle_t w = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_EDGE, see, &seen);
  CHECK_EQ(loop_watch_events(loop, w), LOOP_READABLE | LOOP_EDGE);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  for (int edge = 1; edge <= 3; edge++) { /* nothing is ever read */
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(seen.calls, edge);
    CHECK_EQ(seen.events, LOOP_READABLE);
  }
  CHECK_EQ(loop_watch_update(loop, w, LOOP_READABLE | LOOP_EDGE), 0); /* tells anew what stands */
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(an_edge_watcher_shares_with_nobody) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  const uint32_t level = LOOP_READABLE, edge = LOOP_READABLE | LOOP_EDGE;
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  loop_handle_t first = loop_watch_fd(loop, fds[0], level, see, &seen);
  CHECK(first > 0);
  CHECK_EQ(loop_watch_fd(loop, fds[0], edge, see, &seen), LOOP_EBUSY);
  loop_handle_t second = loop_watch_fd(loop, fds[0], level, see, &seen);
  CHECK(second > 0);
  CHECK_EQ(loop_watch_update(loop, second, edge), LOOP_EBUSY);
  CHECK_EQ(loop_watch_events(loop, second), level); /* nothing changed */
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(loop_cancel(loop, first), 0);
  CHECK_EQ(loop_watch_update(loop, second, edge), 0); /* alone now */
  CHECK_EQ(loop_watch_fd(loop, fds[0], level, see, &seen), LOOP_EBUSY);
  CHECK_EQ(loop_watch_fd(loop, fds[0], edge, see, &seen), LOOP_EBUSY);
  loop_run_once(loop, 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK(loop_watch_fd(loop, fds[0], level, see, &seen) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(what_the_kernel_cannot_watch_is_EPERM_or_always_ready) {
  int fds[2] = {regular_file(), open("/dev/null", O_RDWR)};
  for (int i = 0; i < 2; i++) {
    loop_t *loop = loop_new();
    struct seen seen = {0, 0};
    const uint32_t both = LOOP_READABLE | LOOP_WRITABLE;
    CHECK_EQ(loop_watch_fd(loop, fds[i], LOOP_READABLE, see, &seen), -EPERM);
    CHECK_EQ(loop_has_work(loop), 0);
    loop_handle_t w = loop_watch_fd(loop, fds[i], both | LOOP_ALWAYS, see, &seen);
    CHECK_EQ(loop_watch_events(loop, w), both | LOOP_ALWAYS);
    for (int turn = 1; turn <= 3; turn++) {
      CHECK_EQ(loop_run_once(loop, -1), 1);
      CHECK_EQ(seen.calls, turn);
      CHECK_EQ(seen.events, both);
    }
    CHECK_EQ(loop_watch_update(loop, w, LOOP_READABLE), -EPERM); /* nothing changed */
    CHECK_EQ(loop_watch_events(loop, w), both | LOOP_ALWAYS);
    CHECK_EQ(loop_watch_fd(loop, fds[i], both | LOOP_ALWAYS | LOOP_EDGE, see, &seen), LOOP_EBUSY);
    CHECK_EQ(loop_watch_update(loop, w, 0), 0); /* a pause is a pause */
    uint64_t start = check_clock();
    CHECK_EQ(loop_run_once(loop, (int64_t)MS(20)), 0);
    CHECK(check_clock() - start >= MS(20));
    CHECK_EQ(loop_watch_update(loop, w, LOOP_READABLE | LOOP_ALWAYS), 0);
    CHECK(loop_call_later(loop, MS(5), stop, NULL) > 0); /* must not starve */
    CHECK_EQ(loop_run_forever(loop), 0);
    CHECK(seen.calls > 3);
    CHECK_EQ(seen.events, LOOP_READABLE);
    CHECK_EQ(loop_cancel(loop, w), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(loop_free(loop), 0);
    close(fds[i]);
  }
}

TEST(always_changes_nothing_for_what_the_kernel_can_watch) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ALWAYS, see, &seen) > 0);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(10)), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen.events, LOOP_READABLE);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(negative_and_closed_descriptors_are_EBADF) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  close(fds[0]);
  close(fds[1]);
  const int bad[] = {-1, -100, INT_MIN, fds[0], fds[1], INT_MAX};
  const uint32_t masks[] = {LOOP_READABLE, LOOP_WRITABLE | LOOP_EDGE, LOOP_READABLE | LOOP_ALWAYS,
                            0};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
      CHECK_EQ(loop_watch_fd(loop, bad[i], masks[m], see, &seen), -EBADF);
    }
  }
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* Blocking descriptors are served as they are: told readable, read returns. */
TEST(a_watched_fd_is_left_as_it_was) {
  loop_t *loop = loop_new();
  struct seen seen[2] = {{0, 0}, {0, 0}};
  char byte;
  int fds[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  int flags = fcntl(fds[0], F_GETFL), fd_flags = fcntl(fds[0], F_GETFD);
  CHECK_EQ(flags & O_NONBLOCK, 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  int descriptors = open_descriptors();
  loop_handle_t w = loop_watch_fd(loop, fds[0], LOOP_READABLE, see, &seen[0]);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_WRITABLE, see, &seen[1]) > 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 2);
  CHECK_EQ(seen[0].events, LOOP_READABLE);
  CHECK_EQ(read(fds[0], &byte, 1), 1);
  CHECK_EQ(fcntl(fds[0], F_GETFL), flags);
  CHECK_EQ(loop_cancel(loop, w), 0);
  CHECK_EQ(open_descriptors(), descriptors); /* none was duplicated */
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(fcntl(fds[0], F_GETFL), flags);
  CHECK_EQ(fcntl(fds[0], F_GETFD), fd_flags); /* and it was not closed */
  close(fds[0]);
  close(fds[1]);
}
