/* Law 7, edge-triggered and one-shot watchers: nothing is lost when one drains
 * until EAGAIN, an update arms and reports anew, an edge watcher shares with
 * nobody, and a one-shot is used up by a call, not by an event that came to
 * nothing. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>

enum { TOTAL = 4 << 20 };

static loop_t *loop;

static struct stream {
  int fd, calls;
  size_t bytes;
} in, out;

static void check_again(ssize_t result) {
  CHECK_EQ(result, -1);
  CHECK_EQ(errno, EAGAIN);
}

static void drain(loop_t *l, int fd, uint32_t events, void *arg) {
  static char bytes[30000];
  ssize_t length;
  (void)arg;
  CHECK(events & LOOP_READABLE);
  in.calls++;
  while ((length = read(fd, bytes, sizeof bytes)) > 0) in.bytes += (size_t)length;
  if (length == 0) {
    CHECK_EQ(loop_stop(l), 0);
  } else {
    check_again(length);
  }
}

static void fill(loop_t *l, int fd, uint32_t events, void *arg) {
  static const char bytes[50000];
  ssize_t length = 0;
  (void)arg;
  CHECK(events & LOOP_WRITABLE);
  out.calls++;
  while (out.bytes < TOTAL && (length = write(fd, bytes, sizeof bytes)) > 0) out.bytes += (size_t)length;
  if (out.bytes < TOTAL) {
    check_again(length);
  } else {
    CHECK_EQ(loop_cancel(l, loop_current(l)), 0);
    CHECK_EQ(close(fd), 0);
  }
}

static void pump(int read_end, int write_end) {
  loop = loop_new();
  in = (struct stream){read_end, 0, 0};
  out = (struct stream){write_end, 0, 0};
  CHECK(loop_watch_fd(loop, read_end, LOOP_READABLE | LOOP_EDGE, drain, NULL) > 0);
  CHECK(loop_watch_fd(loop, write_end, LOOP_WRITABLE | LOOP_EDGE, fill, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(in.bytes, out.bytes);
  CHECK(in.bytes >= TOTAL);
  CHECK(out.calls > 2 && in.calls > 2); /* it really went in portions */
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(read_end), 0);
}

TEST(four_megabytes_from_edge_to_edge_through_a_pipe) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
  pump(fds[0], fds[1]);
}

TEST(four_megabytes_from_edge_to_edge_through_a_socket) {
  int fds[2];
  make_pair(fds);
  pump(fds[0], fds[1]);
}

TEST(every_update_reports_anew_what_stands) {
  struct seen seen = {0, 0};
  int fds[2];
  loop = loop_new();
  make_pair(fds);
  put_byte(fds[1]);
  loop_handle_t handle = watch(loop, fds[0], LOOP_READABLE | LOOP_EDGE, &seen);
  for (int round = 1; round <= 20; round++) {
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(seen.events, LOOP_READABLE);
    for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
    if (round % 2) CHECK_EQ(loop_watch_update(loop, handle, 0), 0); /* after a pause, too */
    if (round % 4 == 3) CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_EDGE), 0);
  }
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE | LOOP_EDGE), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen.events, LOOP_READABLE | LOOP_WRITABLE);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(shutdown(fds[1], SHUT_RDWR), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen.events, LOOP_READABLE | LOOP_WRITABLE | LOOP_HANGUP);
  CHECK_EQ(loop_run_once(loop, 0), 0); /* a hang-up is an edge as well */
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

static void update_itself(loop_t *l, int fd, uint32_t events, void *arg) {
  see(l, fd, events, arg);
  CHECK_EQ(loop_watch_update(l, loop_current(l), LOOP_READABLE | LOOP_EDGE), 0);
}

TEST(an_update_in_its_own_callback_reports_anew) {
  struct seen seen = {0, 0};
  int fds[2];
  loop = loop_new();
  make_pair(fds);
  put_byte(fds[1]);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_EDGE, update_itself, &seen) > 0);
  for (int turn = 1; turn <= 10; turn++) CHECK_EQ(loop_run_once(loop, 0), 1);
  take_byte(fds[0]);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(seen.calls, 10);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

/* An edge comes once: one that a budget left in the queue must stay there. */
TEST(an_edge_that_a_budget_left_in_the_queue_is_not_lost) {
  struct seen seen[3];
  int fds[3][2];
  loop = loop_new();
  memset(seen, 0, sizeof seen);
  for (int i = 0; i < 3; i++) {
    make_pair(fds[i]);
    watch(loop, fds[i][0], LOOP_READABLE | LOOP_EDGE, &seen[i]);
    put_byte(fds[i][1]);
  }
  for (int run = 0; run < 3; run++) {
    CHECK_EQ(loop_run_ready(loop, 0), 1);
    for (int i = 0; i < 3; i++) CHECK(seen[i].calls <= 1);
  }
  CHECK_EQ(loop_run_once(loop, 0), 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(seen[i].calls, 1);
    close_pair(fds[i]);
  }
  CHECK_EQ(loop_free(loop), 0);
}

/* A paused watcher shares its descriptor all the same, also at a hang-up, when
 * the kernel must no longer watch for it. */
static void check_busy(int hangup) {
  const uint32_t edge = LOOP_READABLE | LOOP_EDGE;
  struct seen seen = {0, 0};
  int fds[2];
  loop = loop_new();
  make_pair(fds);
  loop_handle_t paused = watch(loop, fds[0], 0, &seen);
  if (hangup) CHECK_EQ(shutdown(fds[1], SHUT_RDWR), 0);
  for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_watch_fd(loop, fds[0], edge, see, &seen), LOOP_EBUSY);
  loop_handle_t second = watch(loop, fds[0], 0, &seen);
  CHECK_EQ(loop_watch_update(loop, second, edge), LOOP_EBUSY);
  CHECK_EQ(loop_watch_update(loop, paused, edge), LOOP_EBUSY);
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK_EQ(loop_watch_update(loop, paused, edge), 0);
  CHECK_EQ(loop_watch_fd(loop, fds[0], LOOP_READABLE, see, &seen), LOOP_EBUSY);
  CHECK_EQ(loop_watch_fd(loop, fds[0], 0, see, &seen), LOOP_EBUSY);
  CHECK_EQ(loop_run_once(loop, 0), hangup);
  CHECK_EQ(loop_watch_fd(loop, fds[0], LOOP_READABLE, see, &seen), LOOP_EBUSY);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

TEST(an_edge_watcher_does_not_share_with_a_paused_one) { check_busy(0); }

TEST(an_edge_watcher_does_not_share_with_one_that_is_paused_at_a_hangup) { check_busy(1); }

TEST(one_shots_share_a_descriptor_and_each_fires_once) {
  enum { WATCHERS = 5 };
  struct seen seen[WATCHERS], level = {0, 0};
  loop_handle_t handles[WATCHERS];
  int fds[2];
  loop = loop_new();
  make_pair(fds);
  put_byte(fds[1]);
  memset(seen, 0, sizeof seen);
  for (int i = 0; i < WATCHERS; i++) handles[i] = watch(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, &seen[i]);
  watch(loop, fds[0], LOOP_READABLE, &level);
  CHECK_EQ(loop_run_once(loop, 0), WATCHERS + 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  for (int i = 0; i < WATCHERS; i++) {
    CHECK_EQ(loop_watch_events(loop, handles[i]), 0);
    CHECK_EQ(loop_watch_update(loop, handles[i], LOOP_WRITABLE | LOOP_ONESHOT), 0);
    CHECK_EQ(loop_run_once(loop, 0), 2);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(seen[i].calls, 2);
    CHECK_EQ(seen[i].events, LOOP_WRITABLE);
  }
  CHECK_EQ(level.calls, 2 + 2 * WATCHERS);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

TEST(a_one_shot_is_not_used_up_by_an_event_that_came_to_nothing) {
  struct seen seen[2] = {{0, 0}, {0, 0}};
  loop_handle_t handles[2];
  int fds[2][2];
  loop = loop_new();
  for (int i = 0; i < 2; i++) {
    make_pair(fds[i]);
    handles[i] = watch(loop, fds[i][0], LOOP_READABLE | LOOP_ONESHOT, &seen[i]);
    put_byte(fds[i][1]);
  }
  CHECK_EQ(loop_run_ready(loop, 0), 1); /* one event is left in the queue */
  int left = seen[0].calls == 0 ? 0 : 1;
  take_byte(fds[left][0]);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_watch_events(loop, handles[left]), LOOP_READABLE | LOOP_ONESHOT);
  put_byte(fds[left][1]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen[left].calls, 1);
  CHECK_EQ(loop_watch_events(loop, handles[left]), 0);
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < 2; i++) close_pair(fds[i]);
}

TEST(edge_and_oneshot_together) {
  const uint32_t mask = LOOP_READABLE | LOOP_EDGE | LOOP_ONESHOT;
  struct seen seen = {0, 0};
  int fds[2];
  loop = loop_new();
  make_pair(fds);
  loop_handle_t handle = watch(loop, fds[0], mask, &seen);
  for (int round = 1; round <= 5; round++) {
    put_byte(fds[1]);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    put_byte(fds[1]); /* an edge that finds it paused */
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(loop_watch_update(loop, handle, mask), 0);
    CHECK_EQ(loop_run_once(loop, 0), 1); /* what stands is reported anew */
    take_byte(fds[0]);
    take_byte(fds[0]);
    CHECK_EQ(loop_watch_update(loop, handle, mask), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0); /* nothing stands */
    CHECK_EQ(loop_watch_events(loop, handle), mask);
  }
  CHECK_EQ(seen.calls, 10);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}
