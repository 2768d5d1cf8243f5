/* link: -rdynamic -lpthread -ldl */
/* No memory: each scenario is run again and again, and each time another one of
 * its requests for memory is refused: one alone, two in a row, or all from there
 * on until a call says -ENOMEM. Every call must say so or work; nothing is lost,
 * nothing is left over, and the loop works afterwards. */
#define _GNU_SOURCE 1
#include "fault_scenarios.h"

#include "count_allocations.h"
#include "count_syscalls.h"

static int is_true(void) {
  if (heap.refusals > 2) heap.refuse_at = 0;
  return heap.refused > 0;
}

static void end(void) { heap.refuse_at = 0; }

/* Refuses so many requests, from the n-th on. Was the n-th made at all? */
static int refuse(void (*scenario)(void), long at, long refusals) {
  size_t before = heap.live;
  char name[100];
  snprintf(name, sizeof name, "%s, %s%ld request(s) refused from number %ld on", fault.name,
           refusals > 2 ? "at most " : "", refusals, at);
  const char *scenario_name = fault.name;
  fault.name = name;
  heap.asked = heap.refused = 0;
  heap.refusals = refusals;
  heap.refuse_at = at;
  run_scenario(scenario);
  heap.refuse_at = 0;
  if (heap.live != before) {
    fprintf(stderr, "%ld bytes are left over, in: %s\n", (long)(heap.live - before), name);
    exit(1);
  }
  fault.name = scenario_name;
  return heap.refused > 0;
}

static void refuse_each(const char *name, void (*scenario)(void)) {
  static const long refusals[] = {1, 2, 1000};
  fault.name = name;
  fault.error = ENOMEM;
  fault.is_true = is_true;
  fault.end = end;
  fault.told = 0;
  run_scenario(scenario); /* what is made once in a process */
  long at = 1, runs = 0;
  for (int goes_on = 1; goes_on; at++) {
    goes_on = 0;
    for (int i = 0; i < 3; i++, runs++) goes_on |= refuse(scenario, at, refusals[i]);
  }
  fprintf(stderr, "    %ld requests for memory, %ld refused ones told\n", at - 2, fault.told);
  CHECK(at - 2 > 5);
  CHECK(fault.told > 0);
}

#define REFUSE(scenario) \
  TEST(no_memory_in_##scenario) { refuse_each(#scenario, scenario); }
SCENARIOS(REFUSE)

/* So many sources that every table needs more than one block, and a burst of events
 * and timers needs new blocks in the middle of a turn. */
static void crowd(void) {
  enum { MANY = 1100, FDS = 280 };
  int pair[2], fds[FDS];
  struct source *s = new_source(4 * MANY), *events = new_source(-1);
  loop_handle_t watches[FDS];
  make_pair(pair);
  put_byte(pair[1]);
  open_loop(0, 0);
  for (int i = 0; i < FDS; i++) {
    fds[i] = dup(pair[0]);
    TRY(watches[i], loop_watch_fd(loop, fds[i], LOOP_READABLE, see, events));
  }
  for (int i = 0; i < MANY; i++) {
    later(0, s);
    loop_handle_t handle;
    TRY(handle, loop_call_soon(loop, run, s));
    DO(loop_call_soon_threadsafe(loop, run, s, i % 2 ? release : NULL));
    s->owed += i % 2;
    TRY(handle, loop_call_every(loop, US(i), HOUR, LOOP_SKIP_MISSED, tick, s));
    DO(loop_unref(loop, handle));
  }
  run_until(s, 4 * MANY);
  CHECK(events->runs >= FDS);
  for (int i = 0; i < FDS; i++) CHECK_EQ(loop_cancel(loop, watches[i]), 0);
  for (int i = 0; i < FDS; i++) CHECK_EQ(close(fds[i]), 0);
  end_loop();
  close_pair(pair);
}
REFUSE(crowd)

/* Queues that are empty in mid-block, and then more than the directory of their blocks has room for:
 * of releases, of posts, of soon-callbacks. Half of them is cancelled, which never fails. */
static void beginnings_in_mid_block(void) {
  enum { MANY = 4200 };
  static loop_handle_t handles[MANY];
  struct source *s = new_source(-1);
  open_loop(0, 0);
  s->expected = 2 * MANY / 2 + MANY + 1;
  DO(loop_call_soon_threadsafe(loop, run, s, release));
  s->owed++;
  run_until(s, 1);
  for (int i = 0; i < MANY; i++) {
    handles[i] = later(HOUR, s);
    loop_handle_t handle;
    TRY(handle, loop_call_soon(loop, run, s));
    owe(s, handle);
    if (i % 100 == 0) DO(loop_set_name(loop, handle, "one of many"));
    if (i % 2) CHECK_EQ(loop_cancel(loop, handle), 0);
    DO(loop_call_soon_threadsafe(loop, run, s, i % 2 ? release : NULL));
    s->owed += i % 2;
  }
  run_until(s, 1 + MANY + MANY / 2);
  for (int i = 0; i < MANY; i++) {
    if (i % 2) CHECK_EQ(loop_cancel(loop, handles[i]), 0);
    if (i % 2 == 0) DO(loop_reschedule(loop, handles[i], 0));
  }
  run_until(s, 1 + MANY + 2 * (MANY / 2));
  end_loop();
}
REFUSE(beginnings_in_mid_block)
