/* link: -lpthread */
/* Pull mode and the other one: a loop is driven by loop_next_events alone, or by
 * the run functions alone; each answers LOOP_EPULL on a loop of the other sort.
 * Only in pull mode a source may have no callback. */
#define _GNU_SOURCE 1
#include "host_support.h"

static int runs, hook_runs;

static void never(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  CHECK(0);
}

static void check_run_functions_refused(loop_t *loop) {
  CHECK_EQ(loop_run_forever(loop), LOOP_EPULL);
  CHECK_EQ(loop_run(loop), LOOP_EPULL);
  CHECK_EQ(loop_run_once(loop, -1), LOOP_EPULL);
  CHECK_EQ(loop_run_once(loop, 0), LOOP_EPULL);
  CHECK_EQ(loop_run_ready(loop, UINT64_MAX), LOOP_EPULL);
}

TEST(the_run_functions_are_refused_in_pull_mode) {
  loop_event_t event;
  loop_t *loop = new_loop(LOOP_PULL);
  loop_handle_t handle = loop_call_soon(loop, count_run, &runs);
  runs = 0;
  check_run_functions_refused(loop);
  CHECK_EQ(runs, 0); /* nothing has happened */
  CHECK_EQ(loop_is_active(loop, handle), 1);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), 0); /* only a callback ran */
  CHECK_EQ(runs, 1);
  free_loop(loop);
}

static void run_inside(loop_t *loop, void *arg) {
  check_run_functions_refused(loop);
  CHECK_EQ(loop_is_running(loop), 1);
  count_run(loop, arg);
}

TEST(inside_a_callback_as_well) {
  loop_event_t event;
  loop_t *loop = new_loop(LOOP_PULL);
  runs = 0;
  CHECK(loop_call_soon(loop, run_inside, &runs) > 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), 0);
  CHECK_EQ(runs, 1);
  free_loop(loop);
}

TEST(loop_next_events_is_refused_elsewhere) {
  loop_event_t event;
  loop_t *loop = new_loop(0);
  loop_handle_t handle = loop_call_soon(loop, never, NULL);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), LOOP_EPULL);
  CHECK_EQ(loop_next_events(loop, &event, 1, -1), LOOP_EPULL);
  CHECK_EQ(loop_is_active(loop, handle), 1);
  free_loop(loop);
}

TEST(a_callback_may_be_left_out_in_pull_mode_only) {
  int fds[2];
  make_pair(fds);
  for (int is_pull = 0; is_pull < 2; is_pull++) {
    loop_t *loop = new_loop(is_pull ? LOOP_PULL : 0);
    const loop_handle_t made[] = {
        loop_call_soon(loop, NULL, NULL),
        loop_call_later(loop, 0, NULL, NULL),
        loop_call_at(loop, 0, NULL, NULL),
        loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, NULL, NULL),
        loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, NULL)};
    for (int i = 0; i < 5; i++) {
      if (is_pull) CHECK(made[i] > 0);
      if (!is_pull) CHECK_EQ(made[i], LOOP_ENOCALLBACK);
    }
    int posted = loop_call_soon_threadsafe(loop, NULL, NULL, NULL);
    CHECK_EQ(posted, is_pull ? 0 : LOOP_ENOCALLBACK);
    CHECK_EQ(loop_has_work(loop), is_pull);
    for (uint32_t when = LOOP_BEFORE_WAIT; when < LOOP_ON_INTERRUPT; when++) {
      CHECK_EQ(loop_add_hook(loop, when, NULL, NULL), LOOP_ENOCALLBACK); /* never */
    }
    loop_handle_t hook = loop_add_hook(loop, LOOP_ON_INTERRUPT, NULL, NULL);
    if (is_pull) CHECK(hook > 0);
    if (!is_pull) CHECK_EQ(hook, LOOP_ENOCALLBACK);
    free_loop(loop);
  }
  close_pair(fds);
}

TEST(wrong_calls_are_refused) {
  loop_event_t event;
  loop_t *loop = new_loop(LOOP_PULL);
  CHECK(loop_call_soon(loop, never, NULL) > 0);
  CHECK_EQ(loop_next_events(NULL, &event, 1, 0), LOOP_ENULL);
  CHECK_EQ(loop_next_events(loop, NULL, 1, 0), LOOP_ENULL);
  CHECK_EQ(loop_next_events(loop, &event, 0, 0), -EINVAL);
  free_loop(loop);
}

TEST(hooks_are_called_round_its_waits) {
  loop_event_t event;
  loop_t *loop = new_loop(LOOP_PULL);
  hook_runs = 0;
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, count_run, &hook_runs) > 0);
  CHECK(loop_add_hook(loop, LOOP_AFTER_WAIT, count_run, &hook_runs) > 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), 0);
  CHECK_EQ(hook_runs, 2);
  free_loop(loop);
}

static void pull_inside(loop_t *loop, void *arg) {
  loop_event_t events[4];
  (void)arg;
  CHECK(loop_call_soon(loop, NULL, "new") > 0);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 1); /* the rest of the outer snapshot first */
  CHECK_EQ(strcmp(events[0].arg, "rest"), 0);
  CHECK_EQ(loop_is_running(loop), 1);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 1);
  CHECK_EQ(strcmp(events[0].arg, "new"), 0);
  runs++;
}

TEST(a_callback_may_pull_too) {
  loop_event_t event;
  loop_t *loop = new_loop(LOOP_PULL);
  runs = 0;
  CHECK(loop_call_soon(loop, pull_inside, NULL) > 0);
  CHECK(loop_call_soon(loop, NULL, "rest") > 0);
  CHECK_EQ(loop_next_events(loop, &event, 1, 0), 0);
  CHECK_EQ(runs, 1);
  free_loop(loop);
}

static void free_the_loop(loop_t *loop, void *arg) {
  CHECK_EQ(loop_free(loop), 0);
  count_run(loop, arg);
}

TEST(a_callback_may_free_the_loop) {
  loop_event_t events[4];
  int releases = 0;
  loop_t *loop = new_loop(LOOP_PULL);
  runs = 0;
  loop_handle_t handed = loop_call_soon(loop, NULL, &releases);
  CHECK_EQ(loop_set_release(loop, handed, count_release), 0);
  CHECK(loop_call_soon(loop, free_the_loop, &runs) > 0);
  loop_handle_t never_handed = loop_call_soon(loop, NULL, &releases);
  CHECK_EQ(loop_set_release(loop, never_handed, count_release), 0);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 1);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), LOOP_ECLOSED);
  CHECK_EQ(runs, 1);
  CHECK_EQ(releases, 2);
}
