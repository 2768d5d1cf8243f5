/* link: -lpthread */
/* loop_run_ready keeps its budget while 1,000 connections flood the loop: the
 * callback that spends it is the last one of the call. What is left over keeps
 * its order and is served first in the next frame, so that nobody starves. */
#define _GNU_SOURCE 1
#include "host_support.h"

enum { CONNECTIONS = 1000 };

static loop_t *loop;
static int fds[CONNECTIONS][2], connections;
static int served_in[CONNECTIONS]; /* the last frame that did, counted from 1 */
static int served_in_all, is_in_order;

/* The frame that runs now. */
static struct {
  uint64_t budget, first_start;
  int number, calls;
  int is_spent; /* surely: the call's own clock began before its first callback did */
} frame;

/* Called by every callback of a frame: burns some of it. */
static void spend(uint64_t ns) {
  CHECK(!frame.is_spent); /* or the budget was exceeded by more than one callback */
  uint64_t start = check_clock();
  if (frame.calls++ == 0) frame.first_start = start;
  check_burn(ns);
  frame.is_spent = check_clock() - frame.first_start >= frame.budget;
}

static void run_frame(uint64_t budget) {
  frame.budget = budget;
  frame.calls = frame.is_spent = 0;
  frame.number++;
  CHECK_EQ(loop_run_ready(loop, budget), frame.calls);
}

static int longest_unserved(void) {
  int oldest = frame.number;
  for (int i = 0; i < connections; i++) {
    if (served_in[i] < oldest) oldest = served_in[i];
  }
  return oldest;
}

/* Who was served in an earlier frame has become ready again earlier, and keeps
 * that place in the queue over all frames: nobody comes before it. */
static void serve(loop_t *l, int fd, uint32_t events, void *arg) {
  int number = (int)(intptr_t)arg;
  (void)l;
  CHECK_EQ(fd, fds[number][0]);
  CHECK_EQ(events, LOOP_READABLE);
  if (is_in_order) CHECK_EQ(served_in[number], longest_unserved());
  served_in[number] = frame.number;
  served_in_all++;
  spend(US(5));
}

/* All of them readable, and they stay so. */
static void start_flood(int count, uint32_t max_events) {
  loop_options_t options = {.size = sizeof options, .max_events = max_events};
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  connections = count;
  is_in_order = max_events == 0; /* else one wait does not report them all */
  served_in_all = frame.number = 0;
  memset(served_in, 0, sizeof served_in);
  for (intptr_t i = 0; i < count; i++) {
    make_pair(fds[i]);
    put_byte(fds[i][1]);
    CHECK(loop_watch_fd(loop, fds[i][0], LOOP_READABLE, serve, (void *)i) > 0);
  }
}

static void end_flood(void) {
  free_loop(loop);
  for (int i = 0; i < connections; i++) close_pair(fds[i]);
}

static void allow_descriptors(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(a_flood_of_1000_connections_cannot_eat_the_frame) {
  allow_descriptors();
  start_flood(CONNECTIONS, 0);
  int frames = 0;
  while (served_in_all < 3 * CONNECTIONS) {
    run_frame(US(200));
    CHECK(frame.calls >= 1);
    frames++;
  }
  CHECK(frames >= 3 * CONNECTIONS / 41); /* 5 us each, in 200 us */
  end_flood();
}

TEST(a_budget_of_nothing_is_one_callback) {
  start_flood(CONNECTIONS, 0);
  for (int frames = 1; frames <= 2 * CONNECTIONS; frames++) {
    run_frame(0);
    CHECK_EQ(frame.calls, 1);
  }
  CHECK_EQ(served_in_all, 2 * CONNECTIONS);
  end_flood();
}

TEST(nobody_starves_when_one_wait_cannot_report_them_all) {
  start_flood(64, 16);
  while (longest_unserved() == 0) {
    CHECK(frame.number < 64 * 64);
    run_frame(0);
  }
  end_flood();
}

enum { MARKS = 50 };

static int marks_run;

/* Work of the other kinds goes through the same queue, in its order. */
static void mark(loop_t *l, void *arg) {
  (void)l;
  CHECK_EQ((intptr_t)arg, marks_run);
  marks_run++;
  spend(US(5));
}

static void *post_mark(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, mark, arg, NULL), 0);
  return NULL;
}

/* One mark a frame, while the rest of the last frames' flood is still queued. */
TEST(other_work_keeps_its_place_in_the_flood) {
  start_flood(CONNECTIONS, 0);
  marks_run = 0;
  for (intptr_t i = 0; i < MARKS; i++) {
    if (i % 2 == 0) {
      CHECK(loop_call_soon(loop, mark, (void *)i) > 0);
    } else {
      on_thread(post_mark, (void *)i);
    }
    int before = marks_run;
    run_frame(US(100));
    if (i == 0) CHECK_EQ(marks_run, 1); /* it was there before the first event */
    if (i > 0 && served_in_all < CONNECTIONS) CHECK_EQ(marks_run, before);
  }
  while (marks_run < MARKS) run_frame(US(100));
  CHECK(served_in_all >= CONNECTIONS - MARKS);
  end_flood();
}

static void endless_chain(loop_t *l, void *arg) {
  spend(US(5));
  CHECK(loop_call_soon(l, endless_chain, arg) > 0);
}

static void endless_timer(loop_t *l, void *arg) {
  spend(US(5));
  CHECK(loop_call_later(l, 0, endless_timer, arg) > 0);
}

static void endless_post(loop_t *l, void *arg) {
  spend(US(5));
  CHECK_EQ(loop_call_soon_threadsafe(l, endless_post, arg, NULL), 0);
}

TEST(an_endless_chain_of_any_kind_is_ended_by_the_budget) {
  const loop_cb chains[] = {endless_chain, endless_timer, endless_post};
  for (int i = 0; i < 3; i++) {
    loop = new_loop(0);
    CHECK(loop_call_soon(loop, chains[i], NULL) > 0);
    for (int frames = 0; frames < 20; frames++) {
      uint64_t start = check_clock();
      run_frame(US(100));
      CHECK(check_clock() - start >= US(100)); /* there was work enough for all of it */
    }
    free_loop(loop);
  }
}

TEST(a_host_is_told_of_what_is_left_and_of_nothing_else) {
  loop = new_loop(0);
  embed(loop);
  marks_run = 0;
  for (intptr_t i = 0; i < 10; i++) CHECK(loop_call_soon(loop, mark, (void *)i) > 0);
  for (int i = 1; i <= 10; i++) {
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_timeout(loop), 0);
    run_frame(0);
    CHECK_EQ(marks_run, i);
  }
  check_quiet(loop);
  free_loop(loop);
}
