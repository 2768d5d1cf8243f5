/* link: -lpthread */
/* Every function inside every kind of callback, as the header allows; and inside the wake
 * hook, where it allows only a few. Whatever is called there, the run goes on, and the loop
 * works afterwards. */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>

#include "misuse.h"

static const char *const TABLE = "callbacks";

/* The call that the next callback of the kind in question makes, once. */
static const struct function *to_call;
static struct stage stage;
static int calls;
static int64_t answer;

static void call_it(void) {
  if (calls++ == 0) answer = to_call->call(&stage);
}

static void call_in_soon(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  call_it();
}
static void call_in_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  call_in_soon(loop, arg);
}
static void call_in_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  (void)events;
  call_in_soon(loop, arg);
}
static void call_in_release(void *arg) {
  (void)arg;
  call_it();
}

/* A run that is over when the callback has made its call. */
static void run_until_called(int may_be_freed) {
  int code = 0;
  while (calls == 0 && code >= 0) code = loop_run_once(stage.loop, MS(2));
  CHECK(calls > 0);
  if (!may_be_freed || !stage.loop_is_freed) {
    CHECK(code >= 0);
  } else if (code < 0) {
    CHECK_EQ(code, LOOP_ECLOSED);
  }
}

typedef void (*prepare)(void);

/* One stage a function: `prepare` makes the source whose callback makes the call. */
static void in_every_call(const char *kind, prepare prepare) {
  EACH_FUNCTION(f) {
    stage_with(&stage, 0);
    to_call = f;
    calls = 0;
    answer = INT64_MIN;
    prepare();
    run_until_called(1);
    report(TABLE, f, kind, answer);
    if (!stage.loop_is_freed) work_out(&stage);
    end_stage(&stage);
  }
}

static void prepare_soon(void) { CHECK(loop_call_soon(stage.loop, call_in_soon, NULL) > 0); }
static void prepare_timer(void) { CHECK(loop_call_later(stage.loop, 0, call_in_soon, NULL) > 0); }
static void prepare_tick(void) {
  CHECK(loop_call_every(stage.loop, 0, HOUR, LOOP_RUN_MISSED, call_in_tick, NULL) > 0);
}
static void prepare_event(void) {
  uint32_t events = LOOP_WRITABLE | LOOP_ONESHOT;
  CHECK(loop_watch_fd(stage.loop, stage.fds[1], events, call_in_event, NULL) > 0);
}
static void prepare_before_wait(void) {
  CHECK(loop_add_hook(stage.loop, LOOP_BEFORE_WAIT, call_in_soon, NULL) > 0);
}
static void prepare_after_wait(void) {
  CHECK(loop_add_hook(stage.loop, LOOP_AFTER_WAIT, call_in_soon, NULL) > 0);
}
static void prepare_when_idle(void) {
  CHECK(loop_add_hook(stage.loop, LOOP_WHEN_IDLE, call_in_soon, NULL) > 0);
}
static void prepare_release(void) {
  loop_handle_t handle = loop_call_soon(stage.loop, nothing, NULL);
  CHECK_EQ(loop_set_release(stage.loop, handle, call_in_release), 0);
  CHECK_EQ(loop_cancel(stage.loop, handle), 0);
}
static void *post_from_there(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(stage.loop, call_in_soon, NULL, NULL), 0);
  return arg;
}
static void prepare_post(void) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, post_from_there, NULL), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(in_a_soon_callback) { in_every_call("soon", prepare_soon); }
TEST(in_a_timers_callback) { in_every_call("timer", prepare_timer); }
TEST(in_a_tick) { in_every_call("periodic", prepare_tick); }
TEST(in_a_descriptors_callback) { in_every_call("descriptor", prepare_event); }
TEST(in_a_post) { in_every_call("post", prepare_post); }
TEST(in_a_release) { in_every_call("release", prepare_release); }
TEST(before_a_wait) { in_every_call("BEFORE_WAIT", prepare_before_wait); }
TEST(after_a_wait) { in_every_call("AFTER_WAIT", prepare_after_wait); }
TEST(when_idle) { in_every_call("WHEN_IDLE", prepare_when_idle); }

/* ---- A signal interrupts the wait, again and again until the hook has been called ---- */

static timer_t ticker;

static void no_handler(int number) { (void)number; }

static void prepare_interrupt(void) {
  CHECK(loop_add_hook(stage.loop, LOOP_ON_INTERRUPT, call_in_soon, NULL) > 0);
}

TEST(on_an_interrupt) {
  struct sigaction action = {.sa_handler = no_handler};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  struct itimerspec often = {.it_interval = {0, 300000}, .it_value = {0, 300000}};
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &ticker), 0);
  CHECK_EQ(timer_settime(ticker, 0, &often, NULL), 0);
  in_every_call("ON_INTERRUPT", prepare_interrupt);
  CHECK_EQ(timer_delete(ticker), 0);
}

/* ---- The wake hook: only what any thread may call is allowed ---- */

static void call_in_hook(void *arg) {
  (void)arg;
  call_it();
}

static void ring(void) { CHECK_EQ(loop_wake(stage.loop), 0); }
static void schedule(void) { CHECK(loop_call_soon(stage.loop, nothing, NULL) > 0); }
static void *post_for_hook(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(stage.loop, nothing, NULL, NULL), 0);
  return arg;
}
static void post_from_thread(void) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, post_for_hook, NULL), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

static int64_t call_in_hook_of(const struct function *f, void (*bring)(void)) {
  stage_with(&stage, 0);
  to_call = f;
  calls = 0;
  answer = INT64_MIN;
  CHECK_EQ(loop_set_wake_hook(stage.loop, call_in_hook, NULL), 0);
  bring();
  CHECK(calls > 0);
  if (!stage.loop_is_freed) {
    CHECK_EQ(loop_set_wake_hook(stage.loop, NULL, NULL), 0);
    work_out(&stage);
  }
  end_stage(&stage);
  return answer;
}

TEST(in_the_wake_hook) {
  EACH_FUNCTION(f) {
    int64_t code = call_in_hook_of(f, ring);
    const char *text = answer_text(f->answer, code);
    CHECK(strcmp(text, answer_text(f->answer, call_in_hook_of(f, schedule))) == 0);
    CHECK(strcmp(text, answer_text(f->answer, call_in_hook_of(f, post_from_thread))) == 0);
    report(TABLE, f, "wake hook", code);
  }
}

TEST(no_descriptor_is_left) { CHECK_EQ(open_descriptors(), open_at_first); }
