/* two_libraries.c: a program with three static libraries that are written in Rust: evloop, a second
 * evloop whose functions are called other_*, and an ordinary one with all of Rust's own. */
#include <evloop.h>
#include <stdio.h>

loop_t *other_new(void);
int other_run(loop_t *loop);
int other_free(loop_t *loop);
loop_handle_t other_call_soon(loop_t *loop, loop_cb cb, void *arg);
int ordinary_library(int number);

static void count(loop_t *loop, void *arg) {
  (void)loop;
  ++*(int *)arg;
}

int main(void) {
  int ours = 0, others = 0;
  loop_t *loop = loop_new(), *other = other_new();
  loop_call_soon(loop, count, &ours);
  other_call_soon(other, count, &others);
  if (loop_run(loop) != 1 || other_run(other) != 1) return 1;
  loop_free(loop);
  other_free(other);
  printf("%d, %d, %d\n", ours, others, ordinary_library(1));
  return 0;
}
