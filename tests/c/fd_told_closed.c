/* Law 7, how a watcher learns that its descriptor was closed behind its back:
 * LOOP_NOW asks the kernel in the call, LOOP_CLOSED tells the callback, and from then on
 * the watcher says -EBADF. What other libraries' users ran into: a modification after
 * close that is an error with epoll (ENOENT after reuse, EBADF otherwise), and that
 * a program relies on to add the descriptor again. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>
#include <sys/eventfd.h>

static loop_t *loop;
static struct seen seen;
static int fd;
static loop_handle_t handle;

static void start(uint32_t mask) {
  seen = (struct seen){0, 0};
  loop = loop_new();
  CHECK((fd = eventfd(0, 0)) >= 0);
  handle = watch(loop, fd, mask, &seen);
  CHECK_EQ(loop_run_once(loop, 0), 0);
}

/* Another file takes the number. */
static void reuse(void) { move_fd(eventfd(1, 0), fd); }

static void check_deaf(void) {
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), -EBADF);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_NOW), -EBADF);
  CHECK_EQ(loop_watch_update(loop, handle, 0), -EBADF);
  CHECK_EQ(loop_watch_events(loop, handle), -EBADF);
}

static void end(void) {
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_cancel(loop, handle), LOOP_ESTALE);
  CHECK_EQ(loop_free(loop), 0);
}

/* The same mask, another one, a pause, a resume, ONESHOT, EDGE: none says 0. */
TEST(now_says_that_the_descriptor_is_closed) {
  const uint32_t masks[] = {LOOP_READABLE, LOOP_WRITABLE, 0, LOOP_READABLE | LOOP_ONESHOT, LOOP_READABLE | LOOP_EDGE,
                            LOOP_CLOSED};
  for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
    start(LOOP_READABLE);
    CHECK_EQ(loop_watch_update(loop, handle, masks[i] | LOOP_NOW), 0); /* still open */
    CHECK_EQ(loop_watch_events(loop, handle), masks[i]);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(loop_watch_update(loop, handle, masks[i] | LOOP_NOW), -EBADF);
    check_deaf();
    end();
  }
}

/* trio modifies, and adds on ENOENT. */
TEST(now_says_that_the_number_means_another_file_and_a_new_watch_hears_it) {
  struct seen new = {0, 0};
  start(LOOP_READABLE | LOOP_ONESHOT);
  CHECK_EQ(eventfd_write(fd, 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  reuse();
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_ONESHOT | LOOP_NOW), -ENOENT);
  check_deaf();
  watch(loop, fd, LOOP_READABLE, &new);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(new.calls, 1);
  CHECK_EQ(seen.calls, 1);
  end();
  CHECK_EQ(close(fd), 0);
}

TEST(now_reports_what_stands) {
  start(LOOP_READABLE);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_NOW), 0);
  CHECK_EQ(eventfd_write(fd, 1), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_NOW), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen.events, LOOP_READABLE);
  end();
  CHECK_EQ(close(fd), 0);
}

TEST(now_asks_for_the_file_of_an_always_watcher) {
  for (int reused = 0; reused < 2; reused++) {
    seen = (struct seen){0, 0};
    loop = loop_new();
    CHECK((fd = open("/dev/null", O_RDONLY)) >= 0);
    handle = watch(loop, fd, LOOP_READABLE | LOOP_ALWAYS, &seen);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_ALWAYS | LOOP_NOW), 0);
    if (reused) move_fd(open("/dev/zero", O_RDONLY), fd);
    if (!reused) CHECK_EQ(close(fd), 0);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_ALWAYS | LOOP_NOW), reused ? -ENOENT : -EBADF);
    check_deaf();
    CHECK_EQ(loop_run_once(loop, 0), 0);
    end();
    if (reused) CHECK_EQ(close(fd), 0);
  }
}

/* The kernel says it before the wait, which then does not block. */
TEST(the_callback_is_told_once) {
  start(LOOP_READABLE | LOOP_CLOSED);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE | LOOP_CLOSED), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen.events, LOOP_CLOSED);
  check_deaf();
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(seen.calls, 1);
  end();
}

TEST(whoever_does_not_ask_is_not_told) {
  start(LOOP_READABLE);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_WRITABLE), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  check_deaf();
  CHECK_EQ(seen.calls, 0);
  end();
}

/* A paused watcher may ask for it, and every watcher of the descriptor is told. */
TEST(a_new_watch_on_the_number_tells_the_old_ones) {
  struct seen second = {0, 0}, third = {0, 0}, new = {0, 0};
  start(LOOP_CLOSED);
  CHECK_EQ(loop_watch_events(loop, handle), LOOP_CLOSED);
  loop_handle_t b = watch(loop, fd, LOOP_READABLE, &second);
  loop_handle_t c = watch(loop, fd, LOOP_READABLE | LOOP_CLOSED, &third);
  CHECK_EQ(eventfd_write(fd, 1), 0);
  CHECK_EQ(loop_run_once(loop, -1), 2); /* no interest but LOOP_CLOSED: not called */
  CHECK_EQ(seen.calls, 0);
  reuse();
  watch(loop, fd, LOOP_READABLE, &new);
  CHECK_EQ(loop_cancel(loop, c), 0); /* law 4: also when it is ready */
  CHECK_EQ(loop_run_once(loop, -1), 2);
  CHECK_EQ(seen.events, LOOP_CLOSED);
  CHECK_EQ(second.calls, 1);
  CHECK_EQ(third.calls, 1);
  CHECK_EQ(new.calls, 1);
  CHECK_EQ(loop_cancel(loop, b), 0);
  end();
  CHECK_EQ(close(fd), 0);
}

TEST(pull_mode_hands_it_out) {
  loop_options_t options = {.size = sizeof options, .flags = LOOP_PULL};
  loop_event_t events[4];
  int other;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  CHECK((fd = eventfd(0, 0)) >= 0);
  handle = loop_watch_fd(loop, fd, LOOP_READABLE | LOOP_CLOSED, NULL, &other);
  CHECK(handle > 0);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_CLOSED | LOOP_NOW), -EBADF);
  CHECK_EQ(loop_next_events(loop, events, 4, -1), 1);
  CHECK_EQ(events[0].handle, handle);
  CHECK_EQ(events[0].events, LOOP_CLOSED);
  CHECK(events[0].arg == &other);
  CHECK_EQ(loop_next_events(loop, events, 4, 0), 0);
  end();
}

/* A file that lives on in a duplicate is found out by its reports, and told, too. */
TEST(an_orphan_tells_its_watcher) {
  start(LOOP_READABLE | LOOP_CLOSED);
  int copy = dup(fd);
  CHECK_EQ(eventfd_write(fd, 1), 0);
  CHECK_EQ(close(fd), 0);
  for (int i = 0; i < 300 && seen.events != LOOP_CLOSED; i++) CHECK(loop_run_once(loop, 0) >= 0);
  CHECK_EQ(seen.events, LOOP_CLOSED);
  check_deaf();
  int calls = seen.calls;
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(20)), 0);
  CHECK_EQ(seen.calls, calls);
  end();
  CHECK_EQ(close(copy), 0);
}
