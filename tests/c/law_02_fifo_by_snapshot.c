/* Law 2: one ready queue. A turn runs exactly what was ready when its run phase
 * began; what callbacks schedule runs in the next turn. Order in the queue:
 * scheduled before, fd events, due timers, posts from other threads. */
#define _GNU_SOURCE 1
#include <sys/socket.h>

#include "journal.h"

static intptr_t next_number;

static void check_number(loop_t *loop, void *arg) {
  (void)loop;
  CHECK_EQ((intptr_t)arg, next_number);
  next_number++;
}

TEST(soon_callbacks_run_in_the_order_of_scheduling) {
  loop_t *loop = loop_new();
  for (intptr_t i = 0; i < 10000; i++) CHECK(loop_call_soon(loop, check_number, (void *)i) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 10000);
  CHECK_EQ(next_number, 10000);
  free_loop(loop);
}

static void schedule_everything(loop_t *loop, void *arg) {
  (void)arg;
  journal_write('!');
  CHECK(loop_call_at(loop, 0, write_letter, "p") > 0);
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
  CHECK(loop_call_later(loop, 0, write_letter, "z") > 0);
}

TEST(what_a_callback_schedules_runs_in_the_next_turn) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, schedule_everything, NULL) > 0);
  CHECK(loop_call_soon(loop, write_letter, "b") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("!b");
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_JOURNAL("spz");
  CHECK_EQ(loop_run_once(loop, 0), 0);
  free_loop(loop);
}

static loop_handle_t victim;

static void replace_victim(loop_t *loop, void *arg) {
  CHECK_EQ(loop_cancel(loop, victim), 0);
  CHECK(loop_call_soon(loop, write_letter, arg) > 0);
}

TEST(a_cancelled_peer_leaves_no_room_in_the_snapshot_for_a_new_callback) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, replace_victim, "n") > 0);
  victim = loop_call_soon(loop, write_letter, "v");
  CHECK(victim > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("n");
  free_loop(loop);
}

static void count_down(loop_t *loop, void *arg) {
  const char *digit = arg;
  journal_write(*digit);
  if (*digit == '0') {
    CHECK_EQ(loop_stop(loop), 0);
  } else {
    CHECK(loop_call_soon(loop, count_down, (void *)(digit + 1)) > 0);
  }
}

TEST(hooks_see_one_turn_for_each_link_of_a_chain) {
  loop_t *loop = new_loop(LOOP_STRICT_POLL);
  CHECK(loop_add_hook(loop, LOOP_AFTER_WAIT, write_letter, "|") > 0);
  CHECK(loop_call_soon(loop, count_down, "210") > 0);
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("|2a|1|0");
  free_loop(loop);
}

static int pipe_ends[2];

/* Makes the four classes ready in the reverse of the order they must run in. */
static void make_all_ready(loop_t *loop, void *arg) {
  (void)arg;
  post_from_thread(loop, write_letter, "p", NULL);
  post_from_thread(loop, write_letter, "q", NULL);
  CHECK(loop_call_later(loop, 0, write_letter, "t") > 0);
  CHECK(loop_call_at(loop, 1, write_letter, "a") > 0);
  CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
}

TEST(the_queue_holds_scheduled_before_fds_before_timers_before_posts) {
  loop_t *loop = loop_new();
  CHECK_EQ(pipe(pipe_ends), 0);
  loop_handle_t watch = loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, write_event, "f");
  CHECK(watch > 0);

  make_all_ready(loop, NULL);
  CHECK_EQ(loop_run_once(loop, 0), 6);
  CHECK_JOURNAL("sfatpq");

  drain_byte(pipe_ends[0]);
  CHECK(loop_call_soon(loop, make_all_ready, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_JOURNAL("");
  CHECK_EQ(loop_run_once(loop, 0), 6);
  CHECK_JOURNAL("sfatpq");

  CHECK_EQ(loop_cancel(loop, watch), 0);
  free_loop(loop);
  close_pair(pipe_ends);
}

static void write_letter_and_bits(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  write_letter(loop, arg);
  journal_write((char)('0' + events));
}

TEST(watchers_of_one_fd_run_in_the_order_of_their_making_with_all_bits_in_one_call) {
  loop_t *loop = loop_new();
  int ends[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  loop_handle_t first = loop_watch_fd(loop, ends[0], LOOP_WRITABLE, write_letter_and_bits, "a");
  CHECK(first > 0);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE | LOOP_WRITABLE, write_letter_and_bits, "b") > 0);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE, write_letter_and_bits, "c") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_JOURNAL("a2b3c1");

  /* One made later comes last, also where an older one has left a gap. */
  CHECK_EQ(loop_cancel(loop, first), 0);
  CHECK(loop_watch_fd(loop, ends[0], LOOP_READABLE, write_letter_and_bits, "d") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 3);
  CHECK_JOURNAL("b3c1d1");
  free_loop(loop);
  close_pair(ends);
}

TEST(fds_run_in_the_order_in_which_the_kernel_saw_them_ready) {
  loop_t *loop = loop_new();
  int first[2], second[2];
  CHECK_EQ(pipe(first), 0);
  CHECK_EQ(pipe(second), 0);
  CHECK(loop_watch_fd(loop, first[0], LOOP_READABLE, write_event, "1") > 0);
  CHECK(loop_watch_fd(loop, second[0], LOOP_READABLE, write_event, "2") > 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(write(second[1], "x", 1), 1);
  CHECK_EQ(write(first[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_JOURNAL("21");
  free_loop(loop);
  close_pair(first);
  close_pair(second);
}

/* Endless chains. After a thousand links the pipe becomes ready: not before the
 * run has begun, when every loop asks the kernel. */
static int links;

static void count_link(void) {
  if (++links == 1000) CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
}

static void soon_chain(loop_t *loop, void *arg) {
  count_link();
  CHECK(loop_call_soon(loop, soon_chain, arg) > 0);
}

static void timer_chain(loop_t *loop, void *arg) {
  count_link();
  CHECK(loop_call_later(loop, 0, timer_chain, arg) > 0);
}

static void stop_on_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  drain_byte(fd);
  write_and_stop(loop, arg);
}

static void check_that_nothing_starves(loop_t *loop) {
  links = 0;
  CHECK_EQ(pipe(pipe_ends), 0);
  CHECK(loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, stop_on_event, "f") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK(links >= 1000);
  CHECK_JOURNAL("f");
  CHECK(loop_call_later(loop, MS(2), write_and_stop, "t") > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("t");
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_and_stop, "p", NULL), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_JOURNAL("p");
  free_loop(loop);
  close_pair(pipe_ends);
}

TEST(a_chain_of_soons_starves_neither_an_fd_nor_a_timer_nor_a_post) {
  loop_t *loop = loop_new();
  CHECK(loop_call_soon(loop, soon_chain, NULL) > 0);
  check_that_nothing_starves(loop);
}

TEST(a_chain_of_zero_timers_starves_neither_an_fd_nor_a_timer_nor_a_post) {
  loop_t *loop = loop_new();
  CHECK(loop_call_later(loop, 0, timer_chain, NULL) > 0);
  check_that_nothing_starves(loop);
}

enum { FLOOD = 64 };
static int flood_calls[FLOOD];

static void count_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)events;
  ++*(int *)arg;
}

static void stop_when_all_were_called(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  (void)arg;
  for (int i = 0; i < FLOOD; i++) {
    if (flood_calls[i] == 0) return;
  }
  CHECK_EQ(loop_stop(loop), 0);
}

TEST(a_flood_of_fds_starves_neither_a_timer_nor_another_fd) {
  loop_options_t options = {.size = sizeof options, .max_events = 4};
  loop_t *loop = NULL;
  int pipes[FLOOD][2];
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  for (int i = 0; i < FLOOD; i++) {
    open_ready_pipe(pipes[i]);
    CHECK(loop_watch_fd(loop, pipes[i][0], LOOP_READABLE, count_event, &flood_calls[i]) > 0);
  }
  CHECK(loop_call_every(loop, MS(1), MS(1), LOOP_SKIP_MISSED, stop_when_all_were_called, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  free_loop(loop);
  for (int i = 0; i < FLOOD; i++) close_pair(pipes[i]);
}
