/* dialog.c: a host that runs its main loop again inside a callback, as a GUI does that shows a
 * dialog. The host waits with poll, for a pipe of its own and for the guest's descriptor, which
 * covers all that the guest waits for: descriptors, timers, posts. */
#include <err.h>
#include <evloop.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static int guest_fd, own_pipe[2], button[2];
static bool answered, ended;

/* The host: it serves its own descriptor, and gives the guest a turn when it wants one. */
static void host_main_loop(loop_t *guest, const bool *until) {
  while (!*until) {
    struct pollfd fds[] = {{.fd = guest_fd, .events = POLLIN},
                           {.fd = own_pipe[0], .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) err(1, "poll");
    if (fds[0].revents) loop_run_once(guest, 0); /* a turn that does not wait */
    if (fds[1].revents) {
      char text[16];
      ssize_t n = read(own_pipe[0], text, sizeof text);
      printf("host: got %.*s\n", (int)n, text);
      answered = true;
    }
  }
}

static void on_tick(loop_t *guest, uint64_t ticks, void *arg) {
  int *left = arg;
  (void)ticks;
  printf("guest: %d\n", --*left);
  ended = *left == 0;
  if (ended) loop_cancel(guest, loop_current(guest));
}

static void press(loop_t *guest, void *arg) {
  (void)guest, (void)arg;
  if (write(button[1], "!", 1) < 0) err(1, "write");
}

static void answer(loop_t *guest, void *arg) {
  (void)guest, (void)arg;
  if (write(own_pipe[1], "yes", 3) < 0) err(1, "write");
}

/* What a callback changes reaches the kernel after it. A host that waits inside the callback
 * needs it before: without the flush nothing would tell it of the timer, and it would wait for
 * ever. The turns that it gives to the guest do as much, so the first wait alone needs it. */
static void dialog(loop_t *guest, int fd, uint32_t events, void *arg) {
  char byte;
  (void)events, (void)arg;
  if (read(fd, &byte, 1) < 0) err(1, "read");
  puts("guest: a dialog opens");
  loop_call_later(guest, 20 * LOOP_MS, answer, NULL);
  loop_flush(guest);
  host_main_loop(guest, &answered);
  printf("guest: the dialog closes, in %d run\n", loop_is_running(guest));
}

int main(void) {
  int left = 3;
  if (pipe(own_pipe) < 0 || pipe(button) < 0) err(1, "pipe");
  loop_t *guest = loop_new();
  guest_fd = loop_fd(guest); /* once: it stays the same */
  if (guest_fd < 0) errx(1, "%s", loop_strerror(guest_fd));
  loop_call_every(guest, 50 * LOOP_MS, 50 * LOOP_MS, LOOP_RUN_MISSED, on_tick, &left);
  loop_call_later(guest, 120 * LOOP_MS, press, NULL);
  loop_watch_fd(guest, button[0], LOOP_READABLE, dialog, NULL);
  host_main_loop(guest, &ended);
  loop_free(guest);
  for (int i = 0; i < 2; i++) close(own_pipe[i]), close(button[i]);
  return 0;
}
