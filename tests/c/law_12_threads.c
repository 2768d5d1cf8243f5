/* link: -lpthread */
/* Law 12, threads: a call from the wrong thread is detected while a loop runs,
 * and always in a bound loop; it changes nothing. A resting, unbound loop may
 * be moved from thread to thread. */
#define _GNU_SOURCE 1
#include "check.h"

#include <pthread.h>
#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

static int data, runs, releases;

static void on_run(loop_t *loop, void *arg) {
  (void)loop;
  CHECK(arg == &data);
  runs++;
}
static void on_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)ticks;
  on_run(loop, arg);
}
static void on_fd(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)fd;
  CHECK_EQ(events, LOOP_READABLE);
  on_run(loop, arg);
}
static void on_release(void *arg) {
  CHECK(arg == &data);
  releases++;
}
static void never_release(void *arg) {
  (void)arg;
  CHECK(0);
}
static void stop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop(loop), 0);
}

static void on_new_thread(void *(*body)(void *), void *arg) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, body, arg), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

static struct {
  loop_t *loop;
  loop_handle_t timer, watch;
  int fds[2];
} shared;

/* A loop with a timer and a watcher that nobody else's calls may touch. */
static void start(uint32_t flags) {
  loop_options_t options = {sizeof options, flags, 0, 0, 0, 0};
  runs = releases = 0;
  CHECK_EQ(pipe(shared.fds), 0);
  CHECK_EQ(loop_new_with(&options, &shared.loop), 0);
  CHECK_EQ(loop_set_data(shared.loop, &data), 0);
  shared.timer = loop_call_later(shared.loop, HOUR, on_run, &data);
  shared.watch = loop_watch_fd(shared.loop, shared.fds[0], LOOP_READABLE, on_fd, &data);
  CHECK(shared.timer > 0 && shared.watch > 0);
  CHECK_EQ(loop_set_release(shared.loop, shared.timer, on_release), 0);
  CHECK_EQ(loop_set_release(shared.loop, shared.watch, on_release), 0);
}

/* Nothing was changed: the same two sources, with what they had. */
static void check_unchanged_and_end(void) {
  loop_t *loop = shared.loop;
  int before = runs;
  CHECK(loop_data(loop) == &data);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(releases, 0);
  CHECK(loop_remaining(loop, shared.timer) > (int64_t)(HOUR / 2));
  CHECK_EQ(loop_watch_events(loop, shared.watch), LOOP_READABLE);
  CHECK_EQ(write(shared.fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, 0), 1); /* the fd; no callback of a stranger */
  CHECK_EQ(loop_cancel(loop, shared.watch), 0);
  CHECK_EQ(loop_reschedule(loop, shared.timer, MS(1)), 0);
  CHECK_EQ(loop_run(loop), 1); /* the timer keeps it going, then nothing is left */
  CHECK_EQ(runs - before, 2);
  CHECK_EQ(releases, 2);
  CHECK_EQ(loop_free(loop), 0);
  close(shared.fds[0]);
  close(shared.fds[1]);
}

/* Every function, called by a thread that may not, and the four that any may. */
static void *call_everything(void *unused) {
  loop_t *loop = shared.loop;
  const loop_handle_t timer = shared.timer, watch = shared.watch;
  (void)unused;
  CHECK_EQ(loop_free(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_set_data(loop, NULL), LOOP_EWRONGTHREAD);
  CHECK(loop_data(loop) == NULL);
  CHECK_EQ(loop_run_forever(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_run(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_run_once(loop, -1), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_run_ready(loop, 1), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_is_running(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_has_work(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_call_soon(loop, on_run, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_call_later(loop, 0, on_run, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_call_at(loop, 0, on_run, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_call_every(loop, 0, 1, LOOP_SKIP_MISSED, on_tick, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_reschedule(loop, timer, 0), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_reschedule_at(loop, timer, 0), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_remaining(loop, timer), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_cancel(loop, timer), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_is_active(loop, timer), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_current(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_set_arg(loop, timer, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_set_release(loop, timer, never_release), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_set_name(loop, timer, "name"), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_ref(loop, timer), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_unref(loop, timer), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_watch_fd(loop, shared.fds[1], LOOP_WRITABLE, on_fd, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_watch_update(loop, watch, 0), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_add_hook(loop, LOOP_BEFORE_WAIT, on_run, NULL), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_advance(loop, 1), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_now(loop), 0);
  CHECK_EQ(loop_in_thread(loop), 0);
  uint64_t before = check_clock(), clock = loop_clock(loop);
  CHECK(before <= clock && clock <= check_clock());
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, on_run, &data, NULL), 0);
  return NULL;
}

static void let_a_stranger_call(loop_t *loop, void *arg) {
  (void)arg;
  on_new_thread(call_everything, NULL);
  CHECK_EQ(loop_is_running(loop), 1);
}

TEST(wrong_thread_while_a_callback_runs) {
  start(0);
  CHECK(loop_call_soon(shared.loop, let_a_stranger_call, NULL) > 0);
  CHECK_EQ(loop_run_once(shared.loop, 0), 1);
  CHECK_EQ(loop_run_once(shared.loop, 0), 1); /* the stranger's post */
  CHECK_EQ(runs, 1);
  check_unchanged_and_end();
}

static void *run_forever(void *unused) {
  (void)unused;
  CHECK_EQ(loop_run_forever(shared.loop), 0);
  return NULL;
}

static void open_gate(loop_t *loop, void *arg) {
  (void)loop;
  pthread_barrier_wait(arg);
}

TEST(wrong_thread_while_the_loop_sleeps) {
  pthread_barrier_t running;
  pthread_t thread;
  start(0);
  CHECK_EQ(pthread_barrier_init(&running, NULL, 2), 0);
  CHECK_EQ(loop_call_soon_threadsafe(shared.loop, open_gate, &running, NULL), 0);
  CHECK_EQ(pthread_create(&thread, NULL, run_forever, NULL), 0);
  pthread_barrier_wait(&running);
  usleep(20000);
  call_everything(NULL);
  CHECK_EQ(loop_call_soon_threadsafe(shared.loop, stop, NULL, NULL), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  pthread_barrier_destroy(&running);
  CHECK_EQ(runs, 1);
  CHECK_EQ(loop_in_thread(shared.loop), 1); /* it rests: anybody's again */
  check_unchanged_and_end();
}

TEST(wrong_thread_of_a_bound_loop_always) {
  start(LOOP_BOUND);
  on_new_thread(call_everything, NULL); /* while it rests */
  CHECK_EQ(loop_in_thread(shared.loop), 1);
  CHECK_EQ(loop_run_once(shared.loop, 0), 1);
  CHECK_EQ(runs, 1);
  CHECK(loop_call_soon(shared.loop, let_a_stranger_call, NULL) > 0); /* while it runs */
  CHECK_EQ(loop_run_once(shared.loop, 0), 1);
  CHECK_EQ(loop_run_once(shared.loop, 0), 1);
  CHECK_EQ(runs, 2);
  check_unchanged_and_end();
}

static void *stop_from_here(void *unused) {
  (void)unused;
  CHECK_EQ(loop_stop(shared.loop), 0);
  return NULL;
}

static void let_a_stranger_stop(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  on_new_thread(stop_from_here, NULL);
}

TEST(any_thread_may_stop_even_a_bound_loop) {
  start(LOOP_BOUND);
  CHECK(loop_call_soon(shared.loop, let_a_stranger_stop, NULL) > 0);
  CHECK_EQ(loop_run_forever(shared.loop), 0);
  check_unchanged_and_end();
}

static void *make_here(void *unused) {
  (void)unused;
  start(0);
  return NULL;
}

TEST(a_loop_made_on_one_thread_runs_on_another) {
  on_new_thread(make_here, NULL); /* that thread is gone */
  CHECK_EQ(loop_in_thread(shared.loop), 1);
  check_unchanged_and_end();
}

static void *run_a_round_here(void *unused) {
  loop_t *loop = shared.loop;
  int before = runs;
  (void)unused;
  CHECK_EQ(loop_in_thread(loop), 1);
  CHECK(loop_call_soon(loop, on_run, &data) > 0);
  CHECK(loop_call_later(loop, 0, on_run, &data) > 0);
  loop_handle_t cancelled = loop_call_soon(loop, on_run, &data);
  CHECK_EQ(loop_cancel(loop, cancelled), 0);
  CHECK_EQ(write(shared.fds[1], "x", 1), 1);
  CHECK_EQ(loop_run_once(loop, -1), 3);
  CHECK_EQ(runs - before, 3);
  char byte;
  CHECK_EQ(read(shared.fds[0], &byte, 1), 1);
  return NULL;
}

TEST(a_resting_loop_moves_between_threads_a_hundred_times) {
  start(0);
  for (int i = 0; i < 50; i++) {
    on_new_thread(run_a_round_here, NULL);
    run_a_round_here(NULL);
  }
  CHECK_EQ(runs, 300);
  check_unchanged_and_end();
}
