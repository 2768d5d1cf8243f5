/* signals.c: signals as events, by a signalfd in a watcher. Between two turns, where everything is
 * allowed, it counts SIGHUP and ends at SIGINT or SIGTERM. A signal that arrives at any moment,
 * also just before the loop waits, is not lost. Try it with: kill -HUP PID */
#define _GNU_SOURCE
#include <err.h>
#include <evloop.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Blocks the signals, so that they are not delivered but can be read. Call it before the first
 * thread starts: threads inherit the mask. A child that calls exec inherits it as well, so restore
 * it there. */
static int open_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -1;
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void on_signal(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct signalfd_siginfo info;
  int *reloads = arg;
  (void)events;
  if (read(fd, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGHUP)
    printf("reload %d\n", ++*reloads);
  else
    loop_stop(loop);
  fflush(stdout);
}

int main(void) {
  int reloads = 0, fd = open_signals();
  if (fd < 0) err(1, "signals");
  loop_t *loop = loop_new();
  loop_handle_t watch = loop_watch_fd(loop, fd, LOOP_READABLE, on_signal, &reloads);
  if (watch < 0) errx(1, "%s", loop_strerror((int)watch));
  loop_unref(loop, watch); /* it does not keep loop_run going by itself */
  printf("waiting for signals\n");
  fflush(stdout);
  int result = loop_run_forever(loop);
  loop_free(loop);
  close(fd);
  puts("stopped");
  return result < 0;
}
