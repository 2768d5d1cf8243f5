/* wake_hook.c: a game that sleeps between its frames on a condition variable, and is woken by a
 * hook when another thread brings work for the loop. Each frame of 16 ms gives the loop 2 ms at
 * the most; what does not fit waits, in order, for the next one. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <evloop.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;
static bool is_awake;
static int said;

/* On the thread that brought the work. No loop function but loop_wake is allowed here. */
static void wake_host(void *arg) {
  (void)arg;
  pthread_mutex_lock(&mutex);
  is_awake = true;
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&mutex);
}

/* Until the next frame, the guest's next timer, or wake_host. */
static void sleep_until_next_frame(loop_t *loop) {
  int64_t wait = loop_timeout(loop); /* LOOP_NEVER without timers */
  if (wait < 0 || wait > (int64_t)(16 * LOOP_MS)) wait = (int64_t)(16 * LOOP_MS);
  uint64_t until = loop_clock(loop) + (uint64_t)wait; /* of CLOCK_MONOTONIC */
  struct timespec time = {.tv_sec = (time_t)(until / (LOOP_SECOND)),
                          .tv_nsec = (long)(until % (LOOP_SECOND))};
  pthread_mutex_lock(&mutex);
  while (!is_awake && pthread_cond_timedwait(&condition, &mutex, &time) == 0) continue;
  is_awake = false;
  pthread_mutex_unlock(&mutex);
}

static void say(loop_t *loop, void *text) {
  (void)loop;
  puts(text);
  said++;
}

static void *download(void *loop) {
  struct timespec a_while = {.tv_nsec = 50000000};
  nanosleep(&a_while, NULL);
  loop_call_soon_threadsafe(loop, say, "a texture has come", NULL);
  return NULL;
}

int main(void) {
  pthread_t thread;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&condition, &attributes);
  loop_t *loop = loop_new();
  loop_set_wake_hook(loop, wake_host, NULL);
  loop_call_later(loop, 10 * LOOP_MS, say, "a monster wakes up");
  if (pthread_create(&thread, NULL, download, loop) != 0) errx(1, "no thread");
  while (said < 2) { /* a frame: input, the world, the picture; then the guest */
    int called = loop_run_ready(loop, 2 * LOOP_MS);
    if (called < 0) errx(1, "%s", loop_strerror(called));
    sleep_until_next_frame(loop);
  }
  pthread_join(thread, NULL);
  loop_free(loop);
  return 0;
}
