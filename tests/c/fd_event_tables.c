/* Law 7, the exact bits: what watchers with different masks are told of every
 * event that the header's table names, alone on the descriptor and together. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>
#include <poll.h>

static int fds[2]; /* fds[0] is watched; fds[1] may be -1 */

static void close_peer(void) {
  CHECK_EQ(close(fds[1]), 0);
  fds[1] = -1;
}

/* Waits until the kernel has noticed, without a loop. */
static void until(short what) {
  struct pollfd watched = {fds[0], what, 0};
  do CHECK_EQ(poll(&watched, 1, -1), 1);
  while ((watched.revents & what) != what);
}

static void quiet_socket(void) { make_pair(fds); }

static void data(void) {
  make_pair(fds);
  put_byte(fds[1]);
}

static void full_socket(void) {
  char bytes[4096] = {0};
  make_pair(fds);
  while (send(fds[0], bytes, sizeof bytes, 0) > 0) {
  }
}

static void hangup(void) {
  make_pair(fds);
  close_peer();
}

static void hangup_with_data_to_read(void) {
  data();
  close_peer();
}

static void both_shut_down(void) {
  make_tcp_pair(fds);
  CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
  until(POLLRDHUP);
  CHECK_EQ(shutdown(fds[0], SHUT_WR), 0);
}

static void half_close(void) {
  make_pair(fds);
  CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
}

static void half_close_of_tcp_with_data(void) {
  make_tcp_pair(fds);
  put_byte(fds[1]);
  CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
  until(POLLIN | POLLRDHUP);
}

static void reset_of_tcp(void) {
  struct linger at_once = {1, 0};
  make_tcp_pair(fds);
  CHECK_EQ(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close_peer();
  until(POLLERR);
}

static void reset_of_a_local_socket(void) {
  make_pair(fds);
  put_byte(fds[0]); /* which the peer never reads */
  close_peer();
}

static void pending_error(void) {
  struct sockaddr_in nobody;
  fds[1] = bound_socket(SOCK_DGRAM, &nobody);
  fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(connect(fds[0], (struct sockaddr *)&nobody, sizeof nobody), 0);
  close_peer();
  CHECK_EQ(send(fds[0], "x", 1, 0), 1);
  until(POLLERR);
}

static void out_of_band(void) {
  make_tcp_pair(fds);
  CHECK_EQ(send(fds[1], "!", 1, MSG_OOB), 1);
  until(POLLPRI);
}

static void out_of_band_after_data(void) {
  make_tcp_pair(fds);
  CHECK_EQ(send(fds[1], "data", 4, 0), 4);
  CHECK_EQ(send(fds[1], "!", 1, MSG_OOB), 1);
  until(POLLIN | POLLPRI);
}

static void pipe_end(void) {
  CHECK_EQ(pipe(fds), 0);
  close_peer();
}

static void pipe_end_with_data(void) {
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  close_peer();
}

static void pipe_without_reader(void) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  fds[0] = ends[1];
  fds[1] = ends[0];
  close_peer();
}

static void full_pipe_without_reader(void) {
  char page[4096] = {0};
  int ends[2];
  CHECK_EQ(pipe2(ends, O_NONBLOCK), 0);
  fds[0] = ends[1];
  fds[1] = ends[0];
  while (write(fds[0], page, sizeof page) > 0) {
  }
  close_peer();
}

static void open_pty(int *master, int *slave) {
  *master = posix_openpt(O_RDWR | O_NOCTTY);
  CHECK_EQ(grantpt(*master), 0);
  CHECK_EQ(unlockpt(*master), 0);
  *slave = open(ptsname(*master), O_RDWR | O_NOCTTY);
  CHECK(*slave >= 0);
}

static void terminal_closed_by_its_program(void) {
  open_pty(&fds[0], &fds[1]);
  close_peer();
}

static void terminal_hung_up(void) {
  open_pty(&fds[1], &fds[0]);
  close_peer();
}

static void refused_connect(void) {
  struct sockaddr_in nobody;
  fds[1] = bound_socket(SOCK_STREAM, &nobody); /* does not listen */
  fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_EQ(connect(fds[0], (struct sockaddr *)&nobody, sizeof nobody), -1);
  until(POLLERR);
}

static struct sockaddr_in listen_address;

static void listener(void) {
  fds[0] = bound_socket(SOCK_STREAM, &listen_address);
  CHECK_EQ(listen(fds[0], 1), 0);
  fds[1] = -1;
}

static void listener_with_a_client(void) {
  listener();
  fds[1] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(connect(fds[1], (struct sockaddr *)&listen_address, sizeof listen_address), 0);
  until(POLLIN);
}

static void connected(void) { make_tcp_pair(fds); }

enum { R = LOOP_READABLE, W = LOOP_WRITABLE, C = LOOP_READ_CLOSED, P = LOOP_PRIORITY, H = LOOP_HANGUP, E = LOOP_ERROR };

static const uint32_t masks[] = {R, W, C, P, H, E, ALL_EVENTS, 0};
enum { MASKS = sizeof masks / sizeof *masks };

static const struct row {
  void (*make)(void);
  uint32_t told[MASKS]; /* to each of the masks; 0: nothing */
} rows[] = {
    /*                           R      W      C      P    H    E    all                0 */
    {quiet_socket,              {0,     W,     0,     0,   0,   0,   W,                 0}},
    {full_socket,               {0,     0,     0,     0,   0,   0,   0,                 0}},
    {connected,                 {0,     W,     0,     0,   0,   0,   W,                 0}},
    {data,                      {R,     W,     0,     0,   0,   0,   R|W,               0}},
    {half_close,                {R,     W,     C,     0,   0,   0,   R|W|C,             0}},
    {half_close_of_tcp_with_data, {R,   W,     C,     0,   0,   0,   R|W|C,             0}},
    {both_shut_down,            {R|H,   W|H,   C|H,   H,   H,   H,   R|W|C|H,           0}},
    {hangup,                    {R|H,   W|H,   C|H,   H,   H,   H,   R|W|C|H,           0}},
    {hangup_with_data_to_read,  {R|H,   W|H,   C|H,   H,   H,   H,   R|W|C|H,           0}},
    {reset_of_tcp,              {R|H|E, W|H|E, C|H|E, H|E, H|E, H|E, R|W|C|H|E,         0}},
    {reset_of_a_local_socket,   {R|H|E, W|H|E, C|H|E, H|E, H|E, H|E, R|W|C|H|E,         0}},
    {refused_connect,           {R|H|E, W|H|E, C|H|E, H|E, H|E, H|E, R|W|C|H|E,         0}},
    {pending_error,             {R|E,   W|E,   E,     E,   E,   E,   R|W|E,             0}},
    {out_of_band,               {0,     W,     0,     P,   0,   0,   W|P,               0}},
    {out_of_band_after_data,    {R,     W,     0,     P,   0,   0,   R|W|P,             0}},
    {pipe_end,                  {R|H,   W|H,   H,     H,   H,   H,   R|W|H,             0}},
    {pipe_end_with_data,        {R|H,   W|H,   H,     H,   H,   H,   R|W|H,             0}},
    {pipe_without_reader,       {R|E,   W|E,   E,     E,   E,   E,   R|W|E,             0}},
    {full_pipe_without_reader,  {R|E,   W|E,   E,     E,   E,   E,   R|W|E,             0}},
    {terminal_closed_by_its_program, {R|H, W|H, H,    H,   H,   H,   R|W|H,             0}},
    {terminal_hung_up,          {R|H|E, W|H|E, H|E,   H|E, H|E, H|E, R|W|H|E,           0}},
    {listener,                  {0,     0,     0,     0,   0,   0,   0,                 0}},
    {listener_with_a_client,    {R,     0,     0,     0,   0,   0,   R,                 0}},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void close_all(void) {
  CHECK_EQ(close(fds[0]), 0);
  if (fds[1] >= 0) CHECK_EQ(close(fds[1]), 0);
}

static void check_told(int row, int mask, struct seen seen, int calls) {
  uint32_t expected = rows[row].told[mask];
  if (seen.events != expected) fprintf(stderr, "row %d, mask 0x%x\n", row, masks[mask]);
  CHECK_EQ(seen.events, expected);
  CHECK_EQ(seen.calls, expected == 0 ? 0 : calls);
}

TEST(each_mask_alone_on_the_descriptor) {
  for (int row = 0; row < ROWS; row++) {
    for (int m = 0; m < MASKS; m++) {
      struct seen seen = {0, 0};
      loop_t *loop = loop_new();
      rows[row].make();
      watch(loop, fds[0], masks[m], &seen);
      for (int turn = 0; turn < 3; turn++) CHECK(loop_run_once(loop, 0) >= 0);
      check_told(row, m, seen, 3);
      CHECK_EQ(loop_free(loop), 0);
      close_all();
    }
  }
}

TEST(all_masks_together_on_the_descriptor) {
  for (int row = 0; row < ROWS; row++) {
    struct seen seen[MASKS];
    loop_t *loop = loop_new();
    rows[row].make();
    memset(seen, 0, sizeof seen);
    for (int m = 0; m < MASKS; m++) watch(loop, fds[0], masks[m], &seen[m]);
    for (int turn = 0; turn < 3; turn++) CHECK(loop_run_once(loop, 0) >= 0);
    for (int m = 0; m < MASKS; m++) check_told(row, m, seen[m], 3);
    CHECK_EQ(loop_free(loop), 0);
    close_all();
  }
}

/* An error is told as long as it stands: until somebody asks which it is. */
TEST(an_error_is_told_until_it_is_taken) {
  struct seen seen = {0, 0};
  int reason = 0;
  socklen_t length = sizeof reason;
  loop_t *loop = loop_new();
  pending_error();
  watch(loop, fds[0], R, &seen);
  for (int turn = 1; turn <= 5; turn++) CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &reason, &length), 0);
  CHECK_EQ(reason, ECONNREFUSED);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
  close_all();
}
