/* link: -lpthread */
/* loop_wake, loop_stop and loop_clock are async-signal-safe: a signal handler
 * calls them several thousand times a second, while the thread that it
 * interrupts is inside each of the library's functions. Nothing hangs, is lost
 * or done twice, and errno is left alone. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <signal.h>

/* The loop that the handler uses as well; NULL while it is made or freed. */
static loop_t *volatile loop;
static loop_t *other; /* always there */
static volatile sig_atomic_t signals, errors, hook_calls;

static void on_signal(int number) {
  int before = errno;
  (void)number;
  errno = 4321;
  loop_t *const both[] = {loop, other};
  for (int i = 0; i < 2; i++) {
    if (both[i] == NULL) continue;
    if (loop_clock(both[i]) == 0) errors++;
    if (signals % 3 != 0 && loop_wake(both[i]) != 0) errors++;
    if (signals % 3 != 1 && loop_stop(both[i]) != 0) errors++;
  }
  if (errno != 4321) errors++;
  signals++;
  errno = before;
}

/* Five thousand a second: the 1 kHz that is promised, five times. */
static timer_t start_signals(void) {
  struct sigaction action;
  struct sigevent event;
  struct itimerspec period = {{0, 200003}, {0, 200003}};
  timer_t timer;
  memset(&action, 0, sizeof action);
  memset(&event, 0, sizeof event);
  action.sa_handler = on_signal;
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  CHECK_EQ(timer_settime(timer, 0, &period, NULL), 0);
  return timer;
}

static struct {
  int soons, timers, ticks, posts, events, hooks, releases;
} ran;

static void wake_hook(void *arg) {
  (void)arg;
  hook_calls++;
}

static void read_event(loop_t *l, int fd, uint32_t events, void *arg) {
  char byte;
  (void)l;
  CHECK(events & LOOP_READABLE);
  CHECK_EQ(TEMP_FAILURE_RETRY(read(fd, &byte, 1)), 1);
  ++*(int *)arg;
}

/* Runs until it has run, though stops come from everywhere. */
static void run_until(const int *count, int wanted) {
  for (int i = 0; *count < wanted; i++) {
    switch (i % 4) {
      case 0: CHECK(loop_run_once(loop, (int64_t)MS(1)) >= 0); break;
      case 1: CHECK(loop_run_ready(loop, US(100)) >= 0); break;
      case 2: CHECK(loop_run(loop) >= 0); break;
      default: CHECK_EQ(loop_stop(loop), 0); CHECK_EQ(loop_run_forever(loop), 0);
    }
  }
  CHECK_EQ(*count, wanted);
}

static void use_callbacks(void) {
  memset(&ran, 0, sizeof ran);
  loop_handle_t soon = loop_call_soon(loop, count_run, &ran.soons);
  loop_handle_t later = loop_call_later(loop, US(50), count_run, &ran.timers);
  loop_handle_t at = loop_call_at(loop, loop_now(loop), count_run, &ran.timers);
  loop_handle_t every = loop_call_every(loop, 0, US(50), LOOP_RUN_MISSED, count_tick, &ran.ticks);
  loop_handle_t cancelled = loop_call_soon(loop, count_run, &ran.soons);
  CHECK(soon > 0 && later > 0 && at > 0 && every > 0);
  CHECK_EQ(loop_cancel(loop, cancelled), 0);
  CHECK_EQ(loop_is_active(loop, cancelled), 0);
  CHECK_EQ(loop_reschedule(loop, later, US(70)), 0);
  CHECK_EQ(loop_reschedule_at(loop, at, 0), 0);
  CHECK_EQ(loop_remaining(loop, at), 0);
  CHECK_EQ(loop_set_arg(loop, soon, &ran.soons), 0);
  CHECK_EQ(loop_set_release(loop, soon, count_release), 0);
  CHECK_EQ(loop_set_name(loop, later, "later"), 0);
  CHECK_EQ(loop_unref(loop, every), 0);
  CHECK_EQ(loop_ref(loop, every), 0);
  CHECK_EQ(loop_current(loop), 0);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_in_thread(loop), 1);
  run_until(&ran.soons, 2); /* and its release */
  run_until(&ran.timers, 2);
  CHECK(ran.ticks >= 1);
  CHECK_EQ(loop_cancel(loop, every), 0);
}

static void use_descriptors_and_hooks(void) {
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  loop_handle_t watch = loop_watch_fd(loop, fds[0], 0, read_event, &ran.events);
  loop_handle_t hook = loop_add_hook(loop, LOOP_BEFORE_WAIT, count_run, &ran.hooks);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_READABLE), 0);
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_READABLE);
  for (int i = 1; i <= 5; i++) {
    CHECK_EQ(TEMP_FAILURE_RETRY(write(fds[1], "x", 1)), 1);
    run_until(&ran.events, i);
  }
  CHECK(ran.hooks > 0);
  CHECK_EQ(loop_cancel(loop, hook), 0);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(close(fds[1]), 0);
}

static void use_threads_functions(void) {
  loop_remote_t *remote = loop_remote_new(loop);
  for (int i = 0; i < 10; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &ran.posts, count_release), 0);
    CHECK_EQ(loop_remote_call_soon(remote, count_run, &ran.posts, NULL), 0);
    CHECK_EQ(loop_wake(loop), 0);
  }
  CHECK_EQ(loop_remote_free(remote), 0);
  run_until(&ran.posts, 30);
}

static void use_embedding(void) {
  CHECK_EQ(loop_set_wake_hook(loop, NULL, NULL), 0);
  CHECK_EQ(loop_set_wake_hook(loop, wake_hook, NULL), 0);
  CHECK(loop_fd(loop) >= 0);
  CHECK(loop_timeout(loop) >= 0);
  CHECK_EQ(loop_flush(loop), 0);
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK(loop_clock(loop) > 0);
  CHECK_EQ(loop_advance(loop, 1), LOOP_ECLOCK);
  CHECK_EQ(loop_set_data(loop, &ran), 0);
  CHECK(loop_data(loop) == &ran);
  CHECK_EQ(loop_version(), LOOP_VERSION);
  CHECK(strlen(loop_strerror(LOOP_ESTALE)) > 0);
  CHECK_EQ(strcmp(loop_error_name(LOOP_ESTALE), "LOOP_ESTALE"), 0);
}

static void use_pull_mode(void) {
  loop_event_t events[4];
  loop_t *pulled = new_loop(LOOP_PULL);
  loop = pulled;
  CHECK(loop_call_soon(pulled, NULL, NULL) > 0);
  CHECK(loop_call_later(pulled, US(50), NULL, NULL) > 0);
  for (int handed = 0; handed < 2;) {
    int count = loop_next_events(pulled, events, 4, (int64_t)MS(1));
    CHECK(count >= 0);
    handed += count;
  }
  loop = NULL;
  free_loop(pulled);
}

TEST(every_function_is_interrupted_by_handlers_that_wake_and_stop) {
  other = new_loop(0);
  timer_t timer = start_signals();
  int rounds = 0;
  for (uint64_t end = check_clock() + MS(2000); check_clock() < end || signals <= 1000 / CHECK_SLOWDOWN; rounds++) {
    loop_t *made = new_loop(rounds % 2 == 0 ? LOOP_STRICT_POLL : 0);
    loop = made;
    for (int i = 0; i < 5; i++) {
      use_callbacks();
      use_descriptors_and_hooks();
      use_threads_functions();
      use_embedding();
    }
    loop = NULL;
    free_loop(made);
    use_pull_mode();
    free_loop(loop_new());
    if (rounds % 10 == 0) CHECK(loop_run_ready(other, UINT64_MAX) >= 0);
  }
  CHECK_EQ(timer_delete(timer), 0);
  CHECK_EQ(errors, 0);
  CHECK(hook_calls > 0);
  free_loop(other);
}

static loop_t *host_loop;

static void wake_host(int number) {
  (void)number;
  signals++;
  loop_wake(host_loop);
}

/* One signal at a time: each ends a sleep of the host. */
TEST(a_handler_wakes_a_host_that_sleeps_on_the_descriptor) {
  struct sigaction action;
  host_loop = new_loop(0);
  embed(host_loop);
  memset(&action, 0, sizeof action);
  action.sa_handler = wake_host;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  for (int i = 0; i < 200; i++) {
    struct sigevent event;
    struct itimerspec once = {{0, 0}, {0, 1 + i * 997 % 100000}};
    timer_t timer;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    signals = 0;
    CHECK_EQ(timer_settime(timer, 0, &once, NULL), 0);
    wait_readable(host_fd);
    CHECK_EQ(signals, 1);
    CHECK_EQ(loop_run_once(host_loop, 0), 0);
    check_quiet(host_loop);
    CHECK_EQ(timer_delete(timer), 0);
  }
  free_loop(host_loop);
}
