/* link: -lpthread */
/* A storm of wake-ups: eight threads post, wake and stop a loop as fast as they
 * can, while it runs, between its runs, and with a host. Every post runs exactly
 * once, those of one thread in order, every release is made, and a wake-up that
 * comes at the wrong moment still ends the next wait. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <stdatomic.h>

enum { THREADS = 8, POSTS = 15000 };

static loop_t *loop;
static atomic_int threads_left;

static struct thread {
  loop_remote_t *remote;
  long runs, releases;
  uint64_t random;
} threads[THREADS];

/* What a post carries: whose it is, and its number. */
static void *ticket(int thread, long number) { return (void *)(intptr_t)(number * THREADS + thread); }

static void run_post(loop_t *l, void *arg) {
  struct thread *t = &threads[(intptr_t)arg % THREADS];
  (void)l;
  CHECK_EQ((intptr_t)arg / THREADS, t->runs);
  t->runs++;
}

static void release_post(void *arg) { threads[(intptr_t)arg % THREADS].releases++; }

static void *storm(void *arg) {
  struct thread *t = arg;
  int me = (int)(t - threads);
  for (long i = 0; i < POSTS; i++) {
    void *post = ticket(me, i);
    switch (next_random(&t->random) % 4) {
      case 0: CHECK_EQ(loop_stop(loop), 0); break;
      case 1: CHECK_EQ(loop_wake(loop), 0); break;
      default: break;
    }
    if (i % 2) CHECK_EQ(loop_call_soon_threadsafe(loop, run_post, post, release_post), 0);
    else CHECK_EQ(loop_remote_call_soon(t->remote, run_post, post, release_post), 0);
  }
  CHECK_EQ(loop_remote_free(t->remote), 0);
  atomic_fetch_sub(&threads_left, 1);
  CHECK_EQ(loop_wake(loop), 0);
  return NULL;
}

static long all_runs(void) {
  long sum = 0;
  for (int i = 0; i < THREADS; i++) sum += threads[i].runs;
  return sum;
}

/* Runs the loop in one way or another until all threads are done. */
static void weather(void (*run)(void)) {
  pthread_t ids[THREADS];
  atomic_store(&threads_left, THREADS);
  for (int i = 0; i < THREADS; i++) {
    threads[i] = (struct thread){.remote = loop_remote_new(loop), .random = (uint64_t)i};
    ids[i] = start_thread(storm, &threads[i]);
  }
  while (atomic_load(&threads_left) > 0) run();
  for (int i = 0; i < THREADS; i++) join_thread(ids[i]);
  while (all_runs() < (long)THREADS * POSTS) run();
  CHECK(loop_run_once(loop, 0) >= 0);
  for (int i = 0; i < THREADS; i++) {
    CHECK_EQ(threads[i].runs, POSTS);
    CHECK_EQ(threads[i].releases, POSTS);
  }
}

/* The last post of a thread may come with a stop or a wake-up; and its end comes with one. */
static void wait_in_the_loop(void) { CHECK(loop_run_once(loop, -1) >= 0); }
static void run_until_stopped(void) {
  CHECK(loop_call_later(loop, US(300), stop_loop, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
}
static void run_while_work(void) { CHECK(loop_run(loop) >= 0); }
static void wait_as_a_host(void) {
  wait_readable(host_fd);
  CHECK(loop_run_ready(loop, US(50)) >= 0);
}

TEST(a_storm_while_the_loop_waits) {
  loop = new_loop(0);
  weather(wait_in_the_loop);
  free_loop(loop);
}

TEST(a_storm_that_stops_every_run) {
  loop = new_loop(0);
  weather(run_until_stopped);
  free_loop(loop);
}

TEST(a_storm_that_keeps_the_loop_going) {
  loop = new_loop(0);
  weather(run_while_work);
  free_loop(loop);
}

TEST(a_storm_on_a_host) {
  loop = new_loop(0);
  embed(loop);
  weather(wait_as_a_host);
  free_loop(loop);
}

static void wake(loop_t *l, void *arg) {
  count_run(l, arg);
  CHECK_EQ(loop_wake(l), 0);
}

/* The run that the callback was in ended without waiting; the next one waited for ever. */
TEST(a_wake_up_at_the_end_of_a_run_was_lost) {
  int runs = 0;
  for (int is_embedded = 0; is_embedded < 2; is_embedded++) {
    loop = new_loop(0);
    if (is_embedded) embed(loop);
    CHECK(loop_call_soon(loop, wake, &runs) > 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    if (is_embedded) wait_readable(host_fd);
    CHECK_EQ(loop_run_once(loop, -1), 0);
    CHECK(loop_call_soon(loop, wake, &runs) > 0);
    CHECK_EQ(loop_run_ready(loop, 0), 1);
    CHECK_EQ(loop_run_once(loop, -1), 0);
    if (is_embedded) check_quiet(loop);
    free_loop(loop);
  }
  CHECK_EQ(runs, 4);
}

/* One wake-up ends one wait, and no more. */
TEST(a_wake_up_is_used_up) {
  loop = new_loop(0);
  for (int i = 0; i < 100; i++) CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  uint64_t begin = check_clock();
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(20)), 0);
  CHECK(check_clock() - begin >= MS(20));
  free_loop(loop);
}
