/* Descriptors: set up, watched for a moment, paused, changed, served. */
#include "backend.h"

#include <unistd.h>

static const char *measured(int pass, const char *row) { return pass ? row : "-"; }

ON_FD(count_event) {
  (void)FD_IS_READABLE;
  ++*(uint64_t *)ARG;
}

/* Many descriptors begin to be watched, and the kernel knows it. The first time round all of them
 * are made readable, and each must call back. */
static int *fds;

ON_FD(read_one) {
  uint64_t value;
  int fd = fds[(uintptr_t)ARG];
  if (FD_IS_READABLE && read(fd, &value, sizeof value) == sizeof value) calls++;
}

static void make_readable(uint64_t i) {
  uint64_t one = 1;
  must(write(fds[i], &one, sizeof one) == sizeof one, "write");
}

void run_watch_setup(uint64_t count) {
  count = allow_descriptors(count);
  b_fd *watches = touched(count, sizeof *watches);
  fds = touched(count, sizeof *fds);
  b_loop *l = b_new();
  b_keep(l);
  for (int pass = 0; pass < 6; pass++) {
    /* New ones each time: libev leaves old ones in the kernel's set. */
    for (uint64_t i = 0; i < count; i++) fds[i] = event_fd(false);
    phase_begin(measured(pass, "watch_setup"));
    for (uint64_t i = 0; i < count; i++) {
      b_fd_init(l, &watches[i], fds[i], read_one, (void *)i);
      b_fd_start(l, &watches[i], fds[i], READABLE, read_one, (void *)i);
    }
    b_turn(l);
    phase_end(count);
    if (pass == 0) {
      for (uint64_t i = 0; i < count; i++) make_readable(i);
      while (calls < count) b_wait(l);
    }
    phase_begin(measured(pass, "watch_teardown"));
    for (uint64_t i = 0; i < count; i++) b_fd_end(l, &watches[i], NULL, NULL);
    b_turn(l);
    phase_end(count);
    for (uint64_t i = 0; i < count; i++) close(fds[i]);
  }
  must_equal("descriptors that called back", count, calls);
  b_free(l);
}

/* A readable descriptor is watched for one turn at a time; then a kept watcher is paused and
 * resumed instead. */
void run_watch_one(uint64_t count) {
  b_loop *l = b_new();
  b_keep(l);
  int fd = event_fd(true);
  b_fd watch;
  b_fd_init(l, &watch, fd, count_event, &calls);
  for (int pass = 0; pass < 3; pass++) {
    calls = 0;
    phase_begin(measured(pass, "watch_add_turn_cancel"));
    for (uint64_t i = 0; i < count; i++) {
      b_fd_start(l, &watch, fd, READABLE, count_event, &calls);
      b_turn(l);
      b_fd_stop(l, &watch);
    }
    phase_end(count);
    must_equal("events", count, calls);
  }
  b_fd_start(l, &watch, fd, READABLE, count_event, &calls);
  b_fd_set(l, &watch, 0);
  for (int pass = 0; pass < 3; pass++) {
    calls = 0;
    phase_begin(measured(pass, "watch_resume_turn_pause"));
    for (uint64_t i = 0; i < count; i++) {
      b_fd_set(l, &watch, READABLE);
      b_turn(l);
      b_fd_set(l, &watch, 0);
    }
    phase_end(count);
    must_equal("events", count, calls);
  }
  b_fd_stop(l, &watch);
  b_free(l);
}

/* Interest in writing comes and goes before the kernel is asked. */
void run_watch_toggle(uint64_t count) {
  b_loop *l = b_new();
  int ends[2];
  socket_pair(ends);
  b_fd watch;
  b_write write;
  b_fd_init(l, &watch, ends[0], count_event, &calls);
  b_fd_start(l, &watch, ends[0], READABLE, count_event, &calls);
  b_write_init(l, &write, &watch, ends[0], count_event, &calls);
  b_turn(l);
  for (int pass = 0; pass < 2; pass++) {
    phase_begin(measured(pass, "watch_toggle"));
    for (uint64_t i = 0; i < count; i++) {
      b_write_on(l, &write, &watch);
      b_write_off(l, &write, &watch);
    }
    phase_end(count);
  }
  b_turn(l);
  must_equal("events", 0, calls);
  /* And interest that stays is told. */
  b_write_on(l, &write, &watch);
  b_turn(l);
  must_equal("events", 1, calls);
  b_write_off(l, &write, &watch);
  b_turn(l);
  must_equal("events", 1, calls);
  b_fd_stop(l, &watch);
  b_free(l);
}

/* libevent's own benchmark: 1,000 socket pairs, 100 tokens that go from pair to pair. */
enum { PAIRS = 1000, ACTIVE = 100 };
static struct {
  int ends[PAIRS][2];
  uint64_t to_write;
} ring;

ON_FD(pass_token) {
  size_t pair = (size_t)(uintptr_t)ARG;
  char token;
  if (!FD_IS_READABLE || read(ring.ends[pair][0], &token, 1) != 1) return;
  calls++;
  if (!ring.to_write) return;
  ring.to_write--;
  must(write(ring.ends[(pair + 1) % PAIRS][1], &token, 1) == 1, "write");
}

static void pass_tokens(b_loop *l, const char *row, uint64_t events) {
  calls = 0;
  ring.to_write = events - ACTIVE;
  phase_begin(row);
  for (size_t i = 0; i < ACTIVE; i++) must(write(ring.ends[i * (PAIRS / ACTIVE)][1], "e", 1) == 1, "write");
  while (calls < events) b_wait(l);
  phase_end(events);
  must_equal("events", events, calls);
}

void run_delivery(uint64_t events) {
  static b_fd watches[PAIRS];
  allow_descriptors(2 * PAIRS);
  b_loop *l = b_new();
  for (size_t i = 0; i < PAIRS; i++) {
    socket_pair(ring.ends[i]);
    void *arg = (void *)(uintptr_t)i;
    b_fd_init(l, &watches[i], ring.ends[i][0], pass_token, arg);
    b_fd_start(l, &watches[i], ring.ends[i][0], READABLE, pass_token, arg);
  }
  b_turn(l);
  pass_tokens(l, "-", 10 * ACTIVE);
  pass_tokens(l, "delivery", events);
  for (size_t i = 0; i < PAIRS; i++) b_fd_stop(l, &watches[i]);
  b_free(l);
}

/* Few active descriptors among ever more that are watched: eventfds, 100 of which become readable
 * at a time. */
void run_delivery_among(uint64_t count) {
  enum { BATCHES = 200 };
  count = allow_descriptors(count);
  must(count >= ACTIVE, "too few descriptors");
  b_fd *watches = touched(count, sizeof *watches);
  fds = touched(count, sizeof *fds);
  b_loop *l = b_new();
  for (uint64_t i = 0; i < count; i++) {
    fds[i] = event_fd(false);
    b_fd_init(l, &watches[i], fds[i], read_one, (void *)i);
    b_fd_start(l, &watches[i], fds[i], READABLE, read_one, (void *)i);
  }
  b_turn(l);
  for (int pass = 0; pass < 2; pass++) {
    calls = 0;
    phase_begin(measured(pass, "delivery_among"));
    for (uint64_t batch = 1; batch <= BATCHES; batch++) {
      for (uint64_t i = 0; i < ACTIVE; i++) make_readable((i * (count / ACTIVE) + batch) % count);
      while (calls < batch * ACTIVE) b_wait(l);
    }
    phase_end(BATCHES * ACTIVE);
    must_equal("events", BATCHES * ACTIVE, calls);
  }
  for (uint64_t i = 0; i < count; i++) b_fd_stop(l, &watches[i]);
  b_free(l);
}
