/* link: -lpthread */
/* Remotes: senders that may outlive their loop. As long as one exists it keeps
 * loop_run going, and the last result is run before loop_run ends. After
 * loop_free they answer LOOP_ECLOSED. Any number of threads may use one. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <stdatomic.h>

static int runs, releases;

static void start(void) { runs = releases = 0; }

static void *work_and_post(void *remote) {
  usleep(5000);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  CHECK_EQ(loop_remote_free(remote), 0);
  return NULL;
}

TEST(a_remote_keeps_loop_run_going_until_it_is_freed) {
  loop_t *loop = new_loop(0);
  start();
  CHECK_EQ(loop_has_work(loop), 0);
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK(remote != NULL);
  CHECK_EQ(loop_has_work(loop), 1);
  pthread_t thread = start_thread(work_and_post, remote);
  CHECK_EQ(loop_run(loop), 1); /* sleeps until the result has come and the remote is gone */
  CHECK_EQ(runs, 1);
  CHECK_EQ(loop_has_work(loop), 0);
  join_thread(thread);
  free_loop(loop);
}

static void *free_later(void *remote) {
  usleep(5000);
  CHECK_EQ(loop_remote_free(remote), 0);
  return NULL;
}

TEST(every_remote_counts_and_the_last_one_freed_ends_the_run) {
  enum { REMOTES = 10 };
  loop_t *loop = new_loop(0);
  pthread_t threads[REMOTES];
  loop_remote_t *last = loop_remote_new(loop);
  for (int i = 0; i < REMOTES; i++) threads[i] = start_thread(free_later, loop_remote_new(loop));
  for (int i = 0; i < REMOTES; i++) join_thread(threads[i]);
  CHECK_EQ(loop_has_work(loop), 1);
  uint64_t begin = check_clock();
  pthread_t thread = start_thread(free_later, last);
  CHECK_EQ(loop_run(loop), 1);
  CHECK(check_clock() - begin >= MS(5));
  join_thread(thread);
  free_loop(loop);
}

static void free_remote(loop_t *loop, void *remote) {
  (void)loop;
  CHECK_EQ(loop_remote_free(remote), 0);
}

TEST(it_may_be_freed_in_a_callback_or_on_the_loops_thread) {
  loop_t *loop = new_loop(0);
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK(loop_call_later(loop, MS(1), free_remote, remote) > 0);
  CHECK_EQ(loop_run(loop), 1);
  remote = loop_remote_new(loop);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

static _Atomic(loop_remote_t *) current;
static atomic_int is_over;

/* Keeps the loop awake, so that it asks again and again whether it may end. */
static void *wake_again_and_again(void *loop) {
  while (!atomic_load(&is_over)) CHECK_EQ(loop_wake(loop), 0);
  return NULL;
}

static void *post_and_free_again_and_again(void *arg) {
  (void)arg;
  while (!atomic_load(&is_over)) {
    loop_remote_t *remote = atomic_exchange(&current, NULL);
    if (remote == NULL) continue;
    CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
    CHECK_EQ(loop_remote_free(remote), 0);
  }
  return NULL;
}

/* The result first, then the remote: a loop that sees no remote sees the result. */
TEST(the_last_result_is_run_before_loop_run_ends) {
  loop_t *loop = new_loop(0);
  uint64_t end = check_clock() + MS(700);
  start();
  atomic_store(&is_over, 0);
  pthread_t waker = start_thread(wake_again_and_again, loop);
  pthread_t poster = start_thread(post_and_free_again_and_again, NULL);
  for (int round = 1; check_clock() < end; round++) {
    atomic_store(&current, loop_remote_new(loop));
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(runs, round);
  }
  atomic_store(&is_over, 1);
  join_thread(waker);
  join_thread(poster);
  free_loop(loop);
}

TEST(posts_are_not_affected_when_their_remote_is_freed) {
  loop_t *loop = new_loop(0);
  start();
  loop_remote_t *remote = loop_remote_new(loop);
  for (int i = 0; i < 10; i++) {
    CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  }
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(runs, 10);
  free_loop(loop);
}

TEST(it_outlives_its_loop) {
  loop_t *loop = new_loop(0);
  start();
  loop_remote_t *remote = loop_remote_new(loop), *other = loop_remote_new(loop);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &releases, count_release), 0);
  free_loop(loop);
  CHECK_EQ(releases, 1); /* released, not run */
  for (int i = 0; i < 1000; i++) {
    CHECK_EQ(loop_remote_call_soon(remote, count_run, &releases, count_release), LOOP_ECLOSED);
    CHECK_EQ(loop_remote_call_soon(other, count_run, &releases, count_release), LOOP_ECLOSED);
  }
  CHECK_EQ(releases, 1); /* what was refused was not taken */
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_remote_call_soon(other, count_run, &releases, NULL), LOOP_ECLOSED);
  CHECK_EQ(loop_remote_free(other), 0);
}

static void free_and_post(loop_t *loop, void *remote) {
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &releases, count_release), 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &releases, count_release), LOOP_ECLOSED);
  CHECK_EQ(releases, 0); /* not before the callback has returned */
}

TEST(a_loop_freed_in_a_callback_is_closed_to_it_at_once) {
  loop_t *loop = new_loop(0);
  start();
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK(loop_call_soon(loop, free_and_post, remote) > 0);
  CHECK_EQ(loop_run(loop), LOOP_ECLOSED);
  CHECK_EQ(releases, 1);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &releases, NULL), LOOP_ECLOSED);
  CHECK_EQ(loop_remote_free(remote), 0);
}

static void post_in_release(void *remote) {
  releases++;
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), LOOP_ECLOSED);
}

TEST(it_is_closed_before_the_first_release_of_loop_free) {
  loop_t *loop = new_loop(0);
  start();
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, remote, post_in_release), 0);
  free_loop(loop);
  CHECK_EQ(releases, 1);
  CHECK_EQ(loop_remote_free(remote), 0);
}

TEST(wrong_calls_are_refused) {
  loop_t *loop = new_loop(0);
  start();
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK(loop_remote_new(NULL) == NULL);
  CHECK_EQ(loop_remote_free(NULL), LOOP_ENULL);
  CHECK_EQ(loop_remote_call_soon(NULL, count_run, &runs, count_release), LOOP_ENULL);
  CHECK_EQ(loop_remote_call_soon(remote, NULL, &runs, count_release), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(runs, 0); /* nothing was taken */
  CHECK_EQ(loop_remote_free(remote), 0);
  free_loop(loop);
}
