/* pull_events.c: a loop without callbacks. Where a call from C into the language is dear, or where
 * a scheduler wants to choose what runs, loop_next_events hands out what is ready as plain
 * structs. */
#include <err.h>
#include <evloop.h>
#include <stdio.h>
#include <unistd.h>

/* Deals with one event; 0 at the end of the input. */
static int handle(loop_t *loop, const loop_event_t *event) {
  char text[16];
  ssize_t n;
  if (!loop_is_active(loop, event->handle)) return 1; /* cancelled by another one of the batch */
  switch (event->kind) {
  case LOOP_EVENT_SOON: printf("soon: %s\n", (char *)event->arg); return 1;
  case LOOP_EVENT_TIMER: printf("timer: %s\n", (char *)event->arg); return 1;
  case LOOP_EVENT_TICK: printf("tick: %s\n", (char *)event->arg); return 1;
  case LOOP_EVENT_FD:
    n = read(event->fd, text, sizeof text);
    printf("%s: %zd bytes\n", (char *)event->arg, n);
    return n > 0;
  }
  return 1;
}

int main(void) {
  int fds[2];
  if (pipe(fds) < 0 || write(fds[1], "hello", 5) != 5) err(1, "pipe");

  loop_t *loop;
  loop_options_t options = {.size = sizeof options, .flags = LOOP_PULL};
  int code = loop_new_with(&options, &loop);
  if (code < 0) errx(1, "%s", loop_strerror(code));
  loop_call_soon(loop, NULL, "first"); /* NULL: no callback, hand it out */
  loop_call_later(loop, 20 * LOOP_MS, NULL, "20 ms are over");
  loop_handle_t tick = loop_call_every(loop, 40 * LOOP_MS, 40 * LOOP_MS, LOOP_SKIP_MISSED, NULL, "40 ms");
  loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, "pipe");

  for (int goes_on = 1; goes_on;) {
    loop_event_t events[8];
    int count = loop_next_events(loop, events, 8, -1); /* waits without limit */
    if (count < 0) errx(1, "%s", loop_strerror(count));
    for (int i = 0; i < count; i++) {
      goes_on = handle(loop, &events[i]) && goes_on;
      if (events[i].handle == tick) close(fds[1]); /* so the pipe's end comes next */
    }
  }
  loop_free(loop);
  close(fds[0]);
  return 0;
}
