/* Law 6, where a release runs: at the next boundary between turns of whatever run
 * is innermost, unless the source's own callback is on the stack; or in loop_free;
 * and what a release function may do itself. */
#define _GNU_SOURCE 1
#include "journal.h"

static loop_t *the_loop;
static loop_handle_t victim;

static loop_handle_t soon_with_release(loop_t *loop, loop_cb cb, const char *letter, loop_release_cb release) {
  loop_handle_t handle = loop_call_soon(loop, cb, (void *)letter);
  CHECK(handle > 0);
  CHECK_EQ(loop_set_release(loop, handle, release), 0);
  return handle;
}

/* What was owed before is released as the nested run begins, what it finishes between its turns,
 * and itself when its own callback has returned. */
static void run_nested(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('(');
  victim = soon_with_release(loop, write_letter, "v", write_release);
  CHECK_EQ(loop_cancel(loop, victim), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 0);
  journal_write(')');
}

TEST(a_nested_run_releases_what_is_not_on_the_stack) {
  loop_t *loop = loop_new();
  soon_with_release(loop, run_nested, "n", write_release);
  soon_with_release(loop, write_letter, "a", write_release);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "p", write_release), 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("(vapap)n");
  free_loop(loop);
  CHECK_JOURNAL("");
}

static void run_nested_twice(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('(');
  soon_with_release(loop, run_nested, "n", write_release);
  soon_with_release(loop, write_letter, "b", write_release);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "c", write_release), 0);
  CHECK(loop_run_ready(loop, UINT64_MAX) > 0);
  journal_write(')');
}

TEST(a_run_two_levels_down_does_so_too) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, run_nested_twice, NULL) > 0);
  CHECK(loop_run_once(loop, 0) > 0);
  CHECK_JOURNAL("((vbcbc)n)");
  free_loop(loop);
  CHECK_JOURNAL("");
}

/* A dialog on the stack of a source that is cancelled meanwhile: released after its callback, of several
 * after the outermost, and not by the runs in between. */
static loop_handle_t on_stack;
static int fds[2], depth;

static void dialog_of_a_source(loop_t *loop) {
  journal_write('(');
  if (++depth < 3) {
    if (depth == 1) CHECK(loop_call_soon(loop, write_letter, "s") > 0);
    CHECK(loop_run_once(loop, 0) >= 0);
  } else {
    CHECK_EQ(loop_cancel(loop, on_stack), 0);
    CHECK_EQ(loop_cancel(loop, on_stack), LOOP_ESTALE);
  }
  CHECK(loop_run_ready(loop, UINT64_MAX) >= 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  journal_write(')');
}

static void dialog_of_a_watcher(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK(fd == fds[0] && events == LOOP_READABLE && arg != NULL);
  dialog_of_a_source(loop);
}

static void dialog_of_a_timer(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks > 0 && arg != NULL);
  dialog_of_a_source(loop);
}

static void dialog_of_a_hook(loop_t *loop, void *arg) {
  CHECK(arg != NULL);
  dialog_of_a_source(loop);
}

TEST(a_source_whose_callback_is_on_the_stack_is_released_after_the_outermost_of_them) {
  for (int kind = 0; kind < 3; kind++) {
    loop_t *loop = loop_new();
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    depth = 0;
    if (kind == 0) on_stack = loop_watch_fd(loop, fds[0], LOOP_READABLE, dialog_of_a_watcher, "w");
    if (kind == 1) on_stack = loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, dialog_of_a_timer, "w");
    if (kind == 2) on_stack = loop_add_hook(loop, LOOP_BEFORE_WAIT, dialog_of_a_hook, "w");
    CHECK_EQ(loop_set_release(loop, on_stack, write_release), 0);
    CHECK(loop_run_once(loop, 0) >= 0);
    /* (The soon-callback comes before what a turn collects, and after the hook.) */
    CHECK_JOURNAL(kind == 2 ? "(((s)))w" : "(s(()))w");
    free_loop(loop);
    CHECK_JOURNAL("");
    close(fds[0]);
    close(fds[1]);
  }
}

static void cancel_oneself_and_free(loop_t *loop, void *arg) {
  journal_write('(');
  if (++depth < 2) {
    CHECK_EQ(loop_run_once(loop, 0), LOOP_ECLOSED);
  } else {
    loop_handle_t owed = soon_with_release(loop, write_letter, "o", write_release);
    CHECK(owed > 0);
    free_loop(loop);
  }
  CHECK(arg != NULL);
  journal_write(')');
}

TEST(a_loop_freed_in_a_dialog_releases_after_all_callbacks) {
  loop_t *loop = loop_new();
  depth = 0;
  on_stack = loop_add_hook(loop, LOOP_BEFORE_WAIT, cancel_oneself_and_free, "h");
  CHECK_EQ(loop_set_release(loop, on_stack, write_release), 0);
  CHECK_EQ(loop_run_once(loop, 0), LOOP_ECLOSED);
  CHECK_JOURNAL("(())oh");
}

static void schedule_in_release(void *arg) {
  write_release(arg);
  soon_with_release(the_loop, write_letter, "n", write_release);
  CHECK(loop_call_at(the_loop, 0, write_letter, "t") > 0);
}

TEST(a_release_may_schedule) {
  loop_t *loop = the_loop = loop_new();
  soon_with_release(loop, write_letter, "a", schedule_in_release);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("aa");
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("ntn");

  /* loop_run sees the work that its own releases make. */
  soon_with_release(loop, write_letter, "a", schedule_in_release);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("aantn");
  free_loop(loop);
}

static void cancel_victim_in_release(void *arg) {
  write_release(arg);
  CHECK_EQ(loop_cancel(the_loop, victim), 0);
}

TEST(a_release_may_cancel_and_the_cancelled_is_released_once) {
  loop_t *loop = the_loop = loop_new();
  soon_with_release(loop, write_letter, "a", cancel_victim_in_release);
  victim = loop_call_later(loop, MS(60000), write_letter, "v");
  CHECK_EQ(loop_set_release(loop, victim, write_release), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("aav");
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
  CHECK_JOURNAL("");
}

TEST(a_release_at_the_start_of_a_run_may_cancel_what_is_ready) {
  loop_t *loop = the_loop = loop_new();
  loop_handle_t first = soon_with_release(loop, write_letter, "a", cancel_victim_in_release);
  victim = soon_with_release(loop, write_letter, "v", write_release);
  CHECK_EQ(loop_cancel(loop, first), 0);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("av");
  free_loop(loop);
  CHECK_JOURNAL("");
}

TEST(loop_run_makes_the_releases_that_are_owed_before_it_looks_for_work) {
  loop_t *loop = the_loop = loop_new();
  loop_handle_t cancelled = soon_with_release(loop, write_letter, "a", schedule_in_release);
  CHECK_EQ(loop_cancel(loop, cancelled), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_JOURNAL("antn");
  free_loop(loop);
}

static void free_in_release(void *arg) {
  write_release(arg);
  free_loop(the_loop);
}

TEST(a_release_may_free_the_loop) {
  for (int run = 0; run < 6; run++) {
    loop_t *loop = the_loop = loop_new();
    loop_handle_t freeing = soon_with_release(loop, write_letter, "a", free_in_release);
    if (run % 2 == 0) CHECK_EQ(loop_cancel(loop, freeing), 0);
    int result = run < 2 ? loop_run_forever(loop) : run < 4 ? loop_run(loop) : loop_run_once(loop, -1);
    CHECK_EQ(result, LOOP_ECLOSED);
    CHECK_JOURNAL(run % 2 == 0 ? "a" : "aa");
  }
}

static void use_the_loop_being_freed(void *arg) {
  write_release(arg);
  CHECK(loop_call_soon(the_loop, write_letter, "!") < 0);
  CHECK(loop_call_later(the_loop, 0, write_letter, "!") < 0);
  CHECK(loop_call_soon_threadsafe(the_loop, write_letter, "!", write_release) < 0);
  CHECK(loop_cancel(the_loop, victim) < 0);
  CHECK(loop_run_once(the_loop, 0) < 0);
  CHECK(loop_free(the_loop) < 0);
}

TEST(a_release_in_loop_free_gets_errors_from_the_loop_and_loses_nothing) {
  loop_t *loop = the_loop = loop_new();
  soon_with_release(loop, write_letter, "a", use_the_loop_being_freed);
  victim = loop_call_later(loop, MS(60000), write_letter, "v");
  CHECK_EQ(loop_set_release(loop, victim, use_the_loop_being_freed), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "p", use_the_loop_being_freed), 0);
  free_loop(loop);
  CHECK_EQ(journal_length, 3);
  CHECK(strchr(journal, 'a') && strchr(journal, 'v') && strchr(journal, 'p'));
  journal_clear();
}

enum { MANY = 10000 };
static int released[MANY];

static void do_nothing(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
}

static void count_release(void *arg) { ++*(int *)arg; }

TEST(ten_thousand_sources_are_released_once_each_however_they_end) {
  loop_t *loop = loop_new();
  for (int i = 0; i < MANY; i++) {
    loop_handle_t handle = i % 2 == 0 ? loop_call_soon(loop, do_nothing, &released[i])
                                      : loop_call_later(loop, MS(60000), do_nothing, &released[i]);
    CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
    if (i % 3 == 0) CHECK_EQ(loop_cancel(loop, handle), 0);
  }
  for (int i = 0; i < MANY; i++) CHECK_EQ(released[i], 0);
  CHECK_EQ(loop_run_once(loop, 0), MANY / 3); /* even and no multiple of three */
  for (int i = 0; i < MANY; i++) CHECK_EQ(released[i], i % 2 == 0 || i % 3 == 0);
  free_loop(loop);
  for (int i = 0; i < MANY; i++) CHECK_EQ(released[i], 1);
}
