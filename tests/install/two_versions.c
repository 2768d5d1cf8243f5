/* two_versions.c: a program with one major version of the library, and a plugin with another. */
#include <evloop.h>
#include <stdio.h>

unsigned plugin_version(void);

static void print(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
  printf("program %x, plugin %x\n", (unsigned)loop_version(), plugin_version());
}

int main(void) {
  loop_t *loop = loop_new();
  loop_call_soon(loop, print, NULL);
  int result = loop_run(loop);
  loop_free(loop);
  return result != 1;
}
