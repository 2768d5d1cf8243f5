/* chat_server.c [port]: sends each line of a client to all the others; thousands of clients on
 * one thread. Shows a bounded queue for each client: one that does not read and falls 32 KB
 * behind is dropped, and delays nobody. To join in: nc 127.0.0.1 7001 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

struct client {
  LIST_ENTRY(client) links;
  loop_handle_t watch;
  int fd;
  size_t said, queued; /* bytes in line and queue */
  char line[4096];     /* from this client: a line whose end has not come yet */
  char queue[32768];   /* for this client: what the others said */
};
static LIST_HEAD(, client) clients;
static loop_t *volatile server;
static loop_handle_t newcomers; /* watches the listener */

static void on_stop_signal(int number) {
  if (number == SIGINT) loop_stop(server); /* one of the few calls allowed here */
}

static void free_client(void *arg) { /* runs between two turns, when nobody uses the list */
  struct client *client = arg;
  LIST_REMOVE(client, links);
  close(client->fd);
  free(client);
}

static void send_to_others(loop_t *loop, struct client *from) {
  char *end = memrchr(from->line, '\n', from->said);
  size_t length = end ? (size_t)(end + 1 - from->line) : 0; /* of all whole lines */
  for (struct client *to = LIST_FIRST(&clients); to && end; to = LIST_NEXT(to, links)) {
    if (to == from) continue;
    size_t n = length <= sizeof to->queue - to->queued ? length : 0;
    if (n == 0) loop_cancel(loop, to->watch); /* too slow; now its handle is stale, */
    memcpy(to->queue + to->queued, from->line, n);
    to->queued += n;
    loop_watch_update(loop, to->watch, LOOP_READABLE | LOOP_WRITABLE); /* so this does nothing */
  }
  memmove(from->line, from->line + length, from->said -= length);
}

static void on_client(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct client *client = arg;
  ssize_t n = 1;
  if (events & LOOP_WRITABLE) {
    n = send(fd, client->queue, client->queued, MSG_NOSIGNAL);
    if (n > 0) memmove(client->queue, client->queue + n, client->queued -= (size_t)n);
    if (client->queued == 0) loop_watch_update(loop, client->watch, LOOP_READABLE);
  }
  if (n > 0 && events & LOOP_READABLE) { /* too long a line leaves no room: then n is 0 */
    n = read(fd, client->line + client->said, sizeof client->line - client->said);
    if (n > 0) client->said += (size_t)n, send_to_others(loop, client);
  }
  if (n == 0 || (n < 0 && errno != EAGAIN)) loop_cancel(loop, client->watch);
}

static void accept_again(loop_t *loop, void *arg) {
  (void)arg;
  loop_watch_update(loop, newcomers, LOOP_READABLE);
}

static void on_newcomer(loop_t *loop, int listener, uint32_t events, void *arg) {
  (void)events, (void)arg;
  struct client *client = malloc(sizeof *client);
  if (client) client->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (!client || client->fd < 0) { /* no memory or descriptor left: pause for 100 ms */
    if (errno != EAGAIN && loop_call_later(loop, 100 * LOOP_MS, accept_again, NULL) > 0)
      loop_watch_update(loop, newcomers, 0);
    free(client);
    return;
  }
  client->said = client->queued = 0;
  client->watch = loop_watch_fd(loop, client->fd, LOOP_READABLE, on_client, client);
  LIST_INSERT_HEAD(&clients, client, links);
  if (loop_set_release(loop, client->watch, free_client) < 0)
    loop_cancel(loop, client->watch), free_client(client);
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int yes = 1, bytes = 8192, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 7001));
  if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
      setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) < 0 || /* inherited */
      bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, SOMAXCONN) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) < 0)
    err(1, "cannot listen");
  loop_t *loop = server = loop_new();
  newcomers = loop_watch_fd(loop, listener, LOOP_READABLE, on_newcomer, NULL);
  signal(SIGINT, on_stop_signal);
  dprintf(STDOUT_FILENO, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  int result = newcomers < 0 ? (int)newcomers : loop_run_forever(loop);
  server = NULL;   /* a signal from here on stops nothing */
  loop_free(loop); /* releases, and so closes and frees, every client */
  close(listener);
  if (result < 0) errx(1, "%s", loop_strerror(result));
}
