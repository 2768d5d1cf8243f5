/* link: -lpthread */
/* Law 14: no wake-up is lost. A host sleeps in poll() on loop_fd alone, without
 * time limit, while threads post and timers are armed. Every poster waits until
 * its post has run before it makes the next one, so that no later post makes up
 * for one that nobody was told of: a lost wake-up is a hang. Each stress lasts
 * half a second, with EVLOOP_LONG=1 in the environment ten, and until each thread
 * has done its least. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { POSTERS = 4, LEAST = 101 };

static loop_t *loop;
static uint64_t end_of_stress;
static int posters_left;

struct poster {
  uint64_t random;
  loop_remote_t *remote; /* posts through it, or through the loop if NULL */
  sem_t ran;
  long posts, runs;
};

static uint64_t length_of_stress(void) {
  return getenv("EVLOOP_LONG") != NULL ? MS(10000) : MS(500);
}

static void has_run(loop_t *l, void *arg) {
  struct poster *poster = arg;
  (void)l;
  poster->runs++;
  CHECK_EQ(sem_post(&poster->ran), 0);
}

static void has_finished(loop_t *l, void *arg) {
  (void)arg;
  if (--posters_left == 0) CHECK_EQ(loop_stop(l), 0);
}

/* So that posts come at every moment of a run, of its end, and of the sleep after it. */
static void pause_for_a_moment(uint64_t *random) {
  uint64_t choice = next_random(random) % 16;
  if (choice < 8) check_burn(next_random(random) % US(4));
  if (choice == 8) usleep((useconds_t)(next_random(random) % 200));
  if (choice == 9) sched_yield();
}

static int post(struct poster *poster, loop_cb cb) {
  if (poster->remote != NULL) return loop_remote_call_soon(poster->remote, cb, poster, NULL);
  return loop_call_soon_threadsafe(loop, cb, poster, NULL);
}

static void *post_one_by_one(void *arg) {
  struct poster *poster = arg;
  while (check_clock() < end_of_stress || poster->posts < LEAST) {
    pause_for_a_moment(&poster->random);
    CHECK_EQ(post(poster, has_run), 0);
    poster->posts++;
    CHECK_EQ(sem_wait(&poster->ran), 0);
  }
  CHECK_EQ(post(poster, has_finished), 0);
  return NULL;
}

static void host_sleeps_and_runs_once(void) {
  wait_readable(host_fd);
  CHECK(loop_run_once(loop, 0) >= 0);
}

static void host_sleeps_and_runs_what_is_ready(void) {
  wait_readable(host_fd);
  CHECK(loop_run_ready(loop, US(20)) >= 0);
}

static void loop_sleeps_by_itself(void) { CHECK(loop_run_once(loop, -1) >= 0); }

static void loop_runs_until_it_is_stopped(void) { CHECK_EQ(loop_run_forever(loop), 0); }

/* The host's main loop, for as long as threads post. */
static void stress(int posters, void (*host)(void), void (*between_runs)(void)) {
  static struct poster all[POSTERS];
  pthread_t threads[POSTERS];
  end_of_stress = check_clock() + length_of_stress();
  posters_left = posters;
  for (int i = 0; i < posters; i++) {
    all[i] = (struct poster){.random = (uint64_t)i + 1};
    if (i % 2 == 1) all[i].remote = loop_remote_new(loop);
    CHECK_EQ(sem_init(&all[i].ran, 0, 0), 0);
    threads[i] = start_thread(post_one_by_one, &all[i]);
  }
  while (posters_left > 0) {
    host();
    if (between_runs != NULL) between_runs();
  }
  for (int i = 0; i < posters; i++) {
    join_thread(threads[i]);
    CHECK_EQ(all[i].runs, all[i].posts);
    CHECK(all[i].posts >= LEAST);
    if (all[i].remote != NULL) CHECK_EQ(loop_remote_free(all[i].remote), 0);
    sem_destroy(&all[i].ran);
  }
}

static void start(int is_embedded) {
  loop = new_loop(0);
  if (is_embedded) embed(loop);
}

TEST(one_thread_posts_to_a_host_asleep) {
  start(1);
  stress(1, host_sleeps_and_runs_once, NULL);
  free_loop(loop);
}

TEST(four_threads_post_to_a_host_asleep) {
  start(1);
  stress(POSTERS, host_sleeps_and_runs_once, NULL);
  free_loop(loop);
}

TEST(four_threads_post_to_a_host_that_gives_a_budget) {
  start(1);
  stress(POSTERS, host_sleeps_and_runs_what_is_ready, NULL);
  free_loop(loop);
}

TEST(one_thread_posts_to_a_loop_asleep) {
  start(0);
  stress(1, loop_sleeps_by_itself, NULL);
  free_loop(loop);
}

TEST(four_threads_post_to_a_loop_asleep) {
  start(0);
  stress(POSTERS, loop_runs_until_it_is_stopped, NULL);
  free_loop(loop);
}

TEST(a_loop_whose_descriptor_was_asked_for_also_sleeps_by_itself) {
  start(1);
  stress(POSTERS, loop_sleeps_by_itself, NULL);
  free_loop(loop);
}

static uint64_t random_of_timers = 99;
static long armed, fired;

static void fire(loop_t *l, void *arg) {
  (void)arg;
  fired++;
  if (check_clock() < end_of_stress || fired <= 20) {
    armed++;
    CHECK(loop_call_later(l, next_random(&random_of_timers) % US(300), fire, NULL) > 0);
  }
}

/* Timers armed in callbacks and between the runs; each is waited for by nothing else. */
static void arm_now_and_then(void) {
  if (next_random(&random_of_timers) % 8 != 0 || armed - fired > 10) return;
  armed++;
  CHECK(loop_call_later(loop, next_random(&random_of_timers) % US(100), fire, NULL) > 0);
}

TEST(timers_are_armed_while_threads_post) {
  start(1);
  armed = fired = 0;
  stress(POSTERS, host_sleeps_and_runs_once, arm_now_and_then);
  while (fired < armed) host_sleeps_and_runs_once();
  CHECK(fired > 20);
  free_loop(loop);
}

static atomic_long host_runs;
static atomic_int wakers_left;
static int (*ask)(loop_t *loop);

/* The next one only after the host was woken by the last one. */
static void *ask_one_by_one(void *arg) {
  uint64_t random = 7, asks = 0;
  (void)arg;
  while (check_clock() < end_of_stress || asks < LEAST) {
    long before = atomic_load(&host_runs);
    CHECK_EQ(ask(loop), 0);
    while (atomic_load(&host_runs) == before) sched_yield();
    pause_for_a_moment(&random);
    asks++;
  }
  CHECK(asks >= LEAST);
  atomic_store(&wakers_left, 0);
  CHECK_EQ(ask(loop), 0);
  return NULL;
}

TEST(loop_wake_and_loop_stop_wake_a_host_asleep) {
  int (*const asks[])(loop_t *) = {loop_wake, loop_stop};
  for (int i = 0; i < 2; i++) {
    start(1);
    ask = asks[i];
    end_of_stress = check_clock() + length_of_stress() / 2;
    atomic_store(&wakers_left, 1);
    pthread_t thread = start_thread(ask_one_by_one, NULL);
    while (atomic_load(&wakers_left) > 0) {
      host_sleeps_and_runs_once();
      atomic_fetch_add(&host_runs, 1);
    }
    join_thread(thread);
    free_loop(loop);
  }
}
