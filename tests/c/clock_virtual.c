/* The virtual clock: with nothing ready and only timers left, a wait does not
 * block but moves the time to the next deadline, exactly. */
#define _GNU_SOURCE 1
#include "journal.h"

#define START MS(5000)
#define MINUTE MS(60000)
#define HOUR (60 * MINUTE)

static loop_t *new_virtual_loop(void) {
  loop_options_t options = {
      .size = sizeof options, .flags = LOOP_VIRTUAL_CLOCK, .virtual_start_ns = START};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  return loop;
}

TEST(time_starts_where_the_options_say) {
  loop_t *loop = new_virtual_loop();
  CHECK_EQ(loop_clock(loop), START);
  CHECK_EQ(loop_now(loop), START);
  free_loop(loop);
}

enum { TIMERS = 2000 };

struct timer {
  uint64_t deadline;
  int number;
};

static struct timer timers[TIMERS];
static struct timer last_fired;
static int fired;

static void check_exact_time(loop_t *loop, void *arg) {
  struct timer *timer = arg;
  CHECK_EQ(loop_now(loop), timer->deadline);
  CHECK_EQ(loop_clock(loop), timer->deadline);
  CHECK(timer->deadline > last_fired.deadline ||
        (timer->deadline == last_fired.deadline && timer->number > last_fired.number));
  last_fired = *timer;
  fired++;
}

TEST(an_hour_of_timers_runs_in_exact_order_at_exact_times) {
  loop_t *loop = new_virtual_loop();
  for (int i = 0; i < TIMERS; i++) {
    /* Whole seconds: many of them are equal. */
    timers[i] = (struct timer){START + MS(1000) * (1 + next_random() % 3600), i};
    CHECK(loop_call_at(loop, timers[i].deadline, check_exact_time, &timers[i]) > 0);
  }
  CHECK(loop_call_later(loop, HOUR, write_letter, "h") > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(fired, TIMERS);
  CHECK_EQ(loop_clock(loop), START + HOUR);
  CHECK_JOURNAL("h");
  free_loop(loop);
}

static uint64_t ticks_seen;

static void check_exact_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)arg;
  CHECK_EQ(ticks, 1);
  ticks_seen++;
  CHECK_EQ(loop_now(loop), START + ticks_seen * MS(1000));
  if (ticks_seen == 3600) CHECK_EQ(loop_stop(loop), 0);
}

TEST(an_hour_of_seconds_misses_no_tick) {
  loop_t *loop = new_virtual_loop();
  CHECK(loop_call_every(loop, MS(1000), MS(1000), LOOP_SKIP_MISSED, check_exact_tick, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(ticks_seen, 3600);
  CHECK_EQ(loop_clock(loop), START + HOUR);
  free_loop(loop);
}

static void chain_seven_seconds(loop_t *loop, void *arg) {
  int link = (int)(intptr_t)arg;
  CHECK_EQ(loop_now(loop), START + (uint64_t)link * MS(7000));
  check_burn(US(50));
  CHECK_EQ(loop_clock(loop), START + (uint64_t)link * MS(7000));
  if (link == 100) return;
  CHECK(loop_call_later(loop, MS(7000), chain_seven_seconds, (void *)(intptr_t)(link + 1)) > 0);
}

TEST(time_stands_still_inside_callbacks_however_long_they_work) {
  loop_t *loop = new_virtual_loop();
  CHECK(loop_call_soon(loop, chain_seven_seconds, (void *)(intptr_t)0) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_clock(loop), START + 100 * MS(7000));
  free_loop(loop);
}

static void count_down(loop_t *loop, void *arg) {
  const char *digit = arg;
  journal_write(*digit);
  CHECK_EQ(loop_clock(loop), START);
  if (*digit != '0') CHECK(loop_call_soon(loop, count_down, (void *)(digit + 1)) > 0);
}

TEST(time_moves_only_when_nothing_is_ready) {
  loop_t *loop = new_virtual_loop();
  int ends[2];
  open_ready_pipe(ends);
  CHECK(loop_call_later(loop, 1, write_letter, "t") > 0);
  CHECK(loop_call_soon(loop, count_down, "210") > 0);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE | LOOP_ONESHOT, write_event, "f") > 0);
  post_from_thread(loop, write_letter, "p", NULL);
  CHECK_EQ(loop_run_once(loop, -1), 3);
  CHECK_JOURNAL("2fp");
  CHECK_EQ(loop_clock(loop), START);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("10t");
  CHECK_EQ(loop_clock(loop), START + 1);
  free_loop(loop);
  close_pair(ends);
}

TEST(a_run_that_must_not_wait_does_not_move_the_time) {
  loop_t *loop = new_virtual_loop();
  CHECK(loop_call_later(loop, 10, write_letter, "t") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(loop_clock(loop), START);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_clock(loop), START + 10);
  CHECK_JOURNAL("t");
  free_loop(loop);
}

static int late_pipe[2];

static void *write_late(void *arg) {
  usleep(5000);
  CHECK_EQ(write(late_pipe[1], arg, 1), 1);
  return NULL;
}

static void drain_write_and_cancel(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  drain_byte(fd);
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
}

TEST(an_active_watcher_is_waited_for_in_real_time) {
  loop_t *loop = new_virtual_loop();
  pthread_t thread;
  CHECK_EQ(pipe(late_pipe), 0);
  CHECK(loop_watch_fd(loop, late_pipe[0], LOOP_READABLE, drain_write_and_cancel, "f") > 0);
  CHECK(loop_call_later(loop, HOUR, write_letter, "t") > 0);
  CHECK_EQ(pthread_create(&thread, NULL, write_late, "x"), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_JOURNAL("ft");
  free_loop(loop);
  close_pair(late_pipe);
}

TEST(paused_and_unrefd_watchers_do_not_hold_the_time) {
  loop_t *loop = new_virtual_loop();
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  loop_handle_t paused = loop_watch_fd(loop, ends[0], LOOP_READABLE, write_event, "!");
  loop_handle_t unrefd = loop_watch_fd(loop, ends[0], LOOP_READABLE, write_event, "!");
  CHECK_EQ(loop_watch_update(loop, paused, 0), 0);
  CHECK_EQ(loop_unref(loop, unrefd), 0);
  CHECK(loop_call_later(loop, HOUR, write_and_stop, "t") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(loop_clock(loop), START + HOUR);
  CHECK_JOURNAL("t");
  free_loop(loop);
  close_pair(ends);
}

TEST(loop_advance_moves_the_time_by_hand) {
  loop_t *loop = new_virtual_loop();
  loop_handle_t timer = loop_call_later(loop, 100, write_letter, "t");
  CHECK_EQ(loop_advance(loop, 40), 0);
  CHECK_EQ(loop_clock(loop), START + 40);
  CHECK_EQ(loop_remaining(loop, timer), 60);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_advance(loop, 100), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_clock(loop), START + 140);
  CHECK_JOURNAL("t");
  free_loop(loop);
}
