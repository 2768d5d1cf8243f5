/* link: -rdynamic -lpthread -ldl */
/* What failing system calls have brought to light, each under the name of its cause. */
#define _GNU_SOURCE 1
#include "fault_frame.h"

#include "fault_syscalls.h"

static int is_true(void) { return 0; }
static void end(void) {}

static void start(uint32_t flags) {
  fault.name = "a fault that is over";
  fault.is_true = is_true;
  fault.end = end;
  open_loop(flags, 0);
}

static void let_fail(enum call call, int error, long at, long times) {
  inject.met = inject.injected = 0;
  inject.call = call;
  inject.at = at;
  inject.times = times;
  inject.error = error;
}

TEST(a_wait_that_failed_used_a_wake_up_up) {
  start(0);
  CHECK_EQ(loop_wake(loop), 0);
  let_fail(WAIT, ENOMEM, 1, 1);
  CHECK_EQ(loop_run_once(loop, -1), -ENOMEM);
  CHECK_EQ(loop_run_once(loop, -1), 0);
  end_loop();
}

TEST(an_interrupted_write_lost_a_wake_up) {
  start(0);
  posted = new_source(1);
  when_asleep = post_now;
  let_fail(WRITE, EINTR, 1, 3);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(inject.injected, 3);
  end_loop();
}

/* The host's set had no room for a new one of the loop, which was in place already. */
static void renew_without_room(enum call call, int error, long at) {
  int a[2], b[2];
  make_pair(a);
  make_pair(b);
  start(0);
  CHECK(loop_fd(loop) >= 0);
  struct watcher orphan = watch(a[0], LOOP_READABLE), w = watch(b[0], LOOP_READABLE);
  int copy = dup(a[0]);
  put_byte(a[1]);
  CHECK_EQ(close(a[0]), 0);
  cancel(&orphan);
  let_fail(call, error, at, 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  for (; inject.met == at; usleep(1000)) CHECK_EQ(loop_run_once(loop, 0), 0); /* until it is tried again */
  CHECK_EQ(inject.injected, 1);
  put_byte(b[1]);
  run_until_seen(&w);
  cancel(&w);
  end_loop();
  CHECK_EQ(close(copy), 0);
  CHECK_EQ(close(a[1]), 0);
  close_pair(b);
}

TEST(no_room_for_a_new_set_in_the_hosts_lost_all_watchers) { renew_without_room(ADD, ENOSPC, 2); }
TEST(no_memory_to_ask_for_a_descriptor_lost_its_watchers) { renew_without_room(ADD, ENOMEM, 1); }

TEST(a_deadline_that_could_not_be_told_let_the_host_sleep) {
  start(0);
  int fd = loop_fd(loop);
  let_fail(SETTIME, EINVAL, 1, 1);
  struct source *s = new_source(1);
  later(US(100), s);
  CHECK_EQ(inject.injected, 1);
  host_until(fd, s);
  end_loop();
}

TEST(a_mask_that_could_not_be_told_let_the_host_sleep) {
  int fds[2];
  make_pair(fds);
  start(0);
  int fd = loop_fd(loop);
  struct watcher w = watch(fds[0], LOOP_PRIORITY);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  let_fail(MOD, ENOMEM, 1, 1);
  CHECK_EQ(loop_watch_update(loop, w.handle, LOOP_READABLE), 0);
  CHECK_EQ(inject.injected, 1);
  put_byte(fds[1]);
  host_until(fd, w.source);
  cancel(&w);
  end_loop();
  close_pair(fds);
}

/* Then the slack was set to -1, which is four seconds, for good. */
TEST(a_slack_that_is_not_known_was_set_all_the_same) {
  int (*real)(int, ...);
  FIND_REAL(real, "prctl");
  start(LOOP_TIMER_SLACK);
  int before = real(PR_GET_TIMERSLACK);
  let_fail(PRCTL, EPERM, 1, 1);
  struct source *s = new_source(1);
  later(US(500), s);
  run_until(s, 1);
  CHECK_EQ(real(PR_GET_TIMERSLACK), before);
  end_loop();
}

/* An int cannot tell it, and each wait was late by it: here by more than the alarm allows. */
TEST(a_slack_of_minutes_was_taken_for_none) {
  const unsigned long slack = 93 * (1ul << 32) + 4000000000ul;
  int (*real)(int, ...);
  FIND_REAL(real, "prctl");
  CHECK_EQ(real(PR_SET_TIMERSLACK, slack, 0, 0, 0), 0);
  for (uint32_t flags = 0; flags <= LOOP_TIMER_SLACK; flags += LOOP_TIMER_SLACK) {
    start(flags);
    struct source *s = new_source(1);
    later(MS(1), s);
    run_until(s, 1);
    end_loop();
  }
  CHECK_EQ(real(PR_SET_TIMERSLACK, 0ul, 0, 0, 0), 0); /* the usual one */
}

static void wake_it(void) { CHECK_EQ(loop_wake(loop), 0); }

/* The kernel adds a thousandth to long waits: ten seconds were late by ten milliseconds. */
TEST(long_waits_were_late_by_a_thousandth) {
  for (uint32_t flags = 0; flags <= LOOP_TIMER_SLACK; flags += LOOP_TIMER_SLACK) {
    start(flags);
    later(10 * (uint64_t)NS_PER_SEC, new_source(0));
    when_asleep = wake_it;
    CHECK_EQ(loop_run_once(loop, -1), 0);
    uint64_t asked = (uint64_t)last_wait.tv_sec * NS_PER_SEC + (uint64_t)last_wait.tv_nsec;
    CHECK(asked > 9 * (uint64_t)NS_PER_SEC);
    CHECK(asked + asked / 1000 <= 10 * (uint64_t)NS_PER_SEC);
    end_loop();
  }
}
