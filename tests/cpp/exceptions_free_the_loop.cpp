/* Laws 4 and 10: a loop that a callback has freed goes with its outermost run, also when an
 * exception ends that. What stays behind would be its memory and its descriptors; the descriptors
 * can be counted. */
#include "throwing.hpp"

#include <fcntl.h>

static int count_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static void free_and_throw(loop_t *loop, void *) {
  CHECK_EQ(loop_free(loop), 0);
  throw std::runtime_error("T");
}

static void throw_through(const Run &run, loop_t *loop) {
  try {
    run.run(loop);
    CHECK(!"the run throws");
  } catch (const std::runtime_error &) {
  }
}

TEST(an_exception_behind_a_free_leaves_no_descriptor) {
  int before = count_descriptors();
  for (const Run &run : all_runs) {
    for (int times = 0; times < 10; times++) {
      loop_t *loop = loop_new();
      CHECK(loop_fd(loop) >= 0);
      CHECK(count_descriptors() > before);
      CHECK(loop_call_soon(loop, free_and_throw, nullptr) > 0);
      throw_through(run, loop);
      CHECK_EQ(count_descriptors(), before);
    }
  }
}

TEST(nor_does_one_that_passes_through_two_runs) {
  int before = count_descriptors();
  for (const Run &run : all_runs) {
    loop_t *loop = loop_new();
    auto nest = [](loop_t *inner, void *) {
      CHECK(loop_call_soon(inner, free_and_throw, nullptr) > 0);
      loop_run_once(inner, 0);
    };
    CHECK(loop_call_soon(loop, nest, nullptr) > 0);
    throw_through(run, loop);
    CHECK_EQ(count_descriptors(), before);
  }
}

TEST(nor_does_one_out_of_a_hook) {
  int before = count_descriptors();
  for (const Run &run : all_runs) {
    loop_t *loop = loop_new();
    CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, free_and_throw, nullptr) > 0);
    CHECK(loop_call_soon(loop, [](loop_t *, void *) {}, nullptr) > 0);
    throw_through(run, loop);
    CHECK_EQ(count_descriptors(), before);
  }
}
