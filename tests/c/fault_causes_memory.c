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

enum { MOST_PROMISED = 9000 };

/* So many sources with a release in the past, then so many more, and so many turns. Then the memory
 * is gone, and all are cancelled. */
static void cancel_without_memory(int past, int promised, int turns) {
  static loop_handle_t handles[MOST_PROMISED];
  start(0);
  struct source *s = new_source(-1);
  for (int i = 0; i < past; i++) {
    loop_handle_t handle = loop_call_later(loop, HOUR, run, s);
    owe(s, handle);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
  }
  for (int i = 0; i < promised; i++) {
    handles[i] = loop_call_later(loop, HOUR, run, s);
    owe(s, handles[i]);
  }
  for (int i = 0; i < turns; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  refuse_memory(1);
  for (int i = 0; i < promised; i++) CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(s->releases, past + promised);
  refuse_memory(0);
  end_loop();
}

/* The process ended: the room for releases was a block short. */
TEST(a_queue_that_was_empty_in_mid_block_was_counted_as_no_block) {
  static const int past[] = {0, 1, 2, 1023, 1024, 1025};
  for (int i = 0; i < 6; i++) {
    for (int promised = 1024; promised <= 8 * 1024; promised *= 2) {
      cancel_without_memory(past[i], promised - 1, 0);
      cancel_without_memory(past[i], promised, 0);
      cancel_without_memory(past[i], promised + 1, 0);
    }
  }
}

TEST(the_room_promised_to_releases_was_trimmed) { cancel_without_memory(1, MOST_PROMISED, 64 * 40); }

/* What has been promised and is withdrawn makes room for what is promised next, and no more. */
TEST(a_release_that_was_withdrawn_took_the_room_of_another) {
  static loop_handle_t handles[MOST_PROMISED];
  start(0);
  struct source *s = new_source(-1);
  for (int i = 0; i < MOST_PROMISED; i++) {
    handles[i] = loop_call_later(loop, HOUR, run, s);
    CHECK_EQ(loop_set_release(loop, handles[i], release), 0);
    if (i % 2) CHECK_EQ(loop_set_release(loop, handles[i], NULL), 0);
    if (i % 2 == 0) s->owed++;
  }
  for (int i = 0; i < 64 * 40; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  refuse_memory(1);
  for (int i = 0; i < MOST_PROMISED; i++) CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(s->releases, s->owed);
  refuse_memory(0);
  end_loop();
}
