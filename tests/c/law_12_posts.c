/* link: -lpthread */
/* Law 12, the exceptions: loop_call_soon_threadsafe, loop_wake and loop_stop
 * from any thread, and the last two from a signal handler. No post is lost,
 * each producer's come in order, each is released once. */
#define _GNU_SOURCE 1
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

enum { PRODUCERS = 8, POSTS = 50000 };

struct post {
  int producer, number, releases;
};

static struct post (*posts)[POSTS];
static int next_number[PRODUCERS], posts_run, releases_run;
static loop_t *shared;
static pthread_t loop_thread;

static void on_post(loop_t *loop, void *arg) {
  struct post *post = arg;
  CHECK(pthread_equal(pthread_self(), loop_thread));
  CHECK_EQ(post->number, next_number[post->producer]);
  CHECK_EQ(post->releases, 0);
  next_number[post->producer]++;
  if (++posts_run == PRODUCERS * POSTS) CHECK_EQ(loop_stop(loop), 0);
}

static void on_release(void *arg) {
  struct post *post = arg;
  CHECK(pthread_equal(pthread_self(), loop_thread));
  CHECK_EQ(++post->releases, 1);
  releases_run++;
}

static void *produce(void *arg) {
  struct post *mine = arg;
  for (int i = 0; i < POSTS; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(shared, on_post, &mine[i], on_release), 0);
    if (i % 5000 == 0) usleep(1000); /* so that the loop also sleeps now and then */
  }
  return NULL;
}

TEST(eight_threads_post_and_nothing_is_lost) {
  pthread_t threads[PRODUCERS];
  shared = loop_new();
  loop_thread = pthread_self();
  posts = calloc(PRODUCERS, sizeof *posts);
  CHECK(posts != NULL);
  for (int p = 0; p < PRODUCERS; p++) {
    for (int i = 0; i < POSTS; i++) posts[p][i] = (struct post){p, i, 0};
    CHECK_EQ(pthread_create(&threads[p], NULL, produce, posts[p]), 0);
  }
  CHECK_EQ(loop_run_forever(shared), 0);
  for (int p = 0; p < PRODUCERS; p++) {
    CHECK_EQ(pthread_join(threads[p], NULL), 0);
    CHECK_EQ(next_number[p], POSTS);
  }
  CHECK_EQ(loop_run(shared), 1); /* nothing is left */
  CHECK_EQ(loop_free(shared), 0);
  CHECK_EQ(posts_run, PRODUCERS * POSTS);
  CHECK_EQ(releases_run, PRODUCERS * POSTS);
  free(posts);
}

TEST(posts_that_never_ran_are_released_by_free) {
  struct post never[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
  loop_t *loop = loop_new();
  int before = posts_run;
  loop_thread = pthread_self();
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, on_post, &never[i], on_release), 0);
  }
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(never[i].releases, 1);
  CHECK_EQ(posts_run, before);
}

static void post_again(loop_t *loop, void *arg) {
  int *left = arg;
  CHECK(loop_current(loop) > 0);
  if (--*left > 0) CHECK_EQ(loop_call_soon_threadsafe(loop, post_again, left, NULL), 0);
}

static void *post_from_here(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(shared, post_again, arg, NULL), 0);
  return NULL;
}

static void let_a_thread_post(loop_t *loop, void *arg) {
  pthread_t thread;
  (void)loop;
  CHECK_EQ(pthread_create(&thread, NULL, post_from_here, arg), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(a_post_keeps_loop_run_going) {
  int left = 100;
  shared = loop_new();
  CHECK_EQ(loop_has_work(shared), 0);
  CHECK_EQ(loop_call_soon_threadsafe(shared, post_again, &left, NULL), 0);
  CHECK_EQ(loop_has_work(shared), 1);
  CHECK_EQ(loop_run(shared), 1);
  CHECK_EQ(left, 0);
  left = 100;
  CHECK(loop_call_soon(shared, let_a_thread_post, &left) > 0);
  CHECK_EQ(loop_run(shared), 1);
  CHECK_EQ(left, 0);
  CHECK_EQ(loop_has_work(shared), 0);
  CHECK_EQ(loop_free(shared), 0);
}

static void *wake_later(void *unused) {
  (void)unused;
  usleep(20000);
  CHECK_EQ(loop_wake(shared), 0);
  return NULL;
}

static void *stop_later(void *unused) {
  (void)unused;
  usleep(20000);
  CHECK_EQ(loop_stop(shared), 0);
  return NULL;
}

TEST(a_wake_ends_a_wait) {
  pthread_t thread;
  shared = loop_new();
  uint64_t start = check_clock();
  CHECK_EQ(pthread_create(&thread, NULL, wake_later, NULL), 0);
  CHECK_EQ(loop_run_once(shared, -1), 0);
  CHECK(check_clock() - start >= MS(20));
  CHECK_EQ(pthread_join(thread, NULL), 0);
  for (int i = 0; i < 1000; i++) CHECK_EQ(loop_wake(shared), 0);
  CHECK_EQ(loop_run_once(shared, -1), 0); /* a wake before the wait is not lost */
  start = check_clock();
  CHECK_EQ(loop_run_once(shared, (int64_t)MS(20)), 0);
  CHECK(check_clock() - start >= MS(20)); /* a thousand are one */
  CHECK_EQ(loop_free(shared), 0);
}

TEST(a_stop_from_another_thread_ends_a_sleeping_run) {
  pthread_t thread;
  shared = loop_new();
  for (int round = 0; round < 5; round++) {
    CHECK_EQ(pthread_create(&thread, NULL, stop_later, NULL), 0);
    CHECK_EQ(loop_run_forever(shared), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
  }
  CHECK_EQ(loop_free(shared), 0);
}

static volatile sig_atomic_t signals;

static void wake_in_handler(int number) {
  (void)number;
  signals++;
  loop_wake(shared);
}

static void stop_in_handler(int number) {
  (void)number;
  signals++;
  loop_stop(shared);
}

/* One signal after each of many short delays, so that some come before the
 * wait, some in it, some while the loop decides to sleep. */
static void signal_rounds(void (*handler)(int), int (*run)(loop_t *loop)) {
  struct sigaction action;
  struct sigevent event;
  timer_t timer;
  memset(&action, 0, sizeof action);
  memset(&event, 0, sizeof event);
  action.sa_handler = handler;
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  signals = 0;
  shared = loop_new();
  for (int round = 1; round <= 500; round++) {
    struct itimerspec delay = {{0, 0}, {0, 1 + round * 997 % 150000}};
    CHECK_EQ(timer_settime(timer, 0, &delay, NULL), 0);
    CHECK_EQ(run(shared), 0);
    CHECK_EQ(signals, round); /* not before the signal, and not never */
  }
  CHECK_EQ(timer_delete(timer), 0);
  CHECK_EQ(loop_free(shared), 0);
  action.sa_handler = SIG_DFL;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
}

static int wait_without_limit(loop_t *loop) { return loop_run_once(loop, -1); }

TEST(a_wake_in_a_signal_handler_ends_a_wait) {
  signal_rounds(wake_in_handler, wait_without_limit);
}

TEST(a_stop_in_a_signal_handler_ends_a_run) {
  signal_rounds(stop_in_handler, loop_run_forever);
}
