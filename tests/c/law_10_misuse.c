/* Law 10, misuse: every function answers NULL, invented and finished handles,
 * bad descriptors, masks, hooks and policies with a distinct documented code;
 * nothing is changed, and the loop goes on with its work. */
#define _GNU_SOURCE 1
#include "check.h"

#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

static int runs, releases;
static int first_arg, second_arg; /* only their addresses matter */

static void on_run(loop_t *loop, void *arg) {
  (void)loop;
  CHECK(arg == &first_arg);
  runs++;
}
static void on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  on_run(loop, arg);
}
static void on_fd(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  (void)fd;
  on_run(loop, arg);
}
static void on_release(void *arg) {
  CHECK(arg == &first_arg);
  releases++;
}
static void never_release(void *arg) {
  (void)arg;
  CHECK(0);
}

/* A loop with one source of every kind, each with a release. */
enum { SOON, TIMER, EVERY, WATCH, HOOK, KINDS };
static loop_t *loop;
static loop_handle_t handles[KINDS];
static int fds[2];

static void start(void) {
  runs = releases = 0;
  loop = loop_new();
  CHECK(loop != NULL);
  CHECK_EQ(pipe(fds), 0);
  handles[SOON] = loop_call_soon(loop, on_run, &first_arg);
  handles[TIMER] = loop_call_later(loop, 0, on_run, &first_arg);
  handles[EVERY] = loop_call_every(loop, 0, HOUR, LOOP_SKIP_MISSED, on_tick, &first_arg);
  handles[WATCH] = loop_watch_fd(loop, fds[0], LOOP_READABLE, on_fd, &first_arg);
  handles[HOOK] = loop_add_hook(loop, LOOP_BEFORE_WAIT, on_run, &first_arg);
  for (int i = 0; i < KINDS; i++) {
    CHECK(handles[i] > 0);
    CHECK_EQ(loop_set_release(loop, handles[i], on_release), 0);
  }
}

/* Nothing was changed: all five are there, run with their own arguments, and
 * are released once. */
static void check_goes_on_and_end(void) {
  for (int i = 0; i < KINDS; i++) CHECK_EQ(loop_is_active(loop, handles[i]), 1);
  CHECK_EQ(loop_watch_events(loop, handles[WATCH]), LOOP_READABLE);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_current(loop), 0);
  CHECK_EQ(runs, 0);
  CHECK_EQ(releases, 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 4);
  CHECK_EQ(runs, 5); /* the hook is not counted by run_once */
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(releases, KINDS);
  close(fds[0]);
  close(fds[1]);
}

/* Every function that takes a handle; `expected` is the answer of all. */
static void check_handle(loop_t *l, loop_handle_t h, int expected) {
  CHECK_EQ(loop_reschedule(l, h, 0), expected);
  CHECK_EQ(loop_reschedule_at(l, h, 0), expected);
  CHECK_EQ(loop_remaining(l, h), expected);
  CHECK_EQ(loop_cancel(l, h), expected);
  CHECK_EQ(loop_set_arg(l, h, &second_arg), expected);
  CHECK_EQ(loop_set_release(l, h, never_release), expected);
  CHECK_EQ(loop_set_name(l, h, "name"), expected);
  CHECK_EQ(loop_ref(l, h), expected);
  CHECK_EQ(loop_unref(l, h), expected);
  CHECK_EQ(loop_watch_update(l, h, LOOP_WRITABLE), expected);
  CHECK_EQ(loop_watch_events(l, h), expected);
  CHECK_EQ(loop_is_active(l, h), expected == LOOP_ESTALE && h >= 0 ? 0 : expected);
}

TEST(a_null_loop_is_ENULL) {
  loop_options_t options = {sizeof options, 0, 0, 0, 0, 0};
  loop_t *out = NULL;
  start();
  CHECK_EQ(loop_new_with(NULL, &out), LOOP_ENULL);
  CHECK_EQ(loop_new_with(&options, NULL), LOOP_ENULL);
  CHECK(out == NULL);
  CHECK_EQ(loop_free(NULL), LOOP_ENULL);
  CHECK_EQ(loop_set_data(NULL, &second_arg), LOOP_ENULL);
  CHECK(loop_data(NULL) == NULL);
  CHECK_EQ(loop_run_forever(NULL), LOOP_ENULL);
  CHECK_EQ(loop_run(NULL), LOOP_ENULL);
  CHECK_EQ(loop_run_once(NULL, -1), LOOP_ENULL);
  CHECK_EQ(loop_run_ready(NULL, 1), LOOP_ENULL);
  CHECK_EQ(loop_stop(NULL), LOOP_ENULL);
  CHECK_EQ(loop_is_running(NULL), LOOP_ENULL);
  CHECK_EQ(loop_has_work(NULL), LOOP_ENULL);
  CHECK_EQ(loop_in_thread(NULL), LOOP_ENULL);
  CHECK_EQ(loop_call_soon(NULL, on_run, NULL), LOOP_ENULL);
  CHECK_EQ(loop_call_later(NULL, 0, on_run, NULL), LOOP_ENULL);
  CHECK_EQ(loop_call_at(NULL, 0, on_run, NULL), LOOP_ENULL);
  CHECK_EQ(loop_call_every(NULL, 0, 1, LOOP_SKIP_MISSED, on_tick, NULL), LOOP_ENULL);
  CHECK_EQ(loop_watch_fd(NULL, fds[0], LOOP_READABLE, on_fd, NULL), LOOP_ENULL);
  CHECK_EQ(loop_add_hook(NULL, LOOP_BEFORE_WAIT, on_run, NULL), LOOP_ENULL);
  CHECK_EQ(loop_call_soon_threadsafe(NULL, on_run, NULL, never_release), LOOP_ENULL);
  CHECK_EQ(loop_wake(NULL), LOOP_ENULL);
  CHECK_EQ(loop_current(NULL), LOOP_ENULL);
  CHECK_EQ(loop_advance(NULL, 1), LOOP_ENULL);
  CHECK_EQ(loop_now(NULL), 0);
  CHECK_EQ(loop_clock(NULL), 0);
  for (int i = 0; i < KINDS; i++) check_handle(NULL, handles[i], LOOP_ENULL);
  check_goes_on_and_end();
}

TEST(a_null_callback_is_ENOCALLBACK) {
  start();
  CHECK_EQ(loop_call_soon(loop, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_call_later(loop, 0, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_call_at(loop, 0, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_add_hook(loop, LOOP_BEFORE_WAIT, NULL, NULL), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, NULL, never_release), LOOP_ENOCALLBACK);
  check_goes_on_and_end();
}

static uint64_t random_number(void) { /* xorshift64 */
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

TEST(a_negative_handle_is_an_error_that_comes_back_as_it_is) {
  start();
  const int errors[] = {-1, -EBADF, -ENOMEM, LOOP_EMASK, LOOP_ECLOSED, INT32_MIN};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) check_handle(loop, errors[i], errors[i]);
  check_handle(loop, loop_watch_fd(loop, -1, LOOP_READABLE, on_fd, NULL), -EBADF);
  check_handle(NULL, -EBADF, LOOP_ENULL);
  check_goes_on_and_end();
}

TEST(an_invented_handle_is_ESTALE) {
  start();
  for (int i = 0; i < 200; i++) {
    /* of every size: also negative ones, and small ones near the real */
    loop_handle_t invented = (loop_handle_t)(random_number() >> (i % 60));
    int real = 0;
    for (int k = 0; k < KINDS; k++) real |= invented == handles[k];
    if (!real) check_handle(loop, invented, LOOP_ESTALE);
  }
  const loop_handle_t edges[] = {0, INT64_MIN, INT64_MAX, INT64_C(1) << 53, LOOP_ESTALE};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    check_handle(loop, edges[i], LOOP_ESTALE);
  }
  check_goes_on_and_end();
}

TEST(a_finished_handle_is_ESTALE) {
  start();
  loop_handle_t ended[] = {
      loop_call_soon(loop, on_run, NULL), loop_call_later(loop, 0, on_run, NULL),
      loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, on_tick, NULL),
      loop_watch_fd(loop, fds[0], LOOP_READABLE, on_fd, NULL),
      loop_add_hook(loop, LOOP_WHEN_IDLE, on_run, NULL)};
  for (size_t i = 0; i < sizeof ended / sizeof *ended; i++) {
    CHECK_EQ(loop_cancel(loop, ended[i]), 0);
    check_handle(loop, ended[i], LOOP_ESTALE);
  }
  /* Others take the slots, and the finished handles do not speak for them. */
  loop_handle_t soon = loop_call_soon(loop, on_run, &first_arg);
  loop_handle_t timer = loop_call_later(loop, 0, on_run, &first_arg);
  for (size_t i = 0; i < sizeof ended / sizeof *ended; i++) {
    check_handle(loop, ended[i], LOOP_ESTALE);
  }
  CHECK_EQ(loop_cancel(loop, soon), 0);
  CHECK_EQ(loop_cancel(loop, timer), 0);
  check_goes_on_and_end();
}

TEST(a_handle_of_another_kind_is_EKIND) {
  start();
  for (int i = 0; i < KINDS; i++) {
    if (i != WATCH) {
      CHECK_EQ(loop_watch_update(loop, handles[i], LOOP_WRITABLE), LOOP_EKIND);
      CHECK_EQ(loop_watch_events(loop, handles[i]), LOOP_EKIND);
    }
    if (i != TIMER && i != EVERY) {
      CHECK_EQ(loop_reschedule(loop, handles[i], 0), LOOP_EKIND);
      CHECK_EQ(loop_reschedule_at(loop, handles[i], 0), LOOP_EKIND);
      CHECK_EQ(loop_remaining(loop, handles[i]), LOOP_EKIND);
    }
  }
  check_goes_on_and_end();
}

TEST(a_bad_descriptor_mask_hook_policy_or_clock_has_its_code) {
  start();
  int closed = dup(fds[0]);
  close(closed);
  CHECK_EQ(loop_watch_fd(loop, -1, LOOP_READABLE, on_fd, NULL), -EBADF);
  CHECK_EQ(loop_watch_fd(loop, closed, LOOP_READABLE, on_fd, NULL), -EBADF);
  const uint32_t known = LOOP_READABLE | LOOP_WRITABLE | LOOP_PRIORITY | LOOP_HANGUP | LOOP_ERROR |
                         LOOP_READ_CLOSED | LOOP_CLOSED | LOOP_EDGE | LOOP_ONESHOT | LOOP_ALWAYS | LOOP_NOW;
  for (int bit = 0; bit < 32; bit++) {
    uint32_t mask = UINT32_C(1) << bit;
    if (known & mask) continue;
    CHECK_EQ(loop_watch_fd(loop, fds[0], LOOP_READABLE | mask, on_fd, NULL), LOOP_EMASK);
    CHECK_EQ(loop_watch_update(loop, handles[WATCH], LOOP_READABLE | mask), LOOP_EMASK);
  }
  CHECK_EQ(loop_add_hook(loop, 0, on_run, NULL), -EINVAL);
  CHECK_EQ(loop_add_hook(loop, LOOP_ON_INTERRUPT + 1, on_run, NULL), -EINVAL);
  CHECK_EQ(loop_add_hook(loop, UINT32_MAX, on_run, NULL), -EINVAL);
  CHECK_EQ(loop_call_every(loop, 0, 0, LOOP_SKIP_MISSED, on_tick, NULL), -EINVAL);
  CHECK_EQ(loop_call_every(loop, 0, 1, LOOP_RESTART_GRID + 1, on_tick, NULL), -EINVAL);
  CHECK_EQ(loop_advance(loop, 1), LOOP_ECLOCK);
  check_goes_on_and_end();
}
