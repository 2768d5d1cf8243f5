/* hooks.c: what a program can do around the loop's wait: count its waits, write out what it has
 * buffered before it sleeps, handle signals; and a wait that a signal handler ends. */
#define _XOPEN_SOURCE 700
#include <evloop.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

struct program {
  int waits, flushes, interrupts;
  loop_handle_t work;
};

static loop_t *volatile the_loop; /* for the signal handler */
static volatile sig_atomic_t woken;

static void on_signal(int number) {
  (void)number;
  woken = 1;
  loop_wake(the_loop); /* allowed in signal handlers: ends the wait */
}

/* The loop carries a pointer of ours, so that a callback's argument is free for other things. */
static void before_wait(loop_t *loop, void *arg) {
  struct program *program = loop_data(loop);
  (void)arg;
  program->waits++;
}

static void after_wait(loop_t *loop, void *arg) {
  struct program *program = arg;
  if (!woken) return;
  woken = 0; /* outside of the signal handler, where everything is allowed */
  puts("the signal's work is done here");
  loop_cancel(loop, program->work);
}

static void when_idle(loop_t *loop, void *count) {
  (void)loop;
  ++*(int *)count; /* nothing is ready and there is time: the place to flush buffers */
}

static void on_interrupt(loop_t *loop, void *arg) {
  struct program *program = arg;
  (void)loop;
  program->interrupts++;
}

static void nothing(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
}

int main(void) {
  struct program program = {.waits = 0};
  struct sigaction action = {.sa_handler = on_signal};
  loop_t *loop = the_loop = loop_new();
  sigaction(SIGALRM, &action, NULL);
  loop_set_data(loop, &program);

  loop_add_hook(loop, LOOP_BEFORE_WAIT, before_wait, NULL);
  loop_add_hook(loop, LOOP_AFTER_WAIT, after_wait, &program);
  loop_add_hook(loop, LOOP_ON_INTERRUPT, on_interrupt, &program);
  loop_handle_t hook = loop_add_hook(loop, LOOP_WHEN_IDLE, when_idle, NULL);
  loop_set_arg(loop, hook, &program.flushes); /* another argument, as for any source */

  program.work = loop_call_later(loop, 10 * LOOP_SECOND, nothing, NULL);
  loop_unref(loop, program.work);
  loop_ref(loop, program.work); /* on second thoughts: loop_run is to wait for it */
  struct itimerval in_100_ms = {.it_value = {.tv_usec = 100000}};
  setitimer(ITIMER_REAL, &in_100_ms, NULL); /* SIGALRM, while the loop waits */
  int result = loop_run(loop); /* until after_wait has cancelled the work */
  printf("waited: %d, idle: %d\n", program.waits > 0, program.flushes > 0);
  loop_free(loop);
  return result < 0;
}
