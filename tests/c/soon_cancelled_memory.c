/* link: -rdynamic */
/* Law 11: what is cancelled holds no memory. A soon-callback's number is its handle, so a
 * cancelled one keeps its place in the queue; a million of them, scheduled and cancelled in
 * one callback, held 15.6 MB, which went back over 3,600 turns. */
#define _GNU_SOURCE 1
#include <unistd.h>

#include "check.h"
#include "count_allocations.h"

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

enum { MILLION = 1000000, KB = 1024 };

static loop_t *loop;
static loop_handle_t handles[MILLION];
static int64_t last_run; /* the number of what ran last */
static int runs;

static void start(void) {
  loop = loop_new();
  CHECK(loop != NULL);
  runs = 0;
  last_run = -1;
}

static void count_run(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  runs++;
}
static void run_in_order(loop_t *l, void *arg) {
  loop_handle_t handle = loop_current(l);
  CHECK(handle == *(loop_handle_t *)arg);
  CHECK(handle > last_run);
  last_run = handle;
  runs++;
}

static void schedule(int i) {
  handles[i] = loop_call_soon(loop, run_in_order, &handles[i]);
  CHECK(handles[i] > 0);
}
static void cancel(int i) {
  CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  if (i % 1000 == 0) CHECK_EQ(loop_is_active(loop, handles[i]), 0);
  if (i % 1000 == 0) CHECK_EQ(loop_cancel(loop, handles[i]), LOOP_ESTALE);
}

/* What `work`, as a callback, stores behind its argument: how much memory it took. */
static size_t in_a_callback(void (*work)(loop_t *l, void *arg)) {
  static size_t before;
  CHECK(loop_call_soon(loop, work, &before) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  return before;
}

static void one_by_one(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, count_run, NULL) > 0);
  size_t before = heap.live;
  heap.peak = heap.live;
  for (int i = 0; i < MILLION; i++) {
    schedule(i);
    cancel(i);
  }
  CHECK(loop_call_soon(l, count_run, NULL) > 0);
  *(size_t *)arg = heap.peak - before;
}

TEST(a_million_that_are_cancelled_one_by_one_hold_nothing) {
  start();
  size_t most = in_a_callback(one_by_one);
  printf("    %zu KB at most\n", most / KB);
  CHECK(most <= 128 * KB);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(runs, 2);
  CHECK_EQ(loop_free(loop), 0);
}

/* Which of a million is the i-th to be cancelled? */
static int forwards(int i) { return i; }
static int backwards(int i) { return MILLION - 1 - i; }
static int mixed(int i) { return (int)((int64_t)i * 7919 % MILLION); }
static int (*which)(int i);

static void all_at_once(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, count_run, NULL) > 0);
  size_t before = heap.live;
  heap.peak = heap.live;
  for (int i = 0; i < MILLION; i++) schedule(i);
  CHECK(heap.live - before >= (size_t)MILLION * 16); /* so this is the heap it lives on */
  for (int i = 0; i < MILLION; i++) cancel(which(i));
  CHECK(loop_call_soon(l, count_run, NULL) > 0);
  *(size_t *)arg = heap.live - before;
}

TEST(a_million_that_are_cancelled_after_all_were_scheduled_hold_nothing) {
  static int (*const orders[])(int i) = {forwards, backwards, mixed};
  for (int i = 0; i < 3; i++) {
    start();
    which = orders[i];
    size_t kept = in_a_callback(all_at_once);
    printf("    %zu KB kept\n", kept / KB);
    CHECK(kept <= 512 * KB);
    CHECK_EQ(loop_run_once(loop, 0), 2);
    CHECK_EQ(runs, 2);
    CHECK_EQ(loop_free(loop), 0);
  }
}

/* All but each so many-th: these run, in their order, and those scheduled in between too. */
static int left;

static void all_but_some(loop_t *l, void *arg) {
  size_t before = heap.live;
  for (int i = 0; i < MILLION; i++) schedule(i);
  for (int i = 0; i < MILLION; i++) {
    if (mixed(i) % left != 0) cancel(mixed(i));
  }
  (void)l;
  *(size_t *)arg = heap.live - before;
}

TEST(what_is_not_cancelled_runs_in_order) {
  for (left = 2; left <= MILLION / 2; left *= 7) {
    start();
    size_t kept = in_a_callback(all_but_some);
    int expected = (MILLION + left - 1) / left;
    CHECK(kept <= ((size_t)expected * 16 + 512) * KB); /* a block for each of them at worst */
    CHECK_EQ(loop_run_once(loop, 0), expected);
    CHECK_EQ(runs, expected);
    CHECK_EQ(loop_has_work(loop), 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(loop_free(loop), 0);
  }
}

/* The rest of a snapshot that ends among what has been cancelled. */
static void run_nested(loop_t *l, void *arg) {
  for (int i = 0; i < 5000; i++) cancel(i);
  for (int i = 5000; i < 10000; i++) schedule(i);
  for (int i = 5000; i < 9999; i++) cancel(i);
  CHECK_EQ(loop_run_once(l, 0), 1);
  CHECK_EQ(runs, 1);
  count_run(l, arg);
}

TEST(a_snapshot_may_end_among_what_was_cancelled) {
  start();
  for (int before = 0; before < 2500; before += 500) {
    runs = 0;
    for (int i = 0; i < before; i++) CHECK_EQ(loop_cancel(loop, loop_call_soon(loop, count_run, NULL)), 0);
    CHECK(loop_call_soon(loop, run_nested, NULL) > 0);
    for (int i = 0; i < 5000; i++) schedule(i);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(runs, 2);
    CHECK_EQ(loop_has_work(loop), 0);
  }
  CHECK_EQ(loop_free(loop), 0);
}

/* A load that comes again in each turn keeps its memory, and calls the allocator no more. */
TEST(a_steady_load_of_cancelled_ones_does_not_allocate) {
  start();
  for (int turn = 0; turn < 400; turn++) {
    if (turn == 200) heap.calls = 0;
    for (int i = 0; i < 30000; i++) schedule(i);
    for (int i = 0; i < 30000; i++) cancel(i);
    CHECK_EQ(loop_run_once(loop, 0), 0);
  }
  CHECK_EQ(heap.calls, 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* Due timers and events have their places in the same queue. */
static void cancel_the_others(loop_t *l, void *arg) {
  (void)arg;
  size_t before = heap.live;
  runs++;
  for (int i = 1; i < 100000; i++) CHECK_EQ(loop_cancel(l, handles[i]), 0);
  CHECK(heap.live < before);
}

TEST(due_timers_that_are_cancelled_hold_nothing_in_the_queue) {
  start();
  for (int i = 0; i < 100000; i++) {
    handles[i] = loop_call_at(loop, (uint64_t)i + 1, i == 0 ? cancel_the_others : count_run, NULL);
    CHECK(handles[i] > 0);
  }
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(runs, 1);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_free(loop), 0);
}
