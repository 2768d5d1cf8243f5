/* pause.c: a reader that pauses and resumes. A watcher with the mask 0 is not notified and costs
 * nothing; what the other side writes meanwhile waits in the kernel. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <evloop.h>
#include <stdio.h>
#include <unistd.h>

struct pipes {
  int reader, writer;
  loop_handle_t watch;
};

static void on_readable(loop_t *loop, int fd, uint32_t events, void *arg) {
  char text[64];
  ssize_t n = read(fd, text, sizeof text);
  (void)events, (void)arg;
  if (n > 0)
    printf("read %.*s\n", (int)n, text);
  else
    loop_cancel(loop, loop_current(loop)); /* the writer has closed its end */
}

/* Turns the reading off and on. */
static void toggle(loop_t *loop, loop_handle_t watch) {
  int events = loop_watch_events(loop, watch);
  loop_watch_update(loop, watch, events == 0 ? LOOP_READABLE : 0);
  puts(events == 0 ? "reading on" : "reading off");
}

static void say(struct pipes *pipes, const char *text) {
  if (dprintf(pipes->writer, "%s", text) < 0) err(1, "pipe");
}

static void later(loop_t *loop, void *arg) {
  struct pipes *pipes = arg;
  toggle(loop, pipes->watch);
  close(pipes->writer);
}

static void soon(loop_t *loop, void *arg) {
  struct pipes *pipes = arg;
  toggle(loop, pipes->watch);
  say(pipes, "two");
  loop_call_later(loop, 20 * LOOP_MS, later, pipes);
}

int main(void) {
  int fds[2];
  if (pipe(fds) < 0) err(1, "pipe");
  struct pipes pipes = {.reader = fds[0], .writer = fds[1]};
  loop_t *loop = loop_new();
  pipes.watch = loop_watch_fd(loop, pipes.reader, LOOP_READABLE, on_readable, NULL);
  say(&pipes, "one");
  loop_call_later(loop, 20 * LOOP_MS, soon, &pipes);
  int result = loop_run(loop);
  loop_free(loop);
  close(pipes.reader);
  return result < 0;
}
