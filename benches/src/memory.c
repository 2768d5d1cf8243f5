/* Memory, as resident bytes of the process: of a timer, a watcher, a loop. What the user has to
 * keep per object (a struct, or the number that is a handle) is counted. */
#include "backend.h"

#include <stdlib.h>

enum { TURNS = 20000 };

ON_SOON(count_soon) {
  SOON_ENTER;
  ++*(uint64_t *)ARG;
}
ON_TIMER(no_timer) { must(!ARG && 0, "a timer that is not due"); }
ON_FD(no_event) {
  (void)FD_IS_READABLE;
  must(!ARG && 0, "an idle descriptor's callback");
}

void run_memory_timers(uint64_t count) {
  b_loop *l = b_new();
  b_turn(l);
  uint64_t before = resident_bytes();
  b_timer *timers = touched(count, sizeof *timers);
  uint64_t users = resident_bytes();
  b_base base = b_base_of(l);
  for (uint64_t i = 0; i < count; i++)
    b_timer_start(l, &timers[i], no_timer, NULL, base, b_delay_of(1000000000 + next_random() % 60000000000u));
  report("bytes_per_timer", (double)(resident_bytes() - before) / (double)count);
  report("bytes_per_timer_in_loop", (double)(resident_bytes() - users) / (double)count);
  for (uint64_t i = 0; i < count; i++) b_timer_cancel(l, &timers[i]);
  for (uint64_t i = 0; i < count; i++) b_timer_end(l, &timers[i]);
  /* Memory may go back in turns. */
  b_keep(l);
  for (int turn = 0; turn < TURNS; turn++) b_turn(l);
  uint64_t after = resident_bytes();
  report("bytes_left_after_timers", after > users ? (double)(after - users) : 0);
  b_free(l);
}

/* Callbacks that were queued and have run. */
void run_memory_soon(uint64_t count) {
  b_loop *l = b_new();
  b_keep(l);
  b_soon *soon = touched(count, sizeof *soon);
  for (uint64_t i = 0; i < count; i++) b_soon_init(l, &soon[i], count_soon, &calls);
  b_turn(l);
  uint64_t before = resident_bytes();
  for (uint64_t i = 0; i < count; i++) b_call_soon(l, &soon[i]);
  for (int turn = 0; turn < TURNS; turn++) b_turn(l);
  must_equal("soon callbacks", count, calls);
  uint64_t after = resident_bytes();
  report("bytes_left_after_soon", after > before ? (double)(after - before) : 0);
  b_free(l);
}

void run_memory_watchers(uint64_t count) {
  count = allow_descriptors(count);
  int *fds = touched(count, sizeof *fds);
  for (uint64_t i = 0; i < count; i++) fds[i] = event_fd(false);
  b_loop *l = b_new();
  b_turn(l);
  uint64_t before = resident_bytes();
  b_fd *watches = touched(count, sizeof *watches);
  uint64_t users = resident_bytes();
  for (uint64_t i = 0; i < count; i++) {
    b_fd_init(l, &watches[i], fds[i], no_event, NULL);
    b_fd_start(l, &watches[i], fds[i], READABLE, no_event, NULL);
  }
  b_turn(l);
  report("bytes_per_watcher", (double)(resident_bytes() - before) / (double)count);
  report("bytes_per_watcher_in_loop", (double)(resident_bytes() - users) / (double)count);
  for (uint64_t i = 0; i < count; i++) b_fd_stop(l, &watches[i]);
  b_free(l);
}

void run_memory_loops(uint64_t count) {
  count = allow_descriptors(8 * count) / 8;
  b_loop **loops = touched(count, sizeof *loops);
  uint64_t before = resident_bytes();
  for (uint64_t i = 0; i < count; i++) loops[i] = b_new();
  report("bytes_per_loop", (double)(resident_bytes() - before) / (double)count);
  for (uint64_t i = 0; i < count; i++) b_turn(loops[i]);
  report("bytes_per_loop_after_a_turn", (double)(resident_bytes() - before) / (double)count);
  for (uint64_t i = 0; i < count; i++) b_free(loops[i]);
}
