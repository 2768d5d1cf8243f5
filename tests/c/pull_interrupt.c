/* link: -rdynamic -lpthread */
/* Pull mode: an ON_INTERRUPT hook without a callback is handed out when a signal
 * has interrupted the wait, so that a language runs its own signal handlers. */
#define _GNU_SOURCE 1
#include "host_support.h"
#include "signal_storm.h"

#include "count_allocations.h"

static loop_t *loop;
static loop_event_t events[16];
static int releases;

static void ignore_signal(int number) { (void)number; }

static loop_handle_t add(loop_cb cb, void *arg) {
  loop_handle_t hook = loop_add_hook(loop, LOOP_ON_INTERRUPT, cb, arg);
  CHECK(hook > 0);
  return hook;
}

/* Waits until a signal has interrupted the wait. */
static int wait_for_signal(size_t capacity) {
  storm_begin(ignore_signal);
  int count = loop_next_events(loop, events, capacity, -1);
  storm_end();
  return count;
}

TEST(a_signal_is_handed_out) {
  int arg;
  loop = new_loop(LOOP_PULL);
  loop_handle_t hook = add(NULL, &arg);
  memset(events, 0xaa, sizeof events);
  CHECK_EQ(wait_for_signal(16), 1);
  CHECK_EQ(events[0].kind, LOOP_EVENT_INTERRUPT);
  CHECK_EQ(events[0].handle, hook);
  CHECK(events[0].arg == &arg);
  CHECK_EQ(events[0].fd, -1);
  CHECK_EQ(events[0].events, 0);
  CHECK_EQ(events[0].ticks, 0);
  CHECK_EQ(loop_is_active(loop, hook), 1);
  CHECK_EQ(loop_current(loop), 0);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 0); /* once for a signal */
  CHECK_EQ(wait_for_signal(16), 1);                    /* and again for the next one */
  CHECK_EQ(events[0].handle, hook);
  free_loop(loop);
}

TEST(without_a_hook_a_signal_stays_invisible) {
  loop = new_loop(LOOP_PULL);
  storm_begin(ignore_signal);
  CHECK_EQ(loop_next_events(loop, events, 16, (int64_t)MS(20)), 0);
  storm_end();
  free_loop(loop);
}

TEST(a_signal_comes_before_the_work_that_hooks_make) {
  int late;
  loop = new_loop(LOOP_PULL);
  add(NULL, "first");
  add(NULL, "second");
  CHECK(loop_call_later(loop, HOUR, NULL, &late) > 0);
  CHECK_EQ(wait_for_signal(1), 1); /* what does not fit is for the next call */
  CHECK_EQ(strcmp(events[0].arg, "first"), 0);
  CHECK_EQ(loop_timeout(loop), 0); /* which has something to do */
  CHECK(loop_call_soon(loop, NULL, &late) > 0);
  CHECK_EQ(loop_next_events(loop, events, 16, -1), 1);
  CHECK_EQ(strcmp(events[0].arg, "second"), 0);
  CHECK_EQ(loop_next_events(loop, events, 16, -1), 1);
  CHECK_EQ(events[0].kind, LOOP_EVENT_SOON);
  free_loop(loop);
}

TEST(a_cancel_holds_for_a_hook_that_did_not_fit) {
  loop = new_loop(LOOP_PULL);
  add(NULL, "first");
  loop_handle_t second = add(NULL, &releases), third = add(NULL, "third");
  CHECK_EQ(loop_set_release(loop, second, count_release), 0);
  CHECK_EQ(wait_for_signal(1), 1);
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK_EQ(loop_cancel(loop, second), LOOP_ESTALE);
  CHECK_EQ(loop_set_arg(loop, third, "another"), 0);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 1);
  CHECK_EQ(strcmp(events[0].arg, "another"), 0);
  CHECK_EQ(releases, 1);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 0);
  free_loop(loop);
}

TEST(a_hook_that_is_cancelled_leaves_nothing_to_do) {
  loop = new_loop(LOOP_PULL);
  add(NULL, "first");
  loop_handle_t second = add(NULL, "second");
  CHECK_EQ(wait_for_signal(1), 1);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  free_loop(loop);
}

TEST(hooks_with_a_callback_are_called_beside_it) {
  int runs = 0;
  loop = new_loop(LOOP_PULL);
  add(count_run, &runs);
  loop_handle_t handed = add(NULL, NULL);
  CHECK_EQ(wait_for_signal(16), 1);
  CHECK_EQ(events[0].handle, handed);
  CHECK(runs >= 1);
  free_loop(loop);
}

/* Hooks keep nothing going, also not while their event waits to be handed out. */
TEST(a_hook_that_is_ready_is_no_work) {
  loop = new_loop(LOOP_PULL);
  add(NULL, "first");
  add(NULL, "second");
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(wait_for_signal(1), 1);
  CHECK_EQ(loop_has_work(loop), 0);
  free_loop(loop);
}

/* The first thing that is ever ready needs memory. */
TEST(a_signal_is_not_lost_for_want_of_memory) {
  loop = new_loop(LOOP_PULL);
  loop_handle_t hook = add(NULL, NULL);
  storm_begin(ignore_signal);
  heap.refused = 0;
  heap.refusals = 1000000;
  heap.refuse_at = heap.asked + 1;
  CHECK_EQ(loop_next_events(loop, events, 16, -1), -ENOMEM);
  heap.refuse_at = 0;
  storm_end();
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 1);
  CHECK_EQ(events[0].handle, hook);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 0);
  free_loop(loop);
}
