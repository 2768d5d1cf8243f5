/* stdin_lines.c: numbers the lines of standard input, while a timer counts seconds on
 * stderr. Works with a terminal, a pipe and a file: with LOOP_ALWAYS, what the kernel
 * cannot watch (a file, /dev/null) is ready in every turn. It leaves the flags of stdin
 * alone, since the shell shares them: a single read for each event does not block. */
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct input {
  char buffer[4096];
  size_t length;        /* bytes in it: a line whose end has not come yet */
  bool continued;       /* the beginning of that line is printed already */
  unsigned long number; /* of the last line printed */
  int error;
};

/* Prints a line, or a piece of one that is longer than the buffer. */
static void print(struct input *input, const char *text, size_t length, bool ends) {
  if (!input->continued) printf("%lu: ", ++input->number);
  fwrite(text, 1, length, stdout);
  if (ends) putchar('\n');
  input->continued = !ends;
}

static void print_lines(struct input *input) {
  char *line = input->buffer, *end = line + input->length, *newline;
  while ((newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
    print(input, line, (size_t)(newline - line), true);
    line = newline + 1;
  }
  input->length = (size_t)(end - line);
  if (input->length == sizeof input->buffer) { /* full, and no newline in it */
    print(input, line, input->length, false);
    input->length = 0;
  }
  memmove(input->buffer, line, input->length); /* the rest waits for its newline */
}

static void on_stdin(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct input *input = arg;
  size_t room = sizeof input->buffer - input->length;
  ssize_t n = read(fd, input->buffer + input->length, room);
  (void)events;
  if (n > 0) {
    input->length += (size_t)n;
    print_lines(input);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) { /* the end, or an error */
    input->error = n < 0 ? errno : 0;
    if (input->length > 0 || input->continued) /* a last line without newline */
      print(input, input->buffer, input->length, true);
    loop_cancel(loop, loop_current(loop));
  }
  fflush(stdout);
}

static void on_second(loop_t *loop, uint64_t ticks, void *arg) {
  int *seconds = arg;
  (void)loop;
  *seconds += (int)ticks; /* more than 1 if the program was too busy for some */
  fprintf(stderr, "(%d s)\n", *seconds);
}

int main(void) {
  struct input input = {.length = 0};
  int seconds = 0;
  /* Started without a stdin? Then the loop's own descriptor would become number 0. */
  if (fcntl(STDIN_FILENO, F_GETFD) < 0) err(1, "stdin");
  loop_t *loop = loop_new();
  loop_handle_t timer =
      loop_call_every(loop, LOOP_SECOND, LOOP_SECOND, LOOP_SKIP_MISSED, on_second, &seconds);
  if (timer < 0) errx(1, "timer: %s", loop_strerror((int)timer));
  loop_unref(loop, timer); /* it does not keep loop_run going */
  loop_handle_t lines =
      loop_watch_fd(loop, STDIN_FILENO, LOOP_READABLE | LOOP_ALWAYS, on_stdin, &input);
  if (lines < 0) errx(1, "stdin: %s", loop_strerror((int)lines));
  int result = loop_run(loop); /* until on_stdin has cancelled its watcher */
  loop_free(loop);
  if (result < 0) errx(1, "loop: %s", loop_strerror(result));
  if (input.error != 0) errx(1, "stdin: %s", strerror(input.error));
  if (ferror(stdout)) errx(1, "stdout: not everything could be written");
  return 0;
}
