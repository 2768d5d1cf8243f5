/* Law 7, no stale event: once the library has been told, by cancel, by update
 * or by a new watch on the number, nothing old is delivered; not in the same
 * batch, not after a nested run. Closing before cancelling is legal. */
#define _GNU_SOURCE 1
#include "check.h"

#include <sys/socket.h>
#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

struct seen {
  int calls;
  uint32_t events; /* of the last call */
};

static void see(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct seen *seen = arg;
  (void)loop;
  (void)fd;
  seen->calls++;
  seen->events = events;
}

/* Two peers that are ready in one batch. Whichever is called first acts on the
 * other, so the tests do not depend on the kernel's order. */
struct peer {
  struct peer *other;
  loop_handle_t handle;
  int fd, far_end;
  struct seen seen;
  void (*act)(loop_t *loop, struct peer *other);
};

static void first_acts(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct peer *self = arg;
  see(loop, fd, events, &self->seen);
  if (self->seen.calls == 1 && self->other->seen.calls == 0) self->act(loop, self->other);
}

static void start_peers(loop_t *loop, struct peer peers[2], uint32_t events,
                        void (*act)(loop_t *loop, struct peer *other)) {
  for (int i = 0; i < 2; i++) {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    peers[i] = (struct peer){&peers[!i], 0, fds[0], fds[1], {0, 0}, act};
    peers[i].handle = loop_watch_fd(loop, fds[0], events, first_acts, &peers[i]);
    CHECK(peers[i].handle > 0);
  }
}

static void end_peers(loop_t *loop, struct peer peers[2]) {
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < 2; i++) {
    close(peers[i].fd);
    close(peers[i].far_end);
  }
}

static void cancel_it(loop_t *loop, struct peer *other) {
  CHECK_EQ(loop_cancel(loop, other->handle), 0);
}

TEST(nothing_after_cancel_in_the_same_batch) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  start_peers(loop, peers, LOOP_READABLE, cancel_it);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1); /* the one that is left goes on */
  CHECK_EQ(peers[0].seen.calls + peers[1].seen.calls, 2);
  CHECK(peers[0].seen.calls == 0 || peers[1].seen.calls == 0);
  end_peers(loop, peers);
}

static void pause_it(loop_t *loop, struct peer *other) {
  CHECK_EQ(loop_watch_update(loop, other->handle, 0), 0);
}

TEST(nothing_after_a_pause_in_the_same_batch) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  start_peers(loop, peers, LOOP_READABLE, pause_it);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  struct peer *paused = peers[0].seen.calls == 0 ? &peers[0] : &peers[1];
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(paused->seen.calls, 0);
  CHECK_EQ(loop_watch_update(loop, paused->handle, LOOP_READABLE), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(paused->seen.calls, 1);
  end_peers(loop, peers);
}

static void make_it_a_writer(loop_t *loop, struct peer *other) {
  CHECK_EQ(loop_watch_update(loop, other->handle, LOOP_WRITABLE), 0);
}

TEST(an_update_takes_pending_bits_away) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  start_peers(loop, peers, LOOP_READABLE | LOOP_WRITABLE, make_it_a_writer);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  uint32_t both = LOOP_READABLE | LOOP_WRITABLE;
  CHECK_EQ(peers[0].seen.events ^ peers[1].seen.events, both ^ LOOP_WRITABLE);
  end_peers(loop, peers);
}

static struct seen newcomer;
static loop_handle_t new_handle;

/* Closes the other's fd and watches a fresh, quiet socket of the same number. */
static void replace_it(loop_t *loop, struct peer *other) {
  int fds[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  close(other->fd);
  close(other->far_end);
  CHECK_EQ(dup2(fds[0], other->fd), other->fd);
  close(fds[0]);
  other->far_end = fds[1];
  new_handle = loop_watch_fd(loop, other->fd, LOOP_READABLE, see, &newcomer);
  CHECK(new_handle > 0);
}

TEST(nothing_old_after_a_new_watch_on_the_number) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  newcomer = (struct seen){0, 0};
  start_peers(loop, peers, LOOP_READABLE, replace_it);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  struct peer *old = peers[0].seen.calls == 0 ? &peers[0] : &peers[1];
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(newcomer.calls, 0);
  CHECK_EQ(write(old->far_end, "y", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  CHECK_EQ(newcomer.calls, 1);
  CHECK_EQ(old->seen.calls, 0);
  CHECK_EQ(loop_is_active(loop, old->handle), 0);
  CHECK_EQ(loop_cancel(loop, old->handle), 0);
  CHECK_EQ(loop_run_once(loop, 0), 2); /* the old one's cancel took nothing from the new one */
  CHECK_EQ(newcomer.calls, 2);
  end_peers(loop, peers);
}

static void run_nested_and_drain(loop_t *loop, struct peer *other) {
  char byte;
  CHECK_EQ(read(other->other->fd, &byte, 1), 1); /* or this one would be told again */
  CHECK_EQ(loop_run_once(loop, 0), 1);           /* the rest of the outer snapshot */
  CHECK_EQ(other->seen.calls, 1);
  CHECK_EQ(read(other->fd, &byte, 1), 1);
}

TEST(nothing_twice_after_a_nested_run) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  start_peers(loop, peers, LOOP_READABLE, run_nested_and_drain);
  CHECK_EQ(loop_run_once(loop, 0), 1); /* the other ran in the inner run */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(peers[0].seen.calls, 1);
  CHECK_EQ(peers[1].seen.calls, 1);
  end_peers(loop, peers);
}

static void drain_both_and_run_nested(loop_t *loop, struct peer *other) {
  char byte;
  CHECK_EQ(read(other->fd, &byte, 1), 1);
  CHECK_EQ(read(other->other->fd, &byte, 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
}

TEST(a_level_event_left_by_an_outer_turn_is_asked_for_again) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  start_peers(loop, peers, LOOP_READABLE, drain_both_and_run_nested);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(peers[0].seen.calls + peers[1].seen.calls, 1);
  for (int i = 0; i < 2; i++) CHECK_EQ(write(peers[i].far_end, "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  end_peers(loop, peers);
}

static void spend_the_budget(loop_t *loop, struct peer *other) {
  (void)loop;
  (void)other;
  check_burn(MS(2));
}

TEST(a_level_event_left_by_a_budget_is_asked_for_again) {
  loop_t *loop = loop_new();
  struct peer peers[2];
  char byte;
  start_peers(loop, peers, LOOP_READABLE, spend_the_budget);
  CHECK_EQ(loop_run_ready(loop, MS(1)), 1);
  for (int i = 0; i < 2; i++) CHECK_EQ(read(peers[i].fd, &byte, 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0); /* what was ready is no longer */
  for (int i = 0; i < 2; i++) CHECK_EQ(write(peers[i].far_end, "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 2); /* and not twice */
  end_peers(loop, peers);
}

TEST(closing_before_cancelling_is_legal_and_silent) {
  loop_t *loop = loop_new();
  struct seen seen = {0, 0};
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  loop_handle_t w = loop_watch_fd(loop, fds[0], LOOP_READABLE, see, &seen);
  CHECK(w > 0);
  close(fds[0]);
  close(fds[1]);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(10)), 0);
  CHECK_EQ(seen.calls, 0);
  CHECK_EQ(loop_is_active(loop, w), 1);
  CHECK_EQ(loop_cancel(loop, w), 0);
  CHECK_EQ(loop_cancel(loop, w), LOOP_ESTALE);
  CHECK_EQ(loop_free(loop), 0);
}

TEST(a_number_may_be_reused_at_once) {
  loop_t *loop = loop_new();
  struct seen old = {0, 0}, new = {0, 0};
  int fds[2], again[2];
  loop_handle_t old_handle = 0;
  for (int round = 1; round <= 100; round++) {
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    old_handle = loop_watch_fd(loop, fds[0], LOOP_READABLE, see, &old);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    close(fds[0]);
    close(fds[1]);
    if (round % 2 == 0) CHECK_EQ(loop_cancel(loop, old_handle), 0);
    CHECK_EQ(pipe(again), 0);
    CHECK_EQ(again[0], fds[0]);
    loop_handle_t handle = loop_watch_fd(loop, again[0], LOOP_READABLE, see, &new);
    CHECK(handle > 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    if (round % 2 == 1) CHECK_EQ(loop_watch_update(loop, old_handle, LOOP_READABLE), -EBADF);
    CHECK_EQ(write(again[1], "y", 1), 1);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    if (round % 2 == 1) CHECK_EQ(loop_cancel(loop, old_handle), 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(old.calls, round);
    CHECK_EQ(new.calls, 2 * round);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    close(again[0]);
    close(again[1]);
  }
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_free(loop), 0);
}
