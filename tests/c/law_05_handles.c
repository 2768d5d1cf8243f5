/* Law 5: a handle is a number: positive, below 2^53, never used again for
 * something else. A finished one is LOOP_ESTALE for every function, one of
 * another kind LOOP_EKIND, and nothing is changed then. */
#define _GNU_SOURCE 1
#include "journal.h"

#include <limits.h>

enum { ROUNDS = 1000000 };

#define TWO_TO_THE_53 (INT64_C(1) << 53)

/* Every function that takes a handle. */
static int64_t do_cancel(loop_t *l, loop_handle_t h) { return loop_cancel(l, h); }
static int64_t do_set_arg(loop_t *l, loop_handle_t h) { return loop_set_arg(l, h, "?"); }
static int64_t do_set_release(loop_t *l, loop_handle_t h) { return loop_set_release(l, h, write_release); }
static int64_t do_set_name(loop_t *l, loop_handle_t h) { return loop_set_name(l, h, "?"); }
static int64_t do_ref(loop_t *l, loop_handle_t h) { return loop_ref(l, h); }
static int64_t do_unref(loop_t *l, loop_handle_t h) { return loop_unref(l, h); }
static int64_t do_reschedule(loop_t *l, loop_handle_t h) { return loop_reschedule(l, h, 0); }
static int64_t do_reschedule_at(loop_t *l, loop_handle_t h) { return loop_reschedule_at(l, h, 0); }
static int64_t do_remaining(loop_t *l, loop_handle_t h) { return loop_remaining(l, h); }
static int64_t do_update(loop_t *l, loop_handle_t h) { return loop_watch_update(l, h, LOOP_WRITABLE); }
static int64_t do_events(loop_t *l, loop_handle_t h) { return loop_watch_events(l, h); }

enum purpose { FOR_ALL, FOR_TIMERS, FOR_WATCHES };

static const struct {
  enum purpose purpose;
  int64_t (*call)(loop_t *loop, loop_handle_t handle);
} functions[] = {
    {FOR_ALL, do_cancel},          {FOR_ALL, do_set_arg},           {FOR_ALL, do_set_release},
    {FOR_ALL, do_set_name},        {FOR_ALL, do_ref},               {FOR_ALL, do_unref},
    {FOR_TIMERS, do_reschedule},   {FOR_TIMERS, do_reschedule_at},  {FOR_TIMERS, do_remaining},
    {FOR_WATCHES, do_update},      {FOR_WATCHES, do_events},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static void check_stale_for_every_function(loop_t *loop, loop_handle_t handle) {
  /* A negative number is an error that was passed on, and comes back as it is. */
  const int64_t answer = handle < 0 && handle >= INT_MIN ? handle : LOOP_ESTALE;
  for (int f = 0; f < FUNCTIONS; f++) CHECK_EQ(functions[f].call(loop, handle), answer);
  CHECK_EQ(loop_is_active(loop, handle), handle < 0 ? answer : 0);
}

/* One source of each kind, all ready to run in the next turn. */
enum kind { SOON, LATER, EVERY, WATCH, HOOK, KINDS };

static void make_sources(loop_t *loop, int readable_fd, loop_handle_t handles[KINDS]) {
  handles[SOON] = loop_call_soon(loop, write_letter, "s");
  handles[LATER] = loop_call_later(loop, 0, write_letter, "l");
  handles[EVERY] = loop_call_every(loop, 0, MS(60000), LOOP_SKIP_MISSED, write_tick, "e");
  handles[WATCH] = loop_watch_fd(loop, readable_fd, LOOP_READABLE, write_event, "f");
  handles[HOOK] = loop_add_hook(loop, LOOP_AFTER_WAIT, write_letter, "h");
  for (int kind = 0; kind < KINDS; kind++) CHECK(handles[kind] > 0);
}

static int compare_handles(const void *a, const void *b) {
  loop_handle_t x = *(const loop_handle_t *)a, y = *(const loop_handle_t *)b;
  return (x > y) - (x < y);
}

static loop_handle_t all_handles[ROUNDS];

TEST(a_million_handles_are_positive_below_2_to_the_53_and_unique) {
  loop_t *loop = loop_new();
  for (int i = 0; i < ROUNDS; i++) {
    loop_handle_t handle;
    switch (i % 4) {
      case 0: handle = loop_call_soon(loop, write_letter, "?"); break;
      case 1: handle = loop_call_at(loop, MS(i), write_letter, "?"); break;
      case 2: handle = loop_call_every(loop, MS(i), 1, LOOP_RUN_MISSED, write_tick, "?"); break;
      default: handle = loop_add_hook(loop, LOOP_WHEN_IDLE, write_letter, "?"); break;
    }
    CHECK(handle > 0 && handle < TWO_TO_THE_53);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    all_handles[i] = handle;
  }
  check_stale_for_every_function(loop, all_handles[0]);
  check_stale_for_every_function(loop, all_handles[1]);
  check_stale_for_every_function(loop, all_handles[ROUNDS - 1]);
  qsort(all_handles, ROUNDS, sizeof *all_handles, compare_handles);
  for (int i = 1; i < ROUNDS; i++) CHECK(all_handles[i - 1] < all_handles[i]);
  free_loop(loop);
}

TEST(a_finished_handle_is_stale_for_every_function) {
  loop_t *loop = loop_new();
  loop_handle_t ran[KINDS], cancelled[KINDS], live[KINDS];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], ran);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("hsfle");
  CHECK_EQ(loop_cancel(loop, ran[EVERY]), 0);
  CHECK_EQ(loop_cancel(loop, ran[WATCH]), 0);
  CHECK_EQ(loop_cancel(loop, ran[HOOK]), 0);
  make_sources(loop, ends[0], cancelled);
  for (int kind = 0; kind < KINDS; kind++) CHECK_EQ(loop_cancel(loop, cancelled[kind]), 0);

  /* The old numbers touch nothing, also where new sources have taken the old places. */
  make_sources(loop, ends[0], live);
  for (int kind = 0; kind < KINDS; kind++) {
    check_stale_for_every_function(loop, ran[kind]);
    check_stale_for_every_function(loop, cancelled[kind]);
  }
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("hsfle");
  free_loop(loop);
  close_pair(ends);
}

TEST(a_handle_of_the_wrong_kind_is_refused_and_nothing_is_changed) {
  loop_t *loop = loop_new();
  loop_handle_t handles[KINDS];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], handles);
  for (int kind = 0; kind < KINDS; kind++) {
    enum purpose own = kind == WATCH                    ? FOR_WATCHES
                       : kind == LATER || kind == EVERY ? FOR_TIMERS
                                                        : FOR_ALL;
    for (int f = 0; f < FUNCTIONS; f++) {
      if (functions[f].purpose == FOR_ALL || functions[f].purpose == own) continue;
      CHECK_EQ(functions[f].call(loop, handles[kind]), LOOP_EKIND);
    }
    CHECK_EQ(loop_is_active(loop, handles[kind]), 1);
  }
  CHECK_EQ(loop_watch_events(loop, handles[WATCH]), LOOP_READABLE);
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("hsfle");
  free_loop(loop);
  close_pair(ends);
}

static int is_one_of(loop_handle_t handle, const loop_handle_t *handles, int count) {
  for (int i = 0; i < count; i++) {
    if (handles[i] == handle) return 1;
  }
  return 0;
}

TEST(numbers_that_are_no_handles_are_stale_for_every_function) {
  loop_t *loop = loop_new();
  loop_handle_t live[KINDS];
  int ends[2];
  open_ready_pipe(ends);
  make_sources(loop, ends[0], live);
  const loop_handle_t edges[] = {0,         -1,           LOOP_ESTALE,       INT64_MIN,        INT64_MAX,
                                 INT32_MAX, UINT32_MAX,   TWO_TO_THE_53,     TWO_TO_THE_53 - 1};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    check_stale_for_every_function(loop, edges[i]);
  }
  for (int i = 0; i < 20000; i++) {
    check_stale_for_every_function(loop, (loop_handle_t)next_random());
    check_stale_for_every_function(loop, (loop_handle_t)(next_random() >> 11));
  }
  for (int kind = 0; kind < KINDS; kind++) {
    for (int bit = 0; bit < 64; bit++) {
      loop_handle_t near = (loop_handle_t)((uint64_t)live[kind] ^ (UINT64_C(1) << bit));
      if (!is_one_of(near, live, KINDS)) check_stale_for_every_function(loop, near);
    }
  }
  CHECK_EQ(loop_run_once(loop, 0), 4);
  CHECK_JOURNAL("hsfle");
  free_loop(loop);
  close_pair(ends);
}

enum { MANY = 100 };

TEST(a_handle_of_another_loop_is_stale_unless_this_loop_has_given_the_number_too) {
  loop_t *loop = loop_new(), *small = loop_new(), *empty = loop_new();
  loop_handle_t handles[2 * MANY], own = loop_call_at(small, 0, write_letter, "o");
  CHECK(own > 0);
  for (int i = 0; i < MANY; i++) {
    handles[i] = loop_call_soon(loop, write_letter, "s");
    handles[MANY + i] = loop_call_later(loop, 0, write_letter, "t");
  }
  for (int i = 0; i < 2 * MANY; i++) {
    check_stale_for_every_function(empty, handles[i]);
    if (handles[i] != own) check_stale_for_every_function(small, handles[i]);
    CHECK_EQ(loop_is_active(loop, handles[i]), 1);
  }
  CHECK_EQ(loop_run(empty), 1);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run(small), 1);
  CHECK_JOURNAL("o");
  CHECK_EQ(loop_run_once(loop, 0), 2 * MANY);
  free_loop(loop);
  free_loop(small);
  free_loop(empty);
}
