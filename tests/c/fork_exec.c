/* link: -lpthread */
/* A child that only runs another program is not disturbed, and does not disturb:
 * every descriptor of a loop is close-on-exec, also of one that was taken up
 * with loop_after_fork or has got rid of an orphan. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>

enum { MOST = 1024 };

static char is_open_before[MOST];
static loop_t *loop;
static int runs;

static void note_open_descriptors(void) {
  for (int fd = 0; fd < MOST; fd++) is_open_before[fd] = fcntl(fd, F_GETFD) != -1;
}

/* All that the loop has opened since. How many are there? */
static int check_close_on_exec(void) {
  int count = 0;
  for (int fd = 0; fd < MOST; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags == -1 || is_open_before[fd]) continue;
    if (!(flags & FD_CLOEXEC)) fprintf(stderr, "descriptor %d\n", fd);
    CHECK(flags & FD_CLOEXEC);
    count++;
  }
  return count;
}

/* Waits for less than the timer slack, for which a loop needs a descriptor more. On a busy machine
 * the time has often passed before the wait begins. */
static void wait_briefly(void) {
  for (int i = 0; i < 5; i++) {
    CHECK(loop_call_later(loop, US(10 + 5 * i), count_run, &runs) > 0);
    CHECK(loop_run_once(loop, -1) >= 0);
  }
}

/* A loop that has made every descriptor that it ever makes: with its own slack it has one for brief
 * waits. */
static void make_everything(uint32_t flags) {
  int all = flags & LOOP_TIMER_SLACK ? 5 : 6;
  note_open_descriptors();
  loop = new_loop(flags);
  embed(loop);
  do wait_briefly();
  while (check_close_on_exec() < all);
}

TEST(every_descriptor_is_close_on_exec) {
  for (uint32_t flags = 0; flags <= LOOP_TIMER_SLACK; flags += LOOP_TIMER_SLACK) {
    make_everything(flags);
    CHECK(check_close_on_exec() >= 5);
    free_loop(loop);
    CHECK_EQ(check_close_on_exec(), 0); /* none is left */
  }
}

TEST(also_after_a_set_was_renewed_because_of_an_orphan) {
  int fds[2];
  make_pair(fds);
  int copy = dup(fds[0]), number = fds[0];
  make_everything(0);
  loop_handle_t watch = loop_watch_fd(loop, number, LOOP_READABLE, count_event, &runs);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  int before = check_close_on_exec();
  CHECK_EQ(close(number), 0);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(10)), 0);
  CHECK_EQ(check_close_on_exec(), before);
  free_loop(loop);
  CHECK_EQ(check_close_on_exec(), 0);
  CHECK_EQ(close(copy), 0);
  CHECK_EQ(close(fds[1]), 0);
}

static int descriptors_of_parent;

static void check_in_child(void) {
  CHECK_EQ(loop_after_fork(loop), 0);
  wait_briefly();
  CHECK_EQ(check_close_on_exec(), descriptors_of_parent); /* the same numbers, no more */
  free_loop(loop);
  CHECK_EQ(check_close_on_exec(), 0);
}

TEST(also_in_a_child_after_loop_after_fork) {
  make_everything(0);
  descriptors_of_parent = check_close_on_exec();
  in_child(check_in_child);
  CHECK_EQ(check_close_on_exec(), descriptors_of_parent);
  free_loop(loop);
}

static void free_in_child(void) {
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(check_close_on_exec(), 0);
}

TEST(loop_free_in_a_child_closes_the_childs_copies) {
  make_everything(0);
  descriptors_of_parent = check_close_on_exec();
  in_child(free_in_child);
  CHECK_EQ(check_close_on_exec(), descriptors_of_parent);
  free_loop(loop);
}

/* The program lists what it has inherited: nothing that is not a test's own. */
static void run_a_program(void) {
  execl("/bin/sh", "sh", "-c", "for fd in /proc/self/fd/*; do readlink $fd; done | grep -q anon_inode:", NULL);
  _exit(99);
}

static void start_programs(loop_t *l, uint64_t ticks, void *arg) {
  pid_t *child = arg;
  (void)ticks;
  *child = fork();
  CHECK(*child >= 0);
  if (*child == 0) run_a_program();
  CHECK_EQ(loop_stop(l), 0);
}

TEST(programs_inherit_nothing_and_disturb_nothing) {
  int fds[2], echoes = 0;
  pid_t child = 0;
  make_pair(fds);
  make_everything(0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, echo_byte, &echoes) > 0);
  CHECK(loop_call_every(loop, 0, US(100), LOOP_SKIP_MISSED, start_programs, &child) > 0);
  for (int i = 1; i <= 10; i++) {
    int status;
    put_byte(fds[1]);
    CHECK_EQ(loop_run_forever(loop), 0);
    while (echoes < i) CHECK(loop_run_once(loop, 0) >= 0);
    take_byte(fds[1]);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 1); /* grep has found none */
  }
  close_pair(fds);
  free_loop(loop);
}
