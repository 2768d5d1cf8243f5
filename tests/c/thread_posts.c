/* link: -lpthread */
/* Posting: eight threads at once, through the loop and through remotes, to a
 * loop that runs, to one that is driven by a host, and to one at rest. Every
 * post runs once, those of one thread in the order in which they were made, on
 * the loop's thread. */
#define _GNU_SOURCE 1
#include "host_support.h"

enum { PRODUCERS = 8, POSTS = 20000 };

struct producer {
  int number;
  loop_remote_t *remote; /* used for every other post, if there is one */
  int posts; /* to be made */
  int runs, releases;
};

struct post {
  struct producer *producer;
  int number;
};

static loop_t *loop;
static pthread_t loop_thread;
static struct producer producers[PRODUCERS];
static struct post *posts;
static int producers_left;

static void run_post(loop_t *l, void *arg) {
  struct post *post = arg;
  CHECK(l == loop);
  CHECK(pthread_equal(pthread_self(), loop_thread));
  CHECK(loop_current(l) > 0);
  CHECK_EQ(post->number, post->producer->runs); /* in order, none twice, none left out */
  post->producer->runs++;
}

static void release_post(void *arg) {
  struct post *post = arg;
  CHECK(pthread_equal(pthread_self(), loop_thread));
  CHECK(post->number < post->producer->runs); /* after it has run */
  CHECK_EQ(post->number, post->producer->releases);
  post->producer->releases++;
}

static void producer_has_finished(loop_t *l, void *arg) {
  struct producer *producer = arg;
  CHECK_EQ(producer->runs, producer->posts);
  if (--producers_left == 0) CHECK_EQ(loop_stop(l), 0);
}

static int post(struct producer *to, int i, loop_cb cb, void *arg, loop_release_cb release) {
  if (to->remote != NULL && i % 2 == 1) return loop_remote_call_soon(to->remote, cb, arg, release);
  return loop_call_soon_threadsafe(loop, cb, arg, release);
}

static void *produce(void *arg) {
  struct producer *producer = arg;
  struct post *mine = &posts[producer->number * POSTS];
  for (int i = 0; i < producer->posts; i++) {
    mine[i] = (struct post){producer, i};
    CHECK_EQ(post(producer, i, run_post, &mine[i], release_post), 0);
    if (i % 4000 == 0) usleep(1000); /* so that the loop also sleeps now and then */
  }
  CHECK_EQ(post(producer, 1, producer_has_finished, producer, NULL), 0);
  return NULL;
}

/* Threads that post; they are at it, or have finished, when this returns. */
static void start_producers(pthread_t *threads, int count) {
  loop_thread = pthread_self();
  producers_left = PRODUCERS;
  posts = calloc((size_t)PRODUCERS * POSTS, sizeof *posts);
  CHECK(posts != NULL);
  loop_remote_t *shared = loop_remote_new(loop);
  CHECK(shared != NULL);
  for (int i = 0; i < PRODUCERS; i++) {
    loop_remote_t *remotes[] = {NULL, shared, loop_remote_new(loop)};
    if (i % 3 != 2) CHECK_EQ(loop_remote_free(remotes[2]), 0);
    producers[i] = (struct producer){.number = i, .remote = remotes[i % 3], .posts = count};
    threads[i] = start_thread(produce, &producers[i]);
  }
}

static void join_producers(pthread_t *threads) {
  for (int i = 0; i < PRODUCERS; i++) join_thread(threads[i]);
}

static void check_and_end(void) {
  for (int i = 0; i < PRODUCERS; i++) {
    if (i % 3 == 2 || i == 1) CHECK_EQ(loop_remote_free(producers[i].remote), 0);
  }
  CHECK_EQ(loop_run(loop), 1); /* nothing is left */
  for (int i = 0; i < PRODUCERS; i++) {
    CHECK_EQ(producers[i].runs, producers[i].posts);
    CHECK_EQ(producers[i].releases, producers[i].posts);
  }
  free(posts);
}

TEST(eight_threads_post_to_a_loop_that_runs) {
  pthread_t threads[PRODUCERS];
  loop = new_loop(0);
  start_producers(threads, POSTS);
  CHECK_EQ(loop_run_forever(loop), 0);
  join_producers(threads);
  check_and_end();
  free_loop(loop);
}

TEST(eight_threads_post_to_a_loop_driven_by_a_host) {
  pthread_t threads[PRODUCERS];
  loop = new_loop(0);
  embed(loop);
  start_producers(threads, POSTS);
  while (producers_left > 0) {
    wait_readable(host_fd);
    CHECK(loop_run_ready(loop, US(100)) >= 0);
  }
  join_producers(threads);
  check_and_end();
  check_quiet(loop);
  free_loop(loop);
}

TEST(eight_threads_post_to_a_loop_at_rest) {
  pthread_t threads[PRODUCERS];
  loop = new_loop(0);
  start_producers(threads, POSTS / 10);
  join_producers(threads);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_run_once(loop, -1), PRODUCERS * (POSTS / 10 + 1)); /* all in one turn */
  check_and_end();
  free_loop(loop);
}

/* Law 2: posts come behind descriptors and timers, and what they schedule in the next turn. */
static char order[16];

static void write_letter(loop_t *l, void *letter) {
  (void)l;
  strcat(order, letter);
}

static void write_event(loop_t *l, int fd, uint32_t events, void *letter) {
  (void)fd;
  (void)events;
  write_letter(l, letter);
}

static void post_again(loop_t *l, void *letter) {
  write_letter(l, letter);
  CHECK_EQ(loop_call_soon_threadsafe(l, write_letter, "q", NULL), 0);
  CHECK(loop_call_soon(l, write_letter, "s") > 0);
}

static void *post_from_here(void *arg) {
  (void)arg;
  CHECK_EQ(loop_call_soon_threadsafe(loop, post_again, "p", NULL), 0);
  return NULL;
}

TEST(posts_come_after_descriptors_and_timers_of_the_turn) {
  int fds[2];
  loop = new_loop(0);
  make_pair(fds);
  put_byte(fds[1]);
  order[0] = '\0';
  on_thread(post_from_here, NULL);
  CHECK(loop_call_at(loop, 0, write_letter, "t") > 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, write_event, "f") > 0);
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_EQ(strcmp(order, "aftp"), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(strcmp(order, "aftpsq"), 0);
  close_pair(fds);
  free_loop(loop);
}

TEST(a_post_that_is_refused_takes_nothing) {
  int releases = 0;
  loop = new_loop(0);
  CHECK_EQ(loop_call_soon_threadsafe(NULL, count_run, &releases, count_release), LOOP_ENULL);
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, &releases, count_release), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
  CHECK_EQ(releases, 0);
}
