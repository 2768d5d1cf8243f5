/* link: -rdynamic -lpthread */
/* The memory of posts is bounded by what is queued: a long flow of posts that
 * are run as they come keeps no more than its largest batch, and after a burst
 * the memory is given back. In the steady state posting does not allocate. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_allocations.h"

static loop_t *loop;
static loop_remote_t *remote;
static int runs, releases;

static void start(void) {
  loop = new_loop(0);
  remote = loop_remote_new(loop);
  CHECK(remote != NULL);
  runs = releases = 0;
}

static void end(void) {
  CHECK_EQ(loop_remote_free(remote), 0);
  free_loop(loop);
}

static void run_post(loop_t *l, void *arg) {
  (void)l;
  CHECK(arg == &releases);
  runs++;
}

static void *post(void *arg) {
  int count = *(int *)arg;
  for (int i = 0; i < count; i++) {
    loop_release_cb release = i % 4 == 0 ? count_release : NULL;
    CHECK_EQ(loop_remote_call_soon(remote, run_post, &releases, release), 0);
  }
  return NULL;
}

/* The posts of one batch come from another thread; the heap is counted by one at a time. */
static void batch(int count) {
  on_thread(post, &count);
  CHECK_EQ(loop_run_once(loop, 0), count);
}

TEST(a_long_flow_keeps_no_more_than_its_largest_batch) {
  enum { BATCH = 5000 };
  start();
  for (int i = 0; i < 20; i++) batch(BATCH);
  size_t after_warm_up = heap.live;
  heap.peak = heap.live;
  for (int i = 0; i < 300; i++) batch(i % 2 == 0 ? BATCH : 100);
  CHECK(heap.peak <= after_warm_up + BATCH * 64);
  end();
}

TEST(memory_is_given_back_after_a_burst) {
  enum { BURST = 300000 };
  start();
  for (int i = 0; i < 200; i++) batch(10);
  size_t before = heap.live;
  heap.peak = heap.live;
  batch(BURST);
  size_t burst = heap.peak - before;
  CHECK(burst >= BURST * 16); /* so this is the heap it lives on */
  int turns = 0;
  while (heap.live > before + burst / 10) {
    CHECK(turns++ < 50000);
    CHECK_EQ(loop_call_soon_threadsafe(loop, run_post, &releases, NULL), 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
  }
  end();
}

TEST(all_of_it_is_given_back_by_loop_free) {
  start(); /* what a process makes once */
  batch(10);
  end();
  size_t before = heap.live;
  start();
  batch(10000);
  int count = 10000;
  on_thread(post, &count); /* these never run */
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(runs, 10000);
  CHECK_EQ(releases, 5000);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ((long long)heap.live - (long long)before, 0);
}

TEST(the_steady_state_does_not_allocate) {
  start();
  for (int i = 0; i < 300; i++) batch(3000);
  int count = 3000;
  for (int i = 0; i < 100; i++) {
    heap.calls = 0;
    post(&count);
    CHECK_EQ(loop_run_once(loop, 0), count);
    CHECK_EQ(heap.calls, 0);
  }
  end();
}
