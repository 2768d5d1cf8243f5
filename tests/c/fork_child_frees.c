/* link: -lpthread */
/* A child that frees an inherited loop inside the callback that forked leaves the
 * parent's kernel side alone: it emptied the eventfd that says "work is left", and
 * the parent's host was not told any more. */
#define _GNU_SOURCE 1
#include "host_support.h"

static void fork_and_free(loop_t *loop, void *arg) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK_EQ(loop_free(loop), 0);
    return; /* to the end of the run */
  }
  check_child(child);
  CHECK(loop_call_soon(loop, count_run, arg) > 0); /* work is left for the next run */
}

TEST(a_child_that_freed_the_loop_took_the_parents_bell) {
  int runs = 0;
  loop_t *loop = new_loop(0);
  embed(loop);
  CHECK(loop_call_soon(loop, fork_and_free, &runs) > 0);
  int result = loop_run_once(loop, 0);
  if (result == LOOP_ECLOSED) _exit(0); /* the child */
  CHECK_EQ(result, 1);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(runs, 1);
  check_quiet(loop);
  free_loop(loop);
}
