/* TCP over descriptor watchers: echo, and accepting. The clients are a process of their own,
 * the same hand-written epoll loop for all, on the other processor. */
#define _GNU_SOURCE
#include "backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE = 64, WARM_UP = 10 /* percent */ };

/* What the clients' process tells in the end. */
typedef struct outcome {
  uint64_t requests, elapsed_ns, p50_ns, p99_ns;
} outcome;

static struct {
  b_loop *loop;
  int listener;
  b_fd watch;
  uint64_t wanted, accepted, closed, requests;
} server;

typedef struct connection {
  b_fd watch;
  int fd;
} connection;

static int listen_somewhere(struct sockaddr_in *address) {
  socklen_t length = sizeof *address;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  must(fd >= 0 && bind(fd, (struct sockaddr *)address, length) == 0 && listen(fd, 4096) == 0, "listen");
  must(getsockname(fd, (struct sockaddr *)address, &length) == 0, "getsockname");
  return fd;
}

static void set_no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void hang_up(connection *c) {
  b_fd_end(server.loop, &c->watch, free, c);
  if (++server.closed == server.wanted) b_stop(server.loop);
}

ON_FD(echo) {
  connection *c = ARG;
  char bytes[4096];
  int fd = c->fd;
  (void)FD_IS_READABLE;
  ssize_t count = read(fd, bytes, sizeof bytes);
  if (count > 0) {
    server.requests++;
    must(write(fd, bytes, (size_t)count) == count, "write of an echo");
  } else if (count == 0 || errno != EAGAIN) {
    hang_up(c);
    close(fd);
  }
}

ON_FD(accept_all) {
  (void)ARG, (void)FD_IS_READABLE;
  for (int fd; (fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    connection *c = malloc(sizeof *c);
    c->fd = fd;
    set_no_delay(fd);
    b_fd_init(server.loop, &c->watch, fd, echo, c);
    b_fd_start(server.loop, &c->watch, fd, READABLE, echo, c);
    server.accepted++;
  }
}

static double thread_cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- The clients. ---- */

static void client_must(bool condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "client: %s (%s)\n", what, strerror(errno));
  _exit(1);
}

static int connect_to(const struct sockaddr_in *address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  client_must(fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0, "connect");
  set_no_delay(fd);
  return fd;
}

typedef struct client {
  int fd;
  uint64_t number, sequence, sent_at;
  size_t received;
  char message[MESSAGE], answer[MESSAGE];
} client;

static void send_request(client *c) {
  c->sequence++;
  for (size_t i = 0; i < MESSAGE / sizeof(uint64_t); i++) {
    uint64_t word = (c->number << 40) ^ (c->sequence * 0x9e3779b97f4a7c15u) ^ i;
    memcpy(c->message + i * sizeof word, &word, sizeof word);
  }
  c->received = 0;
  c->sent_at = now_ns();
  client_must(write(c->fd, c->message, MESSAGE) == MESSAGE, "write");
}

/* One request at a time on each connection; every answer is compared. */
static void echo_clients(const struct sockaddr_in *address, uint64_t connections, uint64_t requests, int go, int tell) {
  client *clients = calloc(connections, sizeof *clients);
  double *latencies = calloc(requests, sizeof *latencies);
  int set = epoll_create1(EPOLL_CLOEXEC);
  for (uint64_t i = 0; i < connections; i++) {
    clients[i] = (client){.fd = connect_to(address), .number = i};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    client_must(epoll_ctl(set, EPOLL_CTL_ADD, clients[i].fd, &event) == 0, "epoll_ctl");
  }
  char byte;
  client_must(read(go, &byte, 1) == 1, "the start");
  uint64_t sent = 0, received = 0, skipped = requests * WARM_UP / 100, began = 0;
  for (uint64_t i = 0; i < connections && sent < requests; i++, sent++) send_request(&clients[i]);
  while (received < requests) {
    struct epoll_event events[256];
    int count = epoll_wait(set, events, 256, 10000);
    client_must(count > 0, "no answer within ten seconds");
    for (int i = 0; i < count; i++) {
      client *c = events[i].data.ptr;
      ssize_t bytes = read(c->fd, c->answer + c->received, MESSAGE - c->received);
      client_must(bytes > 0, "read");
      c->received += (size_t)bytes;
      if (c->received < MESSAGE) continue;
      client_must(memcmp(c->message, c->answer, MESSAGE) == 0, "the echo differs");
      uint64_t now = now_ns();
      if (received++ == skipped) began = now;
      if (received > skipped + 1) latencies[received - skipped - 2] = (double)(now - c->sent_at);
      if (sent < requests) {
        sent++;
        send_request(c);
      }
    }
  }
  uint64_t elapsed = now_ns() - began;
  size_t measured = requests - skipped - 1;
  outcome told = {requests, elapsed * requests / measured, (uint64_t)percentile(latencies, measured, 0.5),
                  (uint64_t)percentile(latencies, measured, 0.99)};
  for (uint64_t i = 0; i < connections; i++) close(clients[i].fd);
  client_must(write(tell, &told, sizeof told) == sizeof told, "telling");
}

/* Connections that ask once and go, some at a time; closed with a reset, so that none lingers. */
enum { AT_A_TIME = 32 };
static void short_clients(const struct sockaddr_in *address, uint64_t connections, int go, int tell) {
  char byte = 'x';
  client_must(read(go, &byte, 1) == 1, "the start");
  uint64_t began = now_ns();
  for (uint64_t done = 0; done < connections;) {
    int fds[AT_A_TIME], count = 0;
    for (; count < AT_A_TIME && done + (uint64_t)count < connections; count++) {
      fds[count] = connect_to(address);
      client_must(write(fds[count], &byte, 1) == 1, "write");
    }
    for (int i = 0; i < count; i++) {
      struct linger reset = {1, 0};
      client_must(read(fds[i], &byte, 1) == 1, "read");
      setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      close(fds[i]);
    }
    done += (uint64_t)count;
  }
  outcome told = {connections, now_ns() - began, 0, 0};
  client_must(write(tell, &told, sizeof told) == sizeof told, "telling");
}

/* ---- Both. ---- */

/* Starts the clients' process; what it tells is read from `told` when the loop has stopped. */
static pid_t start_clients(uint64_t connections, uint64_t requests, int *go, int *told) {
  struct sockaddr_in address;
  int to[2], from[2];
  server.listener = listen_somewhere(&address);
  must(pipe(to) == 0 && pipe(from) == 0, "pipe");
  fflush(stdout);
  pid_t child = fork();
  must(child >= 0, "fork");
  if (child == 0) {
    mark_as_client();
    pin(1);
    if (requests) echo_clients(&address, connections, requests, to[0], from[1]);
    else short_clients(&address, connections, to[0], from[1]);
    _exit(0);
  }
  pin(0);
  *go = to[1];
  *told = from[0];
  close(to[0]);
  close(from[1]);
  server.wanted = connections;
  server.loop = b_new();
  b_fd_init(server.loop, &server.watch, server.listener, accept_all, NULL);
  b_fd_start(server.loop, &server.watch, server.listener, READABLE, accept_all, NULL);
  return child;
}

static outcome finish_clients(pid_t child, int told) {
  outcome found = {0, 0, 0, 0};
  int status = 0;
  ssize_t count = read(told, &found, sizeof found);
  waitpid(child, &status, 0);
  must(status == 0 && count == sizeof found, "the clients failed");
  b_fd_stop(server.loop, &server.watch);
  b_free(server.loop);
  close(server.listener);
  return found;
}

static void run_echo(uint64_t connections, uint64_t requests) {
  char row[64];
  int go, told;
  allow_descriptors(2 * connections);
  pid_t child = start_clients(connections, requests, &go, &told);
  while (server.accepted < connections) b_wait(server.loop);
  double cpu = thread_cpu_ns();
  must(write(go, "g", 1) == 1, "write");
  snprintf(row, sizeof row, "echo_%d_wall", (int)connections);
  phase_begin(row); /* for the counting of system calls */
  b_run(server.loop);
  phase_end(requests);
  cpu = thread_cpu_ns() - cpu;
  outcome found = finish_clients(child, told);
  must_equal("requests", requests, server.requests);
  must_equal("answers", requests, found.requests);
  snprintf(row, sizeof row, "echo_%d_rate", (int)connections);
  report(row, (double)requests * 1e9 / (double)found.elapsed_ns);
  snprintf(row, sizeof row, "echo_%d_p50_us", (int)connections);
  report(row, (double)found.p50_ns / 1000);
  snprintf(row, sizeof row, "echo_%d_p99_us", (int)connections);
  report(row, (double)found.p99_ns / 1000);
  snprintf(row, sizeof row, "echo_%d_cpu", (int)connections);
  report(row, cpu / (double)requests);
}

void run_echo_1(uint64_t requests) { run_echo(1, requests); }
void run_echo_50(uint64_t requests) { run_echo(50, requests); }
void run_echo_1000(uint64_t requests) { run_echo(1000, requests); }

void run_accept(uint64_t connections) {
  int go, told;
  allow_descriptors(4096);
  pid_t child = start_clients(connections, 0, &go, &told);
  double cpu = thread_cpu_ns();
  must(write(go, "g", 1) == 1, "write");
  phase_begin("accept_wall");
  b_run(server.loop);
  phase_end(connections);
  cpu = thread_cpu_ns() - cpu;
  outcome found = finish_clients(child, told);
  must_equal("connections", connections, server.accepted);
  must_equal("answers", connections, found.requests);
  report("accept_rate", (double)connections * 1e9 / (double)found.elapsed_ns);
  report("accept_cpu", cpu / (double)connections);
}
