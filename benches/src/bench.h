/* What every workload needs: a clock, measured phases, checks, descriptors, threads. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* A workload prints rows: name, value. Its size can be set from outside (-n). */
typedef struct workload {
  const char *name;
  void (*run)(uint64_t size);
  uint64_t size;
} workload;

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A row of the result: its value. */
void report(const char *row, double value);

/* A measured phase: reports its time divided by `count`, in nanoseconds. "-" is warming up. */
void phase_begin(const char *row);
void phase_end(uint64_t count);

/* This process is not to be counted. */
void mark_as_client(void);

/* Ends the program with a message unless two counts are equal. */
void must_equal(const char *what, uint64_t expected, uint64_t found);
void must(bool condition, const char *what);

/* Ends the program: this machine cannot do that. */
void skip(const char *reason);

/* An option given with -o. */
bool has_option(const char *name);

/* A reproducible sequence of random numbers. */
uint64_t next_random(void);

/* Memory that has been touched. */
void *touched(size_t count, size_t size);

/* The process' resident memory in bytes, without files (code), after freed memory has been given
 * back. */
uint64_t resident_bytes(void);

/* Lets the calling thread run on one processor only, unless told not to (-P). */
void pin(int processor);

void sleep_until(uint64_t when_ns);

/* p in 0..1 of values, which get sorted. */
double percentile(double *values, size_t count, double p);

/* A connected, non-blocking pair of stream sockets; a readable eventfd; as many
 * descriptors as wanted, or a few less; with fewer the workload is skipped. */
void socket_pair(int ends[2]);
int event_fd(bool is_readable);
uint64_t allow_descriptors(uint64_t wanted);

/* The number of calls so far, for a workload's callbacks. */
extern uint64_t calls;

#endif
