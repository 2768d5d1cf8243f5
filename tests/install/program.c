/* program.c: what somebody's program does with the installed library: a timer, a descriptor, a post,
 * and the version. It is C and C++. */
#include <evloop.h>
#include <stdio.h>
#include <unistd.h>

static int seen;

static void on_time(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
  seen |= 1;
}

static void on_readable(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd, (void)events, (void)arg;
  seen |= 2;
  loop_cancel(loop, loop_current(loop));
}

static void on_post(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
  seen |= 4;
}

int main(void) {
  int fds[2];
  if (pipe(fds) < 0 || write(fds[1], "x", 1) != 1) return 1;
  loop_t *loop = loop_new();
  loop_call_later(loop, 1000000, on_time, NULL);
  loop_watch_fd(loop, fds[0], LOOP_READABLE, on_readable, NULL);
  loop_call_soon_threadsafe(loop, on_post, NULL, NULL);
  int result = loop_run(loop);
  loop_free(loop);
  printf("run %d, seen %d, version %x\n", result, seen, (unsigned)loop_version());
  return result == 1 && seen == 7 && loop_version() >= LOOP_VERSION ? 0 : 1;
}
