/* link: -rdynamic -lpthread -ldl */
/* Law 9: nothing global that anybody could notice. No signal handler, no
 * thread, no atexit, no environment; and EINTR is invisible. */
#define _GNU_SOURCE 1
#include "check.h"
#include "find_real.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

static int environment_reads, exit_functions;

/* Stands before the C library's getenv, for the loop's library too. */
char *getenv(const char *name) {
  char *(*real)(const char *);
  FIND_REAL(real, "getenv");
  environment_reads++;
  return real(name);
}

/* Every way to register an exit function ends here. */
int __cxa_atexit(void (*run)(void *), void *arg, void *dso) {
  int (*real)(void (*)(void *), void *, void *);
  FIND_REAL(real, "__cxa_atexit");
  exit_functions++;
  return real(run, arg, dso);
}

static int entries(const char *path) {
  int count = 0;
  DIR *dir = opendir(path);
  CHECK(dir != NULL);
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count;
}

/* What a process can notice about itself. */
struct process {
  struct sigaction actions[65];
  sigset_t mask;
  int threads, slack;
};

static void look(struct process *p) {
  memset(p, 0, sizeof *p);
  for (int number = 1; number <= 64; number++) sigaction(number, NULL, &p->actions[number]);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &p->mask), 0);
  p->threads = entries("/proc/self/task");
  p->slack = prctl(PR_GET_TIMERSLACK);
}

static void check_unchanged(const struct process *before) {
  struct process now;
  look(&now);
  for (int number = 1; number <= 64; number++) {
    CHECK(now.actions[number].sa_handler == before->actions[number].sa_handler);
    CHECK_EQ(now.actions[number].sa_flags, before->actions[number].sa_flags);
    CHECK_EQ(sigismember(&now.mask, number), sigismember(&before->mask, number));
  }
  CHECK_EQ(now.threads, before->threads);
  CHECK_EQ(now.slack, before->slack);
}

static void look_again(loop_t *loop, void *before) {
  (void)loop;
  check_unchanged(before);
}

static void stop(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_stop(loop), 0);
}

static void nothing_to_read(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)events;
  (void)arg;
  CHECK(0);
}

static void release_nothing(void *arg) { (void)arg; }

/* A loop with a source of every kind, run until it has slept. */
static void use_a_loop(uint32_t flags, struct process *before) {
  loop_options_t options = {sizeof options, flags, 0, 0, 0, 0};
  loop_t *loop;
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, nothing_to_read, NULL) > 0);
  CHECK(loop_add_hook(loop, LOOP_BEFORE_WAIT, look_again, before) > 0);
  loop_handle_t soon = loop_call_soon(loop, look_again, before);
  CHECK_EQ(loop_set_release(loop, soon, release_nothing), 0);
  CHECK_EQ(loop_set_name(loop, soon, "soon"), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, look_again, before, NULL), 0);
  CHECK(loop_call_later(loop, MS(5), look_again, before) > 0);
  CHECK(loop_call_later(loop, MS(10), stop, NULL) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(no_signal_handler_and_no_thread) {
  struct process before;
  look(&before);
  use_a_loop(0, &before);
  check_unchanged(&before);
  use_a_loop(LOOP_TIMER_SLACK, &before); /* the slack is put back after each wait */
  check_unchanged(&before);
}

TEST(no_descriptor_is_left) {
  struct process before;
  look(&before);
  use_a_loop(0, &before);
  int descriptors = entries("/proc/self/fd");
  for (int i = 0; i < 20; i++) {
    loop_t *loop = loop_new();
    CHECK(loop != NULL);
    CHECK(entries("/proc/self/fd") > descriptors);
    CHECK_EQ(loop_free(loop), 0);
  }
  CHECK_EQ(entries("/proc/self/fd"), descriptors);
}

TEST(no_environment_and_no_atexit) {
  struct process before;
  look(&before);
  environment_reads = exit_functions = 0;
  getenv("PATH");
  CHECK_EQ(environment_reads, 1); /* it does count */
  environment_reads = 0;
  use_a_loop(0, &before);
  CHECK(loop_new_with(NULL, NULL) < 0);
  CHECK(loop_strerror(-EBADF) != NULL);
  CHECK_EQ(clearenv(), 0);
  use_a_loop(0, &before);
  CHECK_EQ(environment_reads, 0);
  CHECK_EQ(exit_functions, 0);
}

/* The storm: 1 kHz of SIGALRM without SA_RESTART. */
static volatile sig_atomic_t interrupts;

static void on_alarm(int number) {
  (void)number;
  if (++interrupts > 120000 * CHECK_SLOWDOWN) _exit(3); /* something hangs */
}

/* The handler stays when it is over: a late signal must not end the process. */
static void storm(long period_us) {
  struct sigaction action;
  struct itimerval every = {{0, period_us}, {0, period_us}};
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
  CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
}

enum { TIMERS = 200 };

struct timer {
  uint64_t deadline;
  int far_end, calls;
};

static int bytes_read, waits_interrupted;

static void on_timer(loop_t *loop, void *arg) {
  struct timer *timer = arg;
  (void)loop;
  CHECK(check_clock() >= timer->deadline);
  CHECK_EQ(++timer->calls, 1);
  CHECK_EQ(write(timer->far_end, "x", 1), 1);
}

static void on_byte(loop_t *loop, int fd, uint32_t events, void *arg) {
  char byte;
  (void)arg;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(read(fd, &byte, 1), 1);
  if (++bytes_read == TIMERS) CHECK_EQ(loop_stop(loop), 0);
}

static void on_interrupt(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  waits_interrupted++;
}

TEST(an_eintr_storm_loses_nothing_and_nothing_comes_early) {
  static struct timer timers[TIMERS];
  loop_t *loop = loop_new();
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, on_byte, NULL) > 0);
  CHECK(loop_add_hook(loop, LOOP_ON_INTERRUPT, on_interrupt, NULL) > 0);
  uint64_t start = loop_clock(loop);
  for (uint64_t i = 0; i < TIMERS; i++) { /* one each 2.5 ms, at odd times */
    timers[i] = (struct timer){start + US(2500) * i + 12345 * (i % 7), fds[1], 0};
    CHECK(loop_call_at(loop, timers[i].deadline, on_timer, &timers[i]) > 0);
  }
  storm(1000);
  CHECK_EQ(loop_run_forever(loop), 0);
  /* On a busy machine the loop may hardly have waited. */
  while (waits_interrupted <= 10) CHECK_EQ(loop_run_once(loop, (int64_t)MS(7)), 0);
  storm(0);
  for (int i = 0; i < TIMERS; i++) CHECK_EQ(timers[i].calls, 1);
  CHECK_EQ(bytes_read, TIMERS);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(an_interrupt_does_not_cut_a_wait_short) {
  loop_t *loop = loop_new();
  struct timer timer = {0, -1, 0};
  int before = interrupts, fds[2];
  CHECK_EQ(pipe(fds), 0);
  storm(1000);
  do { /* signals that come while one is pending are one */
    uint64_t start = check_clock();
    CHECK_EQ(loop_run_once(loop, (int64_t)MS(200)), 0);
    CHECK(check_clock() - start >= MS(200));
  } while (interrupts - before <= 20);
  timer.far_end = fds[1];
  timer.deadline = loop_clock(loop) + MS(100);
  CHECK(loop_call_at(loop, timer.deadline, on_timer, &timer) > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  storm(0);
  CHECK_EQ(timer.calls, 1);
  CHECK_EQ(loop_free(loop), 0);
  close(fds[0]);
  close(fds[1]);
}
