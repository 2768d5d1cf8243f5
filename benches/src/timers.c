/* Timers: made, restarted, cancelled, fired; how late they are.
 *
 * All of it is done inside a callback, where libuv, libev and libevent use their cached time. */
#include "backend.h"

#include <stdlib.h>

static const uint64_t SECOND = 1000000000;

static struct {
  b_loop *loop;
  uint64_t count;
  b_timer *timers;
  b_delay *random, constant;
} t;
static bool is_measured;

static const char *measured(const char *row) { return is_measured ? row : "-"; }

ON_TIMER(count_timer) { ++*(uint64_t *)ARG; }

static void make_delays(uint64_t from_ns, uint64_t to_ns) {
  t.random = touched(t.count, sizeof *t.random);
  for (uint64_t i = 0; i < t.count; i++) t.random[i] = b_delay_of(from_ns + next_random() % (to_ns - from_ns));
}

/* Runs a part inside a callback. */
static void (*part)(void);
ON_SOON(call_part) {
  SOON_ENTER;
  (void)ARG;
  part();
}
static void inside(void (*the_part)(void)) {
  part = the_part;
  b_soon soon;
  b_soon_init(t.loop, &soon, call_part, NULL);
  b_call_soon(t.loop, &soon);
  b_turn(t.loop);
#ifdef UV_VERSION_MAJOR
  uv_close((uv_handle_t *)&soon, NULL);
  b_turn(t.loop);
#endif
}

static void must_be_armed(uint64_t expected) {
  uint64_t armed = 0;
  for (uint64_t i = 0; i < t.count; i++) armed += b_timer_is_armed(t.loop, &t.timers[i]);
  must_equal("armed timers", expected, armed);
}

static void start_all(void) {
  b_base base = b_base_of(t.loop);
  phase_begin(measured("timer_create"));
  for (uint64_t i = 0; i < t.count; i++) b_timer_start(t.loop, &t.timers[i], count_timer, &calls, base, t.random[i]);
  phase_end(t.count);
  must_be_armed(t.count);
}

static void cancel_all(void) {
  phase_begin(measured("timer_cancel"));
  for (uint64_t i = 0; i < t.count; i++) b_timer_cancel(t.loop, &t.timers[i]);
  phase_end(t.count);
  must_be_armed(0);
}

static void cancel_quietly(void) {
  for (uint64_t i = 0; i < t.count; i++) b_timer_cancel(t.loop, &t.timers[i]);
}

static void end_all(void) {
  for (uint64_t i = 0; i < t.count; i++) b_timer_end(t.loop, &t.timers[i]);
}

static void restart_random(void) {
  b_base base = b_base_of(t.loop);
  phase_begin(measured("timer_restart_random"));
  for (uint64_t i = 0; i < t.count; i++)
    b_timer_restart(t.loop, &t.timers[i], count_timer, base, t.random[t.count - 1 - i]);
  phase_end(t.count);
  must_be_armed(t.count);
}

static bool is_settled; /* all have the constant delay already */
static void restart_constant(void) {
  b_base base = b_base_of(t.loop);
  phase_begin(measured(is_settled ? "timer_restart_constant" : "-"));
  for (uint64_t i = 0; i < t.count; i++) b_timer_restart(t.loop, &t.timers[i], count_timer, base, t.constant);
  phase_end(t.count);
  must_be_armed(t.count);
}

static void again_constant(void) {
  b_base_of(t.loop);
  phase_begin(measured("timer_again_constant"));
  for (uint64_t i = 0; i < t.count; i++) b_timer_again(t.loop, &t.timers[i], count_timer, t.constant);
  phase_end(t.count);
  must_be_armed(t.count);
}

static void later_all(void) {
  b_base_of(t.loop);
  phase_begin(measured("timer_create_later"));
  for (uint64_t i = 0; i < t.count; i++) b_timer_later(t.loop, &t.timers[i], count_timer, &calls, t.random[i]);
  phase_end(t.count);
  must_be_armed(t.count);
}

/* The first one warms up; few timers need many to be measured. */
static uint64_t passes(uint64_t count) { return count >= 100000 ? 2 : 1 + 100000 / count; }

/* Delays of 1 to 60 seconds, of which none comes due. */
void run_timers(uint64_t count) {
  t.loop = b_new();
  t.count = count;
  t.timers = touched(count, sizeof *t.timers);
  make_delays(SECOND, 60 * SECOND);
  t.constant = b_constant(t.loop, b_delay_of(30 * SECOND));
  for (uint64_t pass = 0; pass < passes(count); pass++) {
    is_measured = pass > 0;
    inside(start_all);
    inside(cancel_all);
    inside(end_all);
    b_turn(t.loop);
    inside(later_all);
    inside(restart_random);
    is_settled = false;
    inside(restart_constant);
    is_settled = true;
    inside(restart_constant);
    inside(again_constant);
    inside(cancel_quietly);
    inside(end_all);
    b_turn(t.loop);
  }
  must_equal("timers that fired", 0, calls);
  b_free(t.loop);
}

/* The part of it that is measured with ever more timers. */
void run_growing_timers(uint64_t count) {
  t.loop = b_new();
  t.count = count;
  t.timers = touched(count, sizeof *t.timers);
  make_delays(60 * SECOND, 120 * SECOND);
  for (uint64_t pass = 0; pass < passes(count); pass++) {
    is_measured = pass > 0;
    inside(start_all);
    inside(restart_random);
    inside(cancel_all);
    inside(end_all);
    b_turn(t.loop);
  }
  must_equal("timers that fired", 0, calls);
  b_free(t.loop);
}

static void start_due(void) {
  b_base base = b_base_of(t.loop);
  for (uint64_t i = 0; i < t.count; i++) b_timer_start(t.loop, &t.timers[i], count_timer, &calls, base, t.random[i]);
}

/* Deadlines spread over 400 ms, the first one far enough that all are armed before it (on a
 * busy machine it takes a second try). Then all are due, and turns are made until all have fired. */
void run_timer_fire(uint64_t count) {
  t.loop = b_new();
  t.count = count;
  t.timers = touched(count, sizeof *t.timers);
  for (uint64_t first = SECOND / 20 + 200 * count;; first *= 3) {
    make_delays(first, first + SECOND * 4 / 10);
    uint64_t began = now_ns();
    inside(start_due);
    if (calls == 0) {
      b_timers_pass(t.loop, began + first + SECOND / 2, first + SECOND / 2);
      break;
    }
    must(first < 100 * SECOND, "timers cannot be armed in time");
    inside(cancel_quietly);
    inside(end_all);
    b_turn(t.loop);
    calls = 0;
    free(t.random);
  }
  phase_begin("timer_fire");
  for (int turns = 0; calls < count && turns < 10000; turns++) b_turn(t.loop);
  phase_end(count);
  must_equal("timers that fired", count, calls);
  inside(end_all);
  b_turn(t.loop);
  b_free(t.loop);
}

/* How late single timers fire, of an ordinary process whose loop has nothing else to do. */
static struct {
  b_loop *loop;
  b_timer timer;
  uint64_t fired;
} late;
ON_TIMER(note_time) {
  (void)ARG;
  late.fired = now_ns();
  b_stop(late.loop);
}

void run_lateness(uint64_t samples) {
  static const uint64_t delays_us[] = {50, 100, 200, 500, 1000, 2000, 5000};
  enum { DELAYS = sizeof delays_us / sizeof *delays_us };
  double *values = touched(samples * DELAYS, sizeof *values);
  uint64_t early = 0, count = 0;
  late.loop = b_new();
  b_keep(late.loop);
  phase_begin("lateness_all");
  for (uint64_t i = 0; i < samples * DELAYS; i++) {
    uint64_t delay = delays_us[i % DELAYS] * 1000;
    /* The loop's time is fresh, as it would be in a callback that came after a wait. */
    b_base_of(late.loop);
    uint64_t due = now_ns() + delay;
    b_timer_later(late.loop, &late.timer, note_time, NULL, b_delay_of(delay));
    b_run(late.loop);
    if (late.fired < due) early++;
    values[count++] = ((double)late.fired - (double)due) / 1000;
    b_timer_end(late.loop, &late.timer);
    b_turn(late.loop);
  }
  phase_end(count);
  report("lateness_p50_us", percentile(values, count, 0.5));
  report("lateness_p99_us", percentile(values, count, 0.99));
  report("fired_early", (double)early);
  b_free(late.loop);
}
