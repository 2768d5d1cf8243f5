/* link: -lpthread */
/* Dialogs: a callback that runs the host's main loop, which gives the loop turns. After the first
 * nested run the loop is as complete for its host as after loop_flush; and what a loop at rest
 * still owes is told. Counted are wake-ups of the host: none in vain, none missing. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static int runs, is_done, fds[2];
static loop_handle_t source;

static void done(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  is_done = 1;
}

/* A dialog whose host has seen to the loop once, for whatever reason, and relies on its descriptor from
 * then on. */
static void open_dialog(loop_t *l) {
  int wake_ups = 0;
  CHECK(loop_run_once(l, 0) >= 0);
  CHECK_EQ(is_readable(host_fd), 0); /* of what led here nothing is left */
  CHECK(loop_timeout(l) > 0);
  CHECK(loop_call_later(l, MS(5), done, NULL) > 0);
  CHECK(loop_timeout(l) <= (int64_t)MS(5));
  for (is_done = 0; !is_done; wake_ups++) {
    wait_readable(host_fd);
    CHECK(loop_run_once(l, 0) >= 0);
  }
  /* The timer, and not more than once before it is quite due. */
  CHECK(wake_ups <= 2);
  CHECK(loop_call_soon(l, done, NULL) > 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_timeout(l), 0);
  CHECK_EQ(loop_run_once(l, 0), 1);
  CHECK_EQ(is_readable(host_fd), 0);
  runs++;
}

static void dialog_from_soon(loop_t *l, void *arg) {
  (void)arg;
  open_dialog(l);
}

static void dialog_from_tick(loop_t *l, uint64_t ticks, void *arg) {
  (void)ticks;
  (void)arg;
  CHECK_EQ(loop_cancel(l, source), 0);
  open_dialog(l);
}

static void dialog_from_event(loop_t *l, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  (void)arg;
  take_byte(fd);
  open_dialog(l);
}

TEST(after_a_nested_run_the_host_may_rely_on_the_descriptor) {
  for (int kind = 0; kind < 4; kind++) {
    loop = new_loop(0);
    embed(loop);
    make_pair(fds);
    runs = 0;
    if (kind == 0) source = loop_call_soon(loop, dialog_from_soon, NULL);
    if (kind == 1) source = loop_call_later(loop, 1, dialog_from_soon, NULL);
    if (kind == 2) source = loop_call_every(loop, 1, HOUR, LOOP_SKIP_MISSED, dialog_from_tick, NULL);
    if (kind == 3) source = loop_watch_fd(loop, fds[0], LOOP_READABLE, dialog_from_event, NULL);
    CHECK(source > 0);
    put_byte(fds[1]);
    while (runs == 0) {
      wait_readable(host_fd);
      CHECK(loop_run_once(loop, 0) >= 0);
    }
    check_quiet(loop);
    free_loop(loop);
    close_pair(fds);
  }
}

/* In a callback loop_fd makes the loop complete as well: it tells the truth when it returns, and after. */
static void take_the_descriptor_late(loop_t *l, void *arg) {
  (void)arg;
  CHECK(loop_call_soon(l, done, NULL) > 0);
  embed(l);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_once(l, 0), 1);
  CHECK_EQ(is_readable(host_fd), 0);
  embed(l);
  CHECK(loop_call_soon(l, done, NULL) > 0);
  CHECK_EQ(is_readable(host_fd), 1);
}

TEST(in_a_callback_loop_fd_flushes) {
  loop = new_loop(0);
  CHECK(loop_call_soon(loop, take_the_descriptor_late, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_quiet(loop);
  free_loop(loop);
}

static int hook_calls;
static void hook(void *arg) { ++*(int *)arg; }

/* A release that is owed while the loop rests is work. */
TEST(a_cancel_at_rest_that_owes_a_release_tells_the_host) {
  int released = 0;
  loop = new_loop(0);
  CHECK_EQ(loop_set_wake_hook(loop, hook, &hook_calls), 0);
  embed(loop);
  check_quiet(loop);
  loop_handle_t timer = loop_call_later(loop, HOUR, count_run, &released);
  CHECK_EQ(loop_set_release(loop, timer, count_release), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  hook_calls = 0;
  CHECK_EQ(loop_cancel(loop, timer), 0);
  CHECK_EQ(hook_calls, 1);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(released, 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(released, 1);
  CHECK_EQ(is_readable(host_fd), 0);
  check_quiet(loop);
  free_loop(loop);
}

/* A pause between two runs reaches the kernel at once, and one in a callback before the run returns. */
static void pause_oneself(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)events;
  ++*(int *)arg;
  CHECK_EQ(loop_watch_update(l, source, 0), 0);
}

TEST(a_paused_descriptor_wakes_no_host) {
  loop = new_loop(0);
  make_pair(fds);
  put_byte(fds[1]);
  runs = 0;
  source = loop_watch_fd(loop, fds[0], LOOP_READABLE, pause_oneself, &runs);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1); /* of this pause the kernel may not have heard */
  embed(loop);
  CHECK_EQ(is_readable(host_fd), 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(loop_watch_update(loop, source, LOOP_READABLE), 0);
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_watch_update(loop, source, 0), 0);
    CHECK_EQ(is_readable(host_fd), 0);
    CHECK_EQ(loop_watch_update(loop, source, LOOP_READABLE), 0);
    CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 1);
    CHECK_EQ(is_readable(host_fd), 0);
  }
  CHECK_EQ(runs, 4);
  free_loop(loop);
  close_pair(fds);
}
