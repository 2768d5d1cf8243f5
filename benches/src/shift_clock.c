/* A library to be preloaded: the clocks, moved forward by as much as the workload says. So minutes
 * pass in a moment, for every library alike. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static uint64_t shift_ns;

void shift_clock(uint64_t ns) { shift_ns = ns; }

int clock_gettime(clockid_t clock, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real && !(real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))) abort();
  int result = real(clock, t);
  bool is_for_measuring = clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_THREAD_CPUTIME_ID;
  if (result != 0 || is_for_measuring) return result;
  uint64_t ns = (uint64_t)t->tv_nsec + shift_ns;
  t->tv_sec += (time_t)(ns / 1000000000);
  t->tv_nsec = (long)(ns % 1000000000);
  return 0;
}
