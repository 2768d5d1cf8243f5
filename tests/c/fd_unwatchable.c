/* link: -rdynamic -lpthread -ldl */
/* Law 7, what the kernel cannot watch: regular files, directories, /dev/null.
 * Without LOOP_ALWAYS they are -EPERM, with it they are ready once every turn,
 * as poll(2) has it; nobody is starved, and the number is as good as any
 * other when the file is closed. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

#include <fcntl.h>
#include <sys/mman.h>

enum kind { REGULAR_FILE, MEMORY_FILE, DIRECTORY, NULL_DEVICE, ZERO_DEVICE, KINDS };

enum {
  BOTH = LOOP_READABLE | LOOP_WRITABLE,
  FEW = 40, /* calls after a close that the library has to find out by itself */
  SEVERAL = 300, /* after a long life, in which calls were right */
};

static int open_unwatchable(enum kind kind) {
  int fd = -1;
  FILE *file;
  switch (kind) {
    case REGULAR_FILE:
      CHECK((file = tmpfile()) != NULL);
      fd = dup(fileno(file));
      fclose(file);
      break;
    case MEMORY_FILE: fd = memfd_create("test", 0); break;
    case DIRECTORY: fd = open("/", O_RDONLY | O_DIRECTORY); break;
    case NULL_DEVICE: fd = open("/dev/null", O_RDWR); break;
    default: fd = open("/dev/zero", O_RDWR);
  }
  CHECK(fd >= 0);
  return fd;
}

static loop_t *loop;

/* A socket that has this number, quiet. Returns its far end. */
static int socket_with_number(int number) {
  int fds[2];
  make_pair(fds);
  move_fd(fds[0], number);
  return fds[1];
}

/* A socket with this number is watched like any other. */
static void check_socket(int number, int far_end) {
  struct seen seen = {0, 0};
  loop_handle_t handle = watch(loop, number, LOOP_READABLE, &seen);
  check_idle(loop, MS(10));
  put_byte(far_end);
  for (int turn = 1; turn <= 3; turn++) CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(seen.calls, 3);
  CHECK_EQ(seen.events, LOOP_READABLE);
  take_byte(number);
  check_idle(loop, MS(10));
  CHECK_EQ(loop_cancel(loop, handle), 0);
}

TEST(the_number_is_a_socket_afterwards) {
  for (int kind = 0; kind < KINDS; kind++) {
    struct seen seen = {0, 0};
    loop = loop_new();
    int number = open_unwatchable(kind);
    CHECK_EQ(loop_watch_fd(loop, number, BOTH, see, &seen), -EPERM);
    CHECK_EQ(loop_watch_fd(loop, number, 0, see, &seen), -EPERM);
    CHECK_EQ(loop_watch_fd(loop, number, LOOP_READABLE | LOOP_EDGE, see, &seen), -EPERM);
    loop_handle_t handle = watch(loop, number, BOTH | LOOP_ALWAYS, &seen);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    int far_end = socket_with_number(number);
    check_socket(number, far_end);
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(loop_free(loop), 0);
    CHECK_EQ(close(number), 0);
    CHECK_EQ(close(far_end), 0);
  }
}

TEST(a_watcher_of_the_closed_file_hears_nothing_of_a_socket_watched_under_its_number) {
  for (int kind = 0; kind < KINDS; kind++) {
    struct seen old = {0, 0};
    loop = loop_new();
    int number = open_unwatchable(kind);
    loop_handle_t handle = watch(loop, number, BOTH | LOOP_ALWAYS, &old);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    int far_end = socket_with_number(number);
    check_socket(number, far_end);
    CHECK_EQ(old.calls, 1);
    CHECK_EQ(loop_is_active(loop, handle), 0);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_free(loop), 0);
    CHECK_EQ(close(number), 0);
    CHECK_EQ(close(far_end), 0);
  }
}

TEST(the_number_of_a_socket_is_a_file_afterwards) {
  for (int kind = 0; kind < KINDS; kind++) {
    struct seen old = {0, 0}, new = {0, 0};
    loop = loop_new();
    int number = open_unwatchable(DIRECTORY), file = open_unwatchable(kind);
    int far_end = socket_with_number(number);
    loop_handle_t handle = watch(loop, number, LOOP_READABLE, &old);
    put_byte(far_end);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    move_fd(file, number);
    CHECK_EQ(loop_watch_fd(loop, number, LOOP_READABLE, see, &new), -EPERM);
    loop_handle_t new_handle = watch(loop, number, LOOP_READABLE | LOOP_ALWAYS, &new);
    for (int turn = 1; turn <= 3; turn++) CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(new.events, LOOP_READABLE);
    CHECK_EQ(old.calls, 1);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(loop_cancel(loop, new_handle), 0);
    check_idle(loop, MS(10));
    CHECK_EQ(loop_free(loop), 0);
    CHECK_EQ(close(number), 0);
    CHECK_EQ(close(far_end), 0);
  }
}

/* No report of the kernel tells the library that the file was closed; all the same the
 * watcher must fall silent after a while, and the loop must come to rest. */
static void check_falls_silent(loop_handle_t handle, struct seen *seen, int turns) {
  int calls = seen->calls;
  for (int turn = 0; turn < turns + 10; turn++) CHECK(loop_run_once(loop, 0) >= 0);
  CHECK(seen->calls <= calls + turns);
  CHECK_EQ(loop_is_active(loop, handle), 0);
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_ALWAYS), -EBADF);
}

TEST(a_file_closed_before_its_watcher_is_cancelled_does_not_spin) {
  for (int kind = 0; kind < KINDS; kind++) {
    struct seen seen = {0, 0};
    loop = loop_new();
    int number = open_unwatchable(kind);
    loop_handle_t handle = watch(loop, number, BOTH | LOOP_ALWAYS, &seen);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    CHECK_EQ(close(number), 0);
    check_falls_silent(handle, &seen, FEW);
    check_idle(loop, MS(20));
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_free(loop), 0);
  }
}

TEST(one_of_several_files_is_closed_before_its_watcher_is_cancelled) {
  for (int closed = 0; closed < KINDS; closed++) {
    struct seen seen[KINDS];
    loop_handle_t handles[KINDS];
    int files[KINDS];
    loop = loop_new();
    memset(seen, 0, sizeof seen);
    for (int kind = 0; kind < KINDS; kind++) {
      files[kind] = open_unwatchable(kind);
      handles[kind] = watch(loop, files[kind], BOTH | LOOP_ALWAYS, &seen[kind]);
    }
    for (int turn = 0; turn < closed * 10; turn++) CHECK_EQ(loop_run_once(loop, -1), KINDS);
    CHECK_EQ(close(files[closed]), 0);
    check_falls_silent(handles[closed], &seen[closed], SEVERAL);
    CHECK_EQ(loop_run_once(loop, -1), KINDS - 1);
    CHECK_EQ(loop_free(loop), 0);
    for (int kind = 0; kind < KINDS; kind++) {
      if (kind != closed) CHECK_EQ(close(files[kind]), 0);
    }
  }
}

TEST(a_socket_that_nobody_watches_is_not_taken_for_the_closed_file) {
  for (int kind = 0; kind < KINDS; kind++) {
    struct seen seen = {0, 0};
    loop = loop_new();
    int number = open_unwatchable(kind);
    loop_handle_t handle = watch(loop, number, BOTH | LOOP_ALWAYS, &seen);
    CHECK_EQ(loop_run_once(loop, -1), 1);
    int far_end = socket_with_number(number);
    check_falls_silent(handle, &seen, FEW);
    check_idle(loop, MS(20));
    check_socket(number, far_end);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_free(loop), 0);
    CHECK_EQ(close(number), 0);
    CHECK_EQ(close(far_end), 0);
  }
}

static struct crowd {
  struct seen files[KINDS];
  int timers, reads, turns;
  uint64_t first_deadline;
} crowd;

static void on_tick(loop_t *l, uint64_t ticks, void *arg) {
  (void)ticks;
  CHECK(loop_clock(l) >= crowd.first_deadline);
  CHECK_EQ(write(*(int *)arg, "x", 1), 1);
  crowd.timers++;
}

static void on_read(loop_t *l, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  take_byte(fd);
  (void)arg;
  if (++crowd.reads == 20) CHECK_EQ(loop_stop(l), 0);
}

static void count_turn(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  crowd.turns++;
}

TEST(files_that_are_always_ready_starve_neither_timers_nor_sockets) {
  int files[KINDS], fds[2];
  memset(&crowd, 0, sizeof crowd);
  loop = loop_new();
  make_pair(fds);
  for (int kind = 0; kind < KINDS; kind++) {
    files[kind] = open_unwatchable(kind);
    watch(loop, files[kind], BOTH | LOOP_ALWAYS, &crowd.files[kind]);
  }
  crowd.first_deadline = loop_clock(loop) + MS(1);
  CHECK(loop_call_every(loop, MS(1), MS(1), LOOP_RUN_MISSED, on_tick, &fds[1]) > 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, on_read, NULL) > 0);
  CHECK(loop_add_hook(loop, LOOP_AFTER_WAIT, count_turn, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK(crowd.timers >= 20);
  for (int kind = 0; kind < KINDS; kind++) {
    CHECK_EQ(crowd.files[kind].events, BOTH);
    CHECK_EQ(crowd.files[kind].calls, crowd.turns); /* once every turn */
    CHECK_EQ(close(files[kind]), 0);
  }
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

TEST(many_watchers_of_one_file_each_get_what_they_ask_for) {
  struct seen reader = {0, 0}, writer = {0, 0}, once = {0, 0}, paused = {0, 0}, other = {0, 0};
  loop = loop_new();
  int file = open_unwatchable(MEMORY_FILE);
  loop_handle_t first = watch(loop, file, LOOP_READABLE | LOOP_ALWAYS, &reader);
  loop_handle_t second = watch(loop, file, LOOP_WRITABLE | LOOP_ALWAYS, &writer);
  loop_handle_t third = watch(loop, file, BOTH | LOOP_ALWAYS | LOOP_ONESHOT, &once);
  watch(loop, file, LOOP_ALWAYS, &paused);
  watch(loop, file, LOOP_PRIORITY | LOOP_ALWAYS, &other);
  CHECK_EQ(loop_run_once(loop, -1), 3);
  CHECK_EQ(loop_run_once(loop, -1), 2);
  CHECK_EQ(once.calls, 1);
  CHECK_EQ(once.events, BOTH);
  CHECK_EQ(loop_watch_update(loop, second, 0), 0);
  CHECK_EQ(loop_watch_update(loop, third, LOOP_WRITABLE | LOOP_ALWAYS), 0);
  CHECK_EQ(loop_run_once(loop, -1), 2);
  CHECK_EQ(once.events, LOOP_WRITABLE);
  CHECK_EQ(loop_cancel(loop, first), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(loop_watch_update(loop, third, 0), 0);
  check_idle(loop, MS(20)); /* all that is left is paused or waits for what never comes */
  CHECK_EQ(reader.calls, 3);
  CHECK_EQ(writer.calls, 2);
  CHECK_EQ(paused.calls + other.calls, 0);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(file), 0);
}
