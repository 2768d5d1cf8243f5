/* link: -lpthread */
/* Law 7, what ghosts cost when they come in numbers, when the set is large, and
 * when there is no descriptor left to renew the set with: no more than 1 % of
 * the CPU, and everything else is served meanwhile. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"
#include "signal_storm.h"

#include <sys/eventfd.h>

static loop_t *loop;
static int ghosts_made, reads, ticks, ticks_told, ticks_alone;

/* A file that is always readable, watched, closed here and alive in a duplicate,
 * which is returned. */
static int make_ghost(loop_t *l) {
  struct seen unused = {0, 0};
  int fd = eventfd(1, 0), copy = dup(fd);
  CHECK(fd >= 0 && copy >= 0);
  loop_handle_t handle = watch(l, fd, LOOP_READABLE, &unused);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(loop_cancel(l, handle), 0);
  ghosts_made++;
  return copy;
}

static int copies[100];

static void make_another_ghost(loop_t *l, uint64_t tick, void *arg) {
  (void)tick;
  (void)arg;
  if (ghosts_made < 100) {
    int made = ghosts_made;
    copies[made] = make_ghost(l);
  }
}

static void close_copies(void) {
  for (int i = 0; i < ghosts_made; i++) CHECK_EQ(close(copies[i]), 0);
  ghosts_made = 0;
}

/* For a second at least, and in the following one there is nothing left of them. */
static void check_a_second_of_ghosts(void) {
  loop_handle_t maker = loop_call_every(loop, 0, MS(20), LOOP_SKIP_MISSED, make_another_ghost, NULL);
  CHECK(maker > 0);
  uint64_t cpu = cpu_time(), time = check_clock();
  do {
    run_for(loop, MS(1000));
  } while (ghosts_made < 10);
  cpu = cpu_time() - cpu;
  time = check_clock() - time;
  CHECK_EQ(loop_cancel(loop, maker), 0);
  CHECK(cpu <= cpu_allowed(time));
  run_for(loop, MS(110)); /* the last ones go */
}

TEST(a_ghost_every_20_ms) {
  loop = loop_new();
  check_a_second_of_ghosts();
  check_idle(loop, MS(200));
  CHECK_EQ(loop_free(loop), 0);
  close_copies();
}

/* Renewing this set takes a while, so it is done less often. */
TEST(a_ghost_every_20_ms_beside_800_watchers) {
  enum { WATCHERS = 800 };
  static int fds[WATCHERS];
  struct seen seen = {0, 0};
  loop = loop_new();
  for (int i = 0; i < WATCHERS; i++) {
    CHECK((fds[i] = eventfd(0, 0)) >= 0);
    watch(loop, fds[i], LOOP_READABLE, &seen);
  }
  check_a_second_of_ghosts();
  CHECK_EQ(seen.calls, 0);
  for (int i = 0; i < WATCHERS; i++) CHECK_EQ(eventfd_write(fds[i], 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), WATCHERS);
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < WATCHERS; i++) CHECK_EQ(close(fds[i]), 0);
  close_copies();
}

static void count_tick(loop_t *l, uint64_t told, void *fds) {
  (void)l;
  ticks++;
  ticks_told += (int)told;
  ticks_alone += told == 1;
  put_byte(((int *)fds)[1]);
}

static void read_and_count(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)l;
  (void)events;
  (void)arg;
  take_byte(fd);
  reads++;
}

static void start_haunted(int fds[2]) {
  loop = loop_new();
  warm_up(loop);
  make_pair(fds);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, read_and_count, NULL) > 0);
  CHECK(loop_call_every(loop, MS(10), MS(10), LOOP_SKIP_MISSED, count_tick, fds) > 0);
  copies[0] = make_ghost(loop);
}

static void end_haunted(int fds[2]) {
  CHECK_EQ(loop_free(loop), 0);
  close_copies();
  close_pair(fds);
}

/* Timers and descriptors are served. */
static void run_a_haunted_second(void) {
  uint64_t cpu = cpu_time(), time = check_clock();
  reads = ticks = ticks_told = 0;
  run_for(loop, MS(1000));
  time = check_clock() - time;
  CHECK(cpu_time() - cpu <= cpu_allowed(time));
  CHECK(ticks_told >= 99);
  CHECK(reads >= ticks - 1);
}

TEST(a_ghost_that_stays_because_no_descriptor_is_left_for_a_new_set) {
  int fds[2];
  start_haunted(fds);
  struct rlimit old = take_all_descriptors();
  /* A busy machine makes ticks come together, but not all of them. */
  ticks_alone = 0;
  for (int i = 0; i < 10 && ticks_alone < 20; i++) run_a_haunted_second();
  CHECK(ticks_alone >= 20);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  run_for(loop, MS(210)); /* it goes now */
  uint64_t cpu = cpu_time();
  run_for(loop, MS(200));
  CHECK(cpu_time() - cpu <= cpu_allowed(MS(200)));
  end_haunted(fds);
}

static int interrupts;

static void count_interrupt(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  interrupts++;
}

static void take_signal(int number) { (void)number; }

/* A haunted loop waits like every other: a signal that comes while it waits calls
 * the hook. (On a busy machine many come while the loop would go on anyway.) */
TEST(signals_interrupt_a_haunted_loop_as_well) {
  enum { ENOUGH = 20 };
  int fds[2];
  start_haunted(fds);
  CHECK(loop_add_hook(loop, LOOP_ON_INTERRUPT, count_interrupt, NULL) > 0);
  struct rlimit old = take_all_descriptors();
  storm_begin(take_signal);
  for (int i = 0; interrupts < ENOUGH && i < 1000; i++) run_for(loop, MS(7));
  storm_end();
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  CHECK(interrupts >= ENOUGH);
  end_haunted(fds);
}
