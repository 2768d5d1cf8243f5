/* link: -rdynamic -lpthread -ldl */
/* Law 8: the kernel is told in time, and not too often. Every system call the
 * loop makes is counted by count_syscalls.h. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"

#include <pthread.h>
#include <sys/socket.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

static loop_t *loop;
static loop_handle_t handle;
static int fds[2], seen_calls;
static uint32_t seen_events;

static void see(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)l;
  (void)fd;
  (void)arg;
  seen_calls++;
  seen_events = events;
}

static void nothing(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
}

/* A loop that is warm and a pair of sockets. */
static void start(void) {
  loop = loop_new();
  CHECK(loop != NULL);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  seen_calls = 0;
  count_from_here();
}

static void end(void) {
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

static loop_handle_t watch(uint32_t events) {
  loop_handle_t w = loop_watch_fd(loop, fds[0], events, see, NULL);
  CHECK(w > 0);
  return w;
}

TEST(a_watch_is_one_add_at_once_and_the_last_cancel_one_del) {
  start();
  handle = watch(LOOP_READABLE);
  CHECK_CALLS(1, 0, 0, 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 0, 0, 1);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_CALLS(0, 0, 1, 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 0, 0, 1);
  end();
}

TEST(sharing_costs_a_mod_only_when_the_union_grows) {
  start();
  loop_handle_t first = watch(LOOP_READABLE);
  CHECK_CALLS(1, 0, 0, 0);
  loop_handle_t second = watch(LOOP_READABLE);
  CHECK_CALLS(1, 0, 0, 0); /* the ADD that asks whether it is the same file */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 0, 0, 1);
  loop_handle_t wider = watch(LOOP_READABLE | LOOP_WRITABLE);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_CALLS(1, 1, 0, 1);
  CHECK_EQ(loop_cancel(loop, wider), 0); /* the union shrinks: told before the wait */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 1, 0, 1);
  CHECK_EQ(loop_cancel(loop, first), 0); /* one is left: the union is the same */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 0, 0, 1);
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK_CALLS(0, 0, 1, 0);
  end();
}

static void update_ten_times(loop_t *l, void *arg) {
  (void)arg;
  for (int i = 1; i <= 9; i++) {
    CHECK_EQ(loop_watch_update(l, handle, i % 3 == 0 ? 0 : LOOP_READABLE), 0);
  }
  CHECK_EQ(loop_watch_update(l, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
}

TEST(ten_updates_in_one_turn_are_one_call) {
  start();
  handle = watch(LOOP_READABLE);
  CHECK(loop_call_soon(loop, update_ten_times, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_CALLS(1, 0, 0, 1);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(seen_events, LOOP_WRITABLE);
  CHECK_CALLS(0, 1, 0, 1);
  end();
}

static void change_and_change_back(loop_t *l, void *arg) {
  (void)arg;
  CHECK_EQ(loop_watch_update(l, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
  CHECK_EQ(loop_watch_update(l, handle, LOOP_READABLE), 0);
  CHECK_EQ(loop_watch_update(l, handle, 0), 0);
  CHECK_EQ(loop_watch_update(l, handle, LOOP_READABLE), 0);
  loop_handle_t second = loop_watch_fd(l, fds[0], LOOP_WRITABLE, see, NULL);
  CHECK_EQ(loop_cancel(l, second), 0);
}

TEST(a_change_undone_before_the_wait_is_no_call) {
  start();
  handle = watch(LOOP_READABLE);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(1, 0, 0, 1);
  for (int round = 0; round < 10; round++) {
    CHECK(loop_call_soon(loop, change_and_change_back, NULL) > 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_CALLS(1, 0, 0, 2); /* the ADD is of the second watcher that came and went */
  }
  end();
}

TEST(a_nonblocking_turn_is_one_call) {
  start();
  for (int i = 0; i < 100; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 0, 0, 100);
  for (int i = 0; i < 100; i++) {
    CHECK(loop_call_soon(loop, nothing, NULL) > 0);
    CHECK_EQ(loop_run_once(loop, -1), 1);
  }
  CHECK_CALLS(0, 0, 0, 100);
  end();
}

TEST(an_idle_turn_reads_no_clock) {
  start();
  for (int i = 0; i < 100; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(counted.waits, 100);
  CHECK_EQ(counted.clocks, 0);
  end();
}

static void chain(loop_t *l, void *left) {
  int *turns = left;
  if (--*turns > 0) CHECK(loop_call_soon(l, chain, left) > 0);
}

static int waits_of_a_chain(uint32_t flags, uint64_t poll_gap_ns) {
  loop_options_t options = {sizeof options, flags, poll_gap_ns, 0, 0, 0};
  int turns = 1000;
  loop_t *other;
  CHECK_EQ(loop_new_with(&options, &other), 0);
  CHECK(loop_call_soon(other, chain, &turns) > 0);
  count_from_here();
  CHECK_EQ(loop_run(other), 1);
  int waits = counted.waits;
  CHECK_EQ(turns, 0);
  CHECK_EQ(loop_free(other), 0);
  return waits;
}

TEST(between_busy_turns_the_poll_is_skipped_for_a_bounded_time) {
  int waits = waits_of_a_chain(0, 60 * (uint64_t)NS_PER_SEC);
  CHECK(waits >= 1 && waits <= 2); /* the first turn always polls */
  waits = waits_of_a_chain(LOOP_STRICT_POLL, 0);
  CHECK(waits >= 1000 && waits <= 1001);
  CHECK(waits_of_a_chain(0, 1) >= 1000); /* a gap that is over by the next turn */
}

static void send_a_byte(void) { CHECK_EQ(send(fds[1], "x", 1, 0), 1); }

TEST(a_far_timer_costs_no_call) {
  start();
  watch(LOOP_READABLE);
  loop_handle_t timer = loop_call_later(loop, NS_PER_SEC * UINT64_C(3600), nothing, NULL);
  CHECK(timer > 0);
  for (int i = 0; i < 100; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(1, 0, 0, 100);
  for (int i = 0; i < 100; i++) { /* moved every turn */
    CHECK_EQ(loop_reschedule(loop, timer, (uint64_t)(3600 + i) * NS_PER_SEC), 0);
    CHECK(loop_call_soon(loop, nothing, NULL) > 0);
    CHECK_EQ(loop_run_once(loop, -1), 1);
  }
  CHECK_CALLS(0, 0, 0, 100);
  when_asleep = send_a_byte;
  CHECK_EQ(loop_run_once(loop, -1), 1); /* a wait that really sleeps */
  CHECK_CALLS(0, 0, 0, 1);
  end();
}

static void count_run(loop_t *l, void *arg) {
  int *runs = arg;
  (void)l;
  ++*runs;
}

static void *post_a_thousand(void *runs) {
  for (int i = 0; i < 1000; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, runs, NULL), 0);
  }
  return NULL;
}

static int post_runs, writes_of_burst;

static void burst_from_a_thread(void) {
  pthread_t thread;
  int before = counted.writes;
  CHECK_EQ(pthread_create(&thread, NULL, post_a_thousand, &post_runs), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  writes_of_burst = counted.writes - before;
}

TEST(a_burst_of_posts_to_a_sleeping_loop_is_one_write) {
  start();
  for (int round = 1; round <= 10; round++) {
    post_runs = 0;
    when_asleep = burst_from_a_thread;
    while (post_runs == 0) CHECK(loop_run_once(loop, -1) >= 0);
    CHECK_EQ(post_runs, 1000);
    CHECK_EQ(writes_of_burst, 1);
  }
  end();
}

static void burst_inside_a_callback(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  burst_from_a_thread();
}

TEST(a_burst_of_posts_to_a_loop_awake_is_no_write) {
  start();
  for (int round = 1; round <= 10; round++) {
    post_runs = 0;
    CHECK(loop_call_soon(loop, burst_inside_a_callback, NULL) > 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(post_runs, 1000);
    CHECK_EQ(writes_of_burst, 0);
  }
  end();
}
