/* plugin.c: a plugin that was built with another major version than its program. */
#include <evloop.h>

static void on_time(loop_t *loop, void *arg) {
  (void)loop;
  ++*(int *)arg;
}

/* The version of the library that it got, if its loop works. */
unsigned plugin_version(void);
unsigned plugin_version(void) {
  int called = 0;
  loop_t *loop = loop_new();
  loop_call_later(loop, 1000, on_time, &called);
  loop_run(loop);
  loop_free(loop);
  return called == 1 ? loop_version() : 0;
}
