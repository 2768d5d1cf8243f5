/* link: -lpthread */
/* What a review found, each with the scenario that showed it: posts that come as the
 * loop looks away, hosts that were never told, runs that go on where they must not. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void count_run(loop_t *loop, void *arg) {
  (void)loop;
  ++*(int *)arg;
}

static void stop_run(loop_t *loop, void *arg) {
  (void)arg;
  loop_stop(loop);
}

/* ---- posts that come while the loop takes posts over */

enum { BURSTS = 20000 / CHECK_SLOWDOWN, IN_A_BURST = 3 };
static atomic_int answered;

static void answer(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  atomic_fetch_add(&answered, 1);
}

/* Posts a burst and waits until all of it has run: a lost post is a hang. */
static void *post_bursts(void *loop) {
  for (int burst = 1; burst <= BURSTS; burst++) {
    for (int i = 0; i < IN_A_BURST; i++) {
      CHECK_EQ(loop_call_soon_threadsafe(loop, answer, NULL, NULL), 0);
    }
    while (atomic_load(&answered) < burst * IN_A_BURST) {
    }
  }
  loop_stop(loop);
  return NULL;
}

TEST(a_post_that_comes_while_posts_are_taken_over_is_not_lost) {
  loop_t *loop = loop_new();
  pthread_t thread;
  alarm(60);
  CHECK_EQ(pthread_create(&thread, NULL, post_bursts, loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  pthread_join(thread, NULL);
  CHECK_EQ(atomic_load(&answered), BURSTS * IN_A_BURST);
  CHECK_EQ(loop_free(loop), 0);
}

static atomic_int flooding;

static void *flood(void *loop) {
  static int ignored;
  while (atomic_load(&flooding)) loop_call_soon_threadsafe(loop, count_run, &ignored, NULL);
  return NULL;
}

TEST(threads_that_post_all_the_time_do_not_keep_the_loop_from_its_timers) {
  loop_t *loop = loop_new();
  pthread_t threads[3];
  alarm(60);
  atomic_store(&flooding, 1);
  CHECK(loop_call_later(loop, MS(20), stop_run, NULL) > 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, flood, loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0); /* or never: see alarm */
  atomic_store(&flooding, 0);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(loop_free(loop), 0);
}

/* ---- a host that sleeps */

static void *post_one(void *loop) {
  static int ignored;
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &ignored, NULL), 0);
  return NULL;
}

TEST(a_stop_that_its_run_used_up_leaves_the_host_within_reach) {
  loop_t *loop = loop_new();
  struct pollfd host = {loop_fd(loop), POLLIN, 0};
  pthread_t thread;
  alarm(60);
  CHECK(loop_call_soon(loop, stop_run, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(poll(&host, 1, 0), 0);
  CHECK_EQ(pthread_create(&thread, NULL, post_one, loop), 0);
  CHECK_EQ(poll(&host, 1, -1), 1);
  pthread_join(thread, NULL);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(poll(&host, 1, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
}

TEST(a_wake_while_the_loop_runs_is_remembered_and_used_up_once) {
  loop_t *loop = loop_new();
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  uint64_t begin = check_clock();
  CHECK_EQ(loop_run_once(loop, MS(5)), 0);
  CHECK(check_clock() - begin >= MS(5));
  CHECK_EQ(loop_free(loop), 0);
}

/* ---- fork inside a callback */

static void fork_and_return(loop_t *loop, void *arg) {
  (void)loop;
  *(pid_t *)arg = fork();
}

TEST(a_child_that_returns_from_its_callback_runs_nothing_more) {
  loop_t *loop = loop_new();
  pid_t child = -1;
  int runs = 0;
  CHECK(loop_call_soon(loop, fork_and_return, &child) > 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  int result = loop_run(loop);
  if (child == 0) _exit(result == LOOP_EFORKED && runs == 0 ? 0 : 1);
  int status;
  CHECK_EQ(result, 1);
  CHECK_EQ(runs, 1);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* ---- limits */

TEST(a_short_wait_needs_no_descriptor_of_its_own) {
  loop_t *loop = loop_new();
  struct rlimit old, none;
  int runs = 0;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  int next = dup(0);
  CHECK(next >= 0);
  close(next);
  none = old;
  none.rlim_cur = (rlim_t)next;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  CHECK(loop_call_later(loop, US(20), count_run, &runs) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  CHECK_EQ(runs, 1);
  CHECK_EQ(loop_free(loop), 0);
}

static void run_again(loop_t *loop, void *arg) {
  int result = loop_run_once(loop, 0);
  if (result < 0) *(int *)arg = result;
}

TEST(a_hook_that_runs_the_loop_ends_at_the_limit) {
  loop_t *loop = loop_new();
  int result = 0;
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, run_again, &result) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(result, LOOP_ELIMIT);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_free(loop), 0);
}

/* ---- the loop's own descriptors are not the user's */

static void never_called(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)events;
  (void)arg;
  CHECK(0);
}

TEST(the_loops_own_descriptors_cannot_be_watched) {
  enum { NUMBERS = 256 };
  int was_open[NUMBERS], own = 0;
  for (int fd = 0; fd < NUMBERS; fd++) was_open[fd] = fcntl(fd, F_GETFD) >= 0;
  loop_t *loop = loop_new();
  loop_fd(loop);
  for (int fd = 0; fd < NUMBERS; fd++) {
    if (was_open[fd] || fcntl(fd, F_GETFD) < 0) continue;
    own++;
    CHECK_EQ(loop_watch_fd(loop, fd, LOOP_READABLE | LOOP_ALWAYS, never_called, NULL), -EBADF);
  }
  CHECK(own >= 3);
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_EQ(loop_free(loop), 0);
}
