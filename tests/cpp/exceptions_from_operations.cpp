/* A C++ exception leaves the callback of an operation: it passes through the run
 * call, the operation is finished as if its callback had returned, and all else
 * goes on in its order. */
#include "throwing.hpp"

#include "pairs.h"

static int releases, others;

static void release(void *) { releases++; }

static void count(loop_t *, loop_handle_t, uint32_t, int64_t, void *, void *) { others++; }

static void throw_it(loop_t *, loop_handle_t, uint32_t, int64_t, void *, void *) {
  OnTheStack object;
  throw std::runtime_error("from an operation");
}

/* By its descriptor, and by its time limit. */
static void try_one(const Run &run, int timed_out) {
  int fds[2];
  make_pair_with(fds, 0);
  loop_t *loop = loop_new();
  releases = others = 0;
  if (!timed_out) put_byte(fds[1]);
  loop_handle_t handle = loop_poll_fd(loop, fds[0], LOOP_READABLE, 0, throw_it, NULL);
  CHECK(handle > 0);
  CHECK_EQ(loop_set_release(loop, handle, release), 0);
  CHECK(loop_poll_fd(loop, fds[0], LOOP_WRITABLE, -1, count, NULL) > 0);
  bool caught = false;
  try {
    run.run(loop);
  } catch (const std::runtime_error &) {
    caught = true;
  }
  CHECK(caught);
  CHECK_EQ(objects_alive, 0);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_current(loop), 0);
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_cancel(loop, handle), LOOP_ESTALE);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(others, 1);
  CHECK_EQ(releases, 1);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(an_exception_finishes_the_operation) {
  for (const Run &run : all_runs) {
    try_one(run, 0);
    try_one(run, 1);
  }
}
