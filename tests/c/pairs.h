/* Two ends that are connected, and bytes through them: what the support headers of
 * the tests share. Each says for itself whether its pairs block. */
#ifndef EVLOOP_TESTS_PAIRS_H
#define EVLOOP_TESTS_PAIRS_H

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* `flags`: SOCK_NONBLOCK or 0. */
static inline void make_pair_with(int fds[2], int flags) {
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | flags, 0, fds), 0);
}

static inline void close_pair(int fds[2]) {
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(close(fds[1]), 0);
}

static inline void put_byte(int fd) { CHECK_EQ(send(fd, "x", 1, 0), 1); }

static inline void take_byte(int fd) {
  char byte;
  CHECK_EQ(recv(fd, &byte, 1, 0), 1);
}

#endif
