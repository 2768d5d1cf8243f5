/* link: -lpthread */
/* fork while other threads are at it: posting through the loop and a remote, in
 * the middle of the wake hook, running the loop. The child, which has none of
 * those threads, frees the loop or goes on with it, and never hangs; the parent
 * loses nothing. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { POSTERS = 4, CHILDREN = 100 / CHECK_SLOWDOWN };

static loop_t *loop;
static loop_remote_t *remote;
static int runs;

struct poster {
  pthread_t thread;
  loop_remote_t *remote;
  long posts; /* made */
  long next;  /* to be run */
};

static struct poster posters[POSTERS];
static atomic_int is_burst, is_over;

static atomic_long posts_of_all;

static void run_in_order(loop_t *l, void *arg) {
  struct poster *poster = arg;
  (void)l;
  poster->next++;
}

static void *post_in_bursts(void *arg) {
  struct poster *poster = arg;
  while (!atomic_load(&is_over)) {
    if (!atomic_load(&is_burst)) {
      usleep(20);
      continue;
    }
    int result = poster->remote != NULL
                     ? loop_remote_call_soon(poster->remote, run_in_order, poster, NULL)
                     : loop_call_soon_threadsafe(loop, run_in_order, poster, NULL);
    CHECK_EQ(result, 0);
    poster->posts++;
    atomic_fetch_add(&posts_of_all, 1);
  }
  return NULL;
}

/* Whatever state the posters left it in, the child's own posts, through its own wake-ups,
 * reach it: it sleeps on the descriptor alone. */
static void sleep_until(int count) {
  while (runs < count) {
    wait_readable(host_fd);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
}

static void go_on(void) {
  runs = 0;
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), LOOP_EFORKED);
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  sleep_until(1);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  sleep_until(2);
  CHECK(loop_call_later(loop, US(100), count_run, &runs) > 0);
  sleep_until(3);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), LOOP_ECLOSED);
  CHECK_EQ(runs, 3);
}

static void free_at_once(void) {
  CHECK_EQ(loop_free(loop), 0);
  CHECK(loop_remote_call_soon(remote, count_run, &runs, NULL) < 0);
}

static void wake_host(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

TEST(while_threads_post) {
  static atomic_int hook_calls;
  loop = new_loop(0);
  remote = loop_remote_new(loop);
  embed(loop);
  CHECK_EQ(loop_set_wake_hook(loop, wake_host, &hook_calls), 0);
  memset(posters, 0, sizeof posters);
  atomic_store(&is_over, 0);
  for (int i = 0; i < POSTERS; i++) {
    posters[i].remote = i % 2 == 0 ? remote : NULL;
    posters[i].thread = start_thread(post_in_bursts, &posters[i]);
  }
  for (int i = 0; i < CHILDREN; i++) {
    alarm(60); /* for each child: the threads may get little of the CPU */
    long before = atomic_load(&posts_of_all);
    atomic_store(&is_burst, 1);
    while (atomic_load(&posts_of_all) < before + 100) sched_yield();
    pid_t child = start_child(i % 4 == 0 ? free_at_once : go_on); /* in the midst of a burst */
    atomic_store(&is_burst, 0);
    check_child(child);
    wait_readable(host_fd);
    CHECK(loop_run_once(loop, 0) >= 100);
  }
  atomic_store(&is_over, 1);
  for (int i = 0; i < POSTERS; i++) join_thread(posters[i].thread);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_run(loop), 1);
  for (int i = 0; i < POSTERS; i++) CHECK_EQ(posters[i].next, posters[i].posts);
  free_loop(loop);
}

static sem_t in_hook, leave_hook;

static void slow_hook(void *arg) {
  (void)arg;
  CHECK_EQ(sem_post(&in_hook), 0);
  CHECK_EQ(sem_wait(&leave_hook), 0);
}

static void *post_once(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, arg, NULL), 0);
  return NULL;
}

/* The thread that is in the hook does not exist here, and nobody waits for it. */
static void replace_the_hook(void) {
  atomic_int calls = 0;
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_set_wake_hook(loop, wake_host, &calls), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1); /* the post was made before the fork */
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  CHECK_EQ(loop_free(loop), 0);
}

static void free_with_the_hook(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_free(loop), 0);
}

static void free_without_after_fork(void) { CHECK_EQ(loop_free(loop), 0); }

TEST(while_a_thread_is_in_the_hook) {
  void (*const bodies[])(void) = {replace_the_hook, free_with_the_hook, free_without_after_fork};
  for (int i = 0; i < 3; i++) {
    loop = new_loop(0);
    runs = 0;
    CHECK_EQ(sem_init(&in_hook, 0, 0), 0);
    CHECK_EQ(sem_init(&leave_hook, 0, 0), 0);
    CHECK_EQ(loop_set_wake_hook(loop, slow_hook, NULL), 0);
    pthread_t thread = start_thread(post_once, &runs);
    CHECK_EQ(sem_wait(&in_hook), 0);
    in_child(bodies[i]);
    CHECK_EQ(sem_post(&leave_hook), 0);
    join_thread(thread);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(runs, 1);
    free_loop(loop);
  }
}

static void is_inside(loop_t *l, void *arg) {
  CHECK(l == loop);
  CHECK_EQ(sem_post(arg), 0);
}

static void *run_forever(void *arg) {
  CHECK_EQ(loop_run_forever(loop), 0);
  return arg;
}

/* It is in the middle of a run that nobody will end: refused, but not a crash. */
static void is_refused(void) {
  CHECK_EQ(loop_run_once(loop, 0), LOOP_EFORKED);
  CHECK(loop_after_fork(loop) < 0);
  CHECK(loop_run_once(loop, 0) < 0);
  CHECK(loop_call_soon(loop, count_run, &runs) < 0);
  CHECK(loop_free(loop) <= 0);
}

TEST(while_another_thread_runs_the_loop) {
  sem_t inside;
  CHECK_EQ(sem_init(&inside, 0, 0), 0);
  loop = new_loop(0);
  CHECK(loop_call_soon(loop, is_inside, &inside) > 0);
  pthread_t thread = start_thread(run_forever, NULL);
  CHECK_EQ(sem_wait(&inside), 0); /* it is in a callback, or goes on from there, or waits */
  in_child(is_refused);
  CHECK_EQ(loop_stop(loop), 0);
  join_thread(thread);
  free_loop(loop);
}
