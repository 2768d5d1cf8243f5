/* loop_run_ready: turns that never wait, until nothing is ready or the budget
 * is spent. What a spent budget leaves stays in order and is first next time. */
#define _GNU_SOURCE 1
#include "journal.h"

static void burn_and_write(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  check_burn(MS(2));
}

static void burn_and_write_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  drain_byte(fd);
  burn_and_write(loop, arg);
}

TEST(a_spent_budget_ends_the_call_after_the_callback_that_spent_it) {
  loop_t *loop = loop_new();
  for (int i = 0; i < 6; i++) CHECK(loop_call_soon(loop, burn_and_write, &"abcdef"[i]) > 0);
  CHECK_EQ(loop_run_ready(loop, MS(1)), 1);
  CHECK_JOURNAL("a");
  CHECK_EQ(loop_run_ready(loop, 1), 1);
  CHECK_JOURNAL("b");
  int count = loop_run_ready(loop, MS(3));
  CHECK(count == 1 || count == 2); /* one, if the machine was slow */
  CHECK_EQ(journal_length, count);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 4 - count);
  CHECK_JOURNAL("cdef");
  free_loop(loop);
}

TEST(what_is_left_comes_first_next_time_before_what_came_later) {
  loop_t *loop = loop_new();
  int first[2], second[2];
  open_ready_pipe(first);
  CHECK_EQ(pipe(second), 0);
  CHECK(loop_call_soon(loop, burn_and_write, "a") > 0);
  CHECK(loop_call_soon(loop, burn_and_write, "b") > 0);
  CHECK(loop_watch_fd(loop, first[0], LOOP_READABLE, burn_and_write_event, "f") > 0);
  CHECK(loop_watch_fd(loop, second[0], LOOP_READABLE, burn_and_write_event, "g") > 0);
  CHECK(loop_call_at(loop, 0, burn_and_write, "t") > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, burn_and_write, "p", NULL), 0);
  CHECK_EQ(loop_run_ready(loop, 1), 1);
  CHECK_JOURNAL("a");

  CHECK_EQ(loop_call_soon_threadsafe(loop, burn_and_write, "q", NULL), 0);
  CHECK(loop_call_at(loop, 0, burn_and_write, "u") > 0);
  CHECK_EQ(write(second[1], "x", 1), 1);
  CHECK(loop_call_soon(loop, burn_and_write, "c") > 0);
  CHECK_EQ(loop_run_ready(loop, 1), 1);
  CHECK_JOURNAL("b");
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 7);
  CHECK_JOURNAL("ftpcguq");
  free_loop(loop);
  close_pair(first);
  close_pair(second);
}

static void cancel_handle(loop_t *loop, void *arg) {
  CHECK_EQ(loop_cancel(loop, *(loop_handle_t *)arg), 0);
}

TEST(what_is_left_can_still_be_cancelled) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, burn_and_write, "a") > 0);
  loop_handle_t soon = loop_call_soon(loop, burn_and_write, "s");
  loop_handle_t timer = loop_call_at(loop, 0, burn_and_write, "t");
  CHECK(loop_call_at(loop, 0, burn_and_write, "u") > 0);
  CHECK_EQ(loop_run_ready(loop, 1), 1);
  CHECK_EQ(loop_cancel(loop, soon), 0);
  CHECK_EQ(loop_is_active(loop, timer), 1);
  CHECK_EQ(loop_cancel(loop, timer), 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
  CHECK_JOURNAL("au");
  CHECK_EQ(loop_has_work(loop), 0);

  loop_handle_t victim;
  CHECK(loop_call_soon(loop, burn_and_write, "a") > 0);
  CHECK(loop_call_soon(loop, cancel_handle, &victim) > 0);
  victim = loop_call_soon(loop, write_letter, "v");
  CHECK_EQ(loop_run_ready(loop, 1), 1);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
  CHECK_JOURNAL("a");
  free_loop(loop);
}

static void count_down(loop_t *loop, void *arg) {
  const char *digit = arg;
  journal_write(*digit);
  if (*digit != '0') CHECK(loop_call_soon(loop, count_down, (void *)(digit + 1)) > 0);
}

TEST(turns_go_on_until_nothing_is_ready_and_never_wait) {
  loop_t *loop = loop_new();
  CHECK(loop_call_later(loop, MS(3600000), write_letter, "!") > 0);
  CHECK(loop_call_soon(loop, count_down, "43210") > 0);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 5);
  CHECK_JOURNAL("43210");
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 0);
  free_loop(loop);
}

static void burning_chain(loop_t *loop, void *arg) {
  burn_and_write(loop, arg);
  CHECK(loop_call_soon(loop, burning_chain, arg) > 0);
}

TEST(an_endless_chain_is_ended_by_the_budget) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, burning_chain, "c") > 0);
  int count = loop_run_ready(loop, MS(9));
  CHECK(count >= 1 && count <= 5);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  free_loop(loop);
}
