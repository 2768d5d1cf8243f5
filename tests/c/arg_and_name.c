/* loop_set_arg changes what a source of any kind is called (and released) with
 * from then on; loop_set_name copies the name and changes nothing else. */
#define _GNU_SOURCE 1
#include "journal.h"

enum { SOURCES = 5 };

static void make_sources(loop_t *loop, int readable_fd, loop_handle_t handles[SOURCES]) {
  handles[0] = loop_call_soon(loop, write_letter, "s");
  handles[1] = loop_call_later(loop, 0, write_letter, "l");
  handles[2] = loop_call_every(loop, 0, MS(60000), LOOP_SKIP_MISSED, write_tick, "e");
  handles[3] = loop_watch_fd(loop, readable_fd, LOOP_READABLE, write_event, "f");
  handles[4] = loop_add_hook(loop, LOOP_AFTER_WAIT, write_letter, "h");
  for (int i = 0; i < SOURCES; i++) CHECK(handles[i] > 0);
}

TEST(a_new_argument_is_what_every_kind_of_callback_gets) {
  loop_t *loop = loop_new();
  loop_handle_t handles[SOURCES];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  for (int i = 0; i < SOURCES; i++) CHECK_EQ(loop_set_arg(loop, handles[i], &"SLEFH"[i]), 0);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("HSFLE");
  free_loop(loop);
  close_pair(ends);
}

TEST(the_release_gets_the_argument_of_that_time) {
  loop_t *loop = loop_new();
  loop_handle_t handles[SOURCES];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  for (int i = 0; i < SOURCES; i++) {
    CHECK_EQ(loop_set_release(loop, handles[i], write_release), 0);
    CHECK_EQ(loop_set_arg(loop, handles[i], &"SLEFH"[i]), 0);
    CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  }
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_JOURNAL("SLEFH");
  free_loop(loop);
  close_pair(ends);
}

static void change_own_arg(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  CHECK_EQ(loop_set_arg(loop, loop_current(loop), "z"), 0);
}

static void change_own_arg_on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  CHECK_EQ(ticks, 1);
  change_own_arg(loop, arg);
}

TEST(a_callback_changes_its_own_argument) {
  loop_t *loop = new_loop(LOOP_MANUAL_CLOCK);
  loop_handle_t every = loop_call_every(loop, 0, 10, LOOP_RUN_MISSED, change_own_arg_on_tick, "a");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_advance(loop, 10), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("az");
  CHECK_EQ(loop_cancel(loop, every), 0);

  loop_handle_t soon = loop_call_soon(loop, change_own_arg, "s");
  CHECK_EQ(loop_set_release(loop, soon, write_release), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, change_own_arg, "p", write_release), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("spzz");
  free_loop(loop);
}

TEST(every_kind_of_source_takes_a_name_and_copies_it) {
  loop_t *loop = loop_new();
  loop_handle_t handles[SOURCES];
  int ends[2];
  char name[] = "a name";
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  for (int i = 0; i < SOURCES; i++) {
    CHECK_EQ(loop_set_name(loop, handles[i], name), 0);
    CHECK_EQ(loop_set_name(loop, handles[i], "another name"), 0);
    CHECK_EQ(loop_set_name(loop, handles[i], ""), 0);
    CHECK_EQ(loop_set_name(loop, handles[i], name), 0);
  }
  memset(name, 0, sizeof name);
  CHECK_EQ(loop_set_name(loop, handles[2], NULL), 0);
  CHECK_EQ(loop_set_name(loop, handles[2], NULL), 0);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("hsfle");
  CHECK_EQ(loop_set_name(loop, handles[0], "too late"), LOOP_ESTALE);
  CHECK_EQ(loop_set_name(loop, handles[1], "too late"), LOOP_ESTALE);
  free_loop(loop);
  close_pair(ends);
}
