/* fork_child.c: a process that forks while it has a loop. In the child every call is refused until
 * loop_after_fork has given the child a kernel side of its own; then it goes on with everything
 * that was in the loop, as its parent does. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <evloop.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void ring(loop_t *loop, void *who) {
  (void)loop;
  printf("%s: the timer rings\n", *(const char **)who);
  fflush(stdout);
}

/* Makes an inherited loop this process' own. */
static int adopt(loop_t *loop) {
  printf("child: %s\n", loop_error_name(loop_run(loop)));
  return loop_after_fork(loop);
}

int main(void) {
  const char *who = "parent";
  loop_t *loop = loop_new();
  loop_call_later(loop, 50 * LOOP_MS, ring, &who); /* before the fork, and so in both */
  pid_t child = fork();
  if (child < 0) err(1, "fork");
  if (child == 0) {
    who = "child";
    int code = adopt(loop);
    if (code < 0) errx(1, "%s", loop_strerror(code));
  }
  int result = loop_run(loop);
  loop_free(loop);
  int status = 0;
  if (child > 0 && (waitpid(child, &status, 0) < 0 || status != 0)) return 1;
  return result < 0;
}
