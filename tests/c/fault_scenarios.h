/* The scenarios that faults are injected into: between them they use everything
 * that a loop does. See fault_frame.h. */
#ifndef EVLOOP_TESTS_FAULT_SCENARIOS_H
#define EVLOOP_TESTS_FAULT_SCENARIOS_H

#include "fault_frame.h"

static void free_in_callback(loop_t *l, void *arg) {
  run(l, arg);
  CHECK_EQ(loop_free(l), 0);
}

/* Loops of all sorts, freed with all sorts of sources in them. */
static void life_cycle(void) {
  static const uint32_t flags[] = {0, LOOP_BOUND, LOOP_VIRTUAL_CLOCK, LOOP_PULL};
  int fds[2];
  make_pair(fds);
  for (int i = 0; i < 4; i++) {
    open_loop(flags[i], 0);
    soon(0);
    DO(loop_set_name(loop, later(HOUR, new_source(0)), "an hour"));
    loop_handle_t hook;
    struct source *s = new_source(0);
    TRY(hook, loop_add_hook(loop, LOOP_BEFORE_WAIT, run, s));
    owe(s, hook);
    watch(fds[0], LOOP_READABLE);
    watch(fds[1], 0);
    s = new_source(0);
    DO(loop_call_soon_threadsafe(loop, run, s, release));
    s->owed++;
    free_loop();
  }
  TRY_POINTER(loop, loop_new());
  CHECK(later(HOUR, new_source(0)) > 0);
  struct source *s = new_source(1);
  DO(loop_call_soon(loop, free_in_callback, s));
  int code;
  while ((code = loop_run_forever(loop)) != LOOP_ECLOSED) CHECK(again(code, "loop_run_forever", __LINE__));
  check_sources();
  close_pair(fds);
}

static void use_timers(uint32_t flags) {
  open_loop(flags, 0);
  struct source *ticks = new_source(-1), *moved = new_source(2);
  loop_handle_t every, handle;
  TRY(every, loop_call_every(loop, US(30), US(70), LOOP_RUN_MISSED, tick, ticks));
  owe(ticks, every);
  later(0, new_source(1));
  later(US(20), new_source(1));
  struct source *last = new_source(1);
  later(US(150), last);
  CHECK_EQ(loop_cancel(loop, later(US(10), new_source(0))), 0);
  handle = later(HOUR, moved);
  CHECK_EQ(loop_reschedule(loop, handle, US(40)), 0);
  run_until(last, 1);
  run_until(moved, 1);
  struct source *at = new_source(1);
  TRY(handle, loop_call_at(loop, loop_clock(loop) + US(5), run, at));
  owe(at, handle);
  run_until(at, 1);
  run_until(ticks, 3);
  CHECK_EQ(loop_cancel(loop, every), 0);
  moved->runs++;
  end_loop();
}

static void timers(void) { use_timers(0); }
static void timers_without_slack(void) { use_timers(LOOP_TIMER_SLACK); }

/* Watchers that share, pause, take turns, fire once, and outlive their descriptors. */
static void watchers(void) {
  int a[2], b[2], other[2];
  make_pair(a);
  make_pair(b);
  make_pair(other);
  open_loop(0, 0);
  struct watcher first = watch(a[0], LOOP_READABLE), second = watch(a[0], LOOP_READABLE);
  struct watcher edge = watch(b[0], LOOP_READABLE | LOOP_EDGE), once = watch(b[1], LOOP_READABLE | LOOP_ONESHOT);
  put_byte(a[1]);
  run_until_seen(&first);
  run_until_seen(&second);
  update(&first, 0);
  run_until_seen(&second);
  update(&second, 0);
  DO(loop_run_once(loop, 0)); /* the kernel is told that nobody wants to hear of it */
  update(&first, LOOP_READABLE | LOOP_WRITABLE);
  run_until_seen(&first);
  take_byte(a[0]);
  put_byte(b[1]);
  run_until_seen(&edge);
  update(&edge, LOOP_READABLE | LOOP_EDGE);
  run_until_seen(&edge);
  put_byte(b[0]);
  run_until_seen(&once);
  update(&once, LOOP_READABLE | LOOP_ONESHOT);
  run_until_seen(&once);
  CHECK_EQ(dup2(other[0], a[0]), a[0]); /* the number is another file now */
  struct watcher newer = watch(a[0], LOOP_WRITABLE);
  run_until_seen(&newer);
  cancel(&first);
  cancel(&second);
  cancel(&newer);
  close_pair(b);
  cancel(&edge);
  end_loop();
  close_pair(a);
  close_pair(other);
}

/* A file that is closed here and lives on in a copy: the set is made anew. */
static void use_orphans(int is_embedded) {
  int a[2], b[2];
  make_pair(a);
  make_pair(b);
  open_loop(0, 0);
  if (is_embedded) DO(loop_fd(loop));
  struct watcher orphan = watch(a[0], LOOP_READABLE), other = watch(b[0], LOOP_READABLE);
  put_byte(a[1]);
  int copy = dup(a[0]);
  CHECK_EQ(close(a[0]), 0);
  cancel(&orphan);
  for (int i = 0; i < 3; i++) DO(loop_run_once(loop, 0));
  put_byte(b[1]);
  run_until_seen(&other);
  take_byte(b[0]);
  /* Another one: it is too early for a new set, so the waits begin with a nap. */
  int once_more = dup(copy);
  struct watcher orphan2 = watch(once_more, LOOP_READABLE);
  CHECK_EQ(close(once_more), 0);
  cancel(&orphan2);
  DO(loop_run_once(loop, 0));
  struct source *s = new_source(1);
  later(US(200), s);
  run_until(s, 1);
  put_byte(b[1]);
  run_until_seen(&other);
  end_loop();
  CHECK_EQ(close(copy), 0);
  CHECK_EQ(close(a[1]), 0);
  close_pair(b);
}

static void orphans(void) { use_orphans(0); }
static void orphans_of_a_host(void) { use_orphans(1); }

/* Events that one wait has no room for, and a budget that leaves some for later. */
static void few_events_at_once(void) {
  int fds[4][2];
  struct watcher w[4];
  open_loop(LOOP_STRICT_POLL, 1);
  for (int i = 0; i < 4; i++) {
    make_pair(fds[i]);
    w[i] = watch(fds[i][0], LOOP_READABLE);
    put_byte(fds[i][1]);
    soon(1);
  }
  for (int i = 0; i < 6; i++) DO(loop_run_ready(loop, 0));
  for (int i = 0; i < 4; i++) run_until_seen(&w[i]);
  for (int i = 0; i < 4; i++) close_pair(fds[i]);
  end_loop();
}

static void unwatchable_file(void) {
  int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  open_loop(0, 0);
  CHECK(loop_watch_fd(loop, file, LOOP_READABLE, see, NULL) < 0);
  struct watcher w = watch(file, LOOP_READABLE | LOOP_ALWAYS);
  run_until_seen(&w);
  run_until_seen(&w);
  cancel(&w);
  CHECK_EQ(close(file), 0);
  end_loop();
}

static void flush(loop_t *l, void *arg) {
  int *fd = arg, wanted;
  DO(loop_flush(l));
  struct source *s = soon(1);
  TRY(wanted, loop_fd(l));
  CHECK_EQ(wanted, *fd);
  CHECK_EQ(is_readable(*fd, &(struct timespec){0, 0}), 1);
  run_until(s, 1);
}

static void hook(void *arg) { ++*(int *)arg; }

static void host(void) {
  int fds[2], fd, hooks = 0;
  make_pair(fds);
  open_loop(0, 0);
  TRY(fd, loop_fd(loop));
  DO(loop_set_wake_hook(loop, hook, &hooks));
  host_until(fd, soon(1));
  struct source *s = new_source(1);
  later(US(60), s);
  host_until(fd, s);
  struct watcher w = watch(fds[0], 0);
  DO(loop_run_once(loop, 0));
  update(&w, LOOP_READABLE);
  put_byte(fds[1]);
  if (!w.is_silent && !fault.lies) host_until(fd, w.source);
  take_byte(fds[0]);
  s = new_source(1);
  DO(loop_call_soon_threadsafe(loop, run, s, release));
  s->owed++;
  CHECK(hooks > 0);
  host_until(fd, s);
  DO(loop_call_soon(loop, flush, &fd));
  host_until(fd, soon(1));
  DO(loop_set_wake_hook(loop, NULL, NULL));
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  end_loop();
  close_pair(fds);
}

static void *post_three(void *arg) {
  struct source *s = posted;
  DO(loop_call_soon_threadsafe(loop, run, s, release));
  DO(loop_remote_call_soon(arg, run, s, release));
  DO(loop_remote_call_soon(arg, run, s, NULL));
  s->owed += 2;
  return NULL;
}

static void posts_and_remotes(void) {
  loop_remote_t *remote;
  pthread_t thread;
  open_loop(0, 0);
  TRY_POINTER(remote, loop_remote_new(loop));
  posted = new_source(3);
  while (pthread_create(&thread, NULL, post_three, remote) != 0) CHECK(fault.is_true());
  CHECK_EQ(pthread_join(thread, NULL), 0);
  run_until(posted, 3);
  posted = new_source(1);
  when_asleep = post_now;
  run_until(posted, 1);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_remote_free(remote), 0);
  DO(loop_run_once(loop, 0)); /* the free of a remote wakes */
  CHECK_EQ(loop_has_work(loop), 0);
  CHECK_EQ(loop_wake(loop), 0);
  DO(loop_run_once(loop, (int64_t)MS(5000)));
  CHECK_EQ(loop_stop(loop), 0);
  DO(loop_run_forever(loop));
  end_loop();
}

static void run_deeper(loop_t *l, void *arg) {
  struct source *s = arg;
  run(l, s);
  if (s->runs < 4) DO(loop_call_soon(l, run_deeper, s));
  DO(loop_run_once(l, 0));
}

static void nested_runs_and_hooks(void) {
  open_loop(0, 0);
  for (uint32_t when = LOOP_BEFORE_WAIT; when <= LOOP_ON_INTERRUPT; when++) {
    struct source *s = new_source(-1);
    loop_handle_t handle;
    TRY(handle, loop_add_hook(loop, when, run, s));
    owe(s, handle);
  }
  struct source *s = new_source(4);
  DO(loop_call_soon(loop, run_deeper, s));
  soon(1);
  run_until(s, 4);
  struct source *last = new_source(1);
  later(US(100), last);
  run_until(last, 1);
  end_loop();
}

/* Takes events until it has so many of this kind. */
static void pull_until(uint32_t kind, int wanted) {
  loop_event_t events[2];
  for (int turns = 0; wanted > 0; turns++) {
    int count;
    TRY(count, loop_next_events(loop, events, 2, (int64_t)MS(4000)));
    for (int i = 0; i < count; i++) wanted -= events[i].kind == kind;
    CHECK(turns < 500);
  }
}

static void pull(void) {
  int fds[2];
  struct source *s[5];
  loop_handle_t handle[5];
  make_pair(fds);
  put_byte(fds[1]);
  open_loop(LOOP_PULL, 0);
  for (int i = 0; i < 5; i++) s[i] = new_source(0);
  TRY(handle[0], loop_call_soon(loop, NULL, s[0]));
  TRY(handle[1], loop_call_soon(loop, NULL, s[1]));
  TRY(handle[2], loop_call_later(loop, US(30), NULL, s[2]));
  TRY(handle[3], loop_call_every(loop, 0, US(90), LOOP_SKIP_MISSED, NULL, s[3]));
  TRY(handle[4], loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, NULL, s[4]));
  for (int i = 0; i < 5; i++) owe(s[i], handle[i]);
  soon(1);
  pull_until(LOOP_EVENT_SOON, 2);
  if (!fault.lies) pull_until(LOOP_EVENT_FD, 1);
  pull_until(LOOP_EVENT_TICK, 2);
  CHECK_EQ(loop_cancel(loop, handle[3]), 0);
  DO(loop_call_soon_threadsafe(loop, NULL, s[0], NULL));
  pull_until(LOOP_EVENT_SOON, 1);
  fault.end();
  CHECK(loop_call_soon(loop, NULL, s[0]) > 0);
  pull_until(LOOP_EVENT_SOON, 1);
  free_loop();
  close_pair(fds);
}

static void go_on_in_child(struct watcher *w, int to, struct source *timer) {
  int before = open_descriptors();
  int code;
  do {
    code = loop_after_fork(loop);
    CHECK_EQ(loop_wake(loop), code < 0 ? LOOP_EFORKED : 0); /* after an error it is as before */
  } while (again(code, "loop_after_fork", __LINE__));
  put_byte(to);
  run_until_seen(w);
  run_until(timer, 1);
  timer->runs = 1;
  end_loop();
  CHECK(open_descriptors() < before);
  _exit(0);
}

static void fork_child(void) {
  int a[2], b[2], status;
  make_pair(a);
  make_pair(b);
  open_loop(0, 0);
  DO(loop_fd(loop));
  struct watcher w = watch(a[0], LOOP_READABLE), quiet = watch(b[0], LOOP_READABLE);
  struct source *s = new_source(1), *s2 = new_source(1);
  later(US(300), s);
  DO(loop_call_soon_threadsafe(loop, run, s2, release));
  s2->owed++;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) go_on_in_child(&w, a[1], s);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  take_byte(a[0]);
  run_until(s, 1);
  put_byte(b[1]);
  run_until_seen(&quiet);
  end_loop();
  close_pair(a);
  close_pair(b);
}

#define SCENARIOS(one)                                                                    \
  one(life_cycle) one(timers) one(timers_without_slack) one(watchers) one(orphans)        \
  one(orphans_of_a_host) one(few_events_at_once) one(unwatchable_file) one(host)          \
  one(posts_and_remotes) one(nested_runs_and_hooks) one(pull) one(fork_child)

#endif
