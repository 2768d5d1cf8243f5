/* link: -rdynamic -lpthread -ldl */
/* Every descriptor that the system grants, watched by one loop; numbers as high
 * as they go; thousands ready in one turn; and what works still when there is
 * no descriptor left. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

#include <fcntl.h>
#include <sys/eventfd.h>

enum { MOST = 1 << 17, WANTED = 150000 };

static loop_handle_t handles[MOST];
static int calls[MOST]; /* by descriptor */

/* Raises the limit of this process as far as it may go, at most to WANTED. */
static int descriptor_limit(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < WANTED) { /* granted to few; then the hard limit is the limit */
    struct rlimit more = {WANTED, WANTED};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) limit = more;
  }
  limit.rlim_cur = limit.rlim_max < WANTED ? limit.rlim_max : WANTED;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return (int)limit.rlim_cur;
}

static void count_call(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)arg;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(loop_current(loop), handles[fd]);
  calls[fd]++;
}

static loop_t *loop_with_events(uint32_t max_events) {
  loop_options_t options = {sizeof options, 0, 0, max_events, 0, 0};
  loop_t *loop;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  return loop;
}

static void watch_counted(loop_t *loop, int fd) {
  CHECK(fd >= 0 && fd < MOST);
  calls[fd] = 0;
  handles[fd] = loop_watch_fd(loop, fd, LOOP_READABLE, count_call, NULL);
  CHECK(handles[fd] > 0);
}

/* Each is told once before any is told twice, in as few turns as that takes, with one
 * question to the kernel a turn. */
static void check_ready(int count, int a_turn, uint32_t max_events) {
  loop_t *loop = loop_with_events(max_events);
  static int fds[MOST];
  for (int i = 0; i < count; i++) {
    CHECK((fds[i] = eventfd(1, 0)) >= 0); /* nobody reads it */
    watch_counted(loop, fds[i]);
  }
  for (int round = 1; round <= 3; round++) {
    for (int told = 0; told < count; told += a_turn) {
      count_from_here();
      CHECK_EQ(loop_run_once(loop, -1), a_turn);
      CHECK_CALLS(0, 0, 0, 1);
    }
    for (int i = 0; i < count; i++) CHECK_EQ(calls[fds[i]], round);
  }
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < count; i++) CHECK_EQ(close(fds[i]), 0);
}

TEST(thousands_are_ready_in_one_turn) {
  CHECK(descriptor_limit() >= 1024);
  if (descriptor_limit() < 3100) {
    fprintf(stderr, "    not covered: 3,000 at once; the limit of descriptors is %d\n", descriptor_limit());
    return;
  }
  check_ready(1023, 1023, 0);
  check_ready(1024, 1024, 0); /* exactly as many as the kernel is asked for */
  check_ready(1025, 1025, 2000);
  check_ready(3000, 3000, 3000);
  check_ready(3000, 1000, 1000); /* in three turns */
  check_ready(2048, 1024, 0);
}

TEST(every_number_up_to_the_limit) {
  static int fds[MOST];
  int limit = descriptor_limit(), count = 0, told = 0;
  loop_t *loop = loop_with_events((uint32_t)limit);
  if (limit > 20000) limit = 20000; /* higher ones have their own test */
  int fd = eventfd(1, 0);
  for (; fd >= 0 && fd < limit; fd = dup(fds[0])) {
    watch_counted(loop, fd);
    fds[count++] = fd;
  }
  CHECK(count > limit / 2);
  if (fd >= 0) CHECK_EQ(close(fd), 0);
  for (int turn = 1; turn <= 2; turn++) {
    CHECK_EQ(loop_run_once(loop, -1), count);
    for (int i = 0; i < count; i++) CHECK_EQ(calls[fds[i]], turn);
  }
  for (int i = 1; i < count; i += 2) CHECK_EQ(loop_cancel(loop, handles[fds[i]]), 0);
  CHECK_EQ(loop_run_once(loop, -1), count - count / 2);
  for (int i = 0; i < count; i++) told += calls[fds[i]];
  CHECK_EQ(told, 3 * count - count / 2);
  for (int i = 0; i < count; i++) CHECK_EQ(close(fds[i]), 0); /* before the others are cancelled */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_has_work(loop), 1);
  for (int i = 0; i < count; i += 2) CHECK_EQ(loop_cancel(loop, handles[fds[i]]), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_free(loop), 0);
}

TEST(numbers_above_100_000) {
  int limit = descriptor_limit(), event = eventfd(1, 0);
  if (limit <= 100100) {
    fprintf(stderr, "    not covered above %d: the limit of descriptors\n", limit - 1);
  }
  loop_t *loop = loop_new();
  int top = (limit < MOST ? limit : MOST) - 1, count = 0;
  for (int number = top; number > event; number -= 997, count++) {
    CHECK_EQ(fcntl(event, F_DUPFD, number), number);
    watch_counted(loop, number);
  }
  CHECK(count >= 15 || limit < 15000);
  for (int turn = 1; turn <= 2; turn++) {
    CHECK_EQ(loop_run_once(loop, -1), count);
    for (int number = top; number > event; number -= 997) CHECK_EQ(calls[number], turn);
  }
  for (int number = top; number > event; number -= 997) {
    CHECK_EQ(loop_cancel(loop, handles[number]), 0);
    CHECK_EQ(close(number), 0);
  }
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(event), 0);
}

static void count_run(loop_t *loop, void *runs) {
  (void)loop;
  ++*(int *)runs;
}

TEST(without_a_descriptor_left_no_loop_is_made_and_nothing_is_changed) {
  loop_t *loop = NULL;
  struct rlimit old = take_all_descriptors();
  CHECK(loop_new() == NULL);
  loop_options_t options = {sizeof options, 0, 0, 0, 0, 0};
  CHECK_EQ(loop_new_with(&options, &loop), -EMFILE);
  CHECK(loop == NULL);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  int before = dup(2);
  CHECK_EQ(close(before), 0);
  CHECK((loop = loop_new()) != NULL);
  CHECK_EQ(loop_free(loop), 0);
  int after = dup(2);
  CHECK_EQ(close(after), 0);
  CHECK_EQ(before, after); /* no descriptor was left behind */
}

/* A server that cannot accept any more has to go on serving: watchers, posts, and timers
 * of every length, on a loop that has not waited for any before. */
TEST(without_a_descriptor_left_a_loop_goes_on) {
  struct seen seen = {0, 0};
  int fds[2], runs = 0;
  loop_t *loop = loop_new();
  make_pair(fds);
  struct rlimit old = take_all_descriptors();
  loop_handle_t handle = watch(loop, fds[0], LOOP_READABLE, &seen);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  const uint64_t delays[] = {MS(3), MS(1), US(300), US(60), US(40), US(5), 1, 0};
  for (int i = 0; i < 8; i++) {
    uint64_t due = loop_clock(loop) + delays[i];
    CHECK(loop_call_at(loop, due, count_run, &runs) > 0);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK(loop_clock(loop) >= due);
    CHECK_EQ(runs, i + 2);
    CHECK_EQ(loop_run_once(loop, (int64_t)delays[i]), 0);
  }
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}
