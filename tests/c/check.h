/* The C tests' frame: TEST(name) { ... } defines and registers a test; every
 * file is one program that runs its tests in order, each one announced, and
 * stops at the first CHECK that fails. A name given as argument runs that test
 * alone. Works in C11 and C++17. */
#ifndef EVLOOP_TESTS_CHECK_H
#define EVLOOP_TESTS_CHECK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <evloop.h>

/* How much slower a tool makes the program that watches it; tests/harness/tools.rs
 * says so. Hang guards wait longer. */
#ifndef CHECK_SLOWDOWN
#define CHECK_SLOWDOWN 1
#endif
#define alarm(seconds) alarm((seconds) * CHECK_SLOWDOWN)

struct check_test {
  const char *name;
  void (*run)(void);
  struct check_test *next;
};

static struct check_test *check_first;
static struct check_test **check_last = &check_first;

/* Registered before main, in the order of the file. */
#define TEST(test_name)                                                       \
  static void test_name(void);                                                \
  static struct check_test check_node_##test_name = {#test_name, test_name, NULL}; \
  __attribute__((constructor)) static void check_register_##test_name(void) { \
    *check_last = &check_node_##test_name;                                    \
    check_last = &check_node_##test_name.next;                                \
  }                                                                           \
  static void test_name(void)

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: CHECK(%s) failed (errno %d: %s)\n", __FILE__,   \
              __LINE__, #condition, errno, strerror(errno));                  \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

/* Compares two integers and prints both when they differ. */
#define CHECK_EQ(actual, expected)                                            \
  do {                                                                        \
    long long check_a = (long long)(actual), check_e = (long long)(expected); \
    if (check_a != check_e) {                                                 \
      fprintf(stderr, "%s:%d: %s is %lld (%s), expected %s = %lld\n",         \
              __FILE__, __LINE__, #actual, check_a,                           \
              check_a < 0 ? loop_error_name((int)check_a) : "-", #expected,   \
              check_e);                                                       \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

#define MS(n) ((uint64_t)(n) * 1000000u)
#define US(n) ((uint64_t)(n) * 1000u)
#define NS_PER_SEC 1000000000u

/* The same clock as the loop's: CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t check_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Keeps the CPU for at least ns. */
static inline void check_burn(uint64_t ns) {
  uint64_t end = check_clock() + ns;
  while (check_clock() < end) {
  }
}

int main(int argc, char **argv) {
  int count = 0;
  for (struct check_test *t = check_first; t != NULL; t = t->next) {
    if (argc > 1 && strcmp(argv[1], t->name) != 0) continue;
    fprintf(stderr, "  %s\n", t->name);
    t->run();
    count++;
  }
  if (count == 0) {
    fprintf(stderr, "no test ran\n");
    return 1;
  }
  return 0;
}

#endif
