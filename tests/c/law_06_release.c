/* Law 6: a source's release function gets its argument exactly once: after the
 * last run, on cancel, or when the loop is freed, whichever is first; and never
 * inside loop_cancel or a callback. */
#define _GNU_SOURCE 1
#include "journal.h"

static int callbacks_inside;

static void check_outside_and_write(void *arg) {
  CHECK_EQ(callbacks_inside, 0);
  write_release(arg);
}

static loop_handle_t with_release(loop_t *loop, loop_handle_t handle) {
  CHECK(handle > 0);
  CHECK_EQ(loop_set_release(loop, handle, check_outside_and_write), 0);
  return handle;
}

enum { SOURCES = 5 };

/* Every kind, its letters in order "slefh". */
static void make_sources(loop_t *loop, int readable_fd, loop_handle_t handles[SOURCES]) {
  handles[0] = with_release(loop, loop_call_soon(loop, write_letter, "s"));
  handles[1] = with_release(loop, loop_call_later(loop, 0, write_letter, "l"));
  handles[2] = with_release(loop, loop_call_every(loop, 0, MS(60000), LOOP_SKIP_MISSED, write_tick, "e"));
  handles[3] = with_release(loop, loop_watch_fd(loop, readable_fd, LOOP_READABLE, write_event, "f"));
  handles[4] = with_release(loop, loop_add_hook(loop, LOOP_AFTER_WAIT, write_letter, "h"));
}

TEST(a_one_shot_is_released_after_its_run_and_a_repeating_source_is_not) {
  loop_t *loop = loop_new();
  loop_handle_t handles[SOURCES];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "p", check_outside_and_write), 0);
  CHECK_EQ(loop_run_once(loop, 0), 5);
  CHECK_JOURNAL("hsflepslp");
  CHECK_EQ(loop_cancel(loop, handles[4]), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("hf");
  free_loop(loop);
  CHECK(strlen(journal) == 2 && strchr(journal, 'e') && strchr(journal, 'f'));
  journal_clear();
  close_pair(ends);
}

TEST(a_cancelled_source_is_released_at_the_start_of_the_next_run_in_order) {
  loop_t *loop = loop_new();
  loop_handle_t handles[SOURCES];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  const int order[SOURCES] = {3, 0, 4, 2, 1};
  for (int i = 0; i < SOURCES; i++) CHECK_EQ(loop_cancel(loop, handles[order[i]]), 0);
  CHECK_JOURNAL("");
  CHECK(loop_call_soon(loop, write_letter, "!") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("fshel!");
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
  CHECK_JOURNAL("");
  close_pair(ends);
}

TEST(loop_free_releases_everything_that_is_left_exactly_once) {
  loop_t *loop = loop_new();
  loop_handle_t live[SOURCES], cancelled[SOURCES];
  int ends[2], count[128] = {0};
  open_ready_pipe(ends);
  make_sources(loop, ends[0], live);
  make_sources(loop, ends[0], cancelled);
  for (int i = 0; i < SOURCES; i++) CHECK_EQ(loop_cancel(loop, cancelled[i]), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "p", check_outside_and_write), 0);
  CHECK_JOURNAL("");
  free_loop(loop);
  for (const char *c = journal; *c != '\0'; c++) count[(int)*c]++;
  for (const char *c = "slefh"; *c != '\0'; c++) CHECK_EQ(count[(int)*c], 2);
  CHECK_EQ(count['p'], 1);
  CHECK_EQ(journal_length, 11);
  journal_clear();
  close_pair(ends);
}

static loop_handle_t victim;

static void cancel_victim_inside(loop_t *loop, void *arg) {
  callbacks_inside++;
  write_letter(loop, arg);
  CHECK_EQ(loop_cancel(loop, victim), 0);
  journal_write(')');
  callbacks_inside--;
}

TEST(a_cancel_inside_a_callback_releases_between_the_turns) {
  loop_t *loop = loop_new();
  with_release(loop, loop_call_soon(loop, cancel_victim_inside, "("));
  victim = with_release(loop, loop_call_soon(loop, write_letter, "v"));
  CHECK(loop_call_soon(loop, write_letter, "b") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  /* Both are released after the turn: the victim ended first. */
  CHECK_JOURNAL("()bv(");
  free_loop(loop);
  CHECK_JOURNAL("");
}

static void write_and_chain(loop_t *loop, void *arg) {
  const char *letters = arg;
  journal_write(letters[0]);
  if (letters[1] == '\0') return;
  with_release(loop, loop_call_soon(loop, write_and_chain, (void *)(letters + 1)));
}

TEST(releases_run_between_the_turns_of_one_run) {
  loop_t *loop = loop_new();
  with_release(loop, loop_call_soon(loop, write_and_chain, "abc"));
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), 3);
  CHECK_JOURNAL("aabbcc");
  with_release(loop, loop_call_soon(loop, write_and_chain, "abc"));
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("aabbcc");
  free_loop(loop);
}

static int runs_left;

static void rearm_or_end(loop_t *loop, void *arg) {
  callbacks_inside++;
  write_letter(loop, arg);
  if (--runs_left > 0) CHECK_EQ(loop_reschedule(loop, loop_current(loop), 0), 0);
  callbacks_inside--;
}

static void tick_or_end(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  callbacks_inside++;
  write_letter(loop, arg);
  if (--runs_left == 0) CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  callbacks_inside--;
}

TEST(a_timer_is_released_after_its_last_run_only) {
  loop_t *loop = loop_new();
  runs_left = 3;
  with_release(loop, loop_call_later(loop, 0, rearm_or_end, "r"));
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("rrrr");
  runs_left = 3;
  with_release(loop, loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, tick_or_end, "e"));
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("eeee");
  free_loop(loop);
  CHECK_JOURNAL("");
}

static void write_capital_release(void *arg) { journal_write((char)(*(char *)arg - 'a' + 'A')); }

TEST(a_release_can_be_replaced_and_taken_away) {
  loop_t *loop = loop_new();
  loop_handle_t handles[SOURCES];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  for (int i = 0; i < SOURCES; i++) {
    CHECK_EQ(loop_set_release(loop, handles[i], NULL), 0);
    CHECK_EQ(loop_set_release(loop, handles[i], NULL), 0);
  }
  CHECK_EQ(loop_set_release(loop, handles[0], write_capital_release), 0);
  with_release(loop, handles[1]);
  CHECK_EQ(loop_set_release(loop, handles[1], write_capital_release), 0);
  for (int i = 0; i < SOURCES; i++) CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_JOURNAL("SL");
  free_loop(loop);
  CHECK_JOURNAL("");
  close_pair(ends);
}

static void set_own_release(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  with_release(loop, loop_current(loop));
}

TEST(a_one_shot_sets_its_release_in_its_own_callback) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, set_own_release, "s") > 0);
  CHECK(loop_call_later(loop, 0, set_own_release, "t") > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, set_own_release, "p", NULL), 0);
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_JOURNAL("stpstp");
  free_loop(loop);
  CHECK_JOURNAL("");
}

TEST(a_refused_post_takes_nothing) {
  loop_t *loop = loop_new();
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, "p", write_release), LOOP_ENOCALLBACK);
  CHECK_EQ(loop_call_soon_threadsafe(NULL, write_letter, "p", write_release), LOOP_ENULL);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
  CHECK_JOURNAL("");
}
