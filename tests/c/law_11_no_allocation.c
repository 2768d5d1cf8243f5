/* link: -rdynamic */
/* Law 11: no allocation in the steady state. After warm-up, scheduling, firing,
 * dispatch and cancelling do not call the allocator, not even once. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_allocations.h"

#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

#define FAR (UINT64_C(3600) * NS_PER_SEC)

static int runs;

static void count_run(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  runs++;
}
static void count_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  count_run(loop, arg);
}
static void read_byte(loop_t *loop, int fd, uint32_t events, void *arg) {
  char byte;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(read(fd, &byte, 1), 1);
  count_run(loop, arg);
}
static void count_release(void *arg) { ++*(int *)arg; }

/* A loop with what a round needs. */
struct fixture {
  loop_t *loop;
  loop_handle_t every, restarted, watch, writer;
  int fds[2], releases;
};

static struct fixture start(void) {
  struct fixture f;
  f.loop = loop_new();
  CHECK(f.loop != NULL);
  CHECK_EQ(pipe(f.fds), 0);
  f.releases = 0;
  f.every = loop_call_every(f.loop, 0, 1, LOOP_SKIP_MISSED, count_tick, NULL);
  f.restarted = loop_call_later(f.loop, FAR, count_run, NULL);
  f.watch = loop_watch_fd(f.loop, f.fds[0], LOOP_READABLE, read_byte, NULL);
  f.writer = loop_watch_fd(f.loop, f.fds[1], 0, read_byte, NULL);
  CHECK(f.every > 0 && f.restarted > 0 && f.watch > 0 && f.writer > 0);
  return f;
}

static void end(struct fixture *f) {
  CHECK_EQ(loop_free(f->loop), 0);
  close(f->fds[0]);
  close(f->fds[1]);
}

/* Everything an ordinary program does all day. */
static void plain_round(struct fixture *f) {
  loop_t *loop = f->loop;
  runs = 0;
  for (int i = 0; i < 3; i++) CHECK(loop_call_soon(loop, count_run, NULL) > 0);
  CHECK_EQ(loop_cancel(loop, loop_call_soon(loop, count_run, NULL)), 0);
  for (int i = 0; i < 3; i++) CHECK(loop_call_later(loop, 0, count_run, NULL) > 0);
  CHECK_EQ(loop_cancel(loop, loop_call_later(loop, FAR, count_run, NULL)), 0);
  CHECK_EQ(loop_reschedule(loop, f->restarted, FAR), 0);
  CHECK_EQ(loop_watch_update(loop, f->watch, 0), 0);
  CHECK_EQ(loop_watch_update(loop, f->watch, LOOP_READABLE), 0);
  loop_handle_t second = loop_watch_fd(loop, f->fds[0], LOOP_READABLE, read_byte, NULL);
  CHECK_EQ(loop_cancel(loop, second), 0);
  CHECK_EQ(loop_cancel(loop, f->writer), 0); /* the only one of its number */
  f->writer = loop_watch_fd(loop, f->fds[1], 0, read_byte, NULL);
  CHECK_EQ(write(f->fds[1], "x", 1), 1);
  for (int i = 0; i < 3; i++) CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, NULL, NULL), 0);
  CHECK_EQ(loop_run_once(loop, -1), 11);
  CHECK_EQ(runs, 11); /* 3 soons, 3 timers, the tick, the byte, 3 posts */
}

static void round_with_releases(struct fixture *f) {
  loop_t *loop = f->loop;
  f->releases = 0;
  loop_handle_t handles[] = {
      loop_call_soon(loop, count_run, &f->releases),
      loop_call_later(loop, 0, count_run, &f->releases),
      loop_call_later(loop, FAR, count_run, &f->releases),
      loop_watch_fd(loop, f->fds[0], LOOP_READABLE, read_byte, &f->releases)};
  for (int i = 0; i < 4; i++) CHECK_EQ(loop_set_release(loop, handles[i], count_release), 0);
  CHECK_EQ(loop_cancel(loop, handles[2]), 0);
  CHECK_EQ(loop_cancel(loop, handles[3]), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &f->releases, count_release), 0);
  CHECK_EQ(loop_run_once(loop, -1), 4); /* soon, timer, tick, post */
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(f->releases, 5);
}

/* Thousands a turn, so that whole blocks fill and empty every time. */
static void heavy_round(struct fixture *f) {
  runs = 0;
  for (int i = 0; i < 3000; i++) {
    CHECK(loop_call_soon(f->loop, count_run, NULL) > 0);
    CHECK(loop_call_later(f->loop, 0, count_run, NULL) > 0);
    CHECK_EQ(loop_call_soon_threadsafe(f->loop, count_run, NULL, NULL), 0);
    CHECK_EQ(loop_cancel(f->loop, loop_call_later(f->loop, FAR, count_run, NULL)), 0);
  }
  CHECK_EQ(loop_run_once(f->loop, -1), 9001); /* and the tick */
}

static void check_steady(void (*round)(struct fixture *f), int warm_up, int rounds) {
  struct fixture f = start();
  heap.calls = 0;
  for (int i = 0; i < warm_up; i++) round(&f);
  CHECK(heap.calls > 0); /* it does count */
  heap.calls = 0;
  for (int i = 0; i < rounds; i++) round(&f);
  CHECK_EQ(heap.calls, 0);
  end(&f);
}

TEST(the_steady_state_does_not_allocate) { check_steady(plain_round, 5000, 10000); }

TEST(releases_do_not_allocate_in_the_steady_state) {
  check_steady(round_with_releases, 5000, 10000);
}

TEST(a_heavy_steady_load_does_not_allocate) { check_steady(heavy_round, 100, 100); }

/* Now one by one, now all at once: after both have been seen, neither allocates. */
TEST(timers_that_fall_due_together_do_not_allocate) {
  loop_options_t options = {sizeof options, LOOP_VIRTUAL_CLOCK, 0, 0, 0, 0};
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  for (int round = 0; round < 20; round++) {
    uint64_t apart = round % 2 == 0 ? MS(1) : 0;
    runs = 0;
    if (round == 10) heap.calls = 0;
    for (uint64_t i = 0; i < 1000; i++) {
      CHECK(loop_call_later(loop, MS(1) + i * apart, count_run, NULL) > 0);
    }
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(runs, 1000);
  }
  CHECK_EQ(heap.calls, 0);
  CHECK_EQ(loop_free(loop), 0);
}
