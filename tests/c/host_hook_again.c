/* Work that comes to a resting loop calls the host's hook, whatever was told
 * before and has been dealt with since. (Found by tests/model.rs: two ways in
 * which a host that has a hook alone was not told, and slept on.) */
#define _GNU_SOURCE 1
#include "host_support.h"

static int calls;

static void count_call(void *arg) {
  (void)arg;
  calls++;
}

static loop_t *hooked_loop(void) {
  loop_t *loop = new_loop(0);
  CHECK_EQ(loop_set_wake_hook(loop, count_call, NULL), 0);
  calls = 0;
  return loop;
}

static void flush_and_stop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_flush(loop), 0);
  CHECK_EQ(loop_stop(loop), 0);
}

/* The end of a run is one also after a flush: the hook can be called again. */
TEST(a_stop_after_a_flush_does_not_use_up_the_next_call_of_the_hook) {
  int runs = 0;
  loop_t *loop = hooked_loop();
  CHECK(loop_call_soon(loop, flush_and_stop, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  calls = 0;
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(calls, 1);
  free_loop(loop);
}

/* A budget left work behind, the host knows; then the work was cancelled. */
TEST(work_after_cancelled_work_calls_the_hook) {
  int runs = 0;
  loop_t *loop = hooked_loop();
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  loop_handle_t second = loop_call_soon(loop, count_run, &runs);
  CHECK_EQ(loop_run_ready(loop, 0), 1);
  calls = 0;
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK(loop_timeout(loop) == LOOP_NEVER);
  CHECK_EQ(calls, 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(calls, 1);
  free_loop(loop);
}

/* Once until the next run, also if the host asks for the descriptor in between. */
TEST(a_hook_that_has_been_called_is_not_called_again_after_loop_fd) {
  int runs = 0;
  loop_t *loop = hooked_loop();
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(calls, 1);
  embed(loop);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  free_loop(loop);
}
