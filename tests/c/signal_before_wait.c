/* A signal may arrive after the loop has decided to wait and before it waits: then no system call
 * is interrupted, and LOOP_ON_INTERRUPT hears nothing. What a handler does with loop_wake, or a
 * signalfd in a watcher, is not lost. The hook WHEN_IDLE is such a moment. */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <sys/signalfd.h>

static loop_t *volatile the_loop;
static volatile sig_atomic_t handled;
static int interrupts, read_signals;

static void only_note(int number) {
  (void)number;
  handled = 1;
}

static void note_and_wake(int number) {
  (void)number;
  handled = 1;
  loop_wake(the_loop);
}

static void nothing(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
}

static void raise_once(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(raise(SIGUSR1), 0);
  loop_cancel(loop, loop_current(loop));
}

/* What ends the wait in the end. Made here: before, it might be due before the loop waits. */
static void arm_timer(loop_t *loop, void *arg) {
  CHECK(loop_call_later(loop, MS(20), nothing, arg) > 0);
  loop_cancel(loop, loop_current(loop));
}

static void count_interrupt(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
  interrupts++;
}

static loop_t *loop_with(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  loop_t *loop = the_loop = loop_new();
  handled = interrupts = read_signals = 0;
  CHECK(loop_add_hook(loop, LOOP_WHEN_IDLE, raise_once, NULL) > 0);
  CHECK(loop_add_hook(loop, LOOP_ON_INTERRUPT, count_interrupt, NULL) > 0);
  alarm(60);
  return loop;
}

TEST(a_signal_just_before_the_wait_interrupts_nothing) {
  loop_t *loop = loop_with(only_note);
  CHECK(loop_add_hook(loop, LOOP_WHEN_IDLE, arm_timer, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, -1), 1);
  CHECK_EQ(handled, 1);
  CHECK_EQ(interrupts, 0);
  loop_free(loop);
}

TEST(a_wake_in_its_handler_ends_the_wait_all_the_same) {
  loop_t *loop = loop_with(note_and_wake);
  CHECK_EQ(loop_run_once(loop, -1), 0); /* for ever, if it were lost */
  CHECK_EQ(handled, 1);
  loop_free(loop);
}

static void on_signal_fd(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct signalfd_siginfo info;
  (void)events, (void)arg;
  CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
  CHECK_EQ(info.ssi_signo, SIGUSR1);
  read_signals++;
  loop_cancel(loop, loop_current(loop));
}

TEST(a_signalfd_is_readable_after_it) {
  loop_t *loop = loop_with(only_note);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  CHECK(loop_watch_fd(loop, fd, LOOP_READABLE, on_signal_fd, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(read_signals, 1);
  CHECK_EQ(handled, 0);
  loop_free(loop);
  close(fd);
}
