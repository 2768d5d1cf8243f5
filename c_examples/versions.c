/* versions.c: what a program can check before it begins, and after an error: whether the library
 * that was loaded is new enough, which thread it is on, and what a code means. */
#include <evloop.h>
#include <stdio.h>

/* The library may be newer than the header that a program was compiled with, never older. */
static int is_new_enough(void) {
  uint32_t loaded = loop_version();
  printf("compiled with %d.%d.%d\n", LOOP_VERSION_MAJOR, LOOP_VERSION_MINOR, LOOP_VERSION_PATCH);
  return loaded >= LOOP_VERSION && loaded >> 16 == LOOP_VERSION_MAJOR;
}

/* A misuse returns a code, and nothing has happened. */
static void explain(const char *what, int64_t code) {
  printf("%s: %s (%s)\n", what, loop_error_name((int)code), loop_strerror((int)code));
}

static void on_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop, (void)fd, (void)events, (void)arg;
}

int main(void) {
  if (!is_new_enough()) return 1;
  loop_t *loop = loop_new();
  if (loop_in_thread(loop) != 1) return 1;
  explain("a descriptor that is closed", loop_watch_fd(loop, -1, LOOP_READABLE, on_event, 0));
  explain("no callback", loop_call_soon(loop, NULL, NULL));
  explain("no loop", loop_run(NULL));
  explain("a handle of nothing", loop_cancel(loop, 12345));
  explain("all is well", loop_free(loop));
  return 0;
}
