/* What the tests of exceptions share: the ways to run a loop, the kinds of
 * callback and of hook that may throw, and a scene in which one of them does.
 * Each callback writes one letter in the scene's journal; the one that throws
 * writes T. */
#ifndef EVLOOP_TESTS_THROWING_HPP
#define EVLOOP_TESTS_THROWING_HPP

#include <exception>
#include <stdexcept>
#include <string>

#include <sys/time.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

struct Run {
  const char *name;
  int (*run)(loop_t *);
  bool counts; /* returns the callbacks it ran, else 0 when stopped */
};

static const Run all_runs[] = {
    {"run_forever", loop_run_forever, false},
    {"run", loop_run, false},
    {"run_once", [](loop_t *loop) { return loop_run_once(loop, -1); }, true},
    {"run_ready", [](loop_t *loop) { return loop_run_ready(loop, UINT64_MAX); }, true},
};

/* How many objects are on the stacks of callbacks: an exception that leaves a
 * callback must destroy them. */
static int objects_alive = 0;
struct OnTheStack {
  OnTheStack() { objects_alive++; }
  ~OnTheStack() { objects_alive--; }
};

struct Scene {
  loop_t *loop = loop_new();
  std::string journal;
  int pipe_ends[2] = {-1, -1};
  loop_handle_t thrower = 0; /* 0 for a post until it runs */
  bool throws = true;
  int released = 0; /* how often the thrower was released */

  Scene() {
    CHECK(loop != nullptr);
    CHECK_EQ(pipe(pipe_ends), 0);
  }
  ~Scene() {
    if (loop != nullptr) CHECK_EQ(loop_free(loop), 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
  }
  Scene(const Scene &) = delete;

  void fill_pipe() { CHECK_EQ(write(pipe_ends[1], "x", 1), 1); }
  void drain_pipe() {
    char byte;
    CHECK_EQ(read(pipe_ends[0], &byte, 1), 1);
  }
};

#define CHECK_JOURNAL(scene, expected)                                       \
  do {                                                                       \
    if ((scene).journal != (expected)) {                                     \
      fprintf(stderr, "%s:%d: ran \"%s\", expected \"%s\"\n", __FILE__,      \
              __LINE__, (scene).journal.c_str(), std::string(expected).c_str()); \
      exit(1);                                                               \
    }                                                                        \
    (scene).journal.clear();                                                 \
  } while (0)

/* The thrower's body, whatever kind of callback it is. */
static inline void may_throw(Scene &scene) {
  OnTheStack object;
  scene.journal += 'T';
  loop_handle_t current = loop_current(scene.loop);
  CHECK(current > 0);
  if (scene.thrower != 0) CHECK_EQ(current, scene.thrower);
  scene.thrower = current;
  if (scene.throws) throw std::runtime_error("T");
}

static inline void thrower_call(loop_t *, void *scene) { may_throw(*static_cast<Scene *>(scene)); }
static inline void thrower_tick(loop_t *, uint64_t, void *scene) { thrower_call(nullptr, scene); }
static inline void thrower_event(loop_t *, int, uint32_t, void *scene) { thrower_call(nullptr, scene); }
static inline void thrower_release(void *scene) { static_cast<Scene *>(scene)->released++; }

struct Kind {
  const char *name;
  bool repeats;          /* goes on after a throw, else it is finished */
  void (*arm)(Scene &);  /* makes the thrower, ready in the next turn */
};

static inline void release_with_scene(Scene &scene) {
  CHECK(scene.thrower > 0);
  CHECK_EQ(loop_set_release(scene.loop, scene.thrower, thrower_release), 0);
}

static inline void arm_soon(Scene &s) {
  s.thrower = loop_call_soon(s.loop, thrower_call, &s);
  release_with_scene(s);
}
static inline void arm_later(Scene &s) {
  s.thrower = loop_call_later(s.loop, 0, thrower_call, &s);
  release_with_scene(s);
}
static inline void arm_every(Scene &s) {
  /* An interval of 1 ns: due in every turn. */
  s.thrower = loop_call_every(s.loop, 0, 1, LOOP_SKIP_MISSED, thrower_tick, &s);
  release_with_scene(s);
}
static inline void arm_watch(Scene &s) {
  s.fill_pipe();
  s.thrower = loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE, thrower_event, &s);
  release_with_scene(s);
}
static inline void arm_post(Scene &s) {
  s.thrower = 0;
  CHECK_EQ(loop_call_soon_threadsafe(s.loop, thrower_call, &s, thrower_release), 0);
}

static const Kind all_kinds[] = {
    {"soon", false, arm_soon},   {"later", false, arm_later}, {"every", true, arm_every},
    {"watch", true, arm_watch},  {"post", false, arm_post},
};

struct Hook {
  const char *name;
  uint32_t when;
  bool blocks; /* runs only where a wait blocks, so never in run_ready */
};

static const Hook all_hooks[] = {
    {"before_wait", LOOP_BEFORE_WAIT, false},
    {"after_wait", LOOP_AFTER_WAIT, false},
    {"when_idle", LOOP_WHEN_IDLE, true},
    {"on_interrupt", LOOP_ON_INTERRUPT, true},
};

static inline void arm_hook(Scene &s, const Hook &hook) {
  s.thrower = loop_add_hook(s.loop, hook.when, thrower_call, &s);
  release_with_scene(s);
}

/* Waits are interrupted a thousand times a second while this is alive. */
struct Interruptions {
  Interruptions() { set(1000); }
  ~Interruptions() { set(0); }
  static void set(int period_us) {
    signal(SIGALRM, [](int) {});
    itimerval timer = {{0, period_us}, {0, period_us}};
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, nullptr), 0);
  }
};

/* Callbacks that write a letter, and perhaps end the run. */
template <char letter>
void mark(loop_t *, void *scene) {
  static_cast<Scene *>(scene)->journal += letter;
}
template <char letter>
void mark_and_stop(loop_t *loop, void *scene) {
  static_cast<Scene *>(scene)->journal += letter;
  CHECK_EQ(loop_stop(loop), 0);
}
template <char letter>
void mark_event(loop_t *, int, uint32_t, void *scene) {
  static_cast<Scene *>(scene)->journal += letter;
}

static inline void call_soon(Scene &s, loop_cb cb) { CHECK(loop_call_soon(s.loop, cb, &s) > 0); }
static inline void post(Scene &s, loop_cb cb) {
  CHECK_EQ(loop_call_soon_threadsafe(s.loop, cb, &s, nullptr), 0);
}

/* The run throws, and leaves the loop as it was before, but for the journal. */
static inline void run_and_catch(Scene &scene, const Run &run) {
  int depth = loop_is_running(scene.loop);
  loop_handle_t current = loop_current(scene.loop);
  int objects = objects_alive;
  bool caught = false;
  try {
    int result = run.run(scene.loop);
    fprintf(stderr, "%s returned %d\n", run.name, result);
  } catch (const std::runtime_error &error) {
    caught = strcmp(error.what(), "T") == 0;
  }
  CHECK(caught);
  CHECK_EQ(std::uncaught_exceptions(), 0);
  CHECK_EQ(objects_alive, objects);
  CHECK_EQ(loop_is_running(scene.loop), depth);
  CHECK_EQ(loop_current(scene.loop), current);
}

/* After its throw: a one-shot is finished, what repeats goes on. */
static inline void check_thrower_left(Scene &s, bool repeats) {
  CHECK_EQ(loop_is_active(s.loop, s.thrower), repeats ? 1 : 0);
  if (!repeats) CHECK_EQ(loop_cancel(s.loop, s.thrower), LOOP_ESTALE);
}

#endif
