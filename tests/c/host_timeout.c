/* link: -lpthread */
/* loop_timeout speaks the truth: 0 when something is ready now, else the time
 * until the next timer, LOOP_NEVER without one; descriptors are not in it. And
 * what it says fits what loop_fd says. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>

static int runs;

/* The time until a timer that is to be due at `when`, as far as that can be said. */
static void check_until(loop_t *loop, uint64_t when) {
  uint64_t before = check_clock();
  int64_t said = loop_timeout(loop);
  uint64_t after = check_clock();
  CHECK(said >= 0);
  CHECK((uint64_t)said <= (when > before ? when - before : 0));
  CHECK((uint64_t)said >= (when > after ? when - after : 0));
}

TEST(never_without_a_timer) {
  loop_t *loop = new_loop(0);
  int fds[2];
  make_pair(fds);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  CHECK(loop_call_at(loop, UINT64_MAX, count_run, &runs) > 0);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  put_byte(fds[1]);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs) > 0);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER); /* that is for loop_fd to say */
  embed(loop);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, count_run, &runs) > 0);
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  CHECK_EQ(loop_remote_free(remote), 0);
  close_pair(fds);
  free_loop(loop);
}

TEST(the_time_until_the_next_timer) {
  loop_t *loop = new_loop(0);
  uint64_t now = check_clock();
  uint64_t whens[] = {now + MS(5000), now + HOUR, now + MS(70), now + 100 * HOUR, now + MS(71)};
  loop_handle_t timers[5];
  for (int i = 0; i < 5; i++) {
    timers[i] = loop_call_at(loop, whens[i], count_run, &runs);
    CHECK(timers[i] > 0);
    check_until(loop, whens[i == 0 || i == 1 ? 0 : 2]);
  }
  CHECK_EQ(loop_cancel(loop, timers[2]), 0);
  check_until(loop, whens[4]);
  CHECK_EQ(loop_reschedule_at(loop, timers[4], now + 2 * HOUR), 0);
  check_until(loop, whens[0]);
  CHECK_EQ(loop_reschedule_at(loop, timers[3], now + MS(300)), 0);
  check_until(loop, now + MS(300));
  for (int i = 0; i < 5; i++) loop_cancel(loop, timers[i]);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  free_loop(loop);
}

TEST(a_host_that_sleeps_by_it_is_neither_early_nor_woken_for_nothing) {
  loop_t *loop = new_loop(0);
  for (uint64_t i = 1; i <= 20; i++) {
    uint64_t due = check_clock() + i * US(173);
    runs = 0;
    CHECK(loop_call_at(loop, due, count_run, &runs) > 0);
    int sleeps = 0;
    while (runs == 0) {
      int64_t ns = loop_timeout(loop);
      struct timespec rest = {ns / NS_PER_SEC, ns % NS_PER_SEC};
      nanosleep(&rest, NULL);
      sleeps++;
      CHECK(loop_run_once(loop, 0) >= 0);
    }
    CHECK(check_clock() >= due);
    CHECK(sleeps <= 3);
  }
  free_loop(loop);
}

/* Something is ready now: 0, the descriptor says the same, and one run is enough. */
static void check_now(loop_t *loop, int expected_runs) {
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), expected_runs);
  CHECK(loop_timeout(loop) != 0);
  check_quiet(loop);
}

TEST(zero_when_something_is_ready_now) {
  loop_t *loop = new_loop(0);
  embed(loop);
  loop_handle_t far = loop_call_later(loop, HOUR, count_run, &runs);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  check_now(loop, 1);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  check_now(loop, 1);
  CHECK(loop_call_later(loop, 0, count_run, &runs) > 0);
  check_now(loop, 1);
  CHECK(loop_call_at(loop, 0, count_run, &runs) > 0);
  check_now(loop, 1);
  CHECK(loop_call_at(loop, check_clock() - MS(1), count_run, &runs) > 0);
  check_now(loop, 1);
  CHECK_EQ(loop_wake(loop), 0);
  check_now(loop, 0);
  CHECK_EQ(loop_stop(loop), 0);
  check_now(loop, 0);
  CHECK_EQ(loop_reschedule(loop, far, 0), 0);
  check_now(loop, 1);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  free_loop(loop);
}

TEST(zero_while_work_is_left_over) {
  loop_t *loop = new_loop(0);
  embed(loop);
  for (int i = 0; i < 3; i++) CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(loop_timeout(loop), 0);
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_run_ready(loop, 0), 1);
  }
  check_quiet(loop);
  free_loop(loop);
}

TEST(zero_while_a_descriptor_is_always_ready) {
  loop_t *loop = new_loop(0);
  embed(loop);
  int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  loop_handle_t watch = loop_watch_fd(loop, file, LOOP_READABLE | LOOP_ALWAYS, count_event, &runs);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  check_quiet(loop);
  close(file);
  free_loop(loop);
}

static int64_t said_inside, said_after_soon;

static void ask_inside(loop_t *loop, void *arg) {
  (void)arg;
  said_inside = loop_timeout(loop);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  said_after_soon = loop_timeout(loop);
}

TEST(inside_a_callback_too) {
  loop_t *loop = new_loop(0);
  CHECK(loop_call_soon(loop, ask_inside, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(said_inside, LOOP_NEVER);
  CHECK_EQ(said_after_soon, 0);
  CHECK(loop_call_later(loop, HOUR, count_run, &runs) > 0);
  CHECK(loop_call_soon(loop, ask_inside, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK(said_inside > (int64_t)(HOUR / 2) && said_inside <= (int64_t)HOUR);
  free_loop(loop);
}

/* Due a little apart from each other, many of them: early it may be, never late. */
TEST(never_late_with_very_many_timers) {
  enum { TIMERS = 20000 };
  loop_t *loop = new_loop(0);
  uint64_t random = 4, first = check_clock() + MS(40), next = UINT64_MAX;
  for (int i = 0; i < TIMERS; i++) {
    uint64_t when = first + next_random(&random) % MS(30);
    if (when < next) next = when;
    CHECK(loop_call_at(loop, when, count_run, &runs) > 0);
  }
  uint64_t before = check_clock();
  CHECK(loop_timeout(loop) <= (int64_t)(next > before ? next - before : 0));
  embed(loop);
  for (runs = 0; runs < TIMERS;) {
    wait_readable(host_fd);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
  check_quiet(loop);
  free_loop(loop);
}

/* A host with a manual clock: nothing is due before it has moved the clock. */
TEST(a_manual_clock_is_moved_by_the_host) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  embed(loop);
  runs = 0;
  CHECK(loop_call_later(loop, 1000, count_run, &runs) > 0);
  CHECK_EQ(loop_timeout(loop), 1000);
  CHECK_EQ(is_readable(host_fd), 0);
  CHECK_EQ(loop_advance(loop, 400), 0);
  CHECK_EQ(loop_timeout(loop), 600);
  CHECK_EQ(is_readable(host_fd), 0);
  CHECK_EQ(loop_advance(loop, 600), 0);
  check_now(loop, 1);
  CHECK_EQ(runs, 1);
  free_loop(loop);
}

/* A host drives it to its end, and is told to go on only when that helps. */
TEST(a_virtual_clock_is_moved_by_the_runs_of_the_host) {
  loop_t *loop = new_loop(LOOP_VIRTUAL_CLOCK);
  embed(loop);
  runs = 0;
  for (uint64_t i = 1; i <= 10; i++) CHECK(loop_call_later(loop, i * HOUR, count_run, &runs) > 0);
  for (int host_runs = 0; runs < 10; host_runs++) {
    CHECK(host_runs < 100);
    int64_t timeout = loop_timeout(loop);
    CHECK(timeout >= 0);
    CHECK_EQ(is_readable(host_fd), timeout == 0);
    if (timeout > 0) CHECK_EQ(loop_advance(loop, (uint64_t)timeout), 0);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
  free_loop(loop);
}

TEST(errors) { CHECK_EQ(loop_timeout(NULL), LOOP_ENULL); }
