/* Law 7, nothing stale: an event that lies in the queue is taken back by what
 * the library is told meanwhile, and what a budget, a nested run or an outer
 * turn left lying is told only if the next poll reports it again. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

/* Three sockets, ready in one batch. The one that is called first acts on the two
 * others; so nothing depends on the kernel's order. */
enum { PEERS = 3 };

static struct peer {
  loop_handle_t handle;
  int fd, far_end;
  struct seen seen;
} peers[PEERS];

static loop_t *loop;
static void (*act)(struct peer *other);
static struct peer *actor; /* the first one called */
static int acts_done;      /* for those that act once, not on each */

static void first_acts(loop_t *l, int fd, uint32_t events, void *arg) {
  struct peer *self = arg;
  see(l, fd, events, &self->seen);
  if (actor != NULL) return;
  actor = self;
  for (int i = 0; act != NULL && i < PEERS; i++) {
    if (&peers[i] != self) act(&peers[i]);
  }
}

static void start(uint32_t mask, void (*acts)(struct peer *other)) {
  loop = loop_new();
  act = acts;
  actor = NULL;
  acts_done = 0;
  for (int i = 0; i < PEERS; i++) {
    int fds[2];
    make_pair(fds);
    put_byte(fds[1]);
    peers[i] = (struct peer){0, fds[0], fds[1], {0, 0}};
    peers[i].handle = loop_watch_fd(loop, fds[0], mask, first_acts, &peers[i]);
    CHECK(peers[i].handle > 0);
  }
}

static void end(void) {
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < PEERS; i++) {
    CHECK_EQ(close(peers[i].fd), 0);
    CHECK_EQ(close(peers[i].far_end), 0);
  }
}

/* Each but the actor has been told so often, and what. */
static void check_others(int calls, uint32_t events) {
  for (int i = 0; i < PEERS; i++) {
    if (&peers[i] == actor) continue;
    CHECK_EQ(peers[i].seen.calls, calls);
    CHECK_EQ(peers[i].seen.events, events);
  }
}

static void pause_and_resume(struct peer *other) {
  CHECK_EQ(loop_watch_update(loop, other->handle, 0), 0);
  CHECK_EQ(loop_watch_update(loop, other->handle, LOOP_READABLE), 0);
}

TEST(a_bit_that_was_taken_away_and_given_back_waits_for_the_next_poll) {
  start(LOOP_READABLE, pause_and_resume);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_others(0, 0);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_READABLE);
  end();
}

static void write_only_then_both(struct peer *other) {
  CHECK_EQ(loop_watch_update(loop, other->handle, LOOP_WRITABLE), 0);
  CHECK_EQ(loop_watch_update(loop, other->handle, LOOP_READABLE | LOOP_WRITABLE), 0);
}

TEST(one_of_two_bits_taken_away_for_a_moment) {
  start(LOOP_READABLE | LOOP_WRITABLE, write_only_then_both);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_WRITABLE);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(2, LOOP_READABLE | LOOP_WRITABLE);
  end();
}

static struct seen newcomer;

static void cancel_and_watch_anew(struct peer *other) {
  CHECK_EQ(loop_cancel(loop, other->handle), 0);
  watch(loop, other->fd, LOOP_READABLE, &newcomer);
}

TEST(a_new_watcher_of_the_same_file_gets_nothing_of_the_old_ones_batch) {
  newcomer = (struct seen){0, 0};
  start(LOOP_READABLE, cancel_and_watch_anew);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(newcomer.calls, 0);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  CHECK_EQ(newcomer.calls, PEERS - 1);
  check_others(0, 0);
  end();
}

static void close_and_watch_the_number(struct peer *other) {
  int fds[2];
  make_pair(fds);
  CHECK_EQ(close(other->far_end), 0);
  move_fd(fds[0], other->fd);
  other->far_end = fds[1];
  watch(loop, other->fd, LOOP_READABLE | LOOP_WRITABLE, &newcomer);
}

TEST(the_owner_of_a_reused_number_gets_only_what_is_its_own) {
  newcomer = (struct seen){0, 0};
  start(LOOP_READABLE, close_and_watch_the_number);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(newcomer.calls, 0);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  CHECK_EQ(newcomer.calls, PEERS - 1);
  CHECK_EQ(newcomer.events, LOOP_WRITABLE); /* the old file was readable */
  check_others(0, 0);
  end();
}

/* From here on: the actor's callback uses up the budget, so that the events of the
 * two others are left in the queue. */
static void leave_two(uint32_t mask) {
  start(mask, NULL);
  CHECK_EQ(loop_run_ready(loop, 0), 1);
  CHECK(actor != NULL);
  check_others(0, 0);
}

static void for_others(void (*what)(struct peer *other)) {
  for (int i = 0; i < PEERS; i++) {
    if (&peers[i] != actor) what(&peers[i]);
  }
}

static void drain(struct peer *peer) { take_byte(peer->fd); }

TEST(left_over_and_still_true_is_told_once) {
  leave_two(LOOP_READABLE);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_READABLE);
  end();
}

TEST(left_over_and_no_longer_true_is_not_told) {
  leave_two(LOOP_READABLE);
  for_others(drain);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_others(0, 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_others(0, 0);
  end();
}

TEST(left_over_and_half_true_is_told_by_half) {
  leave_two(LOOP_READABLE | LOOP_WRITABLE);
  for_others(drain);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_WRITABLE);
  end();
}

static void hang_up(struct peer *peer) { CHECK_EQ(shutdown(peer->far_end, SHUT_RDWR), 0); }

TEST(left_over_and_more_has_happened_is_told_with_all_its_bits) {
  leave_two(LOOP_READABLE);
  for_others(hang_up);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_READABLE | LOOP_HANGUP);
  end();
}

static void want_to_write(struct peer *peer) {
  CHECK_EQ(loop_watch_update(loop, peer->handle, LOOP_WRITABLE), 0);
}

TEST(left_over_and_updated_is_told_what_it_asks_for_now) {
  leave_two(LOOP_READABLE);
  for_others(want_to_write);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_WRITABLE);
  end();
}

TEST(left_over_and_cancelled_or_replaced_is_not_told) {
  newcomer = (struct seen){0, 0};
  leave_two(LOOP_READABLE);
  for_others(cancel_and_watch_anew);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  CHECK_EQ(newcomer.calls, PEERS - 1);
  check_others(0, 0);
  end();
  newcomer = (struct seen){0, 0};
  leave_two(LOOP_READABLE | LOOP_WRITABLE);
  for_others(close_and_watch_the_number);
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  CHECK_EQ(newcomer.events, LOOP_WRITABLE);
  check_others(0, 0);
  end();
}

static void count_calls(loop_t *l, void *calls) {
  (void)l;
  *(int *)calls = peers[0].seen.calls + peers[1].seen.calls + peers[2].seen.calls;
}

TEST(left_over_keeps_its_place_at_the_head_of_the_queue) {
  int calls_before = -1;
  leave_two(LOOP_READABLE);
  CHECK(loop_call_soon(loop, count_calls, &calls_before) > 0);
  CHECK_EQ(loop_run_once(loop, 0), PEERS + 1);
  CHECK_EQ(calls_before, PEERS); /* the two that were left, and the one called before */
  end();
}

/* Nested: the inner run begins with the rest of the outer snapshot, which it polls for. */
static void drain_all_and_run(struct peer *other) {
  (void)other;
  if (acts_done++ > 0) return;
  for (int i = 0; i < PEERS; i++) drain(&peers[i]);
  for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
  for (int i = 0; i < PEERS; i++) put_byte(peers[i].far_end);
}

TEST(an_outer_turns_event_that_an_inner_poll_did_not_report_is_gone) {
  start(LOOP_READABLE, drain_all_and_run);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_others(0, 0); /* though there is data again: the next turn tells it */
  CHECK_EQ(loop_run_once(loop, 0), PEERS);
  check_others(1, LOOP_READABLE);
  end();
}

static void run_three_turns(struct peer *other) {
  (void)other;
  if (acts_done++ > 0) return;
  for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, 0), PEERS);
}

TEST(an_outer_turns_event_that_inner_runs_have_told_is_not_told_again) {
  start(LOOP_READABLE, run_three_turns);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  check_others(3, LOOP_READABLE);
  end();
}
