/* Fairness of level-triggered watching: a socket that a thread floods without
 * end, a thousand quiet ones that get a byte now and then, and a timer of 1 ms.
 * Nobody waits longer than the turns that the laws give it. Turns are counted,
 * not time. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { QUIET = 1000, ROUNDS = 20000 };

static struct quiet {
  int fds[2], waiting_since; /* the turn in which it got its byte, or 0 */
  int calls;
} quiet[QUIET];

static struct flood {
  int fds[2], turns, turn_of_last_call, calls, quiet_calls, next;
  int ticks, ticks_before, was_due; /* before the present turn */
  int patience; /* of a quiet socket, in turns */
  uint64_t earliest, latest; /* when the next tick is due: between these */
} flood;

static atomic_int is_over;

static void *send_without_end(void *unused) {
  static const char bytes[16384];
  (void)unused;
  while (!atomic_load(&is_over)) {
    if (send(flood.fds[1], bytes, sizeof bytes, MSG_NOSIGNAL) < 0) sched_yield(); /* full */
  }
  return NULL;
}

static void count_turn(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  flood.turns++;
}

/* Takes less than comes, so that there is always more. In each round a quiet socket gets
 * a byte. */
static void on_flood(loop_t *loop, int fd, uint32_t events, void *arg) {
  char bytes[512];
  (void)arg;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK(flood.turn_of_last_call < flood.turns); /* once a turn */
  flood.turn_of_last_call = flood.turns;
  CHECK(recv(fd, bytes, sizeof bytes, 0) > 0);
  struct quiet *next = &quiet[flood.next++ % QUIET];
  if (next->waiting_since == 0) {
    put_byte(next->fds[1]);
    next->waiting_since = flood.turns;
  }
  if (++flood.calls == ROUNDS) CHECK_EQ(loop_stop(loop), 0);
}

static void on_quiet(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct quiet *self = arg;
  (void)loop;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK(self->waiting_since > 0);
  CHECK(flood.turns - self->waiting_since <= flood.patience);
  self->waiting_since = 0;
  self->calls++;
  flood.quiet_calls++;
  take_byte(fd);
}

static void on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  (void)arg;
  flood.ticks++;
  CHECK(loop_clock(loop) >= flood.earliest);
  flood.earliest += MS(1);
  flood.latest += MS(1);
}

/* A tick that is due before the wait runs in that turn. */
static void check_tick(loop_t *loop, void *arg) {
  (void)arg;
  if (flood.was_due) CHECK(flood.ticks > flood.ticks_before);
  flood.ticks_before = flood.ticks;
  flood.was_due = loop_clock(loop) >= flood.latest;
}

static void start(loop_t *loop) {
  memset(&flood, 0, sizeof flood);
  make_pair(flood.fds);
  CHECK(loop_watch_fd(loop, flood.fds[0], LOOP_READABLE, on_flood, NULL) > 0);
  for (int i = 0; i < QUIET; i++) {
    make_pair(quiet[i].fds);
    quiet[i].waiting_since = quiet[i].calls = 0;
    CHECK(loop_watch_fd(loop, quiet[i].fds[0], LOOP_READABLE, on_quiet, &quiet[i]) > 0);
  }
}

static int has_descriptors_for_all(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max > 2 * QUIET + 100) return 1;
  fprintf(stderr, "    not covered: the hard limit of descriptors is %d\n", (int)limit.rlim_max);
  return 0;
}

static void check_flood(uint32_t max_events, int patience) {
  loop_options_t options = {sizeof options, 0, 0, max_events, 0, 0};
  pthread_t thread;
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  start(loop);
  flood.patience = patience;
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, check_tick, NULL) > 0);
  CHECK(loop_add_hook(loop, LOOP_AFTER_WAIT, count_turn, NULL) > 0);
  flood.earliest = loop_clock(loop) + MS(1);
  CHECK(loop_call_every(loop, MS(1), MS(1), LOOP_RUN_MISSED, on_tick, NULL) > 0);
  flood.latest = loop_clock(loop) + MS(1);
  atomic_store(&is_over, 0);
  CHECK_EQ(pthread_create(&thread, NULL, send_without_end, NULL), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  atomic_store(&is_over, 1);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_EQ(flood.calls, ROUNDS);
  CHECK(flood.quiet_calls >= ROUNDS - flood.patience);
  for (int i = 0; i < QUIET; i++) CHECK(quiet[i].calls >= ROUNDS / QUIET - 1);
  CHECK(flood.ticks > 0);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(flood.fds);
  for (int i = 0; i < QUIET; i++) close_pair(quiet[i].fds);
}

TEST(a_flood_keeps_nobody_waiting) {
  if (has_descriptors_for_all()) check_flood(0, 1);
}

/* Two events a turn: whoever was told goes to the end of the kernel's line. The loop's own
 * descriptors stand in that line, too. */
TEST(a_flood_keeps_nobody_waiting_where_two_events_are_taken_at_a_time) {
  if (has_descriptors_for_all()) check_flood(2, 2);
}
