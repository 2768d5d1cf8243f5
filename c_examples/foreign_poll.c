/* foreign_poll.c: a program that has a poll() loop already, and waits for standard input there.
 * evloop is one more descriptor to it. That covers all that the loop waits for, timers too, so
 * poll needs no time limit. What you type comes back half a second later; end with ^D. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void echo(loop_t *loop, void *text) {
  (void)loop;
  fputs(text, stdout);
  fflush(stdout);
}

/* The host's own work; false at the end of the input. What it changes in the loop, here between
 * two turns, takes effect on the loop's descriptor at once: no call is needed for that. */
static bool on_input(loop_t *loop) {
  char text[1024];
  ssize_t length = read(STDIN_FILENO, text, sizeof text);
  if (length < 0 && errno == EINTR) return true;
  if (length <= 0) return false;
  char *copy = strndup(text, (size_t)length);
  if (copy == NULL) err(1, "echo");
  loop_handle_t timer = loop_call_later(loop, 500 * LOOP_MS, echo, copy);
  int code = loop_set_release(loop, timer, free);
  if (code < 0) errx(1, "%s", loop_strerror(code));
  return true;
}

static void host_main_loop(loop_t *loop) {
  struct pollfd fds[] = {{.fd = loop_fd(loop), .events = POLLIN},
                         {.fd = STDIN_FILENO, .events = POLLIN}};
  if (fds[0].fd < 0) errx(1, "%s", loop_strerror(fds[0].fd));
  while (fds[1].fd >= 0 || loop_has_work(loop) > 0) {
    if (poll(fds, 2, -1) < 0) continue; /* a signal */
    int called = fds[0].revents ? loop_run_once(loop, 0) : 0; /* a turn that does not wait */
    if (called < 0) errx(1, "%s", loop_strerror(called));
    if (fds[1].revents && !on_input(loop)) fds[1].fd = -1; /* poll passes over it from now on */
  }
}

int main(void) {
  /* Started without a stdin? Then the loop's own descriptor would become number 0. */
  if (fcntl(STDIN_FILENO, F_GETFD) < 0) err(1, "stdin");
  loop_t *loop = loop_new();
  host_main_loop(loop);
  loop_free(loop);
  return 0;
}
