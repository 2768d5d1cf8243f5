/* The program that runs one workload on one library, and what the workloads share.
 *
 *   bench-NAME [-n SIZE] [-o OPTION]... [-P] WORKLOAD
 *
 * Prints lines "row<TAB>value". -n: another size. -o: an option that a backend or workload
 * knows. -P: do not pin threads to processors. Under callgrind each measured phase is dumped
 * under the name of its row. */
#define _GNU_SOURCE
#include "workloads.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

uint64_t calls;

static const char *options[16];
static size_t option_count;
static bool may_pin = true;
static const char *phase;
static uint64_t phase_began;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

void must(bool condition, const char *what) {
  if (!condition) fail(what);
}

void must_equal(const char *what, uint64_t expected, uint64_t found) {
  if (expected == found) return;
  fprintf(stderr, "%s: %llu expected, %llu found\n", what, (unsigned long long)expected, (unsigned long long)found);
  exit(1);
}

void skip(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  exit(77);
}

void report(const char *row, double value) { printf("%s\t%.4f\n", row, value); }

/* With -o cpu: the thread's own time, which a busy machine disturbs less. */
static uint64_t phase_clock(void) {
  struct timespec t;
  /* Not the clock that shift_clock.c moves. */
  clock_gettime(has_option("cpu") ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC_RAW, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* With -o marks: a failing write that strace shows, where a phase begins and ends. */
static void mark(const char *text) {
  if (has_option("marks") && write(-1, text, strlen(text)) < 0) return;
}

void mark_as_client(void) { mark("client"); }

void phase_begin(const char *row) {
  phase = row;
  mark(row);
  phase_began = phase_clock();
  CALLGRIND_ZERO_STATS;
}

void phase_end(uint64_t count) {
  double elapsed = (double)(phase_clock() - phase_began);
  CALLGRIND_DUMP_STATS_AT(phase);
  mark("end");
  report(phase, elapsed / (double)count);
}

bool has_option(const char *name) {
  for (size_t i = 0; i < option_count; i++)
    if (!strcmp(options[i], name)) return true;
  return false;
}

uint64_t next_random(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

void *touched(size_t count, size_t size) {
  void *memory = malloc(count * size);
  must(memory != NULL, "no memory");
  /* Or the compiler makes it a calloc, which touches nothing. */
  __asm__ volatile("" : : "r"(memory) : "memory");
  memset(memory, 0, count * size);
  return memory;
}

uint64_t resident_bytes(void) {
  malloc_trim(0);
  unsigned long long kilobytes = 0;
  char line[256];
  FILE *file = fopen("/proc/self/status", "r");
  must(file != NULL, "/proc/self/status");
  while (fgets(line, sizeof line, file) && sscanf(line, "RssAnon: %llu", &kilobytes) != 1) {}
  fclose(file);
  must(kilobytes > 0, "RssAnon");
  return kilobytes * 1024;
}

void pin(int processor) {
  if (!may_pin) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
  sched_setaffinity(0, sizeof set, &set);
}

void sleep_until(uint64_t when_ns) {
  struct timespec at = {(time_t)(when_ns / 1000000000), (long)(when_ns % 1000000000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {}
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double percentile(double *values, size_t count, double p) {
  must(count > 0, "no values");
  qsort(values, count, sizeof *values, ascending);
  size_t at = (size_t)(p * (double)(count - 1) + 0.5);
  return values[at];
}

void socket_pair(int ends[2]) {
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
}

int event_fd(bool is_readable) {
  int fd = eventfd(is_readable, EFD_NONBLOCK | EFD_CLOEXEC);
  must(fd >= 0, "eventfd");
  return fd;
}

uint64_t allow_descriptors(uint64_t wanted) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  struct rlimit raised = {wanted + 64, wanted + 64};
  if (limit.rlim_max < wanted + 64 && setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  uint64_t room = limit.rlim_max > 64 ? limit.rlim_max - 64 : 0;
  if (room < wanted - wanted / 20) skip("not enough descriptors (ulimit -n)");
  return wanted < room ? wanted : room;
}

int main(int argc, char **argv) {
  uint64_t size = 0;
  for (int option; (option = getopt(argc, argv, "n:o:P")) != -1;) {
    if (option == 'n') size = strtoull(optarg, NULL, 10);
    else if (option == 'o' && option_count < 16) options[option_count++] = optarg;
    else if (option == 'P') may_pin = false;
    else return 2;
  }
  /* A workload that waits for a callback that never comes ends here. */
  alarm(600);
  for (const workload *w = workloads; optind < argc && w->name; w++) {
    if (strcmp(w->name, argv[optind])) continue;
    w->run(size ? size : w->size);
    return 0;
  }
  fprintf(stderr, "usage: %s [-n SIZE] [-o OPTION]... [-P] WORKLOAD\nworkloads:", argv[0]);
  for (const workload *w = workloads; w->name; w++) fprintf(stderr, " %s", w->name);
  fprintf(stderr, "\n");
  return 2;
}
