/* link: -lpthread */
/* What an inherited loop was in the middle of goes on in parent and child alike:
 * ready callbacks, posts, what pull mode had handed out, a virtual clock's time.
 * And where loop_after_fork has no descriptors to work with, it says so, the
 * loop is as before, and it can be tried again. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>

static loop_t *loop;
static int runs, releases, is_embedded, fds[2];

static void run_what_was_ready(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_timeout(loop), 0);
  if (!is_embedded) embed(loop);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 4);
  CHECK_EQ(runs, 5);
  check_quiet(loop);
  free_loop(loop);
}

static void make_work_and_fork(void) {
  runs = 0;
  for (int i = 0; i < 3; i++) CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_run_ready(loop, 0), 1); /* two are left */
  CHECK(loop_call_at(loop, 0, count_run, &runs) > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  in_child(run_what_was_ready);
  CHECK_EQ(runs, 1);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 4);
  CHECK_EQ(runs, 5);
  if (!is_embedded) embed(loop);
  check_quiet(loop);
  free_loop(loop);
}

TEST(what_was_ready_or_posted_before_the_fork_runs_in_both) {
  for (is_embedded = 0; is_embedded < 2; is_embedded++) {
    loop = new_loop(0);
    if (is_embedded) embed(loop);
    make_work_and_fork();
  }
}

static void run_the_stop(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  free_loop(loop);
}

TEST(a_stop_before_the_fork_holds_in_both) {
  loop = new_loop(0);
  CHECK_EQ(loop_stop(loop), 0);
  in_child(run_the_stop);
  CHECK_EQ(loop_run_forever(loop), 0);
  free_loop(loop);
}

static loop_event_t event;

static void pull_the_second(void) {
  CHECK_EQ(releases, 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, -1), 1);
  CHECK_EQ(releases, 1); /* the one that was handed out before the fork */
  CHECK_EQ(strcmp(event.arg, "second"), 0);
  CHECK(loop_call_later(loop, MS(1), NULL, "timer") > 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, -1), 1);
  CHECK_EQ(strcmp(event.arg, "timer"), 0);
  free_loop(loop);
}

static void pull_in_child(void) {
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), LOOP_EFORKED);
  CHECK_EQ(loop_after_fork(loop), 0);
  pull_the_second();
}

TEST(pull_mode_goes_on_in_both) {
  loop = new_loop(LOOP_PULL);
  releases = 0;
  loop_handle_t first = loop_call_soon(loop, NULL, &releases);
  CHECK_EQ(loop_set_release(loop, first, count_release), 0);
  CHECK(loop_call_soon(loop, NULL, "second") > 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, -1), 1);
  CHECK_EQ(event.handle, first);
  in_child(pull_in_child);
  pull_the_second();
}

static void run_an_hour(void) {
  uint64_t begin = loop_clock(loop);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_clock(loop) - begin, HOUR);
  CHECK_EQ(runs, 1);
  free_loop(loop);
}

static void run_an_hour_in_child(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  run_an_hour();
}

TEST(a_virtual_clock_goes_on_in_both) {
  loop = new_loop(LOOP_VIRTUAL_CLOCK);
  runs = 0;
  CHECK(loop_call_later(loop, HOUR, count_run, &runs) > 0);
  in_child(run_an_hour_in_child);
  run_an_hour();
}

static void *is_another_thread(void *arg) {
  CHECK_EQ(loop_in_thread(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), LOOP_EWRONGTHREAD);
  return arg;
}

static void is_bound_in_child(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_in_thread(loop), 1);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  on_thread(is_another_thread, NULL);
  CHECK_EQ(loop_run(loop), 1);
  on_thread(is_another_thread, NULL);
  free_loop(loop);
}

TEST(a_bound_loop_is_bound_to_the_same_thread_in_the_child) {
  loop = new_loop(LOOP_BOUND);
  in_child(is_bound_in_child);
  on_thread(is_another_thread, NULL);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

static void work_in_child(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  put_byte(fds[1]);
  if (!is_embedded) embed(loop);
  wait_readable(host_fd);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  take_byte(fds[0]);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK(loop_call_later(loop, US(1), count_run, &runs) > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(runs, 3);
  free_loop(loop);
}

/* So many descriptors may still be opened, and no more. */
static void allow_descriptors(int count) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  int next = 0;
  for (int free_ones = 0; free_ones < count; next++) free_ones += fcntl(next, F_GETFD) == -1;
  limit.rlim_cur = (rlim_t)next;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* From none on, one more is allowed each time, until there are enough. */
static void try_until_there_are_enough(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  int refusals = 0, result;
  for (int allowed = 0;; allowed++) {
    allow_descriptors(allowed);
    result = loop_after_fork(loop);
    if (result == 0) break;
    CHECK_EQ(result, -EMFILE);
    CHECK_EQ(loop_run_once(loop, 0), LOOP_EFORKED);
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), LOOP_EFORKED);
    CHECK_EQ(loop_wake(loop), LOOP_EFORKED);
    refusals++;
  }
  CHECK(refusals >= 1 && refusals < 10);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  work_in_child();
}

TEST(without_descriptors_it_fails_and_can_be_tried_again) {
  for (is_embedded = 0; is_embedded < 2; is_embedded++) {
    loop = new_loop(0);
    runs = 0;
    make_pair(fds);
    CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs) > 0);
    if (is_embedded) embed(loop);
    in_child(work_in_child);
    in_child(try_until_there_are_enough);
    put_byte(fds[1]);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    close_pair(fds);
    free_loop(loop);
  }
}
