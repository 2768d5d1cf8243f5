/* link: -rdynamic -lpthread */
/* Pull mode does not allocate in the steady state: not for a batch, whatever it
 * holds, not for its one-shots, nor for their releases. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_allocations.h"

enum { CAPACITY = 64 };

static loop_t *loop;
static loop_handle_t watch, restarted;
static int runs, releases, fds[2];

/* What a scheduler does all day with sources of every kind, handed out and called. */
static void make_work(void) {
  for (int i = 0; i < 20; i++) {
    CHECK(loop_call_soon(loop, i % 5 == 0 ? count_run : NULL, &runs) > 0);
    CHECK(loop_call_later(loop, 0, i % 5 == 0 ? count_run : NULL, &runs) > 0);
    CHECK_EQ(loop_cancel(loop, loop_call_soon(loop, NULL, NULL)), 0);
    CHECK_EQ(loop_cancel(loop, loop_call_later(loop, HOUR, NULL, NULL)), 0);
  }
  CHECK_EQ(loop_set_release(loop, loop_call_soon(loop, NULL, &releases), count_release), 0);
  CHECK_EQ(loop_set_release(loop, loop_call_later(loop, 0, NULL, &releases), count_release), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, &releases, count_release), 0);
  CHECK_EQ(loop_reschedule(loop, restarted, 0), 0);
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_READABLE | LOOP_ONESHOT), 0);
  put_byte(fds[1]);
}

/* Everything that is ready: 32 one-shots, 3 with a release, the restarted timer, the
 * tick and the byte; and 8 that are called. */
static void one_round(size_t capacity) {
  loop_event_t events[CAPACITY];
  int handed = 0;
  runs = releases = 0;
  make_work();
  CHECK_EQ(loop_advance(loop, MS(1)), 0);
  while (handed < 32 + 3 + 1 + 1 + 1) {
    int count = loop_next_events(loop, events, capacity, 0);
    CHECK(count >= 0);
    for (int i = 0; i < count; i++) {
      handed++;
      if (events[i].kind == LOOP_EVENT_FD) take_byte(events[i].fd);
      if (events[i].handle == restarted) CHECK_EQ(loop_reschedule(loop, restarted, HOUR), 0);
    }
  }
  CHECK_EQ(loop_next_events(loop, events, capacity, 0), 0);
  CHECK_EQ(runs, 8);
  CHECK_EQ(releases, 3);
}

static void check_steady(size_t capacity) {
  loop = new_loop(LOOP_PULL | LOOP_MANUAL_CLOCK);
  make_pair(fds);
  watch = loop_watch_fd(loop, fds[0], 0, NULL, NULL);
  restarted = loop_call_later(loop, HOUR, NULL, NULL);
  loop_handle_t tick = loop_call_every(loop, 0, MS(1), LOOP_SKIP_MISSED, NULL, NULL);
  CHECK(watch > 0 && restarted > 0 && tick > 0);
  heap.calls = 0;
  for (int i = 0; i < 3000; i++) one_round(capacity);
  CHECK(heap.calls > 0); /* it does count */
  heap.calls = 0;
  for (int i = 0; i < 3000; i++) one_round(capacity);
  CHECK_EQ(heap.calls, 0);
  free_loop(loop);
  close_pair(fds);
}

TEST(large_batches_do_not_allocate) { check_steady(CAPACITY); }
TEST(batches_of_three_do_not_allocate) { check_steady(3); }
TEST(batches_of_one_do_not_allocate) { check_steady(1); }
