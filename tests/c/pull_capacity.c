/* link: -rdynamic -lpthread */
/* One call of loop_next_events hands out as many descriptors' events as fit, also
 * more than max_events. And max_events is a limit: memory for it is taken as
 * descriptors are watched, and a wait does not fail for want of it. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_allocations.h"

#include <sys/eventfd.h>

enum { MOST = 1 << 16 };

static loop_event_t events[MOST];
static int fds[MOST], counted_runs;

static loop_t *loop_with(uint32_t flags, uint32_t max_events) {
  loop_options_t options = {.size = sizeof options, .flags = flags, .max_events = max_events};
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  return loop;
}

/* As many ready descriptors as there may be, at most `most`. */
static int open_ready(int most) {
  struct rlimit limit;
  int count = 0;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  while (count < most && (fds[count] = eventfd(1, EFD_NONBLOCK)) >= 0) count++;
  for (int spare = 0; count < most && spare < 8; spare++) CHECK_EQ(close(fds[--count]), 0);
  return count;
}

static void close_all(int count) {
  while (count > 0) CHECK_EQ(close(fds[--count]), 0);
}

static void watch_all(loop_t *loop, int count, loop_fd_cb cb) {
  for (int i = 0; i < count; i++) {
    CHECK(loop_watch_fd(loop, fds[i], LOOP_READABLE, cb, &counted_runs) > 0);
  }
}

static void check_batches(int count, uint32_t max_events) {
  loop_t *loop = loop_with(LOOP_PULL, max_events);
  watch_all(loop, count, NULL);
  for (int round = 0; round < 2; round++) {
    CHECK_EQ(loop_next_events(loop, events, MOST, -1), count);
    for (int i = 0; i < count; i++) CHECK_EQ(events[i].kind, LOOP_EVENT_FD);
  }
  int half = count / 2; /* a smaller capacity: the rest is for the next call */
  CHECK_EQ(loop_next_events(loop, events, (size_t)half, -1), half);
  CHECK_EQ(loop_next_events(loop, events, MOST, -1), count - half);
  free_loop(loop);
}

TEST(one_call_hands_out_more_than_max_events) {
  int count = open_ready(40);
  CHECK_EQ(count, 40);
  check_batches(count, 1);
  check_batches(count, 4);
  check_batches(count, 39);
  check_batches(count, 40);
  check_batches(count, 0);
  close_all(count);
}

TEST(ten_thousand_events_took_ten_calls) {
  int count = open_ready(10000);
  CHECK(count > 900);
  check_batches(count, 0);
  close_all(count);
}

TEST(max_events_are_not_allocated_whole) {
  size_t before = heap.live;
  loop_t *loop = loop_with(0, 1 << 20);
  CHECK(heap.live - before < 65536);
  free_loop(loop);
}

TEST(one_turn_takes_max_events_as_far_as_descriptors_are_watched) {
  int count = open_ready(4000);
  loop_t *loop = loop_with(0, 1 << 20);
  watch_all(loop, count, count_event);
  for (int round = 1; round <= 3; round++) CHECK_EQ(loop_run_once(loop, -1), count);
  free_loop(loop);
  close_all(count);
}

/* Memory fails from the moment when the buffer would grow: fewer are told at a time, and all are. */
TEST(a_wait_goes_on_with_the_room_there_is) {
  int count = open_ready(3000);
  for (long refuse = 1; refuse <= 3; refuse++) {
    loop_t *loop = loop_with(LOOP_PULL, 1024);
    watch_all(loop, count, NULL);
    CHECK_EQ(loop_next_events(loop, events, 1, -1), 1); /* (no room is made for 1) */
    while (loop_next_events(loop, events, 1, 0) == 1 && events[0].fd != fds[0]) {
    }
    heap.refused = 0;
    heap.refusals = refuse;
    heap.refuse_at = heap.asked + 1;
    int told = loop_next_events(loop, events, MOST, -1);
    heap.refuse_at = 0;
    CHECK(told > 0 || told == -ENOMEM);
    while (told < count) {
      int more = loop_next_events(loop, events, MOST, -1);
      CHECK(more > 0);
      told += more;
    }
    free_loop(loop);
  }
  close_all(count);
}
