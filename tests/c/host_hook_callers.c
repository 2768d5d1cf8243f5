/* link: -lpthread */
/* Several threads inside the wake hook at once, which happens when the loop runs while one of them is
 * still in it: each is -EDEADLK if it replaces the hook or frees the loop there, and none waits for
 * itself. */
#define _GNU_SOURCE 1
#include "host_support.h"

enum { MOST = 20 };

static loop_t *loop;
static pthread_barrier_t inside, leave;
static int runs, refused;

static void hook(void *arg) {
  pthread_barrier_wait(&inside);
  pthread_barrier_wait(&leave);
  int answer = loop_set_wake_hook(loop, NULL, NULL);
  CHECK_EQ(answer, -EDEADLK);
  CHECK_EQ(loop_free(loop), -EDEADLK);
  __atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void *post(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, arg, NULL), 0);
  return NULL;
}

static void all_inside_then_out(int threads) {
  pthread_t thread[MOST];
  loop = new_loop(0);
  runs = refused = 0;
  CHECK_EQ(pthread_barrier_init(&inside, NULL, 2), 0);
  CHECK_EQ(pthread_barrier_init(&leave, NULL, (unsigned)threads + 1), 0);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &refused), 0);
  for (int i = 0; i < threads; i++) {
    thread[i] = start_thread(post, &runs);
    pthread_barrier_wait(&inside);
    CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1); /* which arms it again */
  }
  pthread_barrier_wait(&leave); /* the loop rests by now */
  for (int i = 0; i < threads; i++) join_thread(thread[i]);
  CHECK_EQ(refused, threads);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  free_loop(loop);
  pthread_barrier_destroy(&inside);
  pthread_barrier_destroy(&leave);
}

TEST(each_of_two_threads_in_it_is_refused) { all_inside_then_out(2); }

TEST(each_of_very_many_threads_in_it_is_refused) { all_inside_then_out(MOST); }

/* The same hook leaves at once; the one that replaces it waits for the slow one only. */
static int slow_is_in;

static void slow_hook(void *arg) {
  (void)arg;
  if (__atomic_exchange_n(&slow_is_in, 1, __ATOMIC_SEQ_CST) == 0) usleep(20000);
  __atomic_fetch_add(&refused, 1, __ATOMIC_SEQ_CST);
}

TEST(a_thread_outside_waits_until_all_have_left) {
  loop = new_loop(0);
  runs = refused = slow_is_in = 0;
  CHECK_EQ(loop_set_wake_hook(loop, slow_hook, NULL), 0);
  pthread_t first = start_thread(post, &runs);
  while (!__atomic_load_n(&slow_is_in, __ATOMIC_SEQ_CST)) usleep(100);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
  on_thread(post, &runs);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  CHECK_EQ(__atomic_load_n(&refused, __ATOMIC_SEQ_CST), 2);
  join_thread(first);
  free_loop(loop);
}


/* A child made inside the hook is refused there, and free outside. */
static void forking_hook(void *arg) {
  pid_t *child = arg;
  *child = fork();
  CHECK(*child >= 0);
  if (*child == 0) {
    CHECK_EQ(loop_after_fork(loop), -EDEADLK);
    CHECK_EQ(loop_free(loop), -EDEADLK);
  }
}

TEST(a_child_that_is_forked_inside_it_adopts_the_loop_outside) {
  pid_t child = -1;
  loop = new_loop(0);
  CHECK_EQ(loop_set_wake_hook(loop, forking_hook, &child), 0);
  CHECK_EQ(loop_wake(loop), 0);
  if (child == 0) {
    alarm(60);
    CHECK_EQ(loop_after_fork(loop), 0);
    CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
    CHECK_EQ(loop_free(loop), 0);
    _exit(0);
  }
  check_child(child);
  free_loop(loop);
}
