/* Law 1: one callback at a time, on the thread that runs the loop, whichever
 * thread made the loop and however many threads post to it. */
#define _GNU_SOURCE 1
#include <stdatomic.h>

#include "journal.h"

enum { POSTERS = 4, POSTS = 5000 };

static pthread_t runner;
static atomic_int callbacks_inside;

static void enter_callback(void) {
  CHECK(pthread_equal(pthread_self(), runner));
  CHECK_EQ(atomic_fetch_add(&callbacks_inside, 1), 0);
}

static void leave_callback(void) { CHECK_EQ(atomic_fetch_sub(&callbacks_inside, 1), 1); }

static void alone(loop_t *loop, void *arg) {
  enter_callback();
  write_letter(loop, arg);
  leave_callback();
}

static void alone_tick(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  alone(loop, arg);
}

static void alone_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  drain_byte(fd);
  alone(loop, arg);
}

static void alone_release(void *arg) { alone(NULL, arg); }

static void *run_one_turn(void *loop) {
  runner = pthread_self();
  CHECK_EQ(loop_run_once(loop, 0), 5);
  return NULL;
}

TEST(every_kind_of_callback_runs_on_the_running_thread_not_the_makers) {
  loop_t *loop = loop_new();
  int ends[2];
  open_ready_pipe(ends);
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, alone, "b") > 0);
  CHECK(loop_add_hook(loop, LOOP_AFTER_WAIT, alone, "a") > 0);
  loop_handle_t soon = loop_call_soon(loop, alone, "s");
  CHECK(soon > 0);
  CHECK_EQ(loop_set_release(loop, soon, alone_release), 0);
  loop_handle_t watch = loop_watch_fd(loop, ends[0], LOOP_READABLE, alone_event, "f");
  CHECK(watch > 0);
  CHECK(loop_call_at(loop, 0, alone, "t") > 0);
  CHECK(loop_call_every(loop, 0, MS(1000), LOOP_SKIP_MISSED, alone_tick, "e") > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, alone, "p", NULL), 0);

  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, run_one_turn, loop), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_JOURNAL("basfteps");
  CHECK_EQ(loop_cancel(loop, watch), 0);
  free_loop(loop);
  close_pair(ends);
}

/* A poster's callbacks carry their number; each poster's arrive in its order. */
struct ticket {
  int poster;
  int number;
};

static loop_t *shared_loop;
static struct ticket tickets[POSTERS][POSTS];
static int next_number[POSTERS];
static int posts_run;
static int other_callbacks_run;

static void take_ticket(loop_t *loop, void *arg) {
  struct ticket *ticket = arg;
  enter_callback();
  CHECK_EQ(ticket->number, next_number[ticket->poster]);
  next_number[ticket->poster]++;
  if (++posts_run == POSTERS * POSTS) CHECK_EQ(loop_stop(loop), 0);
  leave_callback();
}

static void *post_tickets(void *arg) {
  struct ticket *mine = arg;
  for (int i = 0; i < POSTS; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(shared_loop, take_ticket, &mine[i], NULL), 0);
  }
  return NULL;
}

static void busy_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)loop;
  (void)ticks;
  (void)arg;
  enter_callback();
  other_callbacks_run++;
  leave_callback();
}

static void busy_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  busy_tick(loop, events, arg);
}

static void busy_chain(loop_t *loop, void *arg) {
  busy_tick(loop, 1, arg);
  CHECK(loop_call_soon(loop, busy_chain, NULL) > 0);
}

TEST(four_posting_threads_and_every_other_source_still_run_one_at_a_time) {
  loop_t *loop = shared_loop = loop_new();
  int ends[2];
  open_ready_pipe(ends);
  runner = pthread_self();
  CHECK(loop_call_soon(loop, busy_chain, NULL) > 0);
  CHECK(loop_call_every(loop, 0, US(100), LOOP_SKIP_MISSED, busy_tick, NULL) > 0);
  loop_handle_t watch = loop_watch_fd(loop, ends[0], LOOP_READABLE, busy_event, NULL);
  CHECK(watch > 0);

  pthread_t threads[POSTERS];
  for (int poster = 0; poster < POSTERS; poster++) {
    for (int i = 0; i < POSTS; i++) tickets[poster][i] = (struct ticket){poster, i};
    CHECK_EQ(pthread_create(&threads[poster], NULL, post_tickets, tickets[poster]), 0);
  }
  CHECK_EQ(loop_run_forever(loop), 0);
  for (int poster = 0; poster < POSTERS; poster++) {
    CHECK_EQ(pthread_join(threads[poster], NULL), 0);
    CHECK_EQ(next_number[poster], POSTS);
  }
  CHECK_EQ(posts_run, POSTERS * POSTS);
  CHECK(other_callbacks_run > 0);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  free_loop(loop);
  close_pair(ends);
}

static void *post_and_run_nothing(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(shared_loop, alone, arg, alone_release), 0);
  CHECK_EQ(loop_wake(shared_loop), 0);
  return NULL;
}

TEST(a_post_runs_nothing_on_the_posting_thread) {
  loop_t *loop = shared_loop = loop_new();
  pthread_t threads[POSTERS];
  runner = pthread_self();
  for (int i = 0; i < POSTERS; i++) {
    CHECK_EQ(pthread_create(&threads[i], NULL, post_and_run_nothing, "p"), 0);
  }
  for (int i = 0; i < POSTERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, 0), POSTERS);
  CHECK_JOURNAL("pppppppp");
  free_loop(loop);
}
