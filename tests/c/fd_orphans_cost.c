/* link: -rdynamic -lpthread -ldl */
/* Law 7, what orphans cost when they come in numbers, when the set is large, and
 * when there is no descriptor left to renew the set with. The library measures a
 * renewal and pauses for a hundred times its CPU time; it naps between two looks at
 * the set. Here the pauses and naps are held against the CPU time that the library
 * was told, which is made larger, as if the machine were slow. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"
#include "signal_storm.h"

#include <sys/eventfd.h>

static loop_t *loop;
static int orphans_made, reads, ticks, ticks_told, calls;

static uint64_t cpu_step; /* what each reading adds to the thread's CPU time */

static struct {
  int renewals, naps, short_naps;
  int is_renewing, has_failed, is_napping;
  uint64_t cpu;         /* the last reading */
  uint64_t next_renewal; /* not before */
  uint64_t nap;         /* how long the next nap is, if neither a timer nor the renewal ends it */
  uint64_t longest_nap; /* that was asked for */
} care;

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The library reads its CPU time before and after each renewal and each nap. */
static void note_cpu_time(clockid_t clock, struct timespec *time) {
  static uint64_t added;
  if (clock != CLOCK_THREAD_CPUTIME_ID) return;
  added += cpu_step;
  uint64_t now = (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec + added;
  uint64_t cost = now - care.cpu;
  if (care.is_renewing) {
    care.next_renewal = check_clock() + larger(100 * cost, care.has_failed ? MS(20) : MS(5));
  }
  if (care.is_napping) care.nap = smaller(larger(200 * cost, MS(1)), MS(100));
  care.is_renewing = care.is_napping = 0;
  care.cpu = now;
  time->tv_sec = (time_t)(now / NS_PER_SEC);
  time->tv_nsec = (long)(now % NS_PER_SEC);
}

int epoll_create1(int flags) {
  int (*real)(int);
  FIND_REAL(real, "epoll_create1");
  CHECK(after_clock == NULL || check_clock() >= care.next_renewal);
  int set = real(flags);
  care.renewals++;
  care.is_renewing = 1;
  care.has_failed = set < 0;
  return set;
}

int nanosleep(const struct timespec *time, struct timespec *left) {
  int (*real)(const struct timespec *, struct timespec *);
  FIND_REAL(real, "nanosleep");
  uint64_t asked = (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec;
  CHECK(asked <= care.nap);
  care.naps++;
  care.short_naps += asked < care.nap;
  care.longest_nap = larger(care.longest_nap, asked);
  care.is_napping = 1;
  return real(time, left);
}

static void watch_care(uint64_t step) {
  memset(&care, 0, sizeof care);
  care.nap = MS(1);
  cpu_step = step;
  after_clock = note_cpu_time;
}

static void count_care_from_here(void) {
  care.renewals = care.naps = care.short_naps = calls = 0;
  care.longest_nap = 0;
  count_from_here();
}

/* A nap is shorter only before a renewal or a timer; and where there was neither nap nor
 * renewal before a wait, the loop had been called or an orphan had not been seen yet. */
static void check_care(int orphans) {
  CHECK(care.short_naps <= care.renewals + calls + 1);
  CHECK(counted.waits <= care.naps + care.renewals + 4 * (orphans + calls + 1) * CHECK_SLOWDOWN);
}

static void run_counted(uint64_t ns) {
  run_for(loop, ns);
  calls++; /* the timer that stops it */
}

/* Until there are no orphans left, and then they cost nothing. */
static void check_they_go(void) {
  do {
    count_care_from_here();
    run_counted(MS(30));
  } while (care.naps + care.renewals > 0);
  count_care_from_here();
  run_counted(MS(100));
  CHECK_EQ(care.naps + care.renewals, 0);
  CHECK(counted.waits <= waits_allowed() * (calls + 1));
}

/* A file that is always readable, watched, closed here and alive in a duplicate,
 * which is returned. */
static int make_orphan(loop_t *l) {
  struct seen unused = {0, 0};
  int fd = eventfd(1, 0), copy = dup(fd);
  CHECK(fd >= 0 && copy >= 0);
  loop_handle_t handle = watch(l, fd, LOOP_READABLE, &unused);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(loop_cancel(l, handle), 0);
  orphans_made++;
  return copy;
}

static int copies[100];

static void make_another_orphan(loop_t *l, uint64_t tick, void *arg) {
  (void)tick;
  (void)arg;
  calls++;
  if (orphans_made < 100) {
    int made = orphans_made;
    copies[made] = make_orphan(l);
  }
}

static void close_copies(void) {
  for (int i = 0; i < orphans_made; i++) CHECK_EQ(close(copies[i]), 0);
  orphans_made = 0;
}

static void check_orphans_that_come(void) {
  loop_handle_t maker = loop_call_every(loop, 0, MS(20), LOOP_SKIP_MISSED, make_another_orphan, NULL);
  CHECK(maker > 0);
  count_care_from_here();
  while (orphans_made < 10 || care.renewals < 4) run_counted(MS(100));
  check_care(orphans_made);
  CHECK_EQ(loop_cancel(loop, maker), 0);
  check_they_go();
}

static void check_an_orphan_every_20_ms(uint64_t step) {
  loop = loop_new();
  watch_care(step);
  check_orphans_that_come();
  CHECK_EQ(loop_free(loop), 0);
  after_clock = NULL;
  close_copies();
}

TEST(an_orphan_every_20_ms) { check_an_orphan_every_20_ms(0); }
TEST(an_orphan_every_20_ms_where_renewals_cost_300_us) { check_an_orphan_every_20_ms(US(300)); }
TEST(an_orphan_every_20_ms_where_renewals_cost_a_millisecond) { check_an_orphan_every_20_ms(MS(1)); }

/* Renewing this set takes a while, so it is done less often. */
TEST(an_orphan_every_20_ms_beside_800_watchers) {
  enum { WATCHERS = 800 };
  static int fds[WATCHERS];
  struct seen seen = {0, 0};
  loop = loop_new();
  watch_care(0);
  for (int i = 0; i < WATCHERS; i++) {
    CHECK((fds[i] = eventfd(0, 0)) >= 0);
    watch(loop, fds[i], LOOP_READABLE, &seen);
  }
  check_orphans_that_come();
  CHECK_EQ(seen.calls, 0);
  for (int i = 0; i < WATCHERS; i++) CHECK_EQ(eventfd_write(fds[i], 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), WATCHERS);
  CHECK_EQ(loop_free(loop), 0);
  after_clock = NULL;
  for (int i = 0; i < WATCHERS; i++) CHECK_EQ(close(fds[i]), 0);
  close_copies();
}

static void count_tick(loop_t *l, uint64_t told, void *fds) {
  (void)l;
  calls++;
  ticks++;
  ticks_told += (int)told;
  put_byte(((int *)fds)[1]);
}

static void read_and_count(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)l;
  (void)events;
  (void)arg;
  take_byte(fd);
  calls++;
  reads++;
}

static void start_haunted(int fds[2], uint64_t step) {
  loop = loop_new();
  watch_care(step);
  make_pair(fds);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, read_and_count, NULL) > 0);
  CHECK(loop_call_every(loop, MS(10), MS(10), LOOP_SKIP_MISSED, count_tick, fds) > 0);
  copies[0] = make_orphan(loop);
}

static void end_haunted(int fds[2]) {
  CHECK_EQ(loop_free(loop), 0);
  after_clock = NULL;
  close_copies();
  close_pair(fds);
}

/* Timers and descriptors are served: no nap is longer than from one tick to the next. */
static void check_served(void) {
  reads = ticks = ticks_told = 0;
  count_care_from_here();
  while (ticks < 20 || care.renewals < 3) run_counted(MS(100));
  CHECK(care.naps > 0 && care.longest_nap <= MS(10));
  CHECK(reads >= ticks - 1);
  CHECK(ticks_told >= ticks);
  check_care(1);
}

static void check_no_descriptor_is_left(uint64_t step) {
  int fds[2];
  start_haunted(fds, step);
  struct rlimit old = take_all_descriptors();
  check_served();
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  check_they_go();
  end_haunted(fds);
}

TEST(an_orphan_that_stays_because_no_descriptor_is_left_for_a_new_set) {
  check_no_descriptor_is_left(0);
}

TEST(an_orphan_that_stays_where_looking_at_it_costs_a_millisecond) {
  check_no_descriptor_is_left(MS(1));
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
  start_haunted(fds, 0);
  CHECK(loop_add_hook(loop, LOOP_ON_INTERRUPT, count_interrupt, NULL) > 0);
  struct rlimit old = take_all_descriptors();
  storm_begin(take_signal);
  while (interrupts < ENOUGH) run_for(loop, MS(7));
  storm_end();
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  end_haunted(fds);
}
