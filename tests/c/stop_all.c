/* link: -lpthread */
/* loop_stop_all: every run on the stack ends, from the innermost outwards; a run that begins while
 * they end does not. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <signal.h>

static loop_t *loop;
static int depth, ended, runs;

static void dialog(loop_t *l, void *arg) {
  if (++depth < *(int *)arg) {
    CHECK(loop_call_soon(l, dialog, arg) > 0);
  } else {
    CHECK_EQ(loop_stop_all(l), 0);
    CHECK_EQ(loop_stop_all(l), 0);
  }
  if (loop_is_running(l) < *(int *)arg) CHECK_EQ(loop_run_forever(l), 0);
  ended++;
}

TEST(every_run_on_the_stack_ends) {
  for (int levels = 1; levels <= 5; levels++) {
    loop = new_loop(0);
    depth = ended = runs = 0;
    CHECK(loop_call_soon(loop, dialog, &levels) > 0);
    CHECK_EQ(loop_run_forever(loop), 0);
    CHECK_EQ(ended, levels);
    /* It is used up. */
    CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    CHECK(loop_call_later(loop, MS(1), count_run, &runs) > 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(runs, 2);
    free_loop(loop);
  }
}

/* "Save before you go?" */
static void save(loop_t *l, void *arg) {
  (void)arg;
  runs++;
  CHECK_EQ(loop_stop(l), 0);
}

static void innermost(loop_t *l, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop_all(l), 0);
}

static void outer_dialog(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, innermost, arg) > 0);
  CHECK_EQ(loop_run_forever(l), 0); /* stopped */
  CHECK(loop_call_later(l, MS(2), save, arg) > 0);
  CHECK_EQ(loop_run_forever(l), 0); /* not ended before its own end */
  CHECK_EQ(runs, 1);
  CHECK(loop_call_later(l, MS(2), save, arg) > 0);
  CHECK_EQ(loop_run_once(l, -1), 1); /* waits */
  CHECK_EQ(runs, 2);
  embed(l);
  CHECK_EQ(is_readable(host_fd), 0); /* nothing for a host to do here */
  CHECK(loop_timeout(l) > 0);
}

TEST(a_run_that_begins_meanwhile_does_not_end) {
  loop = new_loop(0);
  runs = 0;
  CHECK(loop_call_soon(loop, outer_dialog, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

/* One that arrives between, for a dialog that was begun since: that ends as well. */
static void second_innermost(loop_t *l, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop_all(l), 0);
  CHECK(loop_call_soon(l, count_run, &runs) > 0);
  CHECK_EQ(loop_run_once(l, 0), 1); /* begun since; it uses nothing up */
}

static void twice(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, innermost, arg) > 0);
  CHECK_EQ(loop_run_forever(l), 0);
  CHECK(loop_call_soon(l, second_innermost, arg) > 0);
  CHECK_EQ(loop_run_forever(l), 0);
  ended++;
}

TEST(a_second_request_ends_what_has_begun_since) {
  loop = new_loop(0);
  runs = ended = 0;
  CHECK(loop_call_soon(loop, twice, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(ended, 1);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}

TEST(at_rest_the_next_run_makes_one_turn) {
  loop = new_loop(0);
  runs = 0;
  embed(loop);
  CHECK_EQ(loop_stop_all(loop), 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_timeout(loop), 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(runs, 1);
  CHECK_EQ(is_readable(host_fd), 0);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
  CHECK_EQ(loop_stop_all(NULL), LOOP_ENULL);
}

static void *stop_from_here(void *arg) {
  usleep(2000);
  CHECK_EQ(loop_stop_all(loop), 0);
  return arg;
}

static void on_signal(int number) {
  (void)number;
  loop_stop_all(loop);
}

static void sleeping_dialog(loop_t *l, void *arg) {
  if (++depth < 4) CHECK(loop_call_soon(l, sleeping_dialog, arg) > 0);
  if (depth == 4 && arg == NULL) CHECK_EQ(raise(SIGTERM), 0);
  CHECK_EQ(loop_run_forever(l), 0);
  ended++;
}

TEST(from_another_thread_or_a_signal_handler_while_a_dialog_pumps) {
  CHECK(signal(SIGTERM, on_signal) != SIG_ERR);
  for (int is_thread = 0; is_thread < 2; is_thread++) {
    loop = new_loop(0);
    depth = ended = 0;
    pthread_t thread;
    if (is_thread) thread = start_thread(stop_from_here, NULL);
    CHECK(loop_call_soon(loop, sleeping_dialog, is_thread ? &depth : NULL) > 0);
    int result = loop_run_forever(loop);
    CHECK_EQ(result, 0);
    if (is_thread) join_thread(thread);
    /* (The thread may have been quicker than the dialogs.) */
    CHECK_EQ(ended, depth);
    free_loop(loop);
  }
}
