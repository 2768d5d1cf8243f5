/* link: -lpthread */
/* The wake hook among threads. When the call that replaces it has returned, the
 * old hook runs on no thread and is never called again. And law 14: a host that
 * sleeps until its hook is called, and on nothing else, misses no post. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <semaphore.h>
#include <stdatomic.h>

enum { POSTERS = 4, LEAST = 101 };

static loop_t *loop;
static uint64_t end_of_race;
static atomic_int is_over;

/* A hook's argument, freed as soon as the hook has been replaced. */
struct host {
  int is_alive;
  atomic_long calls;
};

static void hook(void *arg) {
  struct host *host = arg;
  CHECK_EQ(host->is_alive, 1);
  check_burn(US(5));
  atomic_fetch_add(&host->calls, 1);
  CHECK_EQ(host->is_alive, 1);
}

static void nothing(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
}

static void *post_again_and_again(void *arg) {
  uint64_t random = (uint64_t)(intptr_t)arg;
  while (!atomic_load(&is_over)) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, nothing, NULL, NULL), 0);
    check_burn(next_random(&random) % US(20));
  }
  return NULL;
}

static struct host *replace(struct host *old) {
  struct host *new = malloc(sizeof *new);
  CHECK(new != NULL);
  new->is_alive = 1;
  atomic_init(&new->calls, 0);
  CHECK_EQ(loop_set_wake_hook(loop, hook, new), 0);
  if (old != NULL) {
    old->is_alive = 0;
    free(old);
  }
  return new;
}

TEST(a_replaced_hook_is_called_no_more) {
  pthread_t threads[POSTERS];
  struct host *host = NULL;
  long calls = 0;
  uint64_t random = 1;
  loop = new_loop(0);
  atomic_store(&is_over, 0);
  end_of_race = check_clock() + MS(800);
  for (intptr_t i = 0; i < POSTERS; i++) threads[i] = start_thread(post_again_and_again, (void *)i);
  while (check_clock() < end_of_race || calls < 10) { /* so that there was something to race with */
    CHECK(loop_run_ready(loop, US(10)) >= 0); /* from its end on the hook may be called again */
    check_burn(next_random(&random) % US(10));
    if (host != NULL) calls += atomic_load(&host->calls);
    host = replace(host);
  }
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  host->is_alive = 0;
  free(host);
  atomic_store(&is_over, 1);
  for (int i = 0; i < POSTERS; i++) join_thread(threads[i]);
  free_loop(loop);
}

static sem_t hook_begins, hook_may_end;
static atomic_int hook_has_ended;

static void slow_hook(void *arg) {
  (void)arg;
  CHECK_EQ(sem_post(&hook_begins), 0);
  CHECK_EQ(sem_wait(&hook_may_end), 0);
  usleep(20000);
  atomic_store(&hook_has_ended, 1);
}

static void *post_through(void *remote) {
  CHECK_EQ(loop_remote_call_soon(remote, nothing, NULL, NULL), 0);
  return NULL;
}

/* Another thread is in the hook, and begins to leave it, when this returns. */
static pthread_t let_a_thread_call_the_hook(loop_remote_t *remote) {
  CHECK_EQ(loop_set_wake_hook(loop, slow_hook, NULL), 0);
  CHECK_EQ(sem_init(&hook_begins, 0, 0), 0);
  CHECK_EQ(sem_init(&hook_may_end, 0, 0), 0);
  atomic_store(&hook_has_ended, 0);
  pthread_t thread = start_thread(post_through, remote);
  CHECK_EQ(sem_wait(&hook_begins), 0);
  CHECK_EQ(atomic_load(&hook_has_ended), 0);
  CHECK_EQ(sem_post(&hook_may_end), 0);
  return thread;
}

TEST(its_replacement_waits_until_it_has_returned) {
  loop = new_loop(0);
  loop_remote_t *remote = loop_remote_new(loop);
  pthread_t thread = let_a_thread_call_the_hook(remote);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  CHECK_EQ(atomic_load(&hook_has_ended), 1);
  join_thread(thread);
  CHECK_EQ(loop_remote_free(remote), 0);
  free_loop(loop);
}

TEST(so_does_loop_free) {
  loop = new_loop(0);
  loop_remote_t *remote = loop_remote_new(loop);
  pthread_t thread = let_a_thread_call_the_hook(remote);
  free_loop(loop);
  CHECK_EQ(atomic_load(&hook_has_ended), 1);
  join_thread(thread);
  CHECK_EQ(loop_remote_call_soon(remote, nothing, NULL, NULL), LOOP_ECLOSED);
  CHECK_EQ(loop_remote_free(remote), 0);
}

static sem_t host_is_called;

static void call_host(void *arg) {
  (void)arg;
  CHECK_EQ(sem_post(&host_is_called), 0);
}

struct poster {
  uint64_t random;
  sem_t ran;
  long posts, runs;
};

static int posters_left;

static void has_run(loop_t *l, void *arg) {
  struct poster *poster = arg;
  (void)l;
  poster->runs++;
  CHECK_EQ(sem_post(&poster->ran), 0);
}

static void has_finished(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  posters_left--;
}

static void *post_one_by_one(void *arg) {
  struct poster *poster = arg;
  while (check_clock() < end_of_race || poster->posts < LEAST) {
    check_burn(next_random(&poster->random) % US(5));
    CHECK_EQ(loop_call_soon_threadsafe(loop, has_run, poster, NULL), 0);
    poster->posts++;
    CHECK_EQ(sem_wait(&poster->ran), 0);
  }
  CHECK_EQ(loop_call_soon_threadsafe(loop, has_finished, NULL, NULL), 0);
  return NULL;
}

/* It waits for nothing else: neither for the loop's descriptor nor for a time. */
static void a_host_sleeps_until_its_hook_is_called(int posters) {
  static struct poster all[POSTERS];
  pthread_t threads[POSTERS];
  loop = new_loop(0);
  CHECK_EQ(sem_init(&host_is_called, 0, 0), 0);
  CHECK_EQ(loop_set_wake_hook(loop, call_host, NULL), 0);
  end_of_race = check_clock() + MS(700);
  posters_left = posters;
  for (int i = 0; i < posters; i++) {
    all[i] = (struct poster){.random = (uint64_t)i + 1};
    CHECK_EQ(sem_init(&all[i].ran, 0, 0), 0);
    threads[i] = start_thread(post_one_by_one, &all[i]);
  }
  while (posters_left > 0) {
    CHECK_EQ(sem_wait(&host_is_called), 0);
    CHECK(loop_run_ready(loop, UINT64_MAX) >= 0);
  }
  for (int i = 0; i < posters; i++) {
    join_thread(threads[i]);
    CHECK_EQ(all[i].runs, all[i].posts);
    CHECK(all[i].posts >= LEAST);
    sem_destroy(&all[i].ran);
  }
  free_loop(loop);
  sem_destroy(&host_is_called);
}

TEST(one_thread_posts_to_a_host_that_sleeps_until_its_hook_is_called) {
  a_host_sleeps_until_its_hook_is_called(1);
}

TEST(four_threads_post_to_a_host_that_sleeps_until_its_hook_is_called) {
  a_host_sleeps_until_its_hook_is_called(POSTERS);
}
