/* echo_server.c [port]: a TCP server that sends back what it gets, for any number of
 * clients on one thread. Shows non-blocking sockets, back-pressure, memory that is freed
 * with its watcher, and a clean stop on SIGINT. To talk to it: nc 127.0.0.1 7000 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct client {
  int fd;
  size_t left; /* bytes still to be sent, from next on */
  char *next;
  char buffer[16384];
};

static loop_t *volatile server; /* for the signal handler */

static void on_stop_signal(int number) {
  (void)number;
  loop_stop(server); /* one of the few calls a signal handler may make */
}

/* The watcher's release function: called after its cancel, or by loop_free. */
static void free_client(void *arg) {
  struct client *client = arg;
  close(client->fd);
  free(client);
}

static void on_client(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct client *client = arg;
  ssize_t n = 0;
  if (events & LOOP_READABLE) { /* so nothing is left to be sent, see below */
    n = read(fd, client->buffer, sizeof client->buffer);
    client->next = client->buffer;
    client->left = n > 0 ? (size_t)n : 0;
  }
  if (client->left > 0) {
    n = send(fd, client->next, client->left, MSG_NOSIGNAL);
    if (n > 0) client->next += n, client->left -= (size_t)n;
  }
  /* Back-pressure: while the client does not take its bytes, read no more from it. */
  uint32_t wanted = client->left > 0 ? LOOP_WRITABLE : LOOP_READABLE;
  if (n == 0 || (n < 0 && errno != EAGAIN) || /* the end, or an error */
      loop_watch_update(loop, loop_current(loop), wanted) < 0)
    loop_cancel(loop, loop_current(loop));
}

static void accept_again(loop_t *loop, void *watch) {
  loop_watch_update(loop, *(loop_handle_t *)watch, LOOP_READABLE);
}

static void on_connection(loop_t *loop, int listener, uint32_t events, void *watch) {
  (void)events;
  struct client *client = calloc(1, sizeof *client);
  if (client) client->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (!client || client->fd < 0) {
    /* Out of memory or descriptors: the connection stays in the queue, and the listener
     * readable. Pause it for 100 ms instead of being called again at once. */
    if (errno != EAGAIN && loop_call_later(loop, 100 * LOOP_MS, accept_again, watch) > 0)
      loop_watch_update(loop, loop_current(loop), 0);
    free(client);
    return;
  }
  loop_handle_t handle = loop_watch_fd(loop, client->fd, LOOP_READABLE, on_client, client);
  if (loop_set_release(loop, handle, free_client) == 0) return;
  loop_cancel(loop, handle); /* harmless if it was loop_watch_fd that failed */
  free_client(client);
}

int main(int argc, char **argv) {
  char *end = "";
  long port = argc > 1 ? strtol(argv[1], &end, 10) : 7000;
  if (*end || port < 0 || port > 65535) errx(2, "usage: echo_server [port]");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
      bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1024) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) < 0)
    err(1, "cannot listen");
  loop_t *loop = server = loop_new();
  loop_handle_t watch = loop_watch_fd(loop, listener, LOOP_READABLE, on_connection, &watch);
  signal(SIGINT, on_stop_signal);
  signal(SIGTERM, on_stop_signal);
  printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  int result = watch < 0 ? (int)watch : loop_run_forever(loop);
  server = NULL; /* a signal from here on stops nothing */
  loop_free(loop); /* releases, and so closes and frees, every client */
  close(listener);
  if (result < 0) errx(1, "%s", loop_strerror(result));
}
