/* Laws 4, 6 and 10: a callback of any kind may free the loop. Nothing more
 * runs, everything is released once when the callback has returned, the run
 * returns LOOP_ECLOSED, and until then every function answers LOOP_ECLOSED. */
#define _GNU_SOURCE 1
#include "journal.h"
#include "signal_storm.h"

static void check_every_function_says_closed(loop_t *loop, loop_handle_t self) {
  CHECK_EQ(loop_free(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_set_data(loop, NULL), LOOP_ECLOSED);
  CHECK(loop_data(loop) == NULL);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_run(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_run_once(loop, 0), LOOP_ECLOSED);
  CHECK_EQ(loop_run_ready(loop, MS(1)), LOOP_ECLOSED);
  CHECK_EQ(loop_stop(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_is_running(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_has_work(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_in_thread(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_call_soon(loop, write_letter, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_call_later(loop, 0, write_letter, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_call_at(loop, 0, write_letter, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, write_tick, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_reschedule(loop, self, 0), LOOP_ECLOSED);
  CHECK_EQ(loop_reschedule_at(loop, self, 0), LOOP_ECLOSED);
  CHECK_EQ(loop_remaining(loop, self), LOOP_ECLOSED);
  CHECK_EQ(loop_cancel(loop, self), LOOP_ECLOSED);
  CHECK_EQ(loop_is_active(loop, self), LOOP_ECLOSED);
  CHECK_EQ(loop_current(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_set_arg(loop, self, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_set_release(loop, self, write_release), LOOP_ECLOSED);
  CHECK_EQ(loop_set_name(loop, self, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_ref(loop, self), LOOP_ECLOSED);
  CHECK_EQ(loop_unref(loop, self), LOOP_ECLOSED);
  CHECK_EQ(loop_watch_fd(loop, 0, LOOP_READABLE, write_event, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_watch_update(loop, self, LOOP_READABLE), LOOP_ECLOSED);
  CHECK_EQ(loop_watch_events(loop, self), LOOP_ECLOSED);
  CHECK_EQ(loop_add_hook(loop, LOOP_BEFORE_WAIT, write_letter, "!"), LOOP_ECLOSED);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "!", write_release), LOOP_ECLOSED);
  CHECK_EQ(loop_wake(loop), LOOP_ECLOSED);
  CHECK_EQ(loop_now(loop), 0);
  CHECK_EQ(loop_clock(loop), 0);
  CHECK_EQ(loop_advance(loop, 1), LOOP_ECLOSED);
}

static void free_and_try_everything(loop_t *loop, void *arg) {
  loop_handle_t self = loop_current(loop);
  CHECK(self > 0);
  write_letter(loop, arg);
  free_loop(loop);
  check_every_function_says_closed(loop, self);
  journal_write(')'); /* the releases come after this */
}

static void free_on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  free_and_try_everything(loop, arg);
}

static void free_on_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  CHECK_EQ(events, LOOP_READABLE);
  free_and_try_everything(loop, arg);
}

enum { BYSTANDERS = 6 };
static int bystanders_released[BYSTANDERS];
static int bystander_pipe[2];

static void must_not_run(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  CHECK(!"ran after loop_free");
}

static void must_not_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  must_not_run(loop, arg);
}

static void must_not_see(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)events;
  must_not_run(loop, arg);
}

static void count_release(void *arg) {
  CHECK_EQ(journal[journal_length - 1], ')');
  ++*(int *)arg;
}

/* One source of each kind that would run after the one that frees the loop. */
static void add_bystanders(loop_t *loop) {
  int *count = bystanders_released;
  memset(count, 0, sizeof bystanders_released);
  open_ready_pipe(bystander_pipe);
  loop_handle_t handles[] = {
      loop_call_soon(loop, must_not_run, &count[0]),
      loop_call_later(loop, MS(3600000), must_not_run, &count[1]),
      loop_call_every(loop, MS(3600000), 1, LOOP_SKIP_MISSED, must_not_tick, &count[2]),
      loop_watch_fd(loop, bystander_pipe[0], 0, must_not_see, &count[3]),
      loop_add_hook(loop, LOOP_ON_INTERRUPT, must_not_run, &count[4]),
  };
  for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
    CHECK_EQ(loop_set_release(loop, handles[i], count_release), 0);
  }
  CHECK_EQ(loop_call_soon_threadsafe(loop, must_not_run, &count[5], count_release), 0);
}

static void check_bystanders_were_released(void) {
  for (int i = 0; i < BYSTANDERS; i++) CHECK_EQ(bystanders_released[i], 1);
  close_pair(bystander_pipe);
}

static void check_run_is_closed(loop_t *loop, loop_handle_t freeing, const char *expected) {
  CHECK_EQ(loop_set_release(loop, freeing, write_release), 0);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
  CHECK_JOURNAL(expected);
}

TEST(each_kind_of_callback_frees_the_loop) {
  int ends[2];
  open_ready_pipe(ends);
  loop_t *loop = loop_new();
  check_run_is_closed(loop, loop_call_soon(loop, free_and_try_everything, "s"), "s)s");
  loop = loop_new();
  check_run_is_closed(loop, loop_call_later(loop, US(100), free_and_try_everything, "l"), "l)l");
  loop = loop_new();
  check_run_is_closed(loop, loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, free_on_tick, "e"), "e)e");
  loop = loop_new();
  check_run_is_closed(loop, loop_watch_fd(loop, ends[0], LOOP_READABLE, free_on_event, "f"), "f)f");
  loop = loop_new();
  CHECK_EQ(loop_call_soon_threadsafe(loop, free_and_try_everything, "p", write_release), 0);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
  CHECK_JOURNAL("p)p");
  close_pair(ends);
}

TEST(each_hook_frees_the_loop) {
  for (uint32_t when = LOOP_BEFORE_WAIT; when <= LOOP_WHEN_IDLE; when++) {
    loop_t *loop = loop_new();
    loop_handle_t hook = loop_add_hook(loop, when, free_and_try_everything, "h");
    CHECK(loop_add_hook(loop, when, must_not_run, NULL) > 0);
    if (when != LOOP_WHEN_IDLE) CHECK(loop_call_soon(loop, must_not_run, NULL) > 0);
    check_run_is_closed(loop, hook, "h)h");
  }
}

static void ignore_signal(int signal_number) { (void)signal_number; }

TEST(an_interrupt_hook_frees_the_loop) {
  loop_t *loop = loop_new();
  loop_handle_t hook = loop_add_hook(loop, LOOP_ON_INTERRUPT, free_and_try_everything, "i");
  storm_begin(ignore_signal);
  check_run_is_closed(loop, hook, "i)i");
  storm_end();
}

TEST(every_run_function_returns_closed) {
  for (int run = 0; run < 4; run++) {
    loop_t *loop = loop_new();
    CHECK(loop_call_soon(loop, free_and_try_everything, "s") > 0);
    add_bystanders(loop);
    if (run == 0) CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
    if (run == 1) CHECK_EQ(loop_run(loop), LOOP_ECLOSED);
    if (run == 2) CHECK_EQ(loop_run_once(loop, -1), LOOP_ECLOSED);
    if (run == 3) CHECK_EQ(loop_run_ready(loop, UINT64_MAX), LOOP_ECLOSED);
    CHECK_JOURNAL("s)");
    check_bystanders_were_released();
  }
}

static void nest_into_the_end(loop_t *loop, void *arg) {
  int depth = (int)(intptr_t)arg;
  loop_handle_t self = loop_current(loop);
  loop_cb next = depth == 3 ? free_and_try_everything : nest_into_the_end;
  void *next_arg = depth == 3 ? (void *)"s" : (void *)(intptr_t)(depth + 1);
  CHECK(loop_call_soon(loop, next, next_arg) > 0);
  if (depth == 3) add_bystanders(loop);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
  check_every_function_says_closed(loop, self);
  for (int i = 0; i < BYSTANDERS; i++) CHECK_EQ(bystanders_released[i], 0);
}

TEST(a_free_in_a_nested_run_closes_every_run_on_the_stack) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, nest_into_the_end, (void *)(intptr_t)1) > 0);
  CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
  CHECK_JOURNAL("s)");
  check_bystanders_were_released();
}
