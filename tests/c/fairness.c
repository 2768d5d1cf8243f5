/* Fairness, by laws 2 and 3: whatever always has something to run cannot keep
 * the others out. Chains of soon-callbacks, 0 ns timers and posts against a
 * ready fd and a timer; a flood of ready fds against a timer. */
#define _GNU_SOURCE 1
#include "check.h"

#include <sys/socket.h>
#include <unistd.h>

/* What starves never comes, and the alarm ends the test. */
__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

/* A chain link schedules the next one, for ever; after a while it makes the fd
 * ready. The loop is stopped when the others have had their turn. */
static struct chain {
  void (*next)(loop_t *loop);
  int links, fd_calls, timer_calls;
  int wanted; /* calls of others to wait for */
  int fds[2];
} chain;

static void link_run(loop_t *loop, void *arg) {
  (void)arg;
  if (++chain.links == 1000) CHECK_EQ(write(chain.fds[1], "x", 1), 1);
  chain.next(loop);
}

static void by_soon(loop_t *loop) { CHECK(loop_call_soon(loop, link_run, NULL) > 0); }
static void by_timer(loop_t *loop) { CHECK(loop_call_later(loop, 0, link_run, NULL) > 0); }
static void by_past(loop_t *loop) { CHECK(loop_call_at(loop, 0, link_run, NULL) > 0); }
static void by_post(loop_t *loop) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, link_run, NULL, NULL), 0);
}

static void stop_when_all_came(loop_t *loop) {
  if (chain.fd_calls > 0 && chain.timer_calls + chain.fd_calls == chain.wanted) {
    CHECK_EQ(loop_stop(loop), 0);
  }
}

static void on_fd(loop_t *loop, int fd, uint32_t events, void *arg) {
  char byte;
  (void)events;
  (void)arg;
  CHECK(chain.links >= 1000);
  CHECK_EQ(read(fd, &byte, 1), 1);
  chain.fd_calls++;
  stop_when_all_came(loop);
}

static void on_timer(loop_t *loop, void *arg) {
  (void)arg;
  chain.timer_calls++;
  stop_when_all_came(loop);
}

static void check_chain(void (*next)(loop_t *loop), uint32_t flags, int timers) {
  loop_options_t options = {sizeof options, flags, 0, 0, 0, 0};
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  chain = (struct chain){next, 0, 0, 0, 1 + timers, {-1, -1}};
  CHECK_EQ(pipe(chain.fds), 0);
  CHECK(loop_watch_fd(loop, chain.fds[0], LOOP_READABLE, on_fd, NULL) > 0);
  for (int i = 1; i <= timers; i++) CHECK(loop_call_later(loop, MS(i), on_timer, NULL) > 0);
  next(loop);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(chain.fd_calls, 1);
  CHECK_EQ(chain.timer_calls, timers);
  CHECK(chain.links >= 1000);
  CHECK_EQ(loop_free(loop), 0);
  close(chain.fds[0]);
  close(chain.fds[1]);
}

TEST(a_chain_of_0_ns_timers_against_a_ready_fd) { check_chain(by_timer, 0, 0); }

TEST(a_chain_of_overdue_timers_against_a_ready_fd_and_timers) { check_chain(by_past, 0, 5); }

TEST(a_chain_of_soons_against_a_ready_fd_and_timers) { check_chain(by_soon, 0, 5); }

TEST(a_chain_of_posts_against_a_ready_fd_and_timers) { check_chain(by_post, 0, 5); }

TEST(the_same_chains_with_strict_polling) {
  check_chain(by_soon, LOOP_STRICT_POLL, 5);
  check_chain(by_timer, LOOP_STRICT_POLL, 5);
}

/* Strict polling asks the kernel every turn: the fd is served in the turn after
 * it became ready, so at most one more link runs before it. */
TEST(strict_polling_serves_a_ready_fd_in_the_next_turn) {
  check_chain(by_soon, LOOP_STRICT_POLL, 0);
  CHECK(chain.links <= 1001);
}

enum { FDS = 200 };

static struct flood {
  int calls, calls_when_due, soon_asked_at, soon_calls, timer_calls;
  uint64_t deadline;
} flood;

static void soon_in_flood(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  flood.soon_calls++;
  CHECK(flood.calls - flood.soon_asked_at <= FDS); /* in the next turn, before its fds */
}

static void timer_in_flood(loop_t *loop, void *arg) {
  (void)arg;
  flood.timer_calls++;
  CHECK_EQ(loop_stop(loop), 0);
}

static void on_writable(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)arg;
  CHECK_EQ(events, LOOP_WRITABLE);
  if (flood.calls++ == 0) {
    flood.deadline = loop_clock(loop) + MS(20 * CHECK_SLOWDOWN);
    CHECK(loop_call_at(loop, flood.deadline, timer_in_flood, NULL) > 0);
  }
  if (check_clock() < flood.deadline) flood.calls_when_due = flood.calls;
  if (flood.calls % (10 * FDS) == 1) {
    flood.soon_asked_at = flood.calls;
    CHECK(loop_call_soon(loop, soon_in_flood, NULL) > 0);
  }
}

TEST(a_flood_of_ready_fds_against_a_timer) {
  loop_t *loop = loop_new();
  int fds[FDS][2];
  for (int i = 0; i < FDS; i++) {
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
    CHECK(loop_watch_fd(loop, fds[i][0], LOOP_WRITABLE, on_writable, NULL) > 0);
  }
  memset(&flood, 0, sizeof flood);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(flood.timer_calls, 1);
  CHECK(flood.soon_calls > 0);
  /* The rest of the turn in which it came due and of the next: no more. */
  CHECK(flood.calls - flood.calls_when_due <= 2 * FDS);
  CHECK(flood.calls >= FDS);
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < FDS; i++) {
    close(fds[i][0]);
    close(fds[i][1]);
  }
}

/* One entry per watcher and turn, so none is told more often than another. */
static void count_call(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)events;
  ++*(int *)arg;
}

TEST(ready_fds_are_told_equally_often) {
  loop_t *loop = loop_new();
  int fds[FDS][2], calls[FDS] = {0};
  for (int i = 0; i < FDS; i++) {
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
    CHECK(loop_watch_fd(loop, fds[i][0], LOOP_WRITABLE, count_call, &calls[i]) > 0);
  }
  for (int turn = 1; turn <= 50; turn++) {
    CHECK_EQ(loop_run_once(loop, 0), FDS);
    for (int i = 0; i < FDS; i++) CHECK_EQ(calls[i], turn);
  }
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < FDS; i++) {
    close(fds[i][0]);
    close(fds[i][1]);
  }
}
