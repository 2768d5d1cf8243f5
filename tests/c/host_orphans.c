/* Laws 7 and 8 under a host: files that were closed here and live on elsewhere do not wake the
 * host again and again, not even while the set may not be renewed yet, and a descriptor that
 * was paused between runs does not wake it at all. Wake-ups are counted, never time. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

static loop_t *loop;
static int reads;

/* Readable for ever, closed here, alive in a duplicate, which is returned. */
static int make_orphan(void) {
  int fd = eventfd(1, 0), copy = dup(fd), unused = 0;
  CHECK(fd >= 0 && copy >= 0);
  loop_handle_t handle = loop_watch_fd(loop, fd, LOOP_READABLE, count_event, &unused);
  CHECK(handle > 0);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  return copy;
}

static void read_byte(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)l;
  (void)events;
  (void)arg;
  take_byte(fd);
  reads++;
}

/* Serves the loop for so long as a host does. How often was it woken? */
static int serve(uint64_t ns) {
  int wakeups = 0;
  uint64_t end = check_clock() + ns, now;
  while ((now = check_clock()) < end) {
    struct pollfd one = {host_fd, POLLIN, 0};
    int count = poll(&one, 1, (int)((end - now) / 1000000 + 1));
    CHECK(count >= 0);
    wakeups += count;
    if (count > 0) CHECK(loop_run_once(loop, 0) >= 0);
  }
  return wakeups;
}

static void start(int fds[2]) {
  reads = 0;
  loop = new_loop(0);
  embed(loop);
  make_pair(fds);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, read_byte, NULL) > 0);
}

static void end(int fds[2]) {
  free_loop(loop);
  close_pair(fds);
}

/* (27,000 wake-ups.) Each orphan is worth one that finds it and one that renews the set. */
TEST(two_orphans_at_once_wake_the_host_a_few_times) {
  int fds[2], copies[2];
  start(fds);
  copies[0] = make_orphan();
  CHECK(serve(MS(1)) <= 10);
  copies[1] = make_orphan();
  CHECK(serve(MS(200)) <= 10);
  put_byte(fds[1]);
  while (reads == 0) { /* at the latest when the set is renewed */
    wait_readable(host_fd);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
  CHECK_EQ(reads, 1);
  close_pair(copies);
  end(fds);
}

TEST(a_descriptor_that_becomes_ready_while_the_set_is_muted_is_served) {
  int fds[2], copies[20];
  start(fds);
  for (int i = 0; i < 20; i++) {
    copies[i] = make_orphan();
    CHECK_EQ(loop_run_once(loop, 0), 0);
    put_byte(fds[1]);
    while (reads <= i) {
      wait_readable(host_fd);
      CHECK(loop_run_once(loop, 0) >= 0);
    }
  }
  for (int i = 0; i < 20; i++) CHECK_EQ(close(copies[i]), 0);
  end(fds);
}

/* As long as no new set can be made, the host is woken now and then, to try again. */
TEST(an_orphan_that_stays_for_want_of_a_descriptor) {
  struct rlimit old, none;
  int fds[2];
  start(fds);
  int copy = make_orphan();
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  none = (struct rlimit){1, old.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int i = 1; i <= 3; i++) {
    /* A try every 20 ms at the most. */
    uint64_t begun = check_clock();
    int wakeups = serve(MS(60));
    CHECK(wakeups <= 4 + 2 * (int)((check_clock() - begun) / MS(20)));
    put_byte(fds[1]);
    while (reads < i) {
      wait_readable(host_fd);
      CHECK(loop_run_once(loop, 0) >= 0);
    }
  }
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  CHECK(serve(MS(200)) <= 10);
  CHECK_EQ(close(copy), 0);
  end(fds);
}

/* Law 8: a pause between runs reaches the kernel in the call. */
TEST(a_pause_between_runs_wakes_nobody) {
  int fds[2], calls = 0;
  loop = new_loop(0);
  embed(loop);
  make_pair(fds);
  loop_handle_t handle = loop_watch_fd(loop, fds[0], LOOP_READABLE, count_event, &calls);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
    put_byte(fds[1]);
    CHECK_EQ(is_readable(host_fd), 0);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), 0);
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    take_byte(fds[0]);
    CHECK_EQ(is_readable(host_fd), 0);
  }
  CHECK_EQ(calls, 3);
  end(fds);
}
