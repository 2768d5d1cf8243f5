/* Law 7, strangers: a file that takes the number of one that was watched and closed is
 * nobody's business. What the library does by a number (LOOP_ALWAYS every turn, an event that a
 * budget left over, edge or level) it does only to the file that was watched. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

static int temporary(const char *bytes) {
  char name[] = "/tmp/evloop-strangers-XXXXXX";
  int fd = mkstemp(name);
  CHECK(fd >= 0);
  CHECK_EQ(unlink(name), 0);
  CHECK_EQ(write(fd, bytes, strlen(bytes)), strlen(bytes));
  CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
  return fd;
}

static void read_one(loop_t *loop, int fd, uint32_t events, void *arg) {
  char byte;
  (void)loop;
  (void)events;
  if (read(fd, &byte, 1) == 1) ++*(int *)arg;
}

TEST(an_always_reader_reads_nothing_of_the_next_file) {
  int reads = 0;
  loop_t *loop = loop_new();
  int fd = temporary("aaaa");
  loop_handle_t handle = loop_watch_fd(loop, fd, LOOP_READABLE | LOOP_ALWAYS, read_one, &reads);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  move_fd(temporary("bbbb"), fd);
  for (int i = 0; i < 5; i++) CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(reads, 1);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(fd), 0);
}

TEST(an_always_reader_reads_nothing_of_the_next_file_that_is_watched) {
  int old = 0, new = 0;
  loop_t *loop = loop_new();
  int fd = temporary("aaaa");
  loop_handle_t handle = loop_watch_fd(loop, fd, LOOP_READABLE | LOOP_ALWAYS, read_one, &old);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  move_fd(temporary("bbbb"), fd);
  CHECK(loop_watch_fd(loop, fd, LOOP_READABLE | LOOP_ALWAYS, read_one, &new) > 0);
  CHECK_EQ(loop_is_active(loop, handle), 0);
  for (int i = 1; i <= 4; i++) {
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(new, i);
  }
  CHECK_EQ(old, 1);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(fd), 0);
}

/* Four ready descriptors, and a budget that ends after the first callback: the others are left
 * over. Whoever is called first closes the descriptors of all others, and files that nobody watches
 * take their numbers. */
enum { PEERS = 4 };
static int numbers[PEERS];
static int calls, calls_of_first;

static void close_all_others(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)events;
  (void)arg;
  if (calls++ > 0) return;
  for (int i = 0; i < PEERS; i++) {
    if (numbers[i] != fd) move_fd(eventfd(1, 0), numbers[i]);
  }
  calls_of_first = fd;
}

static void check_left_over(uint32_t flags, uint32_t max_events) {
  loop_options_t options = {.size = sizeof options, .max_events = max_events};
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  calls = 0;
  for (int i = 0; i < PEERS; i++) {
    CHECK((numbers[i] = eventfd(1, 0)) >= 0);
    CHECK(loop_watch_fd(loop, numbers[i], LOOP_READABLE | flags, close_all_others, NULL) > 0);
  }
  CHECK_EQ(loop_run_ready(loop, 0), 1);
  CHECK_EQ(calls, 1);
  /* Only the first one's file is still its own. */
  for (int i = 0; i < 10; i++) CHECK(loop_run_ready(loop, 0) <= 1);
  CHECK_EQ(calls, flags & LOOP_EDGE ? 1 : 11);
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < PEERS; i++) CHECK_EQ(close(numbers[i]), 0);
}

TEST(an_edge_that_a_budget_left_over) { check_left_over(LOOP_EDGE, 0); }
TEST(a_level_that_a_budget_left_over) { check_left_over(0, 0); }

/* The wait finds as many as it has room for, so what is left over may still be true. */
TEST(a_level_of_a_full_batch_that_a_budget_left_over) { check_left_over(0, PEERS); }
TEST(an_edge_of_a_full_batch_that_a_budget_left_over) { check_left_over(LOOP_EDGE, PEERS); }
TEST(a_level_of_a_full_batch_that_is_asked_for) {
  enum { EXTRA = 4 };
  loop_options_t options = {.size = sizeof options, .max_events = PEERS};
  struct seen extra = {0, 0};
  loop_t *loop;
  int more[EXTRA];
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  calls = 0;
  for (int i = 0; i < PEERS; i++) {
    CHECK((numbers[i] = eventfd(1, 0)) >= 0);
    CHECK(loop_watch_fd(loop, numbers[i], LOOP_READABLE, close_all_others, NULL) > 0);
  }
  CHECK_EQ(loop_run_ready(loop, 0), 1);
  for (int i = 0; i < EXTRA; i++) {
    CHECK((more[i] = eventfd(1, 0)) >= 0);
    watch(loop, more[i], LOOP_READABLE, &extra);
  }
  int before = calls;
  /* (The kernel goes round: its next batches are full of those that are left.) */
  for (int i = 0; i < 40; i++) CHECK(loop_run_ready(loop, 0) <= 1);
  CHECK_EQ(calls - before + extra.calls <= 40, 1);
  CHECK(extra.calls > 0);
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < PEERS; i++) CHECK_EQ(close(numbers[i]), 0);
  for (int i = 0; i < EXTRA; i++) CHECK_EQ(close(more[i]), 0);
}
