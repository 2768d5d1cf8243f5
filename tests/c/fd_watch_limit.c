/* link: -rdynamic -lpthread -ldl */
/* The kernel's limit of watched descriptors (ENOSPC): a refused watch changes
 * nothing, a run that cannot watch says so and loses nothing, and all goes on
 * when there is room. The limit is for all users, so it is lowered for a moment,
 * to a number that only a user made for this test reaches: a child process. It
 * takes root to do this; others skip it. One process at a time does it. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/wait.h>

enum { SETS = 25, IN_EACH = 4000, ROOM = 8, LIMIT = SETS * IN_EACH + ROOM, USER = 54321 };

static const char limit_file[] = "/proc/sys/fs/epoll/max_user_watches";

static int write_limit(const char *text) {
  int fd = open(limit_file, O_WRONLY);
  if (fd < 0) return 0;
  int is_written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  return is_written;
}

/* Watches that nobody else has: so many numbers, in so many sets. */
static void use_up_all_but_some(void) {
  struct epoll_event event = {EPOLLIN, {0}};
  static int sets[SETS];
  int quiet = eventfd(0, 0);
  for (int s = 0; s < SETS; s++) CHECK((sets[s] = epoll_create1(0)) >= 0);
  for (int i = 0; i < IN_EACH; i++) {
    int fd = dup(quiet);
    CHECK(fd >= 0);
    for (int s = 0; s < SETS; s++) CHECK_EQ(epoll_ctl(sets[s], EPOLL_CTL_ADD, fd, &event), 0);
  }
}

static loop_t *loop;
static struct seen seen[ROOM + 1];
static loop_handle_t handles[ROOM + 1];
static int pairs[ROOM + 1][2], watched;

/* Until the limit is met. */
static void watch_as_many_as_go(void) {
  memset(seen, 0, sizeof seen);
  loop = loop_new();
  CHECK(loop != NULL);
  for (watched = 0;; watched++) {
    CHECK(watched <= ROOM);
    make_pair(pairs[watched]);
    handles[watched] = loop_watch_fd(loop, pairs[watched][0], LOOP_READABLE, see, &seen[watched]);
    if (handles[watched] < 0) break;
  }
  CHECK_EQ(handles[watched], -ENOSPC);
  CHECK(watched >= 3);
}

static void end(void) {
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i <= watched; i++) close_pair(pairs[i]);
}

static void a_refused_watch_changes_nothing(void) {
  watch_as_many_as_go();
  CHECK_EQ(loop_watch_fd(loop, pairs[watched][0], 0, see, NULL), -ENOSPC);
  for (int i = 0; i <= watched; i++) put_byte(pairs[i][1]);
  CHECK_EQ(loop_run_once(loop, 0), watched);
  CHECK_EQ(seen[watched].calls, 0);
  CHECK_EQ(loop_cancel(loop, handles[0]), 0);
  watch(loop, pairs[watched][0], LOOP_READABLE, &seen[watched]);
  CHECK_EQ(loop_run_once(loop, 0), watched);
  CHECK_EQ(seen[watched].calls, 1);
  end();
}

static void count_run(loop_t *l, void *runs) {
  (void)l;
  ++*(int *)runs;
}

/* A watcher that was paused at a hang-up has left the set; its place is taken. */
static void a_run_that_cannot_watch_loses_nothing(void) {
  int runs = 0;
  watch_as_many_as_go();
  CHECK_EQ(loop_watch_update(loop, handles[0], 0), 0);
  CHECK_EQ(shutdown(pairs[0][1], SHUT_RDWR), 0);
  for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
  loop_handle_t last = loop_watch_fd(loop, pairs[watched][0], LOOP_READABLE, see, &seen[watched]);
  CHECK_EQ(loop_watch_update(loop, handles[0], LOOP_READABLE), 0);
  if (last > 0) { /* or the paused one has kept its place, which is as good */
    put_byte(pairs[1][1]);
    CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    CHECK_EQ(loop_run_once(loop, 0), -ENOSPC);
    CHECK_EQ(loop_run_once(loop, 0), -ENOSPC);
    CHECK_EQ(runs + seen[0].calls + seen[1].calls, 0);
    CHECK_EQ(loop_cancel(loop, last), 0);
    CHECK_EQ(loop_run_once(loop, 0), 3);
    CHECK_EQ(runs, 1);
    CHECK_EQ(seen[1].calls, 1);
  } else {
    CHECK_EQ(loop_run_once(loop, 0), 1);
  }
  CHECK_EQ(seen[0].events, LOOP_READABLE | LOOP_HANGUP);
  end();
}

/* No set can be made to get rid of the orphan, so it stays; it costs next to nothing. */
static void an_orphan_at_the_limit_costs_next_to_nothing(void) {
  watch_as_many_as_go();
  int copy = dup(pairs[0][0]);
  put_byte(pairs[0][1]);
  CHECK_EQ(close(pairs[0][0]), 0);
  CHECK_EQ(loop_cancel(loop, handles[0]), 0);
  check_idle(loop, MS(300));
  CHECK_EQ(seen[0].calls, 0);
  put_byte(pairs[1][1]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen[1].calls, 1);
  CHECK_EQ(dup2(copy, pairs[0][0]), pairs[0][0]); /* for end() */
  CHECK_EQ(close(copy), 0);
  end();
}

static void be_the_user(int ready, int go) {
  char byte = 'r';
  alarm(60);
  CHECK_EQ(setgroups(0, NULL), 0);
  CHECK_EQ(setgid(USER), 0);
  CHECK_EQ(setuid(USER), 0);
  use_up_all_but_some();
  CHECK_EQ(write(ready, &byte, 1), 1);
  CHECK_EQ(read(go, &byte, 1), 1);
  a_refused_watch_changes_nothing();
  a_run_that_cannot_watch_loses_nothing();
  an_orphan_at_the_limit_costs_next_to_nothing();
}

static int has_descriptors(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return limit.rlim_max > IN_EACH + SETS + 100;
}

TEST(the_limit_of_watched_descriptors) {
  char old_limit[32] = "", lower[32], byte;
  int ready[2], go[2], status = -1;
  int file = open(limit_file, O_RDONLY);
  CHECK(file < 0 || flock(file, LOCK_EX) == 0); /* the limit that is read is not one lowered by another */
  ssize_t length = file < 0 ? -1 : read(file, old_limit, sizeof old_limit - 1);
  int may_lower = geteuid() == 0 && length > 0 && atoll(old_limit) > LIMIT && write_limit(old_limit);
  if (!may_lower || !has_descriptors()) {
    fprintf(stderr, "    not covered: ENOSPC; it takes root, to lower %s, and %d descriptors\n", limit_file,
            IN_EACH + SETS + 100);
    return;
  }
  CHECK_EQ(pipe(ready), 0);
  CHECK_EQ(pipe(go), 0);
  fflush(NULL);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    be_the_user(ready[1], go[0]);
    _exit(0);
  }
  CHECK_EQ(close(ready[1]), 0);
  if (read(ready[0], &byte, 1) == 1) {
    snprintf(lower, sizeof lower, "%d", LIMIT);
    int is_lowered = write_limit(lower);
    ssize_t sent = write(go[1], "g", 1);
    waitpid(child, &status, 0); /* it ends by itself: nothing stands between here and the old limit */
    CHECK(write_limit(old_limit));
    CHECK(is_lowered && sent == 1);
  }
  CHECK_EQ(status, 0);
  CHECK_EQ(close(file), 0);
}
