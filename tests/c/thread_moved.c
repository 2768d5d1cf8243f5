/* link: -lpthread */
/* A loop at rest belongs to nobody: it is moved between threads a thousand
 * times, with all its sources, its descriptor for hosts and its hook, and each
 * thread may run it while it has it. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <semaphore.h>

enum { THREADS = 4, MOVES = 1000 };

/* What goes from thread to thread. */
static struct {
  loop_t *loop;
  loop_handle_t watch, restarted;
  int fds[2];
  int moves, is_pull;
  int soons, timers, posts, events, ticks, hook_calls;
} moved;

static sem_t turns[THREADS];

static void read_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  take_byte(fd);
  count_run(loop, arg);
}

static void count_hook(void *arg) { ++*(int *)arg; }

/* In a pull loop all that has no callback is handed out: counted where it belongs. */
static int run_pulled(void) {
  loop_event_t events[16];
  int count = loop_next_events(moved.loop, events, 16, (int64_t)MS(1));
  CHECK(count >= 0);
  for (int i = 0; i < count; i++) {
    if (events[i].kind == LOOP_EVENT_WOKEN) continue;
    if (events[i].kind == LOOP_EVENT_FD) take_byte(events[i].fd);
    ++*(int *)events[i].arg;
  }
  return count;
}

static void run_a_little(void) {
  switch (moved.is_pull ? 3 : moved.moves % 3) {
    case 0: CHECK(loop_run_once(moved.loop, (int64_t)MS(1)) >= 0); break;
    case 1:
      wait_readable(host_fd);
      CHECK(loop_run_ready(moved.loop, UINT64_MAX) >= 0);
      break;
    case 2: CHECK(loop_run_once(moved.loop, -1) >= 0); break;
    default: run_pulled();
  }
}

static void run_until_all_have_run(int wanted) {
  while (moved.soons < wanted || moved.timers < wanted || moved.posts < wanted || moved.events < wanted) {
    run_a_little();
  }
}

/* Everything that a thread does with the loop while it has it. */
static void use_the_loop(void) {
  loop_t *loop = moved.loop;
  loop_cb cb = moved.is_pull ? NULL : count_run;
  CHECK_EQ(loop_in_thread(loop), 1);
  CHECK_EQ(loop_is_running(loop), 0);
  moved.moves++;
  CHECK(loop_call_soon(loop, cb, &moved.soons) > 0);
  CHECK(loop_call_later(loop, US(20), cb, &moved.timers) > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, cb, &moved.posts, NULL), 0);
  CHECK_EQ(loop_reschedule(loop, moved.restarted, HOUR), 0);
  CHECK_EQ(loop_watch_update(loop, moved.watch, 0), 0);
  CHECK_EQ(loop_watch_update(loop, moved.watch, LOOP_READABLE), 0);
  put_byte(moved.fds[1]);
  /* Every fourth time the rest goes on with the next thread. */
  run_until_all_have_run(moved.moves % 4 == 0 ? moved.moves - 1 : moved.moves);
}

static void *take_turns(void *arg) {
  int number = (int)(intptr_t)arg;
  for (;;) {
    CHECK_EQ(sem_wait(&turns[number]), 0);
    int is_over = moved.moves == MOVES;
    if (!is_over) use_the_loop();
    CHECK_EQ(sem_post(&turns[(number + 1) % THREADS]), 0);
    if (is_over) return NULL;
  }
}

static void *make_it_here(void *arg) {
  loop_fd_cb on_event = read_event;
  uint32_t flags = *(uint32_t *)arg;
  memset(&moved, 0, sizeof moved);
  moved.is_pull = flags == LOOP_PULL;
  if (moved.is_pull) on_event = NULL;
  moved.loop = new_loop(flags);
  embed(moved.loop);
  make_pair(moved.fds);
  moved.watch = loop_watch_fd(moved.loop, moved.fds[0], LOOP_READABLE, on_event, &moved.events);
  moved.restarted = loop_call_later(moved.loop, HOUR, count_run, &moved.timers);
  CHECK(moved.watch > 0 && moved.restarted > 0);
  CHECK(loop_call_every(moved.loop, 0, US(500), LOOP_SKIP_MISSED, count_tick, &moved.ticks) > 0);
  if (!moved.is_pull) CHECK_EQ(loop_set_wake_hook(moved.loop, count_hook, &moved.hook_calls), 0);
  return NULL;
}

static void move_a_thousand_times(uint32_t flags) {
  pthread_t threads[THREADS];
  on_thread(make_it_here, &flags); /* on a thread that is gone */
  for (intptr_t i = 0; i < THREADS; i++) {
    CHECK_EQ(sem_init(&turns[i], 0, 0), 0);
    threads[i] = start_thread(take_turns, (void *)i);
  }
  CHECK_EQ(sem_post(&turns[0]), 0);
  for (int i = 0; i < THREADS; i++) {
    join_thread(threads[i]);
    sem_destroy(&turns[i]);
  }
  CHECK_EQ(moved.moves, MOVES);
  CHECK_EQ(loop_cancel(moved.loop, moved.restarted), 0);
  run_until_all_have_run(MOVES);
  CHECK_EQ(moved.soons, MOVES);
  CHECK_EQ(moved.timers, MOVES);
  CHECK_EQ(moved.posts, MOVES);
  CHECK_EQ(moved.events, MOVES);
  CHECK(moved.ticks > 10);
  CHECK(moved.is_pull || moved.hook_calls > 10);
  free_loop(moved.loop); /* by a thread that did not make it */
  close_pair(moved.fds);
}

TEST(a_loop_moves_between_threads_a_thousand_times) { move_a_thousand_times(0); }
TEST(so_does_a_loop_without_timer_slack) { move_a_thousand_times(LOOP_TIMER_SLACK); }
TEST(so_does_a_loop_in_pull_mode) { move_a_thousand_times(LOOP_PULL); }
