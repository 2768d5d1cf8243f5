/* A thread that sends SIGUSR1 to the thread that began the storm, about every
 * millisecond until the storm's end, so that its waits are interrupted. The
 * handler stays installed afterwards: a late signal must not end the process. */
#ifndef EVLOOP_TESTS_SIGNAL_STORM_H
#define EVLOOP_TESTS_SIGNAL_STORM_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static pthread_t storm_target;
static pthread_t storm_thread;
static atomic_int storm_over;

static inline void *storm_main(void *arg) {
  (void)arg;
  while (!atomic_load(&storm_over)) {
    CHECK_EQ(pthread_kill(storm_target, SIGUSR1), 0);
    usleep(1000);
  }
  return NULL;
}

static inline void storm_begin(void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  storm_target = pthread_self();
  atomic_store(&storm_over, 0);
  CHECK_EQ(pthread_create(&storm_thread, NULL, storm_main, NULL), 0);
}

static inline void storm_end(void) {
  atomic_store(&storm_over, 1);
  CHECK_EQ(pthread_join(storm_thread, NULL), 0);
}

#endif
