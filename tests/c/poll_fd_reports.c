/* link: -lpthread */
/* loop_poll_fd in the situations of public reports about one-shot waits in
 * other loops; each test names the report. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <sys/socket.h>

static loop_t *loop;
static int fds[2], done, releases;
static int64_t result;

static void on_done(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  (void)on, (void)handle, (void)data, (void)arg;
  CHECK_EQ(what, LOOP_EVENT_DONE);
  done++;
  result = value;
}

static void start(void) {
  loop = new_loop(0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  done = releases = 0;
  result = 0;
}

static loop_handle_t wait_for(int fd, uint32_t events, int64_t limit) {
  loop_handle_t handle = loop_poll_fd(loop, fd, events, limit, on_done, &releases);
  if (handle <= 0) CHECK_EQ(handle, 1); /* says the code */
  CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
  return handle;
}

/* trio 1272: two tasks wait for a socket that lives on in a duplicate; it is closed, then
 * both are cancelled. */
TEST(two_waits_for_a_descriptor_that_lives_on_are_cancelled_after_its_close) {
  start();
  int copy = dup(fds[0]);
  loop_handle_t reads = wait_for(fds[0], LOOP_READABLE, -1), errors = wait_for(fds[0], LOOP_PRIORITY, -1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  close(fds[0]);
  CHECK_EQ(loop_cancel(loop, reads), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1); /* less is asked of the kernel, which says that it is closed */
  CHECK_EQ(result, -EBADF);
  CHECK_EQ(loop_cancel(loop, errors), LOOP_ESTALE);
  put_byte(fds[1]);
  for (int i = 0; i < 20; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(done, 1);
  CHECK_EQ(releases, 2);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
  close(copy), close(fds[1]);
}

/* trio 36, 341: what waits for a descriptor that somebody closes waits for ever. A limit ends it. */
TEST(a_wait_for_a_descriptor_that_is_closed_ends_by_its_limit) {
  start();
  wait_for(fds[0], LOOP_READABLE, (int64_t)MS(2));
  close(fds[0]);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 1);
  CHECK(result == -ETIMEDOUT || result == -EBADF);
  CHECK_EQ(releases, 1);
  free_loop(loop);
  close(fds[1]);
}

/* trio 555: the cancel of a wait for a closed socket is an internal error. */
TEST(a_wait_for_a_closed_descriptor_is_cancelled) {
  start();
  loop_handle_t handle = wait_for(fds[0], LOOP_READABLE, (int64_t)MS(100000));
  close(fds[0]);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 0);
  free_loop(loop);
  close(fds[1]);
}

/* ext-uv 40: the descriptor is closed first, and its number is another file's at once. */
TEST(a_wait_does_not_go_over_to_the_next_file_under_its_number) {
  start();
  int other[2];
  loop_handle_t old = wait_for(fds[0], LOOP_READABLE, (int64_t)MS(100000));
  close(fds[0]);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
  CHECK_EQ(other[0], fds[0]);
  put_byte(other[1]);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(done, 0);
  wait_for(other[0], LOOP_READABLE, (int64_t)MS(100000)); /* with this the loop finds out */
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 2);
  CHECK_EQ(result, LOOP_READABLE); /* the second; the first was -EBADF */
  CHECK_EQ(loop_cancel(loop, old), LOOP_ESTALE);
  free_loop(loop);
  close(other[0]), close(other[1]), close(fds[1]);
}

/* libuv 2922: the peer closes, and the readable event never comes. */
TEST(a_peer_that_closes_ends_a_wait_to_read) {
  start();
  wait_for(fds[0], LOOP_READABLE, -1);
  close(fds[1]);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(result, LOOP_READABLE | LOOP_HANGUP);
  free_loop(loop);
  close(fds[0]);
}

/* Radar 37550628: a wait for a hang-up alone ends as soon as there is something to read. */
TEST(a_wait_for_a_hang_up_alone_is_not_ended_by_data) {
  start();
  loop_handle_t handle = wait_for(fds[0], LOOP_HANGUP, -1);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(1)), 0);
  CHECK_EQ(loop_is_active(loop, handle), 1);
  close(fds[1]);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(result, LOOP_HANGUP);
  free_loop(loop);
  close(fds[0]);
}

/* libevent: event_base_once with an event and a time-out, both at once. */
TEST(ready_and_late_in_one_turn_is_one_end) {
  start();
  put_byte(fds[1]);
  wait_for(fds[0], LOOP_READABLE, 0);
  check_burn(MS(1));
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(done, 1);
  CHECK_EQ(result, LOOP_READABLE);
  CHECK_EQ(releases, 1);
  free_loop(loop);
  close(fds[0]), close(fds[1]);
}

/* libevent 21: a one-shot that has not fired when the loop is freed leaks. */
TEST(a_wait_that_is_under_way_when_the_loop_is_freed_is_released) {
  start();
  wait_for(fds[0], LOOP_READABLE, -1);
  wait_for(fds[0], LOOP_READABLE, (int64_t)MS(100000));
  free_loop(loop);
  CHECK_EQ(releases, 2);
  CHECK_EQ(done, 0);
  close(fds[0]), close(fds[1]);
}

static void wait_again(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  (void)handle, (void)what, (void)data;
  CHECK_EQ(value, LOOP_WRITABLE);
  if (++done < 1000) CHECK(loop_poll_fd(on, fds[0], LOOP_WRITABLE, (int64_t)MS(100000), wait_again, arg) > 0);
}

/* libuv 680 and others: after many waits, each made in the last one's callback, the run ends. */
TEST(a_thousand_waits_each_made_by_the_last) {
  start();
  CHECK(loop_poll_fd(loop, fds[0], LOOP_WRITABLE, -1, wait_again, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 1000);
  free_loop(loop);
  close(fds[0]), close(fds[1]);
}

static void free_after_reuse(loop_t *on, loop_handle_t handle, uint32_t what, int64_t value, void *data, void *arg) {
  (void)handle, (void)what, (void)value, (void)data;
  int *other = arg;
  done++;
  if (other[0] >= 0) return;
  /* The other wait is ready in this turn: its descriptor is closed, and watched anew under its number. */
  close(fds[0]);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
  CHECK_EQ(other[0], fds[0]);
  CHECK(loop_poll_fd(on, other[0], LOOP_READABLE, 0, on_done, &releases) > 0);
}

/* asyncio and uvloop: descriptors are reused inside the callback of one of two ready waits. */
TEST(a_number_that_is_reused_between_two_ready_waits) {
  start();
  int other[2] = {-1, -1};
  put_byte(fds[1]);
  CHECK(loop_poll_fd(loop, fds[0], LOOP_READABLE, -1, free_after_reuse, other) > 0);
  loop_handle_t second = wait_for(fds[0], LOOP_READABLE, -1);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(done, 3); /* the second is told that its file is closed; the third is late */
  CHECK_EQ(result, -ETIMEDOUT);
  CHECK_EQ(releases, 1);
  CHECK_EQ(loop_is_active(loop, second), 0);
  free_loop(loop);
  close(other[0]), close(other[1]), close(fds[1]);
}
