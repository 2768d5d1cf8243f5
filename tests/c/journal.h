/* What the tests of the laws share. First of all a journal of what ran: each
 * callback writes one letter, CHECK_JOURNAL compares all of them in their order
 * and begins a new journal. Including this also ends a test that hangs. */
#ifndef EVLOOP_TESTS_JOURNAL_H
#define EVLOOP_TESTS_JOURNAL_H

#include <pthread.h>
#include <unistd.h>

#include "check.h"

__attribute__((constructor)) static void journal_hang_guard(void) { alarm(60); }

static char journal[512];
static size_t journal_length;

static inline void journal_write(char letter) {
  CHECK(journal_length + 1 < sizeof journal);
  journal[journal_length++] = letter;
  journal[journal_length] = '\0';
}

static inline void journal_clear(void) {
  journal_length = 0;
  journal[0] = '\0';
}

#define CHECK_JOURNAL(expected)                                         \
  do {                                                                  \
    if (strcmp(journal, (expected)) != 0) {                             \
      fprintf(stderr, "%s:%d: ran \"%s\", expected \"%s\"\n", __FILE__, \
              __LINE__, journal, (expected));                           \
      exit(1);                                                          \
    }                                                                   \
    journal_clear();                                                    \
  } while (0)

/* Callbacks whose argument is a string: they write its first letter. */
static inline void write_letter(loop_t *loop, void *arg) {
  (void)loop;
  journal_write(*(const char *)arg);
}

static inline void write_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  write_letter(loop, arg);
}

static inline void write_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)events;
  write_letter(loop, arg);
}

static inline void write_release(void *arg) { journal_write(*(const char *)arg); }

/* Callbacks that end the run. */
static inline void stop_loop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop(loop), 0);
}

static inline void write_and_stop(loop_t *loop, void *arg) {
  write_letter(loop, arg);
  stop_loop(loop, NULL);
}

static inline loop_t *new_loop(uint32_t flags) {
  loop_options_t options = {.size = sizeof options, .flags = flags};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  CHECK(loop != NULL);
  return loop;
}

static inline void free_loop(loop_t *loop) { CHECK_EQ(loop_free(loop), 0); }

/* A pipe with one byte in it: ready to read until it is closed or drained. */
static inline void open_ready_pipe(int ends[2]) {
  CHECK_EQ(pipe(ends), 0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
}

static inline void close_pair(int ends[2]) {
  CHECK_EQ(close(ends[0]), 0);
  CHECK_EQ(close(ends[1]), 0);
}

static inline void drain_byte(int fd) {
  char byte;
  CHECK_EQ(read(fd, &byte, 1), 1);
}

struct journal_post {
  loop_t *loop;
  loop_cb cb;
  void *arg;
  loop_release_cb release;
};

static inline void *journal_post_main(void *arg) {
  struct journal_post *post = arg;
  CHECK_EQ(loop_call_soon_threadsafe(post->loop, post->cb, post->arg, post->release), 0);
  return NULL;
}

/* Posts from a thread of its own; the post has been made when this returns. */
static inline void post_from_thread(loop_t *loop, loop_cb cb, void *arg, loop_release_cb release) {
  struct journal_post post = {loop, cb, arg, release};
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, journal_post_main, &post), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* The same pseudo-random numbers in every run of a test. */
static inline uint64_t next_random(void) {
  static uint64_t state = 0x9e3779b97f4a7c15u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* Fills order with 0 .. count - 1, shuffled. */
static inline void shuffled_order(uint32_t *order, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    uint32_t j = (uint32_t)(next_random() % (i + 1));
    order[i] = order[j];
    order[j] = i;
  }
}

#endif
