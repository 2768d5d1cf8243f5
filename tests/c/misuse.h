/* What the tests of misuse share: one row a function of the header, which says how to
 * call it with what a test has at hand, and a stage: a loop with a source of every kind.
 * A test calls every function in one wrong way after the other, prints what each call
 * answered, and lets the loop do some ordinary work afterwards. tests/misuse.rs makes
 * docs/misuse.md of what is printed, and notices when a function has no row here. */
#ifndef EVLOOP_TESTS_MISUSE_H
#define EVLOOP_TESTS_MISUSE_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

__attribute__((constructor)) static void misuse_hang_guard(void) { alarm(100); }

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

/* ---- A stage ---- */

struct stage {
  loop_t *loop;
  loop_handle_t timer, watch;
  loop_remote_t *remote;
  int fds[2];
  int owed, releases;
  int runs;
  loop_event_t event;
  int loop_is_freed, remote_is_freed;
};

static inline void count_release(void *arg) { ((struct stage *)arg)->releases++; }

static inline void count_run(loop_t *loop, void *arg) {
  (void)loop;
  ((struct stage *)arg)->runs++;
}
static inline void count_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  count_run(loop, arg);
}
static inline void count_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  char byte;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(read(fd, &byte, 1), 1);
  count_run(loop, arg);
}
static inline void nothing(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
}
static inline void no_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)loop;
  (void)ticks;
  (void)arg;
}
static inline void no_end(loop_t *loop, loop_handle_t source, uint32_t what, int64_t result, void *data,
                          void *arg) {
  (void)loop, (void)source, (void)what, (void)result, (void)data, (void)arg;
}
static inline void no_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)events;
  (void)arg;
}
static inline void no_wake(void *arg) { (void)arg; }

/* Everything on a stage is owed a release, so that a lost one is noticed. */
static inline loop_handle_t owe(struct stage *s, loop_handle_t handle) {
  CHECK(handle > 0);
  CHECK_EQ(loop_set_release(s->loop, handle, count_release), 0);
  s->owed++;
  return handle;
}

static inline void stage_with(struct stage *s, uint32_t flags) {
  loop_options_t options = {.size = sizeof options, .flags = flags};
  *s = (struct stage){.fds = {-1, -1}};
  misuse_hang_guard();
  CHECK_EQ(loop_new_with(&options, &s->loop), 0);
  CHECK_EQ(pipe2(s->fds, O_NONBLOCK | O_CLOEXEC), 0);
  s->timer = owe(s, loop_call_later(s->loop, HOUR, count_run, s));
  s->watch = owe(s, loop_watch_fd(s->loop, s->fds[0], LOOP_READABLE, count_event, s));
  s->remote = loop_remote_new(s->loop);
  CHECK(s->remote != NULL);
  CHECK_EQ(loop_set_data(s->loop, s), 0);
}

static inline void post_some(struct stage *s) {
  CHECK_EQ(loop_call_soon_threadsafe(s->loop, count_run, s, count_release), 0);
  s->owed++;
}

/* Ordinary work: everything that is asked for runs, once, and what is cancelled does not. */
static inline void work_out(struct stage *s) {
  for (int i = 0; i < 3; i++) CHECK(loop_run_once(s->loop, 0) >= 0); /* leftovers */
  s->runs = 0;
  loop_handle_t watch = owe(s, loop_watch_fd(s->loop, s->fds[0], LOOP_READABLE, count_event, s));
  loop_handle_t cancelled = owe(s, loop_call_soon(s->loop, count_run, s));
  owe(s, loop_call_soon(s->loop, count_run, s));
  owe(s, loop_call_later(s->loop, 0, count_run, s));
  loop_handle_t tick = owe(s, loop_call_every(s->loop, 0, HOUR, LOOP_SKIP_MISSED, count_tick, s));
  post_some(s);
  CHECK_EQ(write(s->fds[1], "x", 1), 1);
  /* An older watcher of the same pipe, if there is one, must not take the byte. */
  if (loop_is_active(s->loop, s->watch) == 1) CHECK_EQ(loop_watch_update(s->loop, s->watch, 0), 0);
  CHECK_EQ(loop_cancel(s->loop, cancelled), 0);
  while (s->runs < 5) CHECK(loop_run_once(s->loop, MS(1)) >= 0);
  CHECK_EQ(loop_run_once(s->loop, 0), 0);
  CHECK_EQ(s->runs, 5);
  CHECK_EQ(loop_is_active(s->loop, cancelled), 0);
  CHECK_EQ(loop_cancel(s->loop, tick), 0);
  CHECK_EQ(loop_cancel(s->loop, watch), 0);
}

/* Nothing was lost or released twice. */
static inline void end_stage(struct stage *s) {
  if (!s->loop_is_freed) CHECK_EQ(loop_free(s->loop), 0);
  if (!s->remote_is_freed) CHECK_EQ(loop_remote_free(s->remote), 0);
  CHECK_EQ(s->releases, s->owed);
  close(s->fds[0]);
  close(s->fds[1]);
}

/* ---- Every function ---- */

/* What a call answers, and so how it is printed. */
enum answer { CODE, NUMBER, POINTER, TIME };

typedef int64_t (*misuse_call)(struct stage *s);

struct function {
  const char *name;
  const char *takes; /* of: Loop, Timer (handle of a), Watch, Handle of any, Remote */
  enum answer answer;
  misuse_call call;
};

static inline int64_t made(loop_t *loop) {
  if (loop == NULL) return 0;
  CHECK_EQ(loop_free(loop), 0);
  return 1;
}
static inline int64_t made_with_options(void) {
  loop_options_t options = {.size = sizeof options};
  loop_t *loop = NULL;
  int code = loop_new_with(&options, &loop);
  CHECK_EQ(made(loop), code == 0);
  return code;
}
static inline int64_t freed(struct stage *s) {
  int code = loop_free(s->loop);
  s->loop_is_freed |= code == 0;
  return code;
}
static inline int64_t made_remote(struct stage *s) {
  loop_remote_t *remote = loop_remote_new(s->loop);
  if (remote == NULL) return 0;
  CHECK_EQ(loop_remote_free(remote), 0);
  return 1;
}
static inline int64_t freed_remote(struct stage *s) {
  int code = loop_remote_free(s->remote);
  s->remote_is_freed |= code == 0;
  return code;
}
/* A stop that is allowed keeps them from running for ever. */
static inline int64_t ran_forever(struct stage *s) {
  loop_stop(s->loop);
  return loop_run_forever(s->loop);
}
static inline int64_t ran(struct stage *s) {
  loop_stop(s->loop);
  return loop_run(s->loop);
}
/* The old function and argument stay good. */
static inline int64_t set_release(struct stage *s) {
  return loop_set_release(s->loop, s->timer, count_release);
}
static inline int64_t posted(struct stage *s) {
  int code = loop_call_soon_threadsafe(s->loop, count_run, s, count_release);
  s->owed += code == 0;
  return code;
}
static inline int64_t posted_remotely(struct stage *s) {
  int code = loop_remote_call_soon(s->remote, count_run, s, count_release);
  s->owed += code == 0;
  return code;
}

/* X(name, takes, answer, expression of `s`) */
#define FUNCTIONS(X)                                                                     \
  X(loop_new, "", POINTER, made(loop_new()))                                             \
  X(loop_new_with, "", CODE, made_with_options())                                        \
  X(loop_free, "L", CODE, freed(s))                                                      \
  X(loop_set_data, "L", CODE, loop_set_data(s->loop, s))                                 \
  X(loop_data, "L", POINTER, loop_data(s->loop) != NULL)                                 \
  X(loop_run_forever, "L", CODE, ran_forever(s))                                         \
  X(loop_run, "L", CODE, ran(s))                                                         \
  X(loop_run_once, "L", CODE, loop_run_once(s->loop, 0))                                 \
  X(loop_run_ready, "L", CODE, loop_run_ready(s->loop, 0))                               \
  X(loop_stop, "L", CODE, loop_stop(s->loop))                                            \
  X(loop_stop_all, "L", CODE, loop_stop_all(s->loop))                                    \
  X(loop_is_running, "L", CODE, loop_is_running(s->loop))                                \
  X(loop_has_work, "L", CODE, loop_has_work(s->loop))                                    \
  X(loop_in_thread, "L", NUMBER, loop_in_thread(s->loop))                                \
  X(loop_call_soon, "L", CODE, loop_call_soon(s->loop, nothing, NULL))                   \
  X(loop_call_later, "L", CODE, loop_call_later(s->loop, 0, nothing, NULL))              \
  X(loop_call_at, "L", CODE, loop_call_at(s->loop, 0, nothing, NULL))                    \
  X(loop_call_every, "L", CODE, loop_call_every(s->loop, HOUR, 1, 0, no_tick, NULL))     \
  X(loop_reschedule, "LT", CODE, loop_reschedule(s->loop, s->timer, HOUR))               \
  X(loop_reschedule_at, "LT", CODE, loop_reschedule_at(s->loop, s->timer, UINT64_MAX))   \
  X(loop_remaining, "LT", CODE, loop_remaining(s->loop, s->timer))                       \
  X(loop_cancel, "LH", CODE, loop_cancel(s->loop, s->timer))                             \
  X(loop_is_active, "LH", NUMBER, loop_is_active(s->loop, s->timer))                     \
  X(loop_current, "L", CODE, loop_current(s->loop))                                      \
  X(loop_set_arg, "LH", CODE, loop_set_arg(s->loop, s->timer, s))                        \
  X(loop_set_release, "LH", CODE, set_release(s))                                        \
  X(loop_set_name, "LH", CODE, loop_set_name(s->loop, s->timer, "a name"))               \
  X(loop_ref, "LH", CODE, loop_ref(s->loop, s->timer))                                   \
  X(loop_unref, "LH", CODE, loop_unref(s->loop, s->timer))                               \
  X(loop_watch_fd, "L", CODE, loop_watch_fd(s->loop, s->fds[1], LOOP_READABLE, no_event, NULL)) \
  X(loop_watch_update, "LW", CODE, loop_watch_update(s->loop, s->watch, 0))              \
  X(loop_watch_events, "LW", CODE, loop_watch_events(s->loop, s->watch))                 \
  X(loop_poll_fd, "L", CODE, loop_poll_fd(s->loop, s->fds[1], LOOP_READABLE, -1, no_end, NULL))  \
  X(loop_add_hook, "L", CODE, loop_add_hook(s->loop, LOOP_WHEN_IDLE, nothing, NULL))     \
  X(loop_call_soon_threadsafe, "L", CODE, posted(s))                                     \
  X(loop_wake, "L", CODE, loop_wake(s->loop))                                            \
  X(loop_remote_new, "L", POINTER, made_remote(s))                                       \
  X(loop_remote_call_soon, "R", CODE, posted_remotely(s))                                \
  X(loop_remote_free, "R", CODE, freed_remote(s))                                        \
  X(loop_fd, "L", CODE, loop_fd(s->loop))                                                \
  X(loop_timeout, "L", CODE, loop_timeout(s->loop))                                      \
  X(loop_flush, "L", CODE, loop_flush(s->loop))                                          \
  X(loop_set_wake_hook, "L", CODE, loop_set_wake_hook(s->loop, no_wake, NULL))           \
  X(loop_after_fork, "L", CODE, loop_after_fork(s->loop))                                \
  X(loop_next_events, "L", CODE, loop_next_events(s->loop, &s->event, 1, 0))             \
  X(loop_now, "L", TIME, loop_now(s->loop) != 0)                                         \
  X(loop_clock, "L", TIME, loop_clock(s->loop) != 0)                                     \
  X(loop_advance, "L", CODE, loop_advance(s->loop, 1))                                   \
  X(loop_strerror, "", POINTER, loop_strerror(LOOP_ESTALE) != NULL)                      \
  X(loop_error_name, "", POINTER, loop_error_name(LOOP_ESTALE) != NULL)                  \
  X(loop_version, "", NUMBER, loop_version() == LOOP_VERSION)

#define DEFINE_CALL(name, takes, answer, expression) \
  static inline int64_t call_##name(struct stage *s) { \
    (void)s;                                           \
    return (int64_t)(expression);                      \
  }
FUNCTIONS(DEFINE_CALL)

#define ROW(name, takes, answer, expression) {#name, takes, answer, call_##name},
static const struct function functions[] = {FUNCTIONS(ROW)};
#define FUNCTION_COUNT (sizeof functions / sizeof *functions)

#define EACH_FUNCTION(f) \
  for (const struct function *f = functions; f < functions + FUNCTION_COUNT; f++)

/* ---- What is printed ---- */

static inline const char *answer_text(enum answer kind, int64_t answer) {
  static char number[24];
  if (kind == POINTER) return answer ? "ok" : "NULL";
  if (kind == TIME) return answer ? "ok" : "0";
  if (answer < 0) return loop_error_name((int)answer);
  if (kind == CODE) return "ok";
  snprintf(number, sizeof number, "%d", (int)answer);
  return number;
}

/* A row of a table: which table, which function, which misuse, what came of it. */
static inline void report(const char *table, const struct function *f, const char *misuse,
                          int64_t answer) {
  const char *text = answer_text(f->answer, answer);
  CHECK(strcmp(text, "UNKNOWN") != 0);
  printf("%s|%s|%s|%s\n", table, f->name, misuse, text);
}

/* Open descriptors: none is left behind. */
static inline int open_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static int open_at_first;
__attribute__((constructor)) static void count_open_at_first(void) { open_at_first = open_descriptors(); }

/* In a child, which says by its end whether all was well. */
static inline void wait_for(pid_t child) {
  int status = -1;
  CHECK(child > 0);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

#endif
