/* link: -rdynamic -lpthread -ldl */
/* What posting costs the kernel: one eventfd write for a burst of posts to a
 * sleeping loop or host, from however many threads, and none while the loop is
 * awake. Counted exactly: the loop is caught in the moment before it sleeps. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_syscalls.h"

enum { PRODUCERS = 8, BURST = 500 };

static loop_t *loop;
static loop_remote_t *remote;
static int runs, writes_of_burst;

static void *post_through_the_loop(void *arg) {
  for (int i = 0; i < BURST; i++) CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, arg, NULL), 0);
  return NULL;
}

static void *post_through_a_remote(void *arg) {
  for (int i = 0; i < BURST; i++) CHECK_EQ(loop_remote_call_soon(remote, count_run, arg, NULL), 0);
  return NULL;
}

static void *wake(void *arg) {
  (void)arg;
  for (int i = 0; i < BURST; i++) CHECK_EQ(loop_wake(loop), 0);
  return NULL;
}

static void *stop(void *arg) {
  (void)arg;
  for (int i = 0; i < BURST; i++) CHECK_EQ(loop_stop(loop), 0);
  return NULL;
}

static void *(*const bursts[])(void *) = {post_through_the_loop, post_through_a_remote, wake, stop};
enum { KINDS = 4 };
static void *(*burst_kind)(void *);

/* Eight threads at once, all finished when this returns. */
static void burst(void) {
  pthread_t threads[PRODUCERS];
  int before = counted.writes;
  for (int i = 0; i < PRODUCERS; i++) threads[i] = start_thread(burst_kind, &runs);
  for (int i = 0; i < PRODUCERS; i++) join_thread(threads[i]);
  writes_of_burst = counted.writes - before;
}

static int runs_of_burst(int kind) { return kind < 2 ? PRODUCERS * BURST : 0; }

static void start(int kind) {
  loop = new_loop(0);
  remote = loop_remote_new(loop);
  CHECK(remote != NULL);
  burst_kind = bursts[kind];
  runs = 0;
  writes_of_burst = -1;
}

static void end(void) {
  CHECK_EQ(loop_remote_free(remote), 0);
  free_loop(loop);
}

TEST(a_burst_to_a_loop_asleep_is_one_write) {
  for (int kind = 0; kind < KINDS; kind++) {
    start(kind);
    for (int round = 1; round <= 5; round++) {
      when_asleep = burst;
      CHECK_EQ(loop_run_once(loop, -1), runs_of_burst(kind));
      CHECK_EQ(writes_of_burst, 1);
      CHECK_EQ(runs, round * runs_of_burst(kind));
    }
    end();
  }
}

static void burst_in_a_callback(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  burst();
}

TEST(a_burst_to_a_loop_awake_is_no_write) {
  for (int kind = 0; kind < KINDS; kind++) {
    start(kind);
    for (int round = 1; round <= 5; round++) {
      CHECK(loop_call_soon(loop, burst_in_a_callback, NULL) > 0);
      CHECK_EQ(loop_run_once(loop, -1), 1);
      CHECK_EQ(writes_of_burst, 0);
      count_from_here();
      CHECK_EQ(loop_run_once(loop, 0), runs_of_burst(kind));
      CHECK_EQ(runs, round * runs_of_burst(kind));
      CHECK_EQ(counted.writes, 0);
    }
    end();
  }
}

/* Between two turns of one run, too: it does not sleep while something came. */
static void count_down_with_bursts(loop_t *l, void *arg) {
  int *left = arg;
  burst();
  CHECK_EQ(writes_of_burst, 0);
  if (--*left > 0) CHECK(loop_call_soon(l, count_down_with_bursts, left) > 0);
}

TEST(a_run_that_stays_awake_is_never_written_to) {
  int left = 20;
  start(0);
  CHECK(loop_call_soon(loop, count_down_with_bursts, &left) > 0);
  count_from_here();
  while (left > 0 || runs < 20 * PRODUCERS * BURST) CHECK(loop_run_ready(loop, UINT64_MAX) > 0);
  CHECK_EQ(counted.writes, 0);
  end();
}

TEST(a_burst_to_a_host_asleep_is_one_write) {
  for (int kind = 0; kind < KINDS; kind++) {
    start(kind);
    embed(loop);
    for (int round = 1; round <= 5; round++) {
      check_quiet(loop);
      burst();
      CHECK_EQ(writes_of_burst, 1);
      wait_readable(host_fd);
      CHECK_EQ(loop_run_once(loop, 0), runs_of_burst(kind));
    }
    end();
  }
}

/* The next sleep is a new burst's; a wake-up that was not slept through costs no other. */
TEST(every_sleep_is_ended_by_one_write) {
  start(2);
  int total = 0;
  for (int round = 0; round < 20; round++) {
    when_asleep = burst;
    CHECK_EQ(loop_run_once(loop, -1), 0);
    total += writes_of_burst;
    burst();
    CHECK_EQ(writes_of_burst, 0); /* at rest without a host: the next run looks by itself */
    CHECK_EQ(loop_run_once(loop, -1), 0);
  }
  CHECK_EQ(total, 20);
  end();
}
