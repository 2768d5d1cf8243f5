/* link: -lpthread */
/* loop_poll_fd: one wait for a descriptor that ends once: with its bits, with
 * -ETIMEDOUT, or silently by a cancel. All that a handle can do, on an object. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>
#include <sys/wait.h>

static loop_t *loop;
static int fds[2];
static int done, releases;
static int64_t result;
static loop_handle_t source;
static void *seen_arg, *seen_data;
static uint32_t seen_what;

static int timeouts;

static void on_done(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  CHECK(on == loop);
  done++;
  timeouts += value == -ETIMEDOUT;
  source = handle;
  seen_what = what;
  result = value;
  seen_data = data;
  seen_arg = arg;
}

static void start_with(uint32_t flags) {
  loop = new_loop(flags);
  make_pair(fds);
  done = releases = 0;
  result = 0;
}

static void start(void) { start_with(0); }

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

static loop_handle_t poll_fd(uint32_t events, int64_t timeout) {
  loop_handle_t handle = loop_poll_fd(loop, fds[0], events, timeout, on_done, &done);
  if (handle <= 0) CHECK_EQ(handle, 1); /* says the code */
  CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
  CHECK_EQ(loop_set_arg(loop, handle, &releases), 0);
  return handle;
}

static void check_ended(loop_handle_t handle) {
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_cancel(loop, handle), LOOP_ESTALE);
  CHECK_EQ(loop_remaining(loop, handle), LOOP_ESTALE);
  CHECK_EQ(loop_reschedule(loop, handle, 1), LOOP_ESTALE);
  CHECK_EQ(releases, 1);
}

TEST(it_ends_with_the_bits_of_what_happened) {
  start();
  loop_handle_t handle = poll_fd(LOOP_READABLE, -1);
  CHECK_EQ(loop_remaining(loop, handle), INT64_MAX);
  CHECK_EQ(loop_is_active(loop, handle), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  put_byte(fds[1]);
  CHECK_EQ(done, 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(done, 1);
  CHECK_EQ(result, LOOP_READABLE);
  CHECK_EQ(seen_what, LOOP_EVENT_DONE);
  CHECK(seen_data == NULL && seen_arg == &releases);
  CHECK_EQ(source, handle);
  check_ended(handle);
  /* The byte is still there, and nobody waits for it. */
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 1);
  end();
}

TEST(it_is_never_called_inside_the_call_that_makes_it) {
  start();
  poll_fd(LOOP_WRITABLE, 0);
  CHECK_EQ(done, 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 1);
  CHECK_EQ(result, LOOP_WRITABLE);
  end();
}

TEST(it_ends_with_a_time_out_and_not_before) {
  start();
  uint64_t begun = loop_clock(loop);
  loop_handle_t handle = poll_fd(LOOP_READABLE, (int64_t)MS(2));
  int64_t left = loop_remaining(loop, handle);
  CHECK(left >= 0 && left <= (int64_t)MS(2));
  CHECK_EQ(loop_run(loop), 1);
  CHECK(loop_clock(loop) - begun >= MS(2));
  CHECK_EQ(done, 1);
  CHECK_EQ(result, -ETIMEDOUT);
  check_ended(handle);
  end();
}

TEST(at_once_or_not_at_all) {
  start();
  poll_fd(LOOP_READABLE, 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(result, -ETIMEDOUT);
  put_byte(fds[1]);
  poll_fd(LOOP_READABLE, 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(result, LOOP_READABLE);
  CHECK_EQ(done, 2);
  end();
}

static void keep_busy(loop_t *on, void *arg) {
  int *turns = arg;
  if (*turns == 0) put_byte(fds[1]);
  if (++*turns < 50) CHECK(loop_call_soon(on, keep_busy, arg) > 0);
}

/* While callbacks stay ready the kernel is not asked every turn, but timers are collected. */
TEST(what_is_ready_when_the_time_is_over_wins) {
  loop_options_t options = {.size = sizeof options, .poll_gap_ns = MS(60000)};
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  make_pair(fds);
  done = releases = 0;
  int turns = 0;
  CHECK(loop_call_soon(loop, keep_busy, &turns) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK(loop_call_soon(loop, keep_busy, &turns) > 0);
  poll_fd(LOOP_READABLE, 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 1);
  CHECK_EQ(result, LOOP_READABLE);
  end();
}

static void hang_up(loop_t *on, void *arg) {
  (void)on;
  CHECK_EQ(close(*(int *)arg), 0);
}

/* A pipe's end is a hang-up alone, which also counts as readable: in the kernel's event, and when
 * the time is over first. */
TEST(a_hang_up_at_the_end_of_the_time_is_told_as_a_watcher_is_told) {
  for (int in_time = 0; in_time < 2; in_time++) {
    int ends[2];
    start_with(LOOP_MANUAL_CLOCK);
    CHECK_EQ(pipe(ends), 0);
    loop_handle_t first = loop_call_later(loop, 0, hang_up, &ends[1]);
    CHECK(first > 0);
    CHECK(loop_poll_fd(loop, ends[0], LOOP_READABLE, in_time ? 1 : 0, on_done, &done) > 0);
    CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 2);
    CHECK_EQ(done, 1);
    CHECK_EQ(result, LOOP_READABLE | LOOP_HANGUP);
    close(ends[0]);
    end();
  }
}

TEST(a_cancel_is_silent_and_total) {
  start();
  /* Armed. */
  loop_handle_t handle = poll_fd(LOOP_READABLE, (int64_t)MS(1));
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_cancel(loop, handle), LOOP_ESTALE);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(3)), 0);
  CHECK_EQ(releases, 1);
  /* A silent end leaves nothing behind in the kernel: the descriptor can be watched for edges. */
  loop_handle_t edge = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_EDGE, count_event, &done);
  CHECK(edge > 0);
  CHECK_EQ(loop_cancel(loop, edge), 0);
  end();
}

static loop_handle_t victims[2];

static void cancel_the_other(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  (void)what, (void)data, (void)value;
  done++;
  CHECK_EQ(loop_current(on), handle);
  CHECK_EQ(loop_cancel(on, victims[handle == victims[0]]), 0);
  (void)arg;
}

TEST(a_cancel_holds_for_what_is_ready_in_this_turn) {
  start();
  put_byte(fds[1]);
  for (int timers = 0; timers < 2; timers++) {
    for (int i = 0; i < 2; i++) {
      victims[i] = loop_poll_fd(loop, fds[0], timers ? LOOP_PRIORITY : LOOP_READABLE, timers ? 0 : -1,
                                cancel_the_other, NULL);
      CHECK(victims[i] > 0);
    }
    done = 0;
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(done, 1);
  }
  end();
}

static void inside(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  (void)what, (void)data, (void)value, (void)arg;
  done++;
  CHECK_EQ(loop_current(on), handle);
  CHECK_EQ(loop_is_active(on, handle), 0);
  CHECK_EQ(loop_remaining(on, handle), 0);
  CHECK_EQ(loop_reschedule(on, handle, 0), LOOP_ESTALE);
  CHECK_EQ(loop_reschedule_at(on, handle, 0), LOOP_ESTALE);
  CHECK_EQ(loop_set_name(on, handle, "again"), 0);
  CHECK_EQ(loop_unref(on, handle), 0);
  CHECK_EQ(loop_cancel(on, handle), 0);
  CHECK_EQ(loop_cancel(on, handle), 0);
  /* A nested run does not finish it either. */
  CHECK_EQ(loop_run_once(on, 0), 0);
  CHECK_EQ(loop_is_active(on, handle), 0);
  CHECK_EQ(loop_set_arg(on, handle, &releases), 0);
  CHECK_EQ(releases, 0);
}

TEST(the_handle_lives_until_its_callback_returns) {
  for (int timed_out = 0; timed_out < 2; timed_out++) {
    start();
    if (!timed_out) put_byte(fds[1]);
    loop_handle_t handle = loop_poll_fd(loop, fds[0], LOOP_READABLE, 0, inside, &done);
    CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(done, 1);
    check_ended(handle);
    end();
  }
}

TEST(its_deadline_is_moved_and_given_later) {
  start_with(LOOP_VIRTUAL_CLOCK);
  loop_handle_t handle = poll_fd(LOOP_PRIORITY, 100);
  CHECK_EQ(loop_remaining(loop, handle), 100);
  CHECK_EQ(loop_reschedule(loop, handle, 5000), 0);
  CHECK_EQ(loop_run_once(loop, 1000), 0);
  CHECK_EQ(loop_remaining(loop, handle), 4000);
  CHECK_EQ(loop_reschedule_at(loop, handle, 1500), 0);
  CHECK_EQ(loop_remaining(loop, handle), 500);
  CHECK_EQ(loop_run_once(loop, 10000), 1);
  CHECK_EQ(loop_clock(loop), 1500);
  CHECK_EQ(result, -ETIMEDOUT);
  /* One without a limit gets one. */
  handle = poll_fd(LOOP_PRIORITY, -1);
  CHECK_EQ(loop_remaining(loop, handle), INT64_MAX);
  CHECK_EQ(loop_reschedule(loop, handle, 7), 0);
  CHECK_EQ(loop_remaining(loop, handle), 7);
  CHECK_EQ(loop_run_once(loop, 100), 1);
  CHECK_EQ(loop_clock(loop), 1507);
  CHECK_EQ(done, 2);
  end();
}

static void postpone(loop_t *on, void *arg) { CHECK_EQ(loop_reschedule(on, *(loop_handle_t *)arg, 50), 0); }

TEST(a_deadline_that_is_ready_in_this_turn_is_postponed) {
  start_with(LOOP_VIRTUAL_CLOCK);
  loop_handle_t handle;
  CHECK(loop_call_at(loop, 10, postpone, &handle) > 0);
  handle = poll_fd(LOOP_PRIORITY, 10);
  CHECK_EQ(loop_run_once(loop, 20), 1);
  CHECK_EQ(done, 0);
  CHECK_EQ(loop_run_once(loop, 100), 1);
  CHECK_EQ(done, 1);
  CHECK_EQ(loop_clock(loop), 60);
  end();
}

TEST(it_shares_a_descriptor_and_disturbs_nobody) {
  start();
  int watched = 0;
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &watched);
  poll_fd(LOOP_READABLE, -1);
  poll_fd(LOOP_WRITABLE, -1);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, -1), 3);
  CHECK_EQ(done, 2);
  CHECK_EQ(watched, 1);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(watched, 2);
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_READABLE);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
  end();
}

TEST(what_is_refused_changes_nothing) {
  start();
  int file = open("/dev/null", O_RDWR);
  CHECK_EQ(loop_poll_fd(NULL, fds[0], LOOP_READABLE, 0, on_done, NULL), LOOP_ENULL);
  CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_READABLE, 0, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_poll_fd(loop, fds[0], 0, 0, on_done, NULL), LOOP_EMASK);
  CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_ALWAYS, 0, on_done, NULL), LOOP_EMASK);
  CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_READABLE | LOOP_EDGE, 0, on_done, NULL), LOOP_EMASK);
  CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, 0, on_done, NULL), LOOP_EMASK);
  CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_READABLE | 1u << 31, 0, on_done, NULL), LOOP_EMASK);
  CHECK_EQ(loop_poll_fd(loop, -1, LOOP_READABLE, 0, on_done, NULL), -EBADF);
  CHECK_EQ(loop_poll_fd(loop, 10000, LOOP_READABLE, 0, on_done, NULL), -EBADF);
  CHECK_EQ(loop_poll_fd(loop, file, LOOP_READABLE, 0, on_done, NULL), -EPERM);
  loop_handle_t edge = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_EDGE, count_event, &done);
  CHECK(edge > 0);
  CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_READABLE, 0, on_done, NULL), LOOP_EBUSY);
  CHECK_EQ(loop_cancel(loop, edge), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK(loop_poll_fd(loop, file, LOOP_READABLE | LOOP_ALWAYS, -1, on_done, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 1);
  CHECK_EQ(result, LOOP_READABLE);
  close(file);
  end();
}

/* The library finds out when another file is watched under the number. */
TEST(a_closed_descriptor_ends_the_wait_when_the_library_finds_out) {
  start();
  int number = dup(fds[0]);
  loop_handle_t handle = loop_poll_fd(loop, number, LOOP_READABLE, -1, on_done, &releases);
  CHECK(handle > 0);
  close(number);
  CHECK_EQ(dup2(fds[1], number), number);
  loop_handle_t watch = loop_watch_fd(loop, number, LOOP_PRIORITY, count_event, &done);
  CHECK(watch > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(done, 1);
  CHECK_EQ(source, handle);
  CHECK_EQ(result, -EBADF);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  close(number);
  end();
}

/* Handles are numbers: every one near the operation's own, of any kind, is nobody's. */
TEST(its_parts_are_stale_for_users) {
  start();
  loop_handle_t watch = loop_watch_fd(loop, fds[1], LOOP_PRIORITY, count_event, &done);
  loop_handle_t timer = loop_call_later(loop, MS(100000), count_run, &done);
  loop_handle_t handle = poll_fd(LOOP_READABLE, (int64_t)MS(100000));
  for (int slot = 0; slot < 4; slot++) {
    for (int generation = -2; generation <= 2; generation++) {
      const loop_handle_t guesses[] = {watch, timer};
      for (int kind = 0; kind < 2; kind++) {
        loop_handle_t guess = guesses[kind] + ((loop_handle_t)slot << 24) + generation;
        if (guess == watch || guess == timer) continue;
        CHECK_EQ(loop_is_active(loop, guess), 0);
        CHECK_EQ(loop_cancel(loop, guess), LOOP_ESTALE);
        CHECK_EQ(loop_set_arg(loop, guess, NULL), LOOP_ESTALE);
        CHECK_EQ(loop_set_release(loop, guess, count_release), LOOP_ESTALE);
        CHECK_EQ(loop_unref(loop, guess), LOOP_ESTALE);
        CHECK(loop_reschedule(loop, guess, 0) < 0);
        CHECK(loop_remaining(loop, guess) < 0);
        CHECK(loop_watch_update(loop, guess, 0) < 0);
        CHECK(loop_watch_update(loop, guess, LOOP_ONESHOT) < 0);
        CHECK(loop_watch_events(loop, guess) < 0);
      }
    }
  }
  CHECK_EQ(loop_watch_update(loop, handle, 0), LOOP_EKIND);
  CHECK_EQ(loop_watch_events(loop, handle), LOOP_EKIND);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(result, LOOP_READABLE);
  end();
}

TEST(unref_and_ref_reach_its_parts) {
  start_with(LOOP_VIRTUAL_CLOCK);
  loop_handle_t handle = poll_fd(LOOP_PRIORITY, 100);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_unref(loop, handle), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 0);
  CHECK_EQ(loop_ref(loop, handle), 0);
  CHECK_EQ(loop_has_work(loop), 1);
  /* A part that is made later is as the others are. */
  loop_handle_t other = poll_fd(LOOP_PRIORITY, -1);
  CHECK_EQ(loop_unref(loop, other), 0);
  CHECK_EQ(loop_reschedule(loop, other, 1000), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  end();
}

static void free_it(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  (void)handle, (void)what, (void)value, (void)data, (void)arg;
  done++;
  CHECK_EQ(loop_free(on), 0);
}

TEST(a_free_inside_it_and_beside_it_releases_once) {
  start();
  put_byte(fds[1]);
  loop_handle_t handle = loop_poll_fd(loop, fds[0], LOOP_READABLE, -1, free_it, &releases);
  CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
  poll_fd(LOOP_READABLE, -1);       /* ready, too */
  poll_fd(LOOP_PRIORITY, (int64_t)MS(100000)); /* armed */
  CHECK_EQ(loop_run(loop), LOOP_ECLOSED);
  CHECK_EQ(done, 1);
  CHECK_EQ(releases, 3);
  close_pair(fds);
  /* At rest. */
  start();
  poll_fd(LOOP_READABLE, 5);
  end();
  CHECK_EQ(releases, 1);
}

TEST(ten_thousand_waits_hold_nothing_when_they_have_ended) {
  start();
  for (int i = 0; i < 10000; i++) {
    poll_fd(LOOP_WRITABLE, i % 2 ? -1 : (int64_t)MS(100000));
    if (i % 3 == 0) CHECK_EQ(loop_run_once(loop, 0) > 0, 1);
  }
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 10000);
  CHECK_EQ(releases, 10000);
  end();
}

TEST(it_goes_on_in_a_forked_child) {
  start();
  timeouts = 0;
  poll_fd(LOOP_READABLE, -1);
  loop_handle_t timed = poll_fd(LOOP_PRIORITY, (int64_t)MS(5));
  put_byte(fds[1]);
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    CHECK_EQ(loop_poll_fd(loop, fds[0], LOOP_READABLE, 0, on_done, NULL), LOOP_EFORKED);
    CHECK_EQ(loop_after_fork(loop), 0);
    CHECK_EQ(loop_is_active(loop, timed), 1);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(done, 2);
    CHECK_EQ(timeouts, 1); /* the last, or in the same turn as the other */
    CHECK_EQ(releases, 2);
    free_loop(loop);
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 2);
  end();
}

TEST(pull_mode_hands_it_out) {
  start_with(LOOP_PULL);
  loop_event_t events[4];
  put_byte(fds[1]);
  loop_handle_t ready = loop_poll_fd(loop, fds[0], LOOP_READABLE, -1, NULL, &releases);
  CHECK_EQ(loop_set_release(loop, ready, count_release), 0);
  loop_handle_t late = loop_poll_fd(loop, fds[0], LOOP_PRIORITY, 0, NULL, &done);
  loop_handle_t called = loop_poll_fd(loop, fds[0], LOOP_WRITABLE, -1, on_done, &done);
  CHECK(ready > 0 && late > 0 && called > 0);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 1);
  CHECK_EQ(events[0].handle, ready);
  CHECK(events[0].arg == &releases && events[0].data == NULL);
  CHECK_EQ(events[0].kind, LOOP_EVENT_DONE);
  CHECK_EQ(events[0].fd, -1);
  CHECK_EQ(events[0].result, LOOP_READABLE);
  CHECK_EQ(done, 0);
  CHECK_EQ(releases, 0);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 1);
  CHECK_EQ(releases, 1);
  CHECK_EQ(done, 1); /* called between the two */
  CHECK_EQ(loop_is_active(loop, late), 1); /* handed out, and it stands */
  CHECK_EQ(loop_remaining(loop, late), 0);
  CHECK_EQ(loop_reschedule(loop, late, 5), LOOP_ESTALE);
  CHECK_EQ(loop_cancel(loop, late), 0);
  CHECK_EQ(loop_is_active(loop, late), 0); /* void */
  CHECK_EQ(events[0].handle, late);
  CHECK_EQ(events[0].result, -ETIMEDOUT);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 0);
  CHECK_EQ(loop_cancel(loop, late), LOOP_ESTALE);
  end();
}

static void count_wake(void *arg) { ++*(int *)arg; }

TEST(the_wake_hook_is_called_for_an_earlier_deadline) {
  start();
  int calls = 0;
  CHECK_EQ(loop_set_wake_hook(loop, count_wake, &calls), 0);
  CHECK(loop_call_later(loop, HOUR, count_run, &done) > 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  poll_fd(LOOP_PRIORITY, -1);
  CHECK_EQ(calls, 1);
  poll_fd(LOOP_PRIORITY, (int64_t)MS(100000));
  CHECK_EQ(calls, 2);
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  end();
}

TEST(a_host_hears_of_it) {
  start();
  int fd = loop_fd(loop);
  CHECK(fd >= 0);
  CHECK_EQ(is_readable(fd), 0);
  poll_fd(LOOP_READABLE, -1);
  put_byte(fds[1]);
  CHECK_EQ(is_readable(fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(done, 1);
  poll_fd(LOOP_PRIORITY, 0);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(result, -ETIMEDOUT);
  end();
}
