/* A loop watches another loop's descriptor like any other: whatever the inner one has to
 * do (descriptors, timers, posts, ready work) calls the outer one's watcher, and nothing
 * else does. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/epoll.h>
#include <unistd.h>

static loop_t *inner;

static void run_inner(loop_t *outer, int fd, uint32_t events, void *arg) {
  (void)outer;
  CHECK_EQ(fd, loop_fd(inner));
  CHECK_EQ(events, LOOP_READABLE);
  int count = loop_run_once(inner, 0);
  CHECK(count >= 0);
  *(int *)arg += count;
}

static void count_run(loop_t *loop, void *arg) {
  CHECK(loop == inner);
  ++*(int *)arg;
}

static void take(loop_t *loop, int fd, uint32_t events, void *arg) {
  char byte;
  CHECK(events & LOOP_READABLE);
  CHECK_EQ(read(fd, &byte, 1), 1);
  count_run(loop, arg);
}

TEST(an_inner_loop_is_served_by_the_outer_one) {
  loop_t *outer = loop_new();
  int ends[2], through_outer = 0, runs = 0;
  inner = loop_new();
  CHECK_EQ(pipe(ends), 0);
  CHECK(loop_watch_fd(outer, loop_fd(inner), LOOP_READABLE, run_inner, &through_outer) > 0);
  CHECK(loop_watch_fd(inner, ends[0], LOOP_READABLE, take, &runs) > 0);
  CHECK_EQ(loop_run_once(outer, MS(5)), 0); /* nothing to do: nobody is called */
  CHECK(loop_call_soon(inner, count_run, &runs) > 0);
  CHECK(loop_call_later(inner, MS(2), count_run, &runs) > 0);
  CHECK_EQ(loop_call_soon_threadsafe(inner, count_run, &runs, NULL), 0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  alarm(60);
  while (runs < 4) CHECK(loop_run_once(outer, -1) >= 0);
  CHECK_EQ(through_outer, 4);
  CHECK_EQ(loop_run_once(outer, MS(5)), 0);
  CHECK_EQ(loop_free(inner), 0);
  CHECK_EQ(loop_free(outer), 0);
  close(ends[0]);
  close(ends[1]);
}

/* The kernel nests five sets at most, and a loop's descriptor takes two of them. */
TEST(too_many_levels_are_an_error_and_harm_nothing) {
  enum { DEEP = 5 };
  loop_t *loops[DEEP];
  int runs = 0, refused = 0;
  for (int i = 0; i < DEEP; i++) {
    loops[i] = loop_new();
    if (i == 0) continue;
    int fd = loop_fd(loops[i - 1]);
    int64_t watch = fd < 0 ? fd : loop_watch_fd(loops[i], fd, LOOP_READABLE, run_inner, &runs);
    if (watch < 0) {
      CHECK(watch == -ELOOP || watch == -EINVAL);
      refused++;
    }
  }
  CHECK(refused > 0);
  for (int i = 0; i < DEEP; i++) {
    inner = loops[i];
    runs = 0;
    CHECK(loop_call_soon(inner, count_run, &runs) > 0);
    CHECK_EQ(loop_run_once(inner, 0), 1);
    CHECK_EQ(runs, 1);
    CHECK_EQ(loop_free(inner), 0);
  }
}
