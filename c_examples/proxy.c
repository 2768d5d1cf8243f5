/* proxy.c LISTEN_PORT TARGET_HOST TARGET_PORT: passes TCP connections on to the target. Shows
 * pause and resume as back-pressure: up to 64 KB from one side wait until the other takes them;
 * meanwhile no more is read. A half-close is passed on; a broken connection is reset. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct side { /* half of a connection: there is one for the client, one for the target */
  struct side *other;
  loop_handle_t watch;
  int fd, ended; /* ended: it has sent everything, and that was passed on to the other */
  size_t left;   /* bytes from it that the other has not taken yet, from next on */
  char *next, buffer[65536];
};
static struct addrinfo *target;
static loop_t *volatile proxy;
static loop_handle_t newcomers; /* watches the listener */

static void on_stop_signal(int number) {
  if (number == SIGINT) loop_stop(proxy); /* one of the few calls allowed here */
}

static void free_pair(void *arg) { /* the release function of the client's watcher */
  struct side *pair = arg;
  struct linger reset = {.l_onoff = !pair[0].ended || !pair[1].ended, .l_linger = 0};
  for (int i = 0; i < 2; i++) {
    setsockopt(pair[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(pair[i].fd);
  }
  free(pair);
}

static void update(loop_t *loop, const struct side *side) {
  uint32_t reading = side->left == 0 && !side->ended ? LOOP_READABLE : 0;
  loop_watch_update(loop, side->watch, reading | (side->other->left > 0 ? LOOP_WRITABLE : 0));
}

static void on_side(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct side *side = arg, *other = side->other;
  ssize_t n = 0;
  if (events & LOOP_WRITABLE) { /* or the target is connected, or refuses */
    n = send(fd, other->next, other->left, MSG_NOSIGNAL);
    if (n > 0) other->next += n, other->left -= (size_t)n;
  }
  if (n >= 0 && events & LOOP_READABLE) { /* so all before has been passed on */
    n = read(fd, side->next = side->buffer, sizeof side->buffer);
    side->left = n > 0 ? (size_t)n : 0;
    if (n == 0) side->ended = (n = shutdown(other->fd, SHUT_WR)) == 0;
  }
  if ((n < 0 && errno != EAGAIN) || (side->ended && other->ended))
    loop_cancel(loop, side->watch), loop_cancel(loop, other->watch);
  update(loop, side), update(loop, other); /* harmless if they are cancelled */
}

static void accept_again(loop_t *loop, void *arg) {
  (void)arg;
  loop_watch_update(loop, newcomers, LOOP_READABLE);
}

static void on_newcomer(loop_t *loop, int listener, uint32_t events, void *arg) {
  (void)events, (void)arg;
  int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, out = socket(AF_INET, type, 0);
  struct side *pair = out < 0 ? NULL : calloc(2, sizeof *pair);
  int in = pair ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
  if (in < 0) { /* no memory or descriptor left: pause for 100 ms */
    if (errno != EAGAIN && loop_call_later(loop, 100 * LOOP_MS, accept_again, NULL) > 0)
      loop_watch_update(loop, newcomers, 0);
    if (out >= 0) close(out);
    free(pair);
    return;
  }
  connect(out, target->ai_addr, target->ai_addrlen);
  pair[0].other = &pair[1], pair[1].other = &pair[0];
  pair[0].fd = in, pair[1].fd = out;
  pair[0].watch = loop_watch_fd(loop, pair[0].fd, 0, on_side, &pair[0]); /* paused as yet */
  pair[1].watch = loop_watch_fd(loop, pair[1].fd, LOOP_WRITABLE, on_side, &pair[1]);
  if (pair[1].watch < 0 || loop_set_release(loop, pair[0].watch, free_pair) < 0)
    loop_cancel(loop, pair[0].watch), loop_cancel(loop, pair[1].watch), free_pair(pair);
}

int main(int argc, char **argv) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  if (argc != 4 || getaddrinfo(argv[2], argv[3], &hints, &target) != 0)
    errx(2, "usage: proxy LISTEN_PORT TARGET_HOST TARGET_PORT (of a known host)");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  address.sin_port = htons((uint16_t)atoi(argv[1]));
  if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
      bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, SOMAXCONN) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) < 0)
    err(1, "cannot listen");
  loop_t *loop = proxy = loop_new();
  newcomers = loop_watch_fd(loop, listener, LOOP_READABLE, on_newcomer, NULL);
  signal(SIGINT, on_stop_signal);
  dprintf(STDOUT_FILENO, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  int result = newcomers < 0 ? (int)newcomers : loop_run_forever(loop);
  proxy = NULL;    /* a signal from here on stops nothing */
  loop_free(loop); /* releases, and so closes and frees, every connection */
  close(listener), freeaddrinfo(target);
  if (result < 0) errx(1, "%s", loop_strerror(result));
}
