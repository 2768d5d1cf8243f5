/* link: -rdynamic -lpthread -ldl */
/* What a lack of memory has brought to light, each under the name of its cause. */
#define _GNU_SOURCE 1
#include "fault_frame.h"

#include "count_allocations.h"
#include "count_syscalls.h"

static int is_true(void) { return 0; }
static void end(void) {}

static void start(uint32_t flags) {
  fault.name = "a fault that is over";
  fault.is_true = is_true;
  fault.end = end;
  open_loop(flags, 0);
}

static void refuse_memory(int is_refused) {
  heap.refused = 0;
  heap.refusals = 1000;
  heap.refuse_at = is_refused ? 1 : 0;
}

TEST(a_remote_that_found_no_memory_was_counted_off) {
  start(0);
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK(remote != NULL);
  refuse_memory(1);
  CHECK(loop_remote_new(loop) == NULL);
  refuse_memory(0);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  end_loop();
}

TEST(a_post_that_found_no_memory_was_slept_over) {
  start(0);
  struct source *s = new_source(1);
  CHECK_EQ(loop_call_soon_threadsafe(loop, run, s, release), 0);
  s->owed++;
  refuse_memory(1);
  CHECK_EQ(loop_run_once(loop, -1), -ENOMEM);
  refuse_memory(0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  end_loop();
}

/* A run that never ends, and never says why. */
TEST(events_that_found_no_memory_were_not_told) {
  int fds[2];
  make_pair(fds);
  put_byte(fds[1]);
  start(0);
  struct watcher w = watch(fds[0], LOOP_READABLE);
  refuse_memory(1);
  CHECK_EQ(loop_run_once(loop, -1), -ENOMEM);
  CHECK_EQ(loop_run_once(loop, 0), -ENOMEM);
  refuse_memory(0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  cancel(&w);
  end_loop();
  close_pair(fds);
}
