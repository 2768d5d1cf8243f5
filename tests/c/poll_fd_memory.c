/* link: -rdynamic -lpthread */
/* After a burst of operations, the loop gives the memory back, in every table that
 * an operation is in: its own, the watchers' and the timers'. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_allocations.h"

enum { BURST = 20000 };

static loop_handle_t handles[BURST];

static void on_done(loop_t *l, loop_handle_t handle, uint32_t what, int64_t result, void *data, void *arg) {
  (void)l;
  (void)handle;
  (void)what;
  (void)result;
  (void)data;
  (void)arg;
  CHECK(!"an operation that was cancelled is done");
}

static void burst(loop_t *loop, int fd, int count) {
  for (int i = 0; i < count; i++) {
    handles[i] = loop_poll_fd(loop, fd, LOOP_READABLE, 3600 * LOOP_SECOND, on_done, NULL);
    CHECK(handles[i] > 0);
  }
  for (int i = 0; i < count; i++) CHECK_EQ(loop_cancel(loop, handles[i]), 0);
}

TEST(memory_is_given_back_after_a_burst) {
  int fds[2];
  loop_t *loop = new_loop(0);
  make_pair(fds);
  burst(loop, fds[0], 10);
  for (int i = 0; i < 200; i++) CHECK(loop_run_once(loop, 0) >= 0);
  size_t before = heap.live;
  heap.peak = heap.live;
  burst(loop, fds[0], BURST);
  size_t grown = heap.peak - before;
  CHECK(grown >= BURST * 64); /* so this is the heap it lives on */
  int turns = 0;
  while (heap.live > before + grown / 10) {
    CHECK(turns++ < 50000);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
  free_loop(loop);
  close_pair(fds);
}
