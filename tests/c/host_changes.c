/* link: -rdynamic -lpthread -ldl */
/* Between the calls of a host the loop is complete: once loop_fd has been
 * called, a change made between runs reaches the kernel in the call that makes
 * it, in one system call or none. Inside a callback changes are collected,
 * until its turn is over or loop_flush. A loop whose loop_fd was never asked
 * for pays no system call for any of it. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include "count_syscalls.h"

static loop_t *loop;
static int runs, fds[2];
static loop_handle_t handle;

/* A warm loop with a quiet watcher. */
static void start(int is_embedded) {
  loop = new_loop(0);
  make_pair(fds);
  handle = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &runs);
  CHECK(handle > 0);
  if (is_embedded) embed(loop);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  runs = 0;
  count_from_here();
}

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

/* Exactly these calls: epoll_ctl MODs, writes and reads of "work is left", timerfd settings. */
#define CHECK_TOLD(mods, write_calls, other_calls) \
  do {                                             \
    CHECK_EQ(counted.add + counted.del, 0);        \
    CHECK_EQ(counted.mod, mods);                   \
    CHECK_EQ(counted.writes, write_calls);         \
    CHECK_EQ(counted.others, other_calls);         \
    CHECK_EQ(counted.waits, 0);                    \
    count_from_here();                             \
  } while (0)

TEST(a_mask_changed_between_runs_is_told_at_once) {
  start(1);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
  CHECK_TOLD(1, 0, 0);
  CHECK_EQ(is_readable(host_fd), 1);
  count_from_here();
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
  CHECK_TOLD(1, 0, 0);
  CHECK_EQ(is_readable(host_fd), 0);
  count_from_here();
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0); /* nothing new */
  CHECK_TOLD(0, 0, 0);
  end();
}

TEST(a_second_watchers_wishes_are_told_at_once) {
  start(1);
  loop_handle_t writer = loop_watch_fd(loop, fds[0], LOOP_WRITABLE, count_event, &runs);
  CHECK(writer > 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_cancel(loop, writer), 0);
  CHECK_EQ(is_readable(host_fd), 0);
  put_byte(fds[1]);
  CHECK_EQ(is_readable(host_fd), 1);
  end();
}

TEST(a_timer_armed_between_runs_is_told_at_once) {
  start(1);
  loop_handle_t far = loop_call_later(loop, HOUR, count_run, &runs);
  CHECK_TOLD(0, 0, 1);
  CHECK(loop_call_later(loop, 2 * HOUR, count_run, &runs) > 0); /* not the next one */
  CHECK_TOLD(0, 0, 0);
  CHECK_EQ(loop_reschedule(loop, far, HOUR / 2), 0);
  CHECK_TOLD(0, 0, 1);
  CHECK_EQ(loop_cancel(loop, far), 0); /* now the other one is next */
  CHECK_TOLD(0, 0, 1);
  CHECK(loop_call_later(loop, MS(1), count_run, &runs) > 0);
  CHECK_TOLD(0, 0, 1);
  wait_readable(host_fd);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  end();
}

TEST(ready_work_between_runs_is_told_once) {
  start(1);
  loop_handle_t soon = loop_call_soon(loop, count_run, &runs);
  CHECK_TOLD(0, 1, 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_cancel(loop, soon), 0);
  CHECK_TOLD(0, 0, 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(is_readable(host_fd), 0);
  end();
}

TEST(a_burst_of_posts_between_runs_is_one_write) {
  start(1);
  for (int i = 0; i < 1000; i++) CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  for (int i = 0; i < 1000; i++) CHECK_EQ(loop_wake(loop), 0);
  CHECK_TOLD(0, 1, 0);
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1000);
  end();
}

static int mods_inside, others_inside, mods_of_flush, others_of_flush;

static void change_everything(loop_t *l, void *flush) {
  count_from_here();
  CHECK_EQ(loop_watch_update(l, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
  CHECK_EQ(loop_watch_update(l, handle, 0), 0);
  CHECK_EQ(loop_watch_update(l, handle, LOOP_WRITABLE), 0);
  CHECK(loop_call_later(l, HOUR, count_run, &runs) > 0);
  CHECK(loop_call_later(l, HOUR / 2, count_run, &runs) > 0);
  mods_inside = counted.mod;
  others_inside = counted.others + counted.writes;
  if (flush != NULL) CHECK_EQ(loop_flush(l), 0);
  mods_of_flush = counted.mod - mods_inside;
  others_of_flush = counted.others + counted.writes - others_inside;
}

TEST(changes_inside_a_callback_are_told_when_its_run_ends) {
  start(1);
  CHECK(loop_call_soon(loop, change_everything, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(mods_inside + others_inside, 0);
  CHECK_EQ(counted.mod, 1); /* by the end of the run all is told, joined */
  CHECK_EQ(is_readable(host_fd), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  end();
}

TEST(changes_inside_a_callback_are_told_by_a_flush) {
  start(1);
  CHECK(loop_call_soon(loop, change_everything, "flush") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(mods_inside + others_inside, 0);
  CHECK_EQ(mods_of_flush, 1);
  CHECK(others_of_flush >= 1); /* the deadline */
  CHECK_EQ(counted.mod, 1);
  end();
}

static void flush_then_change(loop_t *l, void *arg) {
  (void)arg;
  CHECK_EQ(loop_flush(l), 0);
  count_from_here();
  CHECK_EQ(loop_watch_update(l, handle, LOOP_WRITABLE), 0);
  CHECK_TOLD(1, 0, 0);
  CHECK(loop_call_later(l, HOUR, count_run, &runs) > 0);
  CHECK_TOLD(0, 0, 1);
}

static void change_in_a_later_turn(loop_t *l, void *arg) {
  (void)arg;
  count_from_here();
  CHECK_EQ(loop_watch_update(l, handle, LOOP_READABLE), 0);
  CHECK(loop_call_later(l, MS(50), count_run, &runs) > 0);
  CHECK_TOLD(0, 0, 0);
}

static void flush_and_go_on(loop_t *l, void *arg) {
  flush_then_change(l, arg);
  CHECK(loop_call_soon(l, change_in_a_later_turn, NULL) > 0);
}

TEST(after_a_flush_changes_are_told_at_once_until_the_next_turn) {
  start(1);
  CHECK(loop_call_soon(loop, flush_and_go_on, NULL) > 0);
  int count = loop_run_ready(loop, UINT64_MAX);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
  if (count == 2) { /* and not three: the timer as well, if the machine was busy for 50 ms */
    wait_readable(host_fd);
    count += loop_run_once(loop, 0);
  }
  CHECK_EQ(count, 3);
  check_quiet(loop);
  end();
}

TEST(a_loop_that_nobody_embeds_makes_no_call) {
  start(0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
  loop_handle_t timer = loop_call_later(loop, HOUR, count_run, &runs);
  CHECK_EQ(loop_reschedule(loop, timer, 2 * HOUR), 0);
  CHECK_EQ(loop_cancel(loop, timer), 0);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK(loop_timeout(loop) == 0);
  CHECK_EQ(loop_flush(loop), 0);
  CHECK_TOLD(0, 0, 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(counted.waits, 1);
  CHECK_EQ(counted.add + counted.mod + counted.del + counted.writes + counted.others, 0);
  end();
}

TEST(an_empty_run_costs_a_host_nothing_more) {
  start(1);
  int mods = 0;
  for (int round = 0; round < 10; round++) {
    CHECK_EQ(loop_run_once(loop, 0), 0);
    mods += counted.mod;
  }
  CHECK_EQ(mods + counted.writes + counted.others, 0);
  CHECK_EQ(counted.waits, 10);
  end();
}
