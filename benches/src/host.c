/* Calls between the turns, as a host makes them that owns the main loop; waits that may block;
 * callbacks that throw C++ exceptions. */
#include "backend.h"
#include "throwing.h"

#include <unistd.h>

enum { PASSES = 4 };

static const char *measured(int pass, const char *row) { return pass ? row : "-"; }

ON_SOON(count_soon) {
  SOON_ENTER;
  ++*(uint64_t *)ARG;
}
ON_TIMER(no_timer) { must(!ARG && 0, "a timer that is not due"); }
ON_FD(count_event) {
  if (FD_IS_READABLE) ++*(uint64_t *)ARG;
}

/* A call, then a turn that does not block. */
void run_host(uint64_t count) {
  b_loop *l = b_new();
  b_keep(l);
  b_soon soon;
  b_soon_init(l, &soon, count_soon, &calls);
  for (int pass = 0; pass < PASSES; pass++) {
    calls = 0;
    phase_begin(measured(pass, "host_soon_turn"));
    for (uint64_t i = 0; i < count; i++) {
      b_call_soon(l, &soon);
      b_turn(l);
    }
    phase_end(count);
    must_equal("soon callbacks", count, calls);
  }
  b_timer timer;
  b_delay delay = b_delay_of(10000000000);
  b_timer_later(l, &timer, no_timer, NULL, delay);
  for (int pass = 0; pass < PASSES; pass++) {
    phase_begin(measured(pass, "host_timer_turn"));
    for (uint64_t i = 0; i < count; i++) {
      b_timer_again(l, &timer, no_timer, delay);
      b_turn(l);
    }
    phase_end(count);
  }
  b_timer_cancel(l, &timer);
  b_timer_end(l, &timer);
  b_turn(l);
  b_free(l);
}

/* Turns that may block and find an event at once; then the same while a timer is an hour
 * away, which must cost no further system call. */
static struct {
  b_loop *loop;
  uint64_t count;
} waiting;
ON_FD(stop_in_the_end) {
  (void)FD_IS_READABLE, (void)ARG;
  if (++calls == waiting.count) b_stop(waiting.loop);
}

/* The same as it is in a server: turn after turn of one run. */
static void wait_in_a_run(uint64_t count) {
  b_loop *l = waiting.loop = b_new();
  waiting.count = count;
  b_fd watch;
  int fd = event_fd(true);
  b_fd_init(l, &watch, fd, stop_in_the_end, NULL);
  b_fd_start(l, &watch, fd, READABLE, stop_in_the_end, NULL);
  for (int pass = 0; pass < PASSES; pass++) {
    calls = 0;
    phase_begin(measured(pass, "wait_run"));
    b_run(l);
    phase_end(count);
    must_equal("events", count, calls);
  }
  b_fd_stop(l, &watch);
  b_turn(l);
  b_free(l);
}

void run_wait(uint64_t count) {
  wait_in_a_run(count);
  b_loop *l = b_new();
  b_fd watch;
  int fd = event_fd(true);
  b_fd_init(l, &watch, fd, count_event, &calls);
  b_fd_start(l, &watch, fd, READABLE, count_event, &calls);
  b_timer timer = {0};
  for (int with_timer = 0; with_timer < 2; with_timer++) {
    if (with_timer) b_timer_later(l, &timer, no_timer, NULL, b_delay_of(3600000000000));
    for (int pass = 0; pass < PASSES; pass++) {
      calls = 0;
      phase_begin(measured(pass, with_timer ? "wait_far_timer" : "wait"));
      for (uint64_t i = 0; i < count; i++) b_wait(l);
      phase_end(count);
      must_equal("events", count, calls);
    }
  }
  b_timer_cancel(l, &timer);
  b_timer_end(l, &timer);
  b_fd_stop(l, &watch);
  b_turn(l);
  b_free(l);
}

/* Callbacks of which one in a thousand throws. Through evloop the exception passes and the run is
 * called again; a callback of the C libraries must catch it itself, or their state is lost. */
enum { ONE_IN = 1000 };
static bool do_throw;
ON_SOON(maybe_throw) {
  SOON_ENTER;
  uint64_t number = ++*(uint64_t *)ARG;
  if (!do_throw || number % ONE_IN) return;
  if (EXCEPTIONS_PASS) throw_number(number);
  else throw_and_catch(number);
}

static void turn_of(void *l) { b_turn(l); }

void run_throwing(uint64_t count) {
  b_loop *l = b_new();
  b_keep(l);
  b_soon *soon = touched(count, sizeof *soon);
  for (uint64_t i = 0; i < count; i++) b_soon_init(l, &soon[i], maybe_throw, &calls);
  for (int pass = 0; pass < 2 * PASSES; pass++) {
    do_throw = pass % 2;
    caught = calls = 0;
    phase_begin(measured(pass / 2, do_throw ? "soon_throwing" : "soon_not_throwing"));
    for (uint64_t i = 0; i < count; i++) b_call_soon(l, &soon[i]);
    if (EXCEPTIONS_PASS) {
      while (calls < count) call_and_catch(turn_of, l);
    } else {
      b_turn(l);
    }
    phase_end(count);
    must_equal("callbacks", count, calls);
    must_equal("exceptions", do_throw ? count / ONE_IN : 0, caught);
  }
  b_free(l);
}
