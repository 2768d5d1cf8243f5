/* Runs a server of c_examples (SERVER) out of descriptors: while a client waits to be accepted,
 * the system's table is full (ENFILE, simulated), then the process' (EMFILE, by RLIMIT_NOFILE),
 * three times each. The listener stays readable all the while, so a server that only returns
 * spins. Counted is how often it tries, and that it does not try again within 100 ms. */
#define _GNU_SOURCE
#include "check.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>

static bool listens;
static int client = -1, failures, served;
static uint64_t last_failure;

static uint64_t clock_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void limit_descriptors(bool on) {
  struct rlimit limit;
  int lowest = dup(0); /* all below it are taken */
  CHECK(on ? lowest >= 0 && close(lowest) == 0 : lowest < 0);
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = on ? (rlim_t)lowest : limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* What the server gets instead of a descriptor it could not have, or of one it could. */
static int counted(int fd) {
  int error = errno;
  if (failures > 0) CHECK(clock_now() - last_failure >= 100000000);
  if (fd >= 0) {
    served++;
    raise(SIGINT);
    return fd;
  }
  if (failures >= 3) CHECK_EQ(error, EMFILE);
  if (++failures == 3) limit_descriptors(true);
  if (failures == 6) limit_descriptors(false);
  last_failure = clock_now();
  errno = failures <= 3 ? ENFILE : error;
  return -1;
}

static int counted_accept4(int listener, struct sockaddr *address, socklen_t *size, int flags) {
  return counted(failures < 3 ? -1 : accept4(listener, address, size, flags));
}

/* Also counts for the proxy, which opens a socket before it accepts. */
static int counted_socket(int domain, int type, int protocol) {
  int fd = socket(domain, type, protocol);
  return fd < 0 && listens ? counted(fd) : fd;
}

/* The client connects as soon as it can: the kernel lets it wait in the listener's queue. */
static int counted_listen(int listener, int backlog) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  CHECK_EQ(listen(listener, backlog), 0);
  CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &size), 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(connect(client, (struct sockaddr *)&address, size), 0);
  listens = true;
  return 0;
}

#pragma GCC diagnostic ignored "-Wreturn-type" /* allowed to main alone */
#define main server_main
#define accept4 counted_accept4
#define listen counted_listen
#define socket counted_socket
#include SERVER
#undef main

TEST(a_full_table_of_descriptors_is_waited_for_and_does_not_spin) {
  char *arguments[] = {ARGUMENTS, NULL};
  alarm(60);
  server_main(sizeof arguments / sizeof *arguments - 1, arguments);
  CHECK_EQ(failures, 6);
  CHECK_EQ(served, 1);
  close(client);
}
