/* link: -lpthread */
/* What loop_next_events returns tells why the call ended: 0 means that the time
 * is over. A call that ends before, with nothing to hand out, says so with
 * one event of the kind LOOP_EVENT_WOKEN. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static loop_event_t events[4];
static int runs;

static void check_woken(int64_t timeout) {
  memset(events, 0xaa, sizeof events);
  CHECK_EQ(loop_next_events(loop, events, 4, timeout), 1);
  CHECK_EQ(events[0].kind, LOOP_EVENT_WOKEN);
  CHECK_EQ(events[0].handle, 0);
  CHECK(events[0].arg == NULL);
  CHECK_EQ(events[0].fd, -1);
  CHECK_EQ(events[0].events, 0);
  CHECK_EQ(events[0].flags, 0);
  CHECK_EQ(events[0].ticks, 0);
  CHECK_EQ(events[0].result, 0);
  CHECK(events[0].data == NULL);
  CHECK_EQ(events[0].reserved, 0);
  CHECK_EQ(events[1].kind, 0xaaaaaaaa);
}

TEST(nothing_is_handed_out_when_the_time_is_over) {
  loop = new_loop(LOOP_PULL);
  for (int i = 0; i < 3; i++) {
    uint64_t begin = loop_clock(loop);
    CHECK_EQ(loop_next_events(loop, events, 4, (int64_t)MS(2)), 0);
    CHECK(loop_clock(loop) >= begin + MS(2));
    CHECK_EQ(loop_next_events(loop, events, 4, 0), 0);
  }
  free_loop(loop);
}

TEST(a_wake_is_told) {
  loop = new_loop(LOOP_PULL);
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_wake(loop), 0); /* several count as one */
  check_woken(-1);
  CHECK_EQ(loop_wake(loop), 0);
  check_woken((int64_t)HOUR);
  CHECK_EQ(loop_next_events(loop, events, 4, (int64_t)MS(1)), 0); /* used up */
  free_loop(loop);
}

static void *wake_later(void *arg) {
  usleep(2000);
  CHECK_EQ(loop_wake(arg), 0);
  return NULL;
}

TEST(a_wake_from_another_thread_is_told) {
  pthread_t thread;
  loop = new_loop(LOOP_PULL);
  CHECK_EQ(pthread_create(&thread, NULL, wake_later, loop), 0);
  check_woken(-1);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  free_loop(loop);
}

TEST(a_stop_is_told) {
  loop = new_loop(LOOP_PULL);
  CHECK_EQ(loop_stop(loop), 0);
  check_woken(-1);
  free_loop(loop);
}

TEST(callbacks_alone_are_told_before_the_time_is_over) {
  loop = new_loop(LOOP_PULL);
  runs = 0;
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  check_woken(-1);
  CHECK_EQ(runs, 1);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 0); /* there was no time to be over */
  CHECK_EQ(runs, 2);
  free_loop(loop);
}

/* What was left over for this call is gone: it has its whole time. */
TEST(the_rest_of_a_batch_that_is_cancelled_ends_no_wait) {
  int fds[2];
  make_pair(fds);
  put_byte(fds[1]);
  loop = new_loop(LOOP_PULL);
  CHECK(loop_call_soon(loop, NULL, NULL) > 0);
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, NULL);
  CHECK_EQ(loop_next_events(loop, events, 1, -1), 1);
  CHECK_EQ(loop_cancel(loop, watch), 0); /* the rest of the batch */
  uint64_t begin = loop_clock(loop);
  CHECK_EQ(loop_next_events(loop, events, 4, (int64_t)MS(2)), 0);
  CHECK(loop_clock(loop) >= begin + MS(2));
  free_loop(loop);
  close_pair(fds);
}

TEST(a_wake_beside_events_is_not_told) {
  loop = new_loop(LOOP_PULL);
  CHECK(loop_call_soon(loop, NULL, NULL) > 0);
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_next_events(loop, events, 4, -1), 1);
  CHECK_EQ(events[0].kind, LOOP_EVENT_SOON);
  free_loop(loop);
}

/* Nothing is waited for, so nothing ends a wait early. */
TEST(with_a_manual_clock_nothing_is_handed_out_when_nothing_is_ready) {
  loop = new_loop(LOOP_PULL | LOOP_MANUAL_CLOCK);
  CHECK_EQ(loop_next_events(loop, events, 4, -1), 0);
  CHECK_EQ(loop_next_events(loop, events, 4, (int64_t)HOUR), 0);
  free_loop(loop);
}

TEST(with_a_virtual_clock_the_time_is_over_at_once) {
  loop = new_loop(LOOP_PULL | LOOP_VIRTUAL_CLOCK);
  CHECK_EQ(loop_next_events(loop, events, 4, (int64_t)HOUR), 0);
  CHECK_EQ(loop_clock(loop), HOUR);
  CHECK_EQ(loop_wake(loop), 0);
  check_woken((int64_t)HOUR);
  CHECK_EQ(loop_clock(loop), HOUR);
  free_loop(loop);
}
