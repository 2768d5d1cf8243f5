/* tour.c: several things in one loop, each printed when it happens: a timer that ticks, one
 * that is cancelled, a TCP server, and three threads, its clients, that post their results.
 * Ends by itself in about a second. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <evloop.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *names[] = {"Ada", "Bob", "Cleo"};
static struct sockaddr_in address = {.sin_family = AF_INET}; /* of the server */
static loop_t *main_loop;
static uint64_t start;
static int ticks, served, results;

static loop_handle_t check(loop_handle_t result) {
  if (result < 0) errx(1, "%s", loop_strerror((int)result));
  return result;
}

static void say(loop_t *loop, void *text) {
  printf("%4d ms  %s\n", (int)((loop_clock(loop) - start) / LOOP_MS), (char *)text);
}

/* late is a timer; it is cancelled in time. */
static void on_tick(loop_t *loop, uint64_t count, void *late) {
  ticks += (int)count;
  say(loop, "timer: tick");
  if (ticks >= 3 && loop_cancel(loop, *(loop_handle_t *)late) == 0)
    say(loop, "timer: the late one is cancelled");
  if (ticks >= 6 && served == 3 && results == 3) loop_stop(loop);
}

static void on_request(loop_t *loop, int fd, uint32_t events, void *arg) {
  char name[32] = "";
  (void)events, (void)arg;
  if (read(fd, name, sizeof name - 1) > 0 && dprintf(fd, "welcome, %s", name) > 0) return;
  say(loop, "server: a client has gone");
  loop_cancel(loop, loop_current(loop));
  close(fd);
  served++;
}

static void on_connection(loop_t *loop, int listener, uint32_t events, void *arg) {
  (void)events, (void)arg;
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) err(1, "accept"); /* to return would spin: see echo_server.c */
  say(loop, "server: a client has come");
  check(loop_watch_fd(loop, fd, LOOP_READABLE, on_request, NULL));
}

static void free_result(void *text) {
  free(text);
  results++;
}

/* Runs on a thread of its own, so it may block. The result goes to the loop's thread, where
 * it is printed by say and then freed by free_result. */
static void *client(void *arg) {
  char answer[64] = "", *text, **name = arg;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  usleep(130000 * (useconds_t)(name - names + 1)); /* hard work */
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
      dprintf(fd, "%s", *name) < 0 || read(fd, answer, sizeof answer - 1) <= 0 ||
      asprintf(&text, "thread: %s was told \"%s\"", *name, answer) < 0)
    err(1, "client");
  close(fd);
  check(loop_call_soon_threadsafe(main_loop, say, text, free_result));
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0); /* on port 0: a free one is chosen */
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
      listen(listener, 3) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
    err(1, "server");
  loop_t *loop = main_loop = loop_new();
  start = loop_clock(loop);
  check(loop_call_soon(loop, say, "soon: the loop runs"));
  loop_handle_t late = check(loop_call_later(loop, 500 * LOOP_MS, say, "timer: never printed"));
  check(loop_call_every(loop, 100 * LOOP_MS, 100 * LOOP_MS, LOOP_SKIP_MISSED, on_tick, &late));
  check(loop_watch_fd(loop, listener, LOOP_READABLE, on_connection, NULL));
  for (int i = 0; i < 3; i++)
    if (pthread_create(&threads[i], NULL, client, &names[i]) != 0) errx(1, "no thread");
  check(loop_run_forever(loop));
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  check(loop_free(loop));
  close(listener);
  printf("%d ticks, %d clients served, %d results\n", ticks, served, results);
  return 0;
}
