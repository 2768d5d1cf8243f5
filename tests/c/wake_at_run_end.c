/* A loop_wake that no wait of its run has used up is kept for the next run,
 * whose first wait does not block. (Found by tests/model.rs: such a wake was
 * forgotten as the run ended, and the next run slept for ever.) */
#define _GNU_SOURCE 1
#include "host_support.h"

static void wake_loop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_wake(loop), 0);
}

static loop_t *release_wakes;

static void wake_on_release(void *arg) {
  (void)arg;
  CHECK_EQ(loop_wake(release_wakes), 0);
}

TEST(a_wake_in_a_runs_last_callback_ends_the_next_runs_wait) {
  loop_t *loop = new_loop(0);
  CHECK(loop_call_soon(loop, wake_loop, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK_EQ(loop_run_once(loop, -1), 0); /* would wait for ever */
  CHECK(loop_timeout(loop) == LOOP_NEVER);
  free_loop(loop);
}

TEST(a_wake_in_a_release_ends_the_next_runs_wait) {
  int runs = 0;
  loop_t *loop = release_wakes = new_loop(0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, wake_on_release), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  CHECK_EQ(runs, 1);
  free_loop(loop);
}

TEST(a_wake_of_an_outer_callback_ends_a_nested_runs_wait) {
  loop_t *loop = new_loop(0);
  CHECK(loop_call_soon(loop, wake_loop, NULL) > 0);
  CHECK_EQ(loop_run_ready(loop, 0), 1);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  free_loop(loop);
}
