/* Law 7, closed descriptors: a watcher whose descriptor was closed is silent
 * until it is cancelled, whatever file takes the number, and whenever; a new
 * watcher on the number hears of the new file alone. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

/* Kinds of files, quiet at first. Writing to `far` makes `fd` readable. */
enum kind { PIPE, SOCKET, TCP, EVENTFD, PTY, KINDS };

struct file {
  enum kind kind;
  int fd, far;
};

static struct file open_file(enum kind kind) {
  int fds[2] = {-1, -1};
  if (kind == PIPE) CHECK_EQ(pipe(fds), 0);
  if (kind == SOCKET) make_pair(fds);
  if (kind == TCP) make_tcp_pair(fds);
  if (kind == EVENTFD) fds[0] = fds[1] = eventfd(0, 0);
  if (kind == PTY) {
    fds[0] = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK_EQ(grantpt(fds[0]), 0);
    CHECK_EQ(unlockpt(fds[0]), 0);
    fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY);
  }
  CHECK(fds[0] >= 0 && fds[1] >= 0);
  return (struct file){kind, fds[0], fds[1]};
}

static void make_readable(struct file file) {
  struct pollfd arrival = {file.fd, POLLIN, 0};
  uint64_t one = 1;
  CHECK_EQ(write(file.far, &one, sizeof one), sizeof one);
  CHECK_EQ(poll(&arrival, 1, -1), 1);
}

static void close_file(struct file file) {
  if (file.far != file.fd) CHECK_EQ(close(file.far), 0);
  CHECK_EQ(close(file.fd), 0);
}

/* Closes a file and opens another one with the same number. */
static struct file reopen(struct file old, enum kind kind) {
  close_file(old);
  struct file new = open_file(kind);
  int is_one = new.fd == new.far;
  if (new.far == old.fd && !is_one) CHECK((new.far = dup(new.far)) >= 0);
  move_fd(new.fd, old.fd);
  if (is_one) new.far = old.fd;
  new.fd = old.fd;
  return new;
}

static loop_t *loop;

/* When the old watcher is cancelled. */
enum when { BEFORE_CLOSE, AFTER_REUSE, AFTER_NEW_WATCH, AFTER_NEW_EVENT, NEVER, WHENS };

static void check_reuse(enum kind old_kind, enum kind new_kind, enum when when) {
  struct seen old = {0, 0}, new = {0, 0};
  struct file file = open_file(old_kind);
  loop_handle_t old_watch = watch(loop, file.fd, LOOP_READABLE, &old);
  make_readable(file);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  if (when == BEFORE_CLOSE) CHECK_EQ(loop_cancel(loop, old_watch), 0);
  file = reopen(file, new_kind);
  if (when == AFTER_REUSE) CHECK_EQ(loop_cancel(loop, old_watch), 0);
  loop_handle_t new_watch = watch(loop, file.fd, LOOP_READABLE, &new);
  if (when == AFTER_NEW_WATCH) CHECK_EQ(loop_cancel(loop, old_watch), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  make_readable(file);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(new.events, LOOP_READABLE);
  if (when == AFTER_NEW_EVENT) CHECK_EQ(loop_cancel(loop, old_watch), 0);
  CHECK_EQ(loop_run_once(loop, -1), 1); /* still there, still told */
  CHECK_EQ(old.calls, 1);
  CHECK_EQ(new.calls, 2);
  CHECK_EQ(loop_cancel(loop, new_watch), 0);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  if (when == NEVER) {
    CHECK_EQ(loop_is_active(loop, old_watch), 0);
    CHECK_EQ(loop_cancel(loop, old_watch), 0);
  }
  CHECK_EQ(loop_has_work(loop), 0);
  close_file(file);
}

TEST(every_kind_of_file_takes_the_number_of_every_other) {
  loop = loop_new();
  for (int old = 0; old < KINDS; old++) {
    for (int new = 0; new < KINDS; new++) {
      for (int when = 0; when < WHENS; when++) check_reuse(old, new, when);
    }
  }
  CHECK_EQ(loop_free(loop), 0);
}

/* The first one that is called replaces all the others by other kinds. */
static struct peer {
  struct file file;
  struct seen old, new;
  loop_handle_t handle;
} peers[KINDS];
static int callers;

static void replace_the_others(loop_t *l, int fd, uint32_t events, void *arg) {
  see(l, fd, events, &((struct peer *)arg)->old);
  if (callers++ > 0) return;
  for (int i = 0; i < KINDS; i++) {
    if (&peers[i] == arg) continue;
    peers[i].file = reopen(peers[i].file, (i + 1) % KINDS);
    watch(l, peers[i].file.fd, LOOP_READABLE, &peers[i].new);
  }
}

TEST(a_batch_that_holds_events_of_replaced_files_tells_nobody) {
  loop = loop_new();
  callers = 0;
  for (int i = 0; i < KINDS; i++) {
    peers[i] = (struct peer){open_file(i), {0, 0}, {0, 0}, 0};
    make_readable(peers[i].file);
    peers[i].handle = loop_watch_fd(loop, peers[i].file.fd, LOOP_READABLE, replace_the_others, &peers[i]);
    CHECK(peers[i].handle > 0);
  }
  run_for(loop, MS(1)); /* all are ready in the first turn, one is left from then on */
  for (int i = 0; i < KINDS; i++) {
    CHECK_EQ(peers[i].new.calls, 0);
    if (peers[i].old.calls == 0) make_readable(peers[i].file);
  }
  CHECK_EQ(loop_run_once(loop, -1), KINDS);
  for (int i = 0; i < KINDS; i++) {
    CHECK_EQ(peers[i].new.calls, peers[i].old.calls == 0);
    CHECK_EQ(loop_cancel(loop, peers[i].handle), 0);
  }
  CHECK_EQ(loop_free(loop), 0);
  for (int i = 0; i < KINDS; i++) close_file(peers[i].file);
}

static struct seen successor;

static void replace_itself(loop_t *l, int fd, uint32_t events, void *arg) {
  struct peer *self = arg;
  see(l, fd, events, &self->old);
  self->file = reopen(self->file, PIPE);
  watch(l, self->file.fd, LOOP_READABLE, &successor);
}

TEST(a_callback_replaces_its_own_file_and_forgets_to_cancel_itself) {
  loop = loop_new();
  successor = (struct seen){0, 0};
  struct peer peer = {open_file(SOCKET), {0, 0}, {0, 0}, 0};
  make_readable(peer.file);
  CHECK(loop_watch_fd(loop, peer.file.fd, LOOP_READABLE, replace_itself, &peer) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  make_readable(peer.file);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(successor.calls, 1);
  CHECK_EQ(peer.old.calls, 1);
  CHECK_EQ(loop_free(loop), 0);
  close_file(peer.file);
}

/* Nobody watches the new file; the old watcher's interest is changed as if nothing
 * had happened. */
TEST(an_update_does_not_bring_a_closed_watcher_to_the_new_file) {
  loop = loop_new();
  for (int kind = 0; kind < KINDS; kind++) {
    struct seen old = {0, 0};
    struct file file = open_file(SOCKET);
    loop_handle_t handle = watch(loop, file.fd, kind % 2 ? LOOP_READABLE : 0, &old);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    file = reopen(file, kind);
    make_readable(file);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE | LOOP_WRITABLE), 0);
    CHECK_EQ(loop_run_once(loop, 0), 0);
    CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), -EBADF); /* it knows by now */
    CHECK_EQ(loop_is_active(loop, handle), 0);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(old.calls, 0);
    close_file(file);
  }
  CHECK_EQ(loop_free(loop), 0);
}

/* Paused while its peer hung up, in whatever way: then closed, and the number reused. */
static loop_handle_t paused_at_a_hangup(struct file *file, uint32_t flags, struct seen *seen) {
  *file = open_file(SOCKET);
  loop_handle_t handle = watch(loop, file->fd, LOOP_READABLE | flags, seen);
  CHECK_EQ(shutdown(file->far, SHUT_RDWR), 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  if (!(flags & LOOP_ONESHOT)) CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
  for (int turn = 0; turn < 3; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
  return handle;
}

static void check_paused_at_a_hangup(uint32_t flags, int is_watched_anew) {
  struct seen old = {0, 0}, new = {0, 0};
  struct file file;
  loop = loop_new();
  loop_handle_t handle = paused_at_a_hangup(&file, flags, &old);
  file = reopen(file, SOCKET);
  if (is_watched_anew) watch(loop, file.fd, LOOP_READABLE, &new);
  make_readable(file);
  int result = loop_watch_update(loop, handle, LOOP_READABLE);
  CHECK(result == 0 || result == -EBADF);
  CHECK_EQ(loop_run_once(loop, 0), is_watched_anew);
  CHECK_EQ(loop_run_once(loop, 0), is_watched_anew);
  CHECK_EQ(old.calls, 1);
  CHECK_EQ(loop_free(loop), 0);
  close_file(file);
}

TEST(a_watcher_paused_at_a_hangup_hears_nothing_of_a_file_that_is_watched_anew) {
  check_paused_at_a_hangup(0, 1);
  check_paused_at_a_hangup(LOOP_ONESHOT, 1);
}

TEST(a_watcher_paused_at_a_hangup_hears_nothing_of_a_file_that_nobody_watches) {
  check_paused_at_a_hangup(0, 0);
  check_paused_at_a_hangup(LOOP_ONESHOT, 0);
}
