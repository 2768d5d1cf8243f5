/* Law 7: a loop does not watch its own descriptors for its user: not those it is made
 * with, not those that loop_fd makes. A guessed number is -EBADF. */
#define _GNU_SOURCE 1
#include "fd_support.h"

#include <fcntl.h>

enum { MOST = 64 };

static void note_open(char open[MOST]) {
  for (int fd = 0; fd < MOST; fd++) open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void never(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop, (void)fd, (void)events, (void)arg;
  CHECK(!"a descriptor of the loop's own is reported");
}

static void never_done(loop_t *loop, loop_handle_t handle, uint32_t what, int64_t result, void *data, void *arg) {
  (void)loop, (void)handle, (void)what, (void)result, (void)data, (void)arg;
  CHECK(!"a wait for a descriptor of the loop's own ends");
}

/* Returns how many descriptors are the loop's own. Each of them is refused. */
static int refuse_own(loop_t *loop, const char before[MOST]) {
  int count = 0;
  char after[MOST];
  note_open(after);
  for (int fd = 0; fd < MOST; fd++) {
    if (!after[fd] || before[fd]) continue;
    count++;
    CHECK_EQ(loop_watch_fd(loop, fd, LOOP_READABLE, never, NULL), -EBADF);
    CHECK_EQ(loop_watch_fd(loop, fd, LOOP_WRITABLE | LOOP_EDGE, never, NULL), -EBADF);
    CHECK_EQ(loop_watch_fd(loop, fd, LOOP_READABLE | LOOP_ALWAYS, never, NULL), -EBADF);
    CHECK_EQ(loop_poll_fd(loop, fd, LOOP_READABLE | LOOP_WRITABLE, 0, never_done, NULL), -EBADF);
  }
  CHECK_EQ(loop_has_work(loop), 0);
  return count;
}

TEST(a_loop_refuses_to_watch_its_own_descriptors) {
  char before[MOST];
  note_open(before);
  loop_t *loop = loop_new();
  CHECK(loop != NULL);
  int made = refuse_own(loop, before);
  CHECK(made >= 2); /* its set, and what wakes it */
  CHECK_EQ(loop_run_once(loop, (int64_t)US(50)), 0);
  CHECK_EQ(refuse_own(loop, before), made); /* a short wait takes no other */
  CHECK(loop_fd(loop) >= 0);
  CHECK(refuse_own(loop, before) > made);
  CHECK_EQ(loop_wake(loop), 0); /* its own are ready now, and nobody hears of it */
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
}

TEST(another_loop_may_watch_what_loop_fd_returns_and_no_more_than_that) {
  char before[MOST];
  note_open(before);
  loop_t *inner = loop_new(), *outer = loop_new();
  CHECK(inner != NULL && outer != NULL);
  struct seen seen = {0};
  loop_handle_t handle = watch(outer, loop_fd(inner), LOOP_READABLE, &seen);
  CHECK_EQ(loop_wake(inner), 0);
  CHECK_EQ(loop_run_once(outer, -1), 1);
  CHECK_EQ(seen.calls, 1);
  CHECK_EQ(loop_cancel(outer, handle), 0);
  CHECK_EQ(loop_free(inner), 0);
  CHECK_EQ(loop_free(outer), 0);
}
