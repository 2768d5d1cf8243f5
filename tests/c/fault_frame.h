/* What the fault_*.c tests share. A scenario uses the loop as a program would
 * that knows what to do about errors: a call that the injected fault makes fail
 * has to say so by that code, and is made again, and from then on all has to go
 * as if there had been no fault. At its end the loop passes a work-out, every
 * callback has run and every release been made as often as it should, and no
 * descriptor is left over. The file that includes this injects the faults, and
 * says in `fault` what they are. */
#ifndef EVLOOP_TESTS_FAULT_FRAME_H
#define EVLOOP_TESTS_FAULT_FRAME_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pairs.h"

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

static struct {
  const char *name;  /* of the scenario, and what is injected into it */
  int error;         /* what an honest call may say: -error */
  int is_hidden;     /* no call may say so: the library gets along without */
  int lies;          /* about a descriptor: a watcher may fall silent, if asked it says -EBADF */
  int (*is_true)(void); /* a call has said so: was there such a fault? One that lasts ends now */
  void (*end)(void);    /* no more faults */
  long told;
} fault;

/* A callback that was lost is a hang. (write is one of the calls that fail.) */
static inline void say(const char *text) {
  struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
  (void)!writev(2, &part, 1);
}

static inline void give_up_by_signal(int number) {
  (void)number;
  say("it hangs, in: ");
  if (fault.name != NULL) say(fault.name);
  say("\n");
  _exit(1);
}

static inline void guard_against_hangs(void) { alarm(100); }

__attribute__((constructor)) static void hang_guard(void) {
  CHECK(signal(SIGALRM, give_up_by_signal) != SIG_ERR);
  guard_against_hangs();
}

static loop_t *loop;

/* Called once inside the next wait that may block: what another thread does then. */
static void (*when_asleep)(void);

enum { SOURCES = 64 };

/* An argument that counts. */
static struct source {
  int runs, expected; /* -1: any number */
  int releases, owed;
} sources[SOURCES];
static int source_count;

static inline struct source *new_source(int expected) {
  CHECK(source_count < SOURCES);
  struct source *s = &sources[source_count++];
  *s = (struct source){.expected = expected};
  return s;
}

static inline void run(loop_t *l, void *arg) {
  (void)l;
  ((struct source *)arg)->runs++;
}
static inline void tick(loop_t *l, uint64_t ticks, void *arg) {
  CHECK(ticks >= 1);
  run(l, arg);
}
static inline void see(loop_t *l, int fd, uint32_t events, void *arg) {
  CHECK(fd >= 0 && events != 0);
  run(l, arg);
}
static inline void release(void *arg) { ((struct source *)arg)->releases++; }

/* Is the call to be made again? Ends the test if it had no right to fail. */
static inline int again(int64_t result, const char *call, int line) {
  if (result >= 0) return 0;
  int is_right = result == -fault.error || (fault.lies && (result == -EBADF || result == -ENOENT));
  if (!is_right || fault.is_hidden || !fault.is_true()) {
    fprintf(stderr, "line %d: %s is %s, in: %s\n", line, call, loop_error_name((int)result), fault.name);
    exit(1);
  }
  fault.told++;
  return 1;
}

/* Makes a call until it works. */
#define TRY(into, call)                        \
  do {                                         \
    into = (call);                             \
  } while (again((int64_t)into, #call, __LINE__))
#define DO(call)             \
  do {                       \
    int64_t outcome;         \
    TRY(outcome, call);      \
    (void)outcome;           \
  } while (0)

/* A call whose only word for an error is NULL. */
#define TRY_POINTER(into, call)                                       \
  do {                                                                \
    into = (call);                                                    \
  } while (again(into == NULL ? -fault.error : 0, #call, __LINE__))

static inline void open_loop(uint32_t flags, uint32_t max_events) {
  loop_options_t options = {.size = sizeof options, .flags = flags, .max_events = max_events};
  DO(loop_new_with(&options, &loop));
}

static inline void owe(struct source *s, loop_handle_t handle) {
  DO(loop_set_release(loop, handle, release));
  s->owed++;
}

static inline struct source *soon(int expected) {
  struct source *s = new_source(expected);
  loop_handle_t handle;
  TRY(handle, loop_call_soon(loop, run, s));
  owe(s, handle);
  return s;
}

static inline loop_handle_t later(uint64_t delay, struct source *s) {
  loop_handle_t handle;
  TRY(handle, loop_call_later(loop, delay, run, s));
  owe(s, handle);
  return handle;
}

static inline void give_up(const char *why) {
  fprintf(stderr, "%s, in: %s\n", why, fault.name);
  exit(1);
}

/* Runs until it has run so often. When a callback is lost, the loop spins, or it waits
 * in vain until the alarm says so. */
static inline void run_until(struct source *s, int runs) {
  for (int turns = 0; s->runs < runs; turns++) {
    DO(loop_run_once(loop, (int64_t)HOUR));
    if (turns > 500) give_up("a callback was lost");
  }
}

/* ppoll, since poll is one of the calls that fail. NULL: without any time limit. */
static inline int is_readable(int fd, const struct timespec *timeout) {
  struct pollfd one = {fd, POLLIN, 0};
  return ppoll(&one, 1, timeout, NULL);
}

/* A host waits for the descriptor alone. It looks after a while all the same once a call
 * has said that something went wrong. */
static inline void host_until(int fd, struct source *s) {
  long told = fault.told;
  for (int turns = 0; s->runs == 0; turns++) {
    const struct timespec a_while = {0, 100000000};
    CHECK(is_readable(fd, fault.told == told ? NULL : &a_while) >= 0);
    DO(loop_run_once(loop, 0));
    CHECK(turns < 1000);
  }
}

static struct source *posted;

static inline void post_now(void) {
  DO(loop_call_soon_threadsafe(loop, run, posted, release));
  posted->owed++;
}

struct watcher {
  loop_handle_t handle;
  struct source *source;
  uint32_t mask;
  int is_silent;
};

static inline struct watcher watch(int fd, uint32_t mask) {
  struct watcher w = {0, new_source(-1), mask, 0};
  TRY(w.handle, loop_watch_fd(loop, fd, mask, see, w.source));
  owe(w.source, w.handle);
  return w;
}

static inline void update(struct watcher *w, uint32_t mask) {
  w->mask = mask;
  int64_t result = fault.lies ? loop_watch_update(loop, w->handle, mask) : 0;
  if (result == -EBADF) w->is_silent = 1;
  if (!fault.lies) DO(loop_watch_update(loop, w->handle, mask));
}

/* It is called, unless the library was told that its descriptor is none, and says so. */
static inline void run_until_seen(struct watcher *w) {
  int before = w->source->runs;
  for (int turns = 0; fault.lies && w->source->runs == before && !w->is_silent; turns++) {
    DO(loop_run_once(loop, (int64_t)MS(1)));
    if (turns > 0) update(w, w->mask);
    if (turns > 500) give_up("a watcher fell silent");
  }
  if (!w->is_silent) run_until(w->source, before + 1);
}

static inline void cancel(struct watcher *w) {
  CHECK_EQ(loop_cancel(loop, w->handle), 0);
  w->source->expected = w->source->runs;
}

static inline void make_pair(int fds[2]) { make_pair_with(fds, SOCK_NONBLOCK); }

static inline int open_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 600; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static inline void run_nested(loop_t *l, void *arg) {
  CHECK(loop_call_soon(l, run, arg) > 0);
  CHECK(loop_run_once(l, 0) >= 1);
}

/* Once the fault is gone the loop does everything that a loop does. */
static inline void work_out(void) {
  struct source *s = new_source(6), *late = new_source(2);
  struct source *w = new_source(2);
  int fds[2];
  make_pair(fds);
  loop_handle_t handle = loop_watch_fd(loop, fds[0], LOOP_READABLE, see, w);
  CHECK(handle > 0);
  CHECK(loop_call_soon(loop, run, s) > 0);
  CHECK(loop_call_soon(loop, run_nested, s) > 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(loop_call_soon_threadsafe(loop, run, s, release), 0);
  s->owed += 2;
  put_byte(fds[1]);
  run_until(s, 4);
  run_until(w, 1);
  take_byte(fds[0]);
  CHECK(loop_call_later(loop, US(20), run, late) > 0);
  CHECK(loop_call_later(loop, US(80), run, late) > 0);
  run_until(late, 2);
  w->runs = 1; /* level-triggered: it may have been told more than once */
  put_byte(fds[1]);
  run_until(w, 2);
  w->runs = 2;
  CHECK_EQ(loop_cancel(loop, handle), 0);
  handle = loop_call_soon(loop, run, s);
  CHECK_EQ(loop_set_release(loop, handle, release), 0);
  s->owed++;
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK(loop_call_soon(loop, run, s) > 0);
  CHECK(loop_call_soon(loop, run, s) > 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  close_pair(fds);
}

static inline void check_sources(void) {
  for (struct source *s = sources; s < sources + source_count; s++) {
    int is_right = (s->expected < 0 || s->runs == s->expected) && s->releases == s->owed;
    if (is_right) continue;
    fprintf(stderr, "source %d: %d runs of %d, %d releases of %d, in: %s\n", (int)(s - sources), s->runs,
            s->expected, s->releases, s->owed, fault.name);
    exit(1);
  }
  source_count = 0;
}

static inline void free_loop(void) {
  CHECK_EQ(loop_free(loop), 0);
  check_sources();
}

static inline void end_loop(void) {
  fault.end();
  work_out();
  free_loop();
}

/* Runs a scenario, which must leave nothing behind. */
static inline void run_scenario(void (*scenario)(void)) {
  int before = open_descriptors();
  guard_against_hangs();
  scenario();
  if (open_descriptors() == before) return;
  fprintf(stderr, "%d descriptors are left over, in: %s\n", open_descriptors() - before, fault.name);
  exit(1);
}

#endif
