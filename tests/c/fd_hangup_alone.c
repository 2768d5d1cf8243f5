/* link: -lpthread */
/* LOOP_HANGUP alone is a mask: it asks for nothing but the end of a descriptor,
 * and errors. What can be read or written is not told, nor a half-close. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <sys/socket.h>

static uint32_t told;
static int runs;

static void note(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)arg;
  told = events;
  runs++;
}

static void check_turn(loop_t *loop, uint32_t expected) {
  told = 0;
  runs = 0;
  CHECK_EQ(loop_run_once(loop, 0), expected != 0);
  CHECK_EQ(told, expected);
}

TEST(a_socket_tells_when_both_directions_are_down) {
  int fds[2];
  loop_t *loop = new_loop(0);
  make_pair(fds);
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_HANGUP, note, NULL);
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_HANGUP);
  check_turn(loop, 0); /* it could be written */
  put_byte(fds[1]);
  check_turn(loop, 0); /* it could be read */
  CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
  check_turn(loop, 0); /* half closed */
  CHECK_EQ(close(fds[1]), 0);
  check_turn(loop, LOOP_HANGUP);
  check_turn(loop, LOOP_HANGUP); /* as long as it stands */
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  check_turn(loop, 0); /* 0 is a pause, this is not */
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_HANGUP), 0);
  check_turn(loop, LOOP_HANGUP);
  free_loop(loop);
  CHECK_EQ(close(fds[0]), 0);
}

TEST(a_pipe_tells_its_reader_and_its_writer) {
  int fds[2];
  loop_t *loop = new_loop(0);
  CHECK_EQ(pipe(fds), 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_HANGUP, note, NULL) > 0);
  check_turn(loop, 0);
  CHECK_EQ(close(fds[1]), 0);
  check_turn(loop, LOOP_HANGUP);
  free_loop(loop);
  CHECK_EQ(close(fds[0]), 0);
  loop = new_loop(0);
  CHECK_EQ(pipe(fds), 0);
  CHECK(loop_watch_fd(loop, fds[1], LOOP_HANGUP, note, NULL) > 0);
  check_turn(loop, 0);
  CHECK_EQ(close(fds[0]), 0);
  check_turn(loop, LOOP_ERROR);
  free_loop(loop);
  CHECK_EQ(close(fds[1]), 0);
}

TEST(it_keeps_a_run_going_as_any_watcher) {
  int fds[2];
  loop_t *loop = new_loop(0);
  make_pair(fds);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_HANGUP | LOOP_ONESHOT, note, NULL) > 0);
  CHECK_EQ(loop_has_work(loop), 1);
  free_loop(loop);
  close_pair(fds);
}
