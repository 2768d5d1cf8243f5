/* link: -rdynamic -lpthread -ldl */
/* Law 7, orphans: a file that was closed here and lives on elsewhere (in a
 * duplicate, in a child, on its way to another process) keeps sending events
 * that nobody can turn off by its number. It costs no more than 1 % of the CPU
 * until the loop has got rid of it, and then nothing. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

#include <fcntl.h>
#include <sys/wait.h>

static loop_t *loop;
static struct seen orphan;          /* the closed descriptor's watcher */
static struct seen reader;         /* another one, which goes on */
static int fds[2], reader_fds[2];  /* fds[0] is the one that is closed */
static loop_handle_t handle;

enum { NUMBER = 200 }; /* far from what the next open call would take */

/* A watched descriptor that is readable for ever, and a quiet one. */
static void start(void) {
  loop = loop_new();
  CHECK(loop != NULL);
  orphan = reader = (struct seen){0, 0};
  make_pair(fds);
  move_fd(fds[0], NUMBER);
  fds[0] = NUMBER;
  make_pair(reader_fds);
  watch(loop, reader_fds[0], LOOP_READABLE, &reader);
  handle = watch(loop, fds[0], LOOP_READABLE, &orphan);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, 0), 1);
}

/* Whether the set still holds the orphan is seen by the waits it ends. */
static void check_it_goes(void) {
  int told = orphan.calls;
  check_idle(loop, MS(400));
  count_from_here();
  check_idle(loop, MS(100));
  CHECK(counted.waits <= waits_allowed());
  CHECK_EQ(counted.mod + counted.del, 0); /* the set was renewed once */
  put_byte(reader_fds[1]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(reader.calls, 1);
  CHECK_EQ(orphan.calls, told);
}

static void end(void) {
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(fds[1]), 0);
  close_pair(reader_fds);
}

TEST(closed_with_a_living_duplicate) {
  start();
  int copy = dup(fds[0]);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  check_it_goes();
  CHECK_EQ(close(copy), 0);
  end();
}

TEST(closed_with_a_copy_in_a_living_child) {
  int leash[2];
  char byte;
  start();
  CHECK_EQ(pipe(leash), 0);
  pid_t child = fork();
  if (child == 0) { /* lives until its parent closes the leash */
    close(leash[1]);
    _exit(read(leash[0], &byte, 1) != 0);
  }
  CHECK(child > 0);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  check_it_goes();
  close_pair(leash);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  end();
}

/* A cancel before the close leaves no orphan, though a child has a copy. */
TEST(cancelled_before_it_was_closed_with_a_copy_in_a_living_child) {
  start();
  int copy = dup(fds[0]);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(close(fds[0]), 0);
  count_from_here();
  check_idle(loop, MS(50));
  CHECK(counted.waits <= waits_allowed());
  CHECK_EQ(orphan.calls, 1);
  CHECK_EQ(close(copy), 0);
  end();
}

/* The new file under the old number is watched, and is not taken for the orphan. */
TEST(dup2_over_a_watched_descriptor) {
  struct seen new = {0, 0};
  int other[2];
  start();
  int copy = dup(fds[0]);
  make_pair(other);
  move_fd(other[0], fds[0]);
  loop_handle_t new_watch = watch(loop, fds[0], LOOP_READABLE, &new);
  check_it_goes();
  CHECK_EQ(new.calls, 0);
  put_byte(other[1]);
  take_byte(reader_fds[0]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(new.calls, 1);
  CHECK_EQ(loop_cancel(loop, handle), 0); /* the old one's, at last: takes nothing away */
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_cancel(loop, new_watch), 0);
  check_idle(loop, MS(10));
  CHECK_EQ(close(copy), 0);
  CHECK_EQ(close(other[1]), 0);
  CHECK_EQ(close(fds[0]), 0);
  end();
}

/* The kernel is asked for a new set when the orphan goes. The set must not take the number
 * that the user has closed: he may put another file there at any time. */
TEST(the_number_of_an_orphan_stays_free) {
  struct seen new = {0, 0};
  int other[2];
  start();
  CHECK_EQ(loop_cancel(loop, handle), 0);
  int number = dup(fds[0]); /* the lowest one that is free */
  handle = watch(loop, number, LOOP_READABLE, &orphan);
  CHECK_EQ(close(number), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  check_it_goes();
  CHECK_EQ(fcntl(number, F_GETFD), -1);
  CHECK_EQ(errno, EBADF);
  make_pair(other);
  move_fd(other[0], number);
  put_byte(other[1]);
  watch(loop, number, LOOP_READABLE, &new);
  CHECK_EQ(loop_run_once(loop, -1), 2);
  CHECK_EQ(new.calls, 1);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(close(other[1]), 0);
  CHECK_EQ(close(number), 0);
  end();
}

static void send_fd(int via, int fd) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  char byte = 'f';
  struct iovec data = {&byte, 1};
  struct msghdr message = {NULL, 0, &data, 1, &control, sizeof control, 0};
  memset(&control, 0, sizeof control);
  control.header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  CHECK_EQ(sendmsg(via, &message, 0), 1);
}

static int receive_fd(int via) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  char byte;
  int fd;
  struct iovec data = {&byte, 1};
  struct msghdr message = {NULL, 0, &data, 1, &control, sizeof control, 0};
  CHECK_EQ(recvmsg(via, &message, 0), 1);
  CHECK_EQ(control.header.cmsg_type, SCM_RIGHTS);
  memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
  return fd;
}

/* Sends back what it gets, with a byte of its own in between. */
static pid_t start_visitor(int via[2]) {
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, via), 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(fds[0]);
    close(via[0]);
    int visitor = receive_fd(via[1]);
    take_byte(visitor);
    put_byte(visitor);
    send_fd(via[1], visitor);
    close(visitor);
    _exit(0);
  }
  return child;
}

/* Back under its old number it is the same open file, which the set may know
 * still; under another number it is new to the set. */
static void check_there_and_back(int number_is_new, int orphan_is_gone) {
  struct seen back = {0, 0};
  int via[2];
  start();
  pid_t child = start_visitor(via);
  send_fd(via[0], fds[0]);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(waitpid(child, NULL, 0), child); /* it is on its way back */
  take_byte(fds[1]);
  put_byte(fds[1]);
  if (orphan_is_gone) check_it_goes();
  int number = NUMBER + number_is_new;
  move_fd(receive_fd(via[0]), number);
  loop_handle_t back_watch = watch(loop, number, LOOP_READABLE, &back);
  if (orphan_is_gone) take_byte(reader_fds[0]);
  for (int turn = 1; turn <= 50; turn++) {
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(back.calls, turn);
    CHECK_EQ(back.events, LOOP_READABLE);
  }
  take_byte(number);
  check_idle(loop, MS(20));
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_cancel(loop, back_watch), 0);
  check_idle(loop, MS(20));
  CHECK_EQ(orphan.calls, 1);
  CHECK_EQ(close(number), 0);
  close_pair(via);
  end();
}

TEST(sent_to_another_process_and_back_to_its_old_number) {
  check_there_and_back(0, 0);
  check_there_and_back(0, 1);
}

TEST(sent_to_another_process_and_back_to_another_number) {
  check_there_and_back(1, 0);
  check_there_and_back(1, 1);
}
