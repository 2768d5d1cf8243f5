/* Hooks: BEFORE_WAIT and AFTER_WAIT surround every call that asks the kernel,
 * WHEN_IDLE comes before a wait that would block, ON_INTERRUPT after a signal;
 * those of one kind in the order of their making. */
#define _GNU_SOURCE 1
#include "journal.h"
#include "signal_storm.h"

static loop_handle_t add_hook(loop_t *loop, uint32_t when, loop_cb cb, const char *letter) {
  loop_handle_t hook = loop_add_hook(loop, when, cb, (void *)letter);
  CHECK(hook > 0);
  return hook;
}

static void add_hooks(loop_t *loop, loop_cb idle) {
  add_hook(loop, LOOP_AFTER_WAIT, write_letter, "a");
  add_hook(loop, LOOP_WHEN_IDLE, idle, "i");
  add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "b");
  add_hook(loop, LOOP_ON_INTERRUPT, write_letter, "!");
}

static void write_and_wake(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_wake(loop), 0);
}

TEST(the_hooks_of_a_wait_that_blocks_run_before_when_idle_after) {
  loop_t *loop = loop_new();
  add_hooks(loop, write_and_wake);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_JOURNAL("bia");
  free_loop(loop);

  loop = new_loop(LOOP_VIRTUAL_CLOCK);
  add_hooks(loop, write_letter);
  CHECK(loop_call_later(loop, MS(2), write_letter, "t") > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("biat");
  free_loop(loop);
}

TEST(a_wait_that_does_not_block_has_no_idle_hook) {
  loop_t *loop = loop_new();
  add_hooks(loop, write_letter);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("ba");
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 0);
  CHECK_JOURNAL("ba");
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("bas");
  CHECK(loop_call_at(loop, 0, write_letter, "t") > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("bat");
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("ba");
  free_loop(loop);
}

static int idle_calls;

static void stop_after_30_ms(loop_t *loop, void *arg) {
  (void)arg;
  if (idle_calls++ == 0) CHECK(loop_call_later(loop, MS(30), stop_loop, NULL) > 0);
}

TEST(an_idle_hook_does_not_make_the_loop_spin) {
  loop_t *loop = loop_new();
  add_hook(loop, LOOP_WHEN_IDLE, stop_after_30_ms, "");
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK(idle_calls >= 1 && idle_calls <= 3);
  free_loop(loop);
}

TEST(hooks_of_one_kind_run_in_the_order_of_their_making) {
  loop_t *loop = loop_new();
  loop_handle_t first = add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "1");
  add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "2");
  add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "3");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("123");
  CHECK_EQ(loop_cancel(loop, first), 0);
  add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "4");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("234");
  free_loop(loop);
}

static void schedule_once(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
}

TEST(work_made_before_the_wait_keeps_it_from_blocking) {
  loop_t *loop = loop_new();
  add_hook(loop, LOOP_WHEN_IDLE, write_letter, "i");
  add_hook(loop, LOOP_BEFORE_WAIT, schedule_once, "b");
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("bs");
  free_loop(loop);
}

TEST(work_made_when_idle_or_after_the_wait_is_not_left_behind) {
  loop_t *loop = loop_new();
  add_hook(loop, LOOP_WHEN_IDLE, schedule_once, "i");
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_JOURNAL("is");
  add_hook(loop, LOOP_AFTER_WAIT, schedule_once, "a");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("as");
  free_loop(loop);
}

static void arm_timer_once(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  CHECK(loop_call_later(loop, MS(2), write_and_stop, "t") > 0);
}

TEST(a_timer_armed_by_a_hook_ends_the_very_wait_that_follows) {
  const uint32_t kinds[] = {LOOP_BEFORE_WAIT, LOOP_WHEN_IDLE};
  for (int i = 0; i < 2; i++) {
    loop_t *loop = loop_new();
    add_hook(loop, kinds[i], arm_timer_once, "h");
    CHECK_EQ(loop_run_forever(loop), 0);
    CHECK_JOURNAL("ht");
    free_loop(loop);
  }
}

TEST(a_stop_in_a_hook_keeps_the_wait_from_blocking) {
  const uint32_t kinds[] = {LOOP_BEFORE_WAIT, LOOP_WHEN_IDLE};
  for (int i = 0; i < 2; i++) {
    loop_t *loop = loop_new();
    add_hook(loop, kinds[i], write_and_stop, "h");
    CHECK_EQ(loop_run_forever(loop), 0);
    CHECK_JOURNAL("h");
    free_loop(loop);
  }
}

static loop_handle_t victim;

static void cancel_victim(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, victim), 0);
  CHECK_EQ(loop_is_active(loop, victim), 0);
  victim = loop_current(loop); /* itself, the next time */
}

TEST(a_hook_cancels_the_next_one_and_then_itself) {
  for (uint32_t when = LOOP_BEFORE_WAIT; when <= LOOP_WHEN_IDLE; when++) {
    loop_t *loop = new_loop(LOOP_VIRTUAL_CLOCK);
    add_hook(loop, when, cancel_victim, "c");
    victim = add_hook(loop, when, write_letter, "v");
    add_hook(loop, when, write_letter, "w");
    CHECK_EQ(loop_run_once(loop, MS(1)), 0);
    CHECK_JOURNAL("cw");
    CHECK_EQ(loop_run_once(loop, MS(1)), 0);
    CHECK_JOURNAL("cw");
    CHECK_EQ(loop_run_once(loop, MS(1)), 0);
    CHECK_JOURNAL("w");
    free_loop(loop);
  }
}

static uint32_t kind_to_add;

static void add_hook_once(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  add_hook(loop, kind_to_add, write_letter, "n");
}

TEST(a_hook_made_by_a_hook_of_its_kind_runs_from_the_next_time_on) {
  for (kind_to_add = LOOP_BEFORE_WAIT; kind_to_add <= LOOP_WHEN_IDLE; kind_to_add++) {
    loop_t *loop = new_loop(LOOP_VIRTUAL_CLOCK);
    add_hook(loop, kind_to_add, add_hook_once, "1");
    add_hook(loop, kind_to_add, write_letter, "2");
    CHECK_EQ(loop_run_once(loop, MS(1)), 0);
    CHECK_JOURNAL("12");
    CHECK_EQ(loop_run_once(loop, MS(1)), 0);
    CHECK_JOURNAL("2n");
    free_loop(loop);
  }
}

static void ignore_signal(int signal_number) { (void)signal_number; }

static pthread_t runner;
static int interrupts;

static void count_interrupt(loop_t *loop, void *arg) {
  (void)arg;
  CHECK(pthread_equal(pthread_self(), runner));
  CHECK(loop_current(loop) > 0);
  if (++interrupts == 3) CHECK_EQ(loop_stop(loop), 0);
}

TEST(an_interrupt_hook_runs_on_the_loops_thread_after_a_signal) {
  loop_t *loop = loop_new();
  runner = pthread_self();
  add_hook(loop, LOOP_ON_INTERRUPT, count_interrupt, "");
  CHECK_EQ(loop_run_once(loop, MS(2)), 0);
  CHECK_EQ(interrupts, 0);
  storm_begin(ignore_signal);
  CHECK_EQ(loop_run_forever(loop), 0);
  storm_end();
  CHECK(interrupts >= 3);
  free_loop(loop);
}

static void schedule_stop(loop_t *loop, void *arg) {
  if (loop_cancel(loop, loop_current(loop)) == 0) CHECK(loop_call_soon(loop, write_and_stop, arg) > 0);
}

TEST(work_made_by_an_interrupt_hook_runs) {
  loop_t *loop = loop_new();
  add_hook(loop, LOOP_ON_INTERRUPT, schedule_stop, "s");
  storm_begin(ignore_signal);
  CHECK_EQ(loop_run_forever(loop), 0);
  storm_end();
  CHECK_JOURNAL("s");
  free_loop(loop);
}

TEST(unknown_kinds_of_hooks_are_refused) {
  loop_t *loop = loop_new();
  CHECK_EQ(loop_add_hook(loop, 0, write_letter, "!"), -EINVAL);
  CHECK_EQ(loop_add_hook(loop, LOOP_ON_INTERRUPT + 1, write_letter, "!"), -EINVAL);
  CHECK_EQ(loop_add_hook(loop, UINT32_MAX, write_letter, "!"), -EINVAL);
  CHECK_EQ(loop_add_hook(loop, LOOP_BEFORE_WAIT, NULL, "!"), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_run_once(loop, MS(1)), 0);
  CHECK_JOURNAL("");
  free_loop(loop);
}
