/* Timers while time passes: what a wheel moves from level to level and a restart that only takes note of
 * the new deadline have to do later is done here, and counts.
 *
 * The clock is shift_clock.c's. Every pass begins at the same distance from a multiple of 2^46 ns, so that
 * a wheel's levels end at the same places. */
#include "backend.h"

#include <stdlib.h>
#include <string.h>

void shift_clock(uint64_t ns) __attribute__((weak));

enum { PASSES = 2 };
static const uint64_t SECOND = 1000000000, MILLISECOND = 1000000;
static uint64_t shifted, pass_began;

/* It is so much later than the pass began, whatever the machine has done meanwhile. */
static void let_it_be(uint64_t ns_later) {
  uint64_t now = now_ns(), then = pass_began + ns_later;
  if (now >= then) return;
  shifted += then - now;
  shift_clock(shifted);
}

static void begin_pass(void) {
  must(shift_clock != NULL, "shift_clock is not preloaded");
  pass_began = ((now_ns() >> 46) + 1) << 46;
  let_it_be(0);
}

ON_TIMER(count_timer) { ++*(uint64_t *)ARG; }

static uint64_t processor_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One turn 10 ms later; the processor's time that it takes, when that is the least of all passes. */
static void timed_turn(b_loop *l, int turn, uint32_t *least) {
  /* The timers have been made in the first second. */
  let_it_be(SECOND + (uint64_t)turn * 10 * MILLISECOND);
  uint64_t began = processor_ns();
  b_turn(l);
  uint64_t ns = processor_ns() - began;
  if (ns < *least) *least = (uint32_t)ns;
}

/* Deadlines from 60 to 120 seconds, in turns of 10 ms: none fires in the first minute, all do in the second. */
void run_passing(uint64_t count) {
  enum { QUIET_TURNS = 5890, TURNS = 12100 };
  b_timer *timers = touched(count, sizeof *timers);
  b_delay *delays = touched(count, sizeof *delays);
  for (uint64_t i = 0; i < count; i++) delays[i] = b_delay_of(60 * SECOND + next_random() % (60 * SECOND));
  uint64_t longest = 0;
  uint32_t least[TURNS];
  memset(least, 0xff, sizeof least);
  for (int pass = 0; pass < PASSES; pass++) {
    begin_pass();
    calls = 0;
    b_loop *l = b_new();
    b_keep(l);
    b_turn(l);
    b_base base = b_base_of(l);
    for (uint64_t i = 0; i < count; i++) b_timer_start(l, &timers[i], count_timer, &calls, base, delays[i]);
    for (int turn = 0; turn < QUIET_TURNS; turn++) timed_turn(l, turn, &least[turn]);
    must_equal("timers that fired early", 0, calls);
    phase_begin(pass ? "timer_fire_passing" : "-");
    for (int turn = QUIET_TURNS; turn < TURNS; turn++) timed_turn(l, turn, &least[turn]);
    phase_end(count);
    must_equal("timers that fired", count, calls);
    for (uint64_t i = 0; i < count; i++) b_timer_end(l, &timers[i]);
    b_turn(l);
    b_free(l);
  }
  for (int turn = 0; turn < TURNS; turn++)
    if (least[turn] > longest) longest = least[turn];
  report("worst_passing_turn_max_us", (double)longest / 1000);
}

/* A server's idle timeouts of 30 seconds, 500 of them restarted in each turn of 30 ms, for 90 seconds. */
static struct {
  b_loop *loop;
  b_timer *timers;
  b_delay timeout;
  uint64_t count, at;
} idle;

enum { RESTARTS = 500, IDLE_TURNS = 3000 };

ON_SOON(restart_some) {
  SOON_ENTER;
  (void)ARG;
  b_base base = b_base_of(idle.loop);
  for (int i = 0; i < RESTARTS; i++) {
    b_timer_restart(idle.loop, &idle.timers[idle.at], count_timer, base, idle.timeout);
    if (++idle.at == idle.count) idle.at = 0;
  }
}

void run_idle_timeouts(uint64_t count) {
  must(count * 30 * MILLISECOND / RESTARTS < 29 * SECOND, "too many to be restarted in time");
  idle.timers = touched(count, sizeof *idle.timers);
  idle.count = count;
  for (int pass = 0; pass < PASSES; pass++) {
    begin_pass();
    b_loop *l = idle.loop = b_new();
    b_keep(l);
    b_turn(l);
    b_soon soon;
    b_soon_init(l, &soon, restart_some, NULL);
    idle.timeout = b_constant(l, b_delay_of(30 * SECOND));
    idle.at = 0;
    for (uint64_t i = 0; i < count; i++) b_timer_later(l, &idle.timers[i], count_timer, &calls, idle.timeout);
    phase_begin(pass ? "timer_restart_passing" : "-");
    for (int turn = 0; turn < IDLE_TURNS; turn++) {
      let_it_be((uint64_t)turn * 30 * MILLISECOND);
      b_call_soon(l, &soon);
      b_turn(l);
    }
    phase_end((uint64_t)RESTARTS * IDLE_TURNS);
    uint64_t armed = 0;
    for (uint64_t i = 0; i < count; i++) armed += b_timer_is_armed(l, &idle.timers[i]);
    must_equal("armed timers", count, armed);
    must_equal("timeouts", 0, calls);
    for (uint64_t i = 0; i < count; i++) b_timer_cancel(l, &idle.timers[i]);
    for (uint64_t i = 0; i < count; i++) b_timer_end(l, &idle.timers[i]);
    b_turn(l);
    b_free(l);
  }
}
