/* Law 4: cancel is synchronous and total. After loop_cancel has returned 0 the
 * callback does not run, also when it was already ready in this turn. */
#define _GNU_SOURCE 1
#include "journal.h"

static loop_handle_t victim;
static int pipe_ends[2];
static int other_pipe_ends[2];

static void cancel_victim(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_is_active(loop, victim), 1);
  CHECK_EQ(loop_cancel(loop, victim), 0);
  CHECK_EQ(loop_is_active(loop, victim), 0);
  CHECK_EQ(loop_cancel(loop, victim), LOOP_ESTALE);
}

static void cancel_the_only_other_work(loop_t *loop, void *arg) {
  CHECK_EQ(loop_has_work(loop), 1);
  cancel_victim(loop, arg);
  CHECK_EQ(loop_has_work(loop), 0);
}

static void cancel_victim_on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  cancel_victim(loop, arg);
}

static void cancel_victim_on_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  drain_byte(fd);
  cancel_victim(loop, arg);
}

/* One turn in which the canceller runs and its victim, ready as well, does not. */
static void check_only_the_canceller_runs(loop_t *loop) {
  CHECK(victim > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("c");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("");
}

TEST(a_soon_callback_cancels_a_ready_soon_timer_or_watcher) {
  loop_t *loop = loop_new();
  open_ready_pipe(pipe_ends);
  for (int kind = 0; kind < 4; kind++) {
    CHECK(loop_call_soon(loop, cancel_the_only_other_work, "c") > 0);
    if (kind == 0) victim = loop_call_soon(loop, write_letter, "v");
    if (kind == 1) victim = loop_call_at(loop, 0, write_letter, "v");
    if (kind == 2) victim = loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, write_tick, "v");
    if (kind == 3) victim = loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, write_event, "v");
    check_only_the_canceller_runs(loop);
  }
  free_loop(loop);
  close_pair(pipe_ends);
}

TEST(a_watcher_cancels_a_ready_timer_and_a_ready_watcher_of_the_same_or_another_fd) {
  loop_t *loop = loop_new();
  CHECK_EQ(pipe(pipe_ends), 0);
  loop_handle_t canceller =
      loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, cancel_victim_on_event, "c");
  CHECK(canceller > 0);
  for (int kind = 0; kind < 4; kind++) {
    open_ready_pipe(other_pipe_ends);
    CHECK_EQ(loop_run_once(loop, 0), 0); /* the kernel knows the first pipe before the other one */
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    if (kind == 0) victim = loop_call_at(loop, 0, write_letter, "v");
    if (kind == 1) victim = loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, write_tick, "v");
    if (kind == 2) victim = loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, write_event, "v");
    if (kind == 3) victim = loop_watch_fd(loop, other_pipe_ends[0], LOOP_READABLE, write_event, "v");
    check_only_the_canceller_runs(loop);
    close_pair(other_pipe_ends);
  }
  free_loop(loop);
  close_pair(pipe_ends);
}

TEST(a_timer_cancels_a_ready_timer) {
  loop_t *loop = loop_new();
  CHECK(loop_call_at(loop, 0, cancel_victim, "c") > 0);
  victim = loop_call_at(loop, 0, write_letter, "v");
  check_only_the_canceller_runs(loop);

  CHECK(loop_call_at(loop, 0, cancel_victim, "c") > 0);
  victim = loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, write_tick, "v");
  check_only_the_canceller_runs(loop);

  loop_handle_t every = loop_call_every(loop, 0, MS(60000), LOOP_SKIP_MISSED, cancel_victim_on_tick, "c");
  CHECK(every > 0);
  victim = loop_call_later(loop, 0, write_letter, "v");
  check_only_the_canceller_runs(loop);
  free_loop(loop);
}

static void schedule_victim_and_run_nested(loop_t *loop, void *arg) {
  (void)arg;
  victim = loop_call_soon(loop, write_letter, "v");
  CHECK_EQ(loop_run_once(loop, 0), 1);
}

TEST(a_posted_callback_cancels_a_ready_soon) {
  loop_t *loop = loop_new();
  /* The nested run has both in one batch: the second post, then the victim. */
  post_from_thread(loop, schedule_victim_and_run_nested, NULL, NULL);
  post_from_thread(loop, cancel_victim, "c", NULL);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("c");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
}

TEST(soon_callbacks_are_cancelled_anywhere_in_the_queue) {
  loop_t *loop = loop_new();
  loop_handle_t soon[6];
  for (int i = 0; i < 6; i++) soon[i] = loop_call_soon(loop, write_letter, &"abcdef"[i]);
  CHECK_EQ(loop_cancel(loop, soon[3]), 0);
  CHECK_EQ(loop_cancel(loop, soon[0]), 0);
  CHECK_EQ(loop_cancel(loop, soon[5]), 0);
  CHECK_EQ(loop_cancel(loop, soon[3]), LOOP_ESTALE);
  CHECK(loop_call_soon(loop, write_letter, "g") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("bceg");

  for (int i = 0; i < 6; i++) soon[i] = loop_call_soon(loop, write_letter, "x");
  for (int i = 0; i < 6; i++) CHECK_EQ(loop_cancel(loop, soon[i]), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("");
  free_loop(loop);
}

TEST(a_cancelled_source_of_any_kind_does_not_run_in_a_later_turn) {
  loop_t *loop = loop_new();
  open_ready_pipe(pipe_ends);
  loop_handle_t sources[] = {
      loop_call_soon(loop, write_letter, "s"),
      loop_call_later(loop, 0, write_letter, "l"),
      loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, write_tick, "e"),
      loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, write_event, "f"),
      loop_add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "b"),
  };
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    CHECK_EQ(loop_is_active(loop, sources[i]), 1);
    CHECK_EQ(loop_cancel(loop, sources[i]), 0);
    CHECK_EQ(loop_is_active(loop, sources[i]), 0);
    CHECK_EQ(loop_cancel(loop, sources[i]), LOOP_ESTALE);
  }
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("");
  free_loop(loop);
  close_pair(pipe_ends);
}

enum { MASS = 100000, KEEP_EVERY = 10 };

static loop_handle_t soons[MASS], timers[MASS];
static uint32_t order[MASS];
static int soon_runs, timer_runs, last_soon;
static uint64_t deadlines[MASS];
static uint64_t last_deadline;

static void kept_soon(loop_t *loop, void *arg) {
  int number = (int)(intptr_t)arg;
  (void)loop;
  CHECK_EQ(number % KEEP_EVERY, 0);
  CHECK(number > last_soon);
  last_soon = number;
  soon_runs++;
}

static void kept_timer(loop_t *loop, void *arg) {
  intptr_t number = (intptr_t)arg;
  (void)loop;
  CHECK_EQ(number % KEEP_EVERY, 0);
  CHECK(deadlines[number] >= last_deadline);
  last_deadline = deadlines[number];
  timer_runs++;
}

TEST(a_hundred_thousand_soons_and_timers_are_cancelled_in_random_order) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  last_soon = -1;
  for (intptr_t i = 0; i < MASS; i++) {
    deadlines[i] = next_random() % MS(1000);
    soons[i] = loop_call_soon(loop, kept_soon, (void *)i);
    timers[i] = loop_call_at(loop, deadlines[i], kept_timer, (void *)i);
    CHECK(soons[i] > 0 && timers[i] > 0);
  }
  shuffled_order(order, MASS);
  for (int i = 0; i < MASS; i++) {
    if (order[i] % KEEP_EVERY == 0) continue;
    CHECK_EQ(loop_cancel(loop, soons[order[i]]), 0);
    CHECK_EQ(loop_cancel(loop, timers[order[i]]), 0);
  }
  CHECK_EQ(loop_advance(loop, MS(1000)), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2 * MASS / KEEP_EVERY);
  CHECK_EQ(soon_runs, MASS / KEEP_EVERY);
  CHECK_EQ(timer_runs, MASS / KEEP_EVERY);
  for (int i = 0; i < MASS; i++) {
    CHECK_EQ(loop_cancel(loop, soons[i]), LOOP_ESTALE);
    CHECK_EQ(loop_cancel(loop, timers[i]), LOOP_ESTALE);
  }
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}
