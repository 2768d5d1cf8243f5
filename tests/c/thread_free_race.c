/* link: -lpthread */
/* loop_free races with eight threads that post through remotes: each gets
 * LOOP_ECLOSED from some moment on. The release function of every post that was
 * accepted is called exactly once, whether it ran or not; of no refused one. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <stdatomic.h>

enum { THREADS = 8, POSTS = 2000 };

struct post {
  int runs, releases; /* touched on the loop's thread alone */
};

struct sender {
  loop_remote_t *remote;
  int owns_remote;
  struct post posts[POSTS];
  int accepted;
  int end; /* what the last post was answered */
};

static loop_t *loop;
static struct sender senders[THREADS];
static atomic_int accepted_in_all;
static int is_loop_freed, runs_after_free;
static pthread_t loop_thread;

static void run_post(loop_t *l, void *arg) {
  struct post *post = arg;
  CHECK(l == loop);
  CHECK(pthread_equal(pthread_self(), loop_thread));
  runs_after_free += is_loop_freed;
  CHECK_EQ(post->releases, 0);
  CHECK_EQ(++post->runs, 1);
}

static void release_post(void *arg) {
  struct post *post = arg;
  CHECK(pthread_equal(pthread_self(), loop_thread));
  CHECK_EQ(++post->releases, 1);
}

static void *post_until_closed(void *arg) {
  struct sender *sender = arg;
  do {
    struct post *post = &sender->posts[sender->accepted];
    sender->end = loop_remote_call_soon(sender->remote, run_post, post, release_post);
    if (sender->end == 0) {
      sender->accepted++;
      atomic_fetch_add(&accepted_in_all, 1);
    }
    if (sender->accepted > POSTS / 2) usleep(20); /* there shall be posts left for the end */
  } while (sender->end == 0 && sender->accepted < POSTS);
  if (sender->owns_remote) CHECK_EQ(loop_remote_free(sender->remote), 0);
  return NULL;
}

/* Four threads share a remote, four have one each. */
static loop_remote_t *start_senders(pthread_t *threads) {
  loop_remote_t *shared = loop_remote_new(loop);
  loop_thread = pthread_self();
  is_loop_freed = runs_after_free = 0;
  atomic_store(&accepted_in_all, 0);
  memset(senders, 0, sizeof senders);
  for (int i = 0; i < THREADS; i++) {
    senders[i].owns_remote = i % 2;
    senders[i].remote = i % 2 == 0 ? shared : loop_remote_new(loop);
    CHECK(senders[i].remote != NULL);
    threads[i] = start_thread(post_until_closed, &senders[i]);
  }
  return shared;
}

static int closed_in_time; /* threads that were refused before they ran out of posts */

static void check_senders(pthread_t *threads, loop_remote_t *shared) {
  for (int i = 0; i < THREADS; i++) {
    struct sender *sender = &senders[i];
    join_thread(threads[i]);
    closed_in_time += sender->end == LOOP_ECLOSED;
    if (sender->accepted < POSTS) CHECK_EQ(sender->end, LOOP_ECLOSED);
    for (int p = 0; p < POSTS; p++) {
      CHECK_EQ(sender->posts[p].releases, p < sender->accepted);
      CHECK(sender->posts[p].runs <= sender->posts[p].releases);
      if (p > 0) CHECK(sender->posts[p].runs <= sender->posts[p - 1].runs); /* in order */
    }
  }
  CHECK_EQ(runs_after_free, 0);
  CHECK_EQ(loop_remote_call_soon(shared, run_post, NULL, release_post), LOOP_ECLOSED);
  CHECK_EQ(loop_remote_free(shared), 0);
}

static void free_now(void) {
  CHECK_EQ(loop_free(loop), 0);
  is_loop_freed = 1;
}

static void free_in_a_callback(loop_t *l, void *arg) {
  (void)arg;
  CHECK(l == loop);
  free_now();
  check_burn(US(20)); /* more posts are refused meanwhile, and none runs */
}

/* At rest, with some of the posts run before. */
static void run_and_free(int wanted) {
  while (atomic_load(&accepted_in_all) < wanted) CHECK(loop_run_once(loop, 0) >= 0);
  free_now();
}

static void free_without_a_run(int wanted) {
  while (atomic_load(&accepted_in_all) < wanted) check_burn(US(1));
  free_now();
}

static void free_inside_the_run(int wanted) {
  while (atomic_load(&accepted_in_all) < wanted) CHECK(loop_run_once(loop, 0) >= 0);
  CHECK(loop_call_soon(loop, free_in_a_callback, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
}

static void free_inside_a_sleeping_run(int wanted) {
  CHECK(loop_call_later(loop, US(1) * (uint64_t)wanted, free_in_a_callback, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
}

static void call_host(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

/* The loop is freed after `wanted` posts or so, each time a few more. */
static void race(void (*end_of_loop)(int wanted), int is_embedded) {
  pthread_t threads[THREADS];
  atomic_int hook_calls = 0;
  uint64_t end = check_clock() + MS(400);
  closed_in_time = 0;
  for (int round = 0; round < 3 || check_clock() < end || closed_in_time == 0; round++) {
    loop = new_loop(0);
    if (is_embedded) {
      embed(loop);
      CHECK_EQ(loop_set_wake_hook(loop, call_host, &hook_calls), 0);
    }
    loop_remote_t *shared = start_senders(threads);
    end_of_loop(1 + round * 37 % 1500);
    check_senders(threads, shared);
  }
}

TEST(freed_at_rest_before_any_post_has_run) { race(free_without_a_run, 0); }
TEST(freed_at_rest_after_some_posts_have_run) { race(run_and_free, 0); }
TEST(freed_at_rest_with_a_host_and_its_hook) { race(free_without_a_run, 1); }
TEST(freed_between_the_runs_of_a_host_with_its_hook) { race(run_and_free, 1); }
TEST(freed_inside_a_callback) { race(free_inside_the_run, 0); }
TEST(freed_inside_a_callback_of_a_loop_that_sleeps) { race(free_inside_a_sleeping_run, 0); }
TEST(freed_inside_a_callback_of_an_embedded_loop) { race(free_inside_the_run, 1); }
