/* link: -lpthread */
/* Of two sources that are handed out in one batch the first may cancel the
 * second, whose event is void then. loop_is_active tells: it is 1 for what was
 * handed out and still stands, and 0 for what was cancelled, whatever its kind. */
#define _GNU_SOURCE 1
#include "host_support.h"

enum { KINDS = 4 };

static loop_t *loop;
static loop_event_t events[16];
static int fds[2], dealt[KINDS];

static void start(void) {
  loop = new_loop(LOOP_PULL | LOOP_MANUAL_CLOCK);
  make_pair(fds);
  put_byte(fds[1]);
  memset(dealt, 0, sizeof dealt);
}

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

static loop_handle_t make(int kind) {
  switch (kind) {
    case 0: return loop_call_soon(loop, NULL, &dealt[kind]);
    case 1: return loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, &dealt[kind]);
    case 2: return loop_call_at(loop, 0, NULL, &dealt[kind]);
    default: return loop_call_every(loop, 0, 10, LOOP_SKIP_MISSED, NULL, &dealt[kind]);
  }
}

static int is_one_shot(int kind) { return kind == 0 || kind == 2; }

/* As the guide has it. */
static void deal_with(const loop_event_t *event) {
  if (loop_is_active(loop, event->handle) == 1) ++*(int *)event->arg;
}

TEST(what_was_handed_out_is_active_until_the_next_call) {
  loop_handle_t handles[KINDS];
  start();
  for (int kind = 0; kind < KINDS; kind++) {
    handles[kind] = make(kind);
    CHECK_EQ(loop_is_active(loop, handles[kind]), 1);
  }
  CHECK_EQ(loop_next_events(loop, events, 16, 0), KINDS);
  for (int kind = 0; kind < KINDS; kind++) CHECK_EQ(loop_is_active(loop, handles[kind]), 1);
  take_byte(fds[0]);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 0);
  for (int kind = 0; kind < KINDS; kind++) {
    CHECK_EQ(loop_is_active(loop, handles[kind]), !is_one_shot(kind));
  }
  end();
}

/* Each kind cancels each other one that comes after it in the batch. */
TEST(the_first_of_a_batch_cancels_another_one) {
  for (int first = 0; first < KINDS; first++) {
    for (int second = first + 1; second < KINDS; second++) {
      loop_handle_t handles[KINDS];
      start();
      for (int kind = 0; kind < KINDS; kind++) handles[kind] = make(kind);
      CHECK_EQ(loop_set_release(loop, handles[second], count_release), 0);
      CHECK_EQ(loop_next_events(loop, events, 16, 0), KINDS);
      for (int i = 0; i < KINDS; i++) {
        CHECK_EQ(events[i].handle, handles[i]);
        deal_with(&events[i]);
        if (i == first) CHECK_EQ(loop_cancel(loop, handles[second]), 0);
        if (i >= first) CHECK_EQ(loop_is_active(loop, handles[second]), 0);
      }
      for (int kind = 0; kind < KINDS; kind++) {
        CHECK_EQ(dealt[kind], kind != second);
      }
      CHECK(loop_next_events(loop, events, 16, 0) >= 0);
      CHECK_EQ(dealt[second], 1); /* its argument is released, once */
      CHECK_EQ(loop_cancel(loop, handles[second]), LOOP_ESTALE);
      end();
    }
  }
}

/* And one of its own kind. */
TEST(the_first_of_a_batch_cancels_its_twin) {
  for (int kind = 0; kind < KINDS; kind++) {
    start();
    loop_handle_t first = make(kind), second = make(kind);
    CHECK_EQ(loop_set_arg(loop, second, &dealt[(kind + 1) % KINDS]), 0);
    CHECK_EQ(loop_next_events(loop, events, 16, 0), 2);
    CHECK_EQ(events[0].handle, first);
    deal_with(&events[0]);
    CHECK_EQ(loop_cancel(loop, second), 0);
    deal_with(&events[1]);
    CHECK_EQ(dealt[kind], 1);
    CHECK_EQ(dealt[(kind + 1) % KINDS], 0);
    CHECK_EQ(loop_is_active(loop, first), 1);
    end();
  }
}

TEST(a_timer_that_is_cancelled_and_armed_again_is_active) {
  start();
  loop_handle_t timer = make(2);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 1);
  CHECK_EQ(loop_cancel(loop, timer), 0);
  CHECK_EQ(loop_is_active(loop, timer), 0);
  CHECK_EQ(loop_reschedule(loop, timer, 5), 0);
  CHECK_EQ(loop_is_active(loop, timer), 1);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 0);
  CHECK_EQ(loop_is_active(loop, timer), 1);
  CHECK_EQ(loop_advance(loop, 5), 0);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 1);
  CHECK_EQ(events[0].handle, timer);
  end();
}

/* An event of a timer that another one of the batch has put off: the time that is left tells. */
TEST(a_timer_that_is_put_off_by_another_one_has_time_left) {
  start();
  loop_handle_t first = make(2), second = make(2);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 2);
  CHECK_EQ(loop_remaining(loop, first), 0);
  CHECK_EQ(loop_reschedule(loop, second, 7), 0);
  CHECK_EQ(loop_remaining(loop, second), 7);
  end();
}

/* Only in the batch: what is called as usual is not active inside its callback. */
static void ask_itself(loop_t *here, void *arg) {
  CHECK_EQ(loop_is_active(here, loop_current(here)), 0);
  count_run(here, arg);
}

TEST(a_callback_in_pull_mode_is_not_active_while_it_runs) {
  start();
  CHECK(loop_call_soon(loop, ask_itself, &dealt[0]) > 0);
  CHECK(loop_call_at(loop, 0, ask_itself, &dealt[0]) > 0);
  while (dealt[0] < 2) CHECK_EQ(loop_next_events(loop, events, 16, 0), 0);
  end();
}
