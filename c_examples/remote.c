/* remote.c: a thread that works for a loop, and need not know how long the loop lives. It sends
 * its results through a remote, which outlives the loop and returns LOOP_ECLOSED then. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <evloop.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct result {
  long square;
};

static int results;

/* On the loop's thread. */
static void on_result(loop_t *loop, void *arg) {
  struct result *result = arg;
  printf("result: %ld\n", result->square);
  if (++results >= 3) loop_stop(loop); /* enough */
}

/* On a thread of its own. The loop calls free for every result that it has taken, even if it never
 * ran its callback. A result that it did not take is still ours. */
static void *work(void *arg) {
  loop_remote_t *remote = arg;
  int code = 0;
  for (long number = 1; code == 0; number++) {
    struct timespec hard_work = {.tv_nsec = 10000000};
    nanosleep(&hard_work, NULL);
    struct result *result = malloc(sizeof *result);
    if (result == NULL) break;
    result->square = number * number;
    code = loop_remote_call_soon(remote, on_result, result, free);
    if (code < 0) free(result);
  }
  printf("worker: %s\n", loop_error_name(code));
  loop_remote_free(remote);
  return NULL;
}

int main(void) {
  pthread_t thread;
  loop_t *loop = loop_new();
  loop_remote_t *remote = loop_remote_new(loop); /* keeps loop_run going */
  if (remote == NULL || pthread_create(&thread, NULL, work, remote) != 0) errx(1, "no worker");
  int result = loop_run(loop);
  loop_free(loop); /* the worker may be posting right now */
  pthread_join(thread, NULL);
  return result < 0;
}
