/* link: -rdynamic -lpthread -ldl */
/* Law 8, what the kernel is told, counted: coroutines that pause and resume
 * every turn, hiredis' and libcurl's ways with interest, changes that are taken
 * back, and many changes at once. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

static loop_t *loop;
static loop_handle_t handle;
static int fds[2];
static struct seen seen;

/* A loop that is warm, with a pair of sockets and a watcher. */
static void start(uint32_t mask) {
  loop = loop_new();
  make_pair(fds);
  seen = (struct seen){0, 0};
  handle = watch(loop, fds[0], mask, &seen);
  CHECK(loop_run_once(loop, 0) >= 0);
  count_from_here();
}

static void end(void) {
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

static int changes(void) { return counted.add + counted.mod + counted.del; }

static void update(uint32_t mask) { CHECK_EQ(loop_watch_update(loop, handle, mask), 0); }

static void see_and_pause(loop_t *l, int fd, uint32_t events, void *arg) {
  char byte;
  see(l, fd, events, arg);
  CHECK_EQ(loop_watch_update(l, loop_current(l), 0), 0);
  if (events & LOOP_READABLE) CHECK_EQ(recv(fd, &byte, 1, 0), 1);
}

/* `data = await socket.read()` in a loop: each await resumes, each event pauses. Every
 * await meets an empty socket first. */
TEST(an_await_loop_tells_the_kernel_nothing) {
  start(0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  handle = loop_watch_fd(loop, fds[0], LOOP_READABLE, see_and_pause, &seen);
  count_from_here();
  for (int round = 1; round <= 1000; round++) {
    update(LOOP_READABLE);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(send(fds[1], "x", 1, 0), 1);
    CHECK_EQ(loop_run_once(loop, 0), 1);
  }
  CHECK_CALLS(0, 0, 0, 2000);
  CHECK_EQ(seen.calls, 1000);
  end();
}

/* The peer is fast: every wait brings the next event. */
TEST(an_await_loop_whose_every_wait_brings_data_tells_the_kernel_nothing) {
  start(0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  handle = loop_watch_fd(loop, fds[0], LOOP_READABLE, see_and_pause, &seen);
  count_from_here();
  for (int round = 1; round <= 1000; round++) {
    CHECK_EQ(send(fds[1], "x", 1, 0), 1);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    update(LOOP_READABLE);
  }
  CHECK_CALLS(0, 0, 0, 1000);
  end();
}

/* The same with LOOP_ONESHOT, armed again after each event. */
TEST(a_oneshot_armed_again_every_time_tells_the_kernel_nothing) {
  start(LOOP_READABLE | LOOP_ONESHOT);
  for (int round = 1; round <= 1000; round++) {
    put_byte(fds[1]);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    take_byte(fds[0]);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    update(LOOP_READABLE | LOOP_ONESHOT);
    CHECK_EQ(loop_run_once(loop, 0), 0);
  }
  CHECK_CALLS(0, 0, 0, 3000);
  CHECK_EQ(seen.calls, 1000);
  end();
}

/* Data that comes during a pause is met by one DEL, the resume is one ADD. */
TEST(data_during_a_pause_costs_two_calls_however_long_it_is) {
  start(LOOP_READABLE);
  for (int round = 0; round < 100; round++) {
    update(0);
    put_byte(fds[1]);
    for (int turn = 0; turn < 10; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK(changes() <= 1);
    update(LOOP_READABLE);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK(changes() <= 2);
    take_byte(fds[0]);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK(changes() <= 2);
    count_from_here();
  }
  end();
}

/* hiredis wants to write from the command to the next writable event. The kernel reports
 * room to write at once and for ever, so on and off are told: two calls, the fewest. */
TEST(hiredis_two_calls_a_command) {
  start(LOOP_READABLE);
  for (int command = 0; command < 100; command++) {
    update(LOOP_READABLE | LOOP_WRITABLE); /* redisAsyncCommand: _EL_ADD_WRITE */
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(seen.events, LOOP_WRITABLE);
    update(LOOP_READABLE); /* all is written: _EL_DEL_WRITE */
    update(LOOP_READABLE); /* _EL_ADD_READ, every time */
    put_byte(fds[1]);
    CHECK_EQ(loop_run_once(loop, -1), 1); /* the reply */
    CHECK_EQ(seen.events, LOOP_READABLE);
    take_byte(fds[0]);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_CALLS(0, 2, 0, 3);
  }
  end();
}

/* A hundred commands in one turn are as many as one. */
TEST(hiredis_pipelined_two_calls_a_pipeline) {
  start(LOOP_READABLE);
  for (int command = 0; command < 100; command++) {
    update(LOOP_READABLE | LOOP_WRITABLE);
    update(LOOP_READABLE);
    update(LOOP_READABLE | LOOP_WRITABLE);
  }
  CHECK_EQ(loop_run_once(loop, -1), 1);
  update(LOOP_READABLE);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(0, 2, 0, 2);
  end();
}

/* The whole command is written by the call itself: nothing is to be told. */
TEST(hiredis_writing_at_once_no_call) {
  start(LOOP_READABLE);
  for (int command = 0; command < 100; command++) {
    update(LOOP_READABLE | LOOP_WRITABLE);
    update(LOOP_READABLE);
    CHECK_EQ(loop_run_once(loop, 0), 0);
  }
  CHECK_CALLS(0, 0, 0, 100);
  end();
}

/* libcurl's CURLMOPT_SOCKETFUNCTION over the life of a transfer, each change in a turn of
 * its own. Removing tells at once, and adding again asks whether the file is the same. */
TEST(libcurl_one_call_a_change) {
  start(LOOP_READABLE);
  for (int transfer = 0; transfer < 100; transfer++) {
    update(LOOP_WRITABLE); /* CURL_POLL_OUT */
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_CALLS(0, 1, 0, 1);
    update(LOOP_READABLE | LOOP_WRITABLE); /* CURL_POLL_INOUT */
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_CALLS(0, 1, 0, 1);
    update(LOOP_READABLE); /* CURL_POLL_IN */
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_CALLS(0, 1, 0, 1);
    CHECK_EQ(loop_cancel(loop, handle), 0); /* CURL_POLL_REMOVE */
    CHECK_CALLS(0, 0, 1, 0);
    handle = watch(loop, fds[0], LOOP_READABLE, &seen); /* the connection is used again */
    CHECK_CALLS(1, 0, 0, 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_CALLS(0, 0, 0, 1);
  }
  end();
}

TEST(libcurl_in_one_turn_only_the_result_is_told) {
  start(LOOP_READABLE);
  for (int transfer = 0; transfer < 100; transfer++) {
    update(LOOP_WRITABLE);
    update(LOOP_READABLE | LOOP_WRITABLE);
    update(LOOP_READABLE);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_CALLS(0, 0, 0, 1);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    handle = watch(loop, fds[0], LOOP_WRITABLE, &seen);
    update(LOOP_READABLE | LOOP_WRITABLE);
    update(LOOP_READABLE);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_CALLS(1, 1, 1, 1); /* DEL and ADD were due at once; IN is told with the wait */
  }
  end();
}

/* One watcher reads, another one writes, or the other way round: the union is the same. */
TEST(watchers_that_change_places_tell_the_kernel_nothing) {
  struct seen other = {0, 0};
  start(LOOP_READABLE);
  loop_handle_t second = watch(loop, fds[0], LOOP_WRITABLE, &other);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  count_from_here();
  for (int round = 1; round <= 100; round++) {
    update(round % 2 ? LOOP_WRITABLE : LOOP_READABLE);
    CHECK_EQ(loop_watch_update(loop, second, round % 2 ? LOOP_READABLE : LOOP_WRITABLE), 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
  }
  CHECK_CALLS(0, 0, 0, 100);
  end();
}

/* Each descriptor is told of once a wait, however often it was changed. */
TEST(a_hundred_descriptors_changed_ten_times_each_are_a_hundred_calls) {
  enum { PAIRS = 100 };
  static int pairs[PAIRS][2];
  static loop_handle_t handles[PAIRS];
  start(LOOP_READABLE);
  for (int i = 0; i < PAIRS; i++) {
    make_pair(pairs[i]);
    handles[i] = watch(loop, pairs[i][0], LOOP_READABLE, &seen);
  }
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_CALLS(PAIRS, 0, 0, 1);
  for (int i = 0; i < 10 * PAIRS; i++) {
    uint32_t mask = i < 9 * PAIRS ? 0 : LOOP_READABLE | LOOP_WRITABLE;
    CHECK_EQ(loop_watch_update(loop, handles[i % PAIRS], mask), 0);
  }
  CHECK_EQ(loop_run_once(loop, 0), PAIRS);
  CHECK_CALLS(0, PAIRS, 0, 1);
  for (int i = 0; i < PAIRS; i++) close_pair(pairs[i]);
  end();
}
