/* 10,000 descriptors at once: each told exactly once per turn, cancelled in any
 * order from callbacks; and sparse, high descriptor numbers. */
#define _GNU_SOURCE 1
#include "check.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

enum { FDS = 10000, SKIPPED = 77 };

static rlim_t descriptor_limit; /* the numbers below it can be used */

/* Before the first test: every descriptor the system grants. */
__attribute__((constructor)) static void raise_descriptor_limit(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < FDS + 100) {
    fprintf(stderr, "skipped: needs %d descriptors, the hard limit is %llu\n", FDS + 100,
            (unsigned long long)limit.rlim_max);
    exit(SKIPPED);
  }
  descriptor_limit = limit.rlim_max < 1u << 20 ? limit.rlim_max : 1u << 20;
}

static struct source {
  loop_handle_t handle;
  int fd, calls, cancelled;
} sources[FDS];

static void count_call(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct source *source = arg;
  CHECK_EQ(fd, source->fd);
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(loop_current(loop), source->handle);
  CHECK(!source->cancelled);
  source->calls++;
}

/* All of them readable for ever: eventfds with a count nobody reads. */
static void start(loop_t *loop, loop_fd_cb callback) {
  for (int i = 0; i < FDS; i++) {
    int fd = eventfd(1, 0);
    CHECK(fd >= 0);
    sources[i] = (struct source){0, fd, 0, 0};
    sources[i].handle = loop_watch_fd(loop, fd, LOOP_READABLE, callback, &sources[i]);
    CHECK(sources[i].handle > 0);
  }
}

static void end(loop_t *loop) {
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < FDS; i++) close(sources[i].fd);
}

static loop_t *loop_with_events(uint32_t max_events) {
  loop_options_t options = {sizeof options, 0, 0, max_events, 0, 0};
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  return loop;
}

TEST(ten_thousand_are_told_in_one_turn_each_once) {
  loop_t *loop = loop_with_events(FDS + 1);
  start(loop, count_call);
  for (int turn = 1; turn <= 5; turn++) {
    CHECK_EQ(loop_run_once(loop, -1), FDS);
    for (int i = 0; i < FDS; i++) CHECK_EQ(sources[i].calls, turn);
  }
  end(loop);
}

/* An ordinary loop takes fewer events from the kernel at a time, and still
 * tells nobody twice in a turn, and everybody as often as the others. */
TEST(fewer_events_a_turn_still_reach_everybody) {
  static int before[FDS];
  loop_t *loop = loop_new();
  int told = 0;
  start(loop, count_call);
  while (told < 3 * FDS) {
    for (int i = 0; i < FDS; i++) before[i] = sources[i].calls;
    int now = loop_run_once(loop, -1);
    CHECK(now > 0);
    told += now;
    for (int i = 0; i < FDS; i++) CHECK(sources[i].calls - before[i] <= 1);
  }
  for (int i = 0; i < FDS; i++) CHECK(sources[i].calls >= 2 && sources[i].calls <= 4);
  end(loop);
}

static uint32_t random_below(uint32_t limit) {
  static uint64_t state = 42;
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((state >> 33) % limit);
}

static int shuffled[FDS], next_victim;

static void cancel_another(loop_t *loop, int fd, uint32_t events, void *arg) {
  count_call(loop, fd, events, arg);
  if (next_victim == FDS) return;
  struct source *victim = &sources[shuffled[next_victim++]];
  CHECK_EQ(loop_cancel(loop, victim->handle), 0);
  victim->cancelled = 1;
}

TEST(ten_thousand_are_cancelled_from_callbacks_in_random_order) {
  loop_t *loop = loop_with_events(FDS + 1);
  start(loop, cancel_another);
  next_victim = 0;
  for (int i = 0; i < FDS; i++) shuffled[i] = i;
  for (int i = FDS - 1; i > 0; i--) {
    int other = (int)random_below((uint32_t)i + 1), swapped = shuffled[i];
    shuffled[i] = shuffled[other];
    shuffled[other] = swapped;
  }
  CHECK_EQ(loop_run(loop), 1); /* ends when the last one is cancelled */
  CHECK_EQ(next_victim, FDS);
  int calls = 0;
  for (int i = 0; i < FDS; i++) {
    CHECK_EQ(sources[i].cancelled, 1);
    CHECK_EQ(loop_is_active(loop, sources[i].handle), 0);
    calls += sources[i].calls;
  }
  CHECK_EQ(calls, FDS); /* each call cancelled one, and no cancelled one was called */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  end(loop);
}

TEST(sparse_high_numbers_are_watched_like_others) {
  int top = (int)descriptor_limit - 1;
  const int numbers[] = {top, top - 1, top - 1000, 8192, 4097, 1025, 1023, 300};
  enum { NUMBERS = sizeof numbers / sizeof *numbers };
  loop_t *loop = loop_new();
  int event = eventfd(1, 0), told = 0;
  CHECK_EQ(loop_watch_fd(loop, top, LOOP_READABLE, count_call, NULL), -EBADF); /* not open yet */
  for (int i = 0; i < NUMBERS; i++) {
    sources[i] = (struct source){0, fcntl(event, F_DUPFD, numbers[i]), 0, 0};
    CHECK_EQ(sources[i].fd, numbers[i]);
    sources[i].handle = loop_watch_fd(loop, numbers[i], LOOP_READABLE, count_call, &sources[i]);
    CHECK(sources[i].handle > 0);
  }
  CHECK_EQ(loop_run_once(loop, -1), NUMBERS);
  for (int i = 0; i < NUMBERS; i++) CHECK_EQ(sources[i].calls, 1);
  for (int i = 0; i < NUMBERS; i += 2) {
    CHECK_EQ(loop_cancel(loop, sources[i].handle), 0);
    sources[i].cancelled = 1;
  }
  CHECK_EQ(loop_run_once(loop, -1), NUMBERS / 2);
  for (int i = 0; i < NUMBERS; i++) told += sources[i].calls;
  CHECK_EQ(told, NUMBERS + NUMBERS / 2);
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < NUMBERS; i++) close(sources[i].fd);
  close(event);
}
