/* link: -rdynamic -lpthread -ldl */
/* System calls that fail: each scenario is run again and again, and each time
 * another one of its calls fails, with each error that it may have: one alone,
 * two in a row, or all from there on until somebody says so. Every call must
 * answer with that error or work; nothing is lost, nothing is left over, and the
 * loop works afterwards. An interrupted call (EINTR) is nobody's business.
 *
 * Some errors about a descriptor are lies here, since it is open: then a watcher
 * may fall silent, if the library says -EBADF when it is asked.
 *
 * Not here: EEXIST, which is what the kernel says when all is well and scenarios
 * meet it by themselves; futex, whose waits the standard library repeats; clock_gettime(CLOCK_MONOTONIC) has no error, and what close says
 * changes nothing. */
#define _GNU_SOURCE 1
#include "fault_scenarios.h"

#include "fault_syscalls.h"

enum { TOLD, HIDDEN, LIE };

static const struct way {
  enum call call;
  int error, kind;
} ways[] = {
    {CREATE, EMFILE, TOLD},   {CREATE, ENFILE, TOLD},     {CREATE, ENOMEM, TOLD},   {ADD, ENOMEM, TOLD},
    {ADD, ENOSPC, TOLD},      {ADD, EPERM, LIE},          {ADD, EBADF, LIE},        {ADD, ELOOP, LIE},
    {MOD, ENOMEM, TOLD},        {MOD, EBADF, LIE},        {MOD, ENOENT, LIE},
    {MOD, EPERM, LIE},        {DEL, EBADF, LIE},          {DEL, ENOENT, LIE},       {DEL, ENOMEM, LIE},
    {WAIT, EINTR, HIDDEN},    {WAIT, ENOMEM, TOLD},       {WAIT, EBADF, TOLD},      {PWAIT2, EINTR, HIDDEN},
    {PWAIT2, ENOSYS, HIDDEN}, {PWAIT2, EPERM, HIDDEN},    {PWAIT2, ENOMEM, TOLD},   {EVENTFD, EMFILE, TOLD},
    {EVENTFD, ENFILE, TOLD},  {EVENTFD, ENOMEM, TOLD},    {EVENTFD, ENODEV, TOLD},  {TIMERFD, EMFILE, TOLD},
    {TIMERFD, ENFILE, TOLD},  {TIMERFD, ENOMEM, TOLD},    {TIMERFD, ENODEV, TOLD},  {TIMERFD, EPERM, TOLD},
    {SETTIME, EINVAL, TOLD},  {SETTIME, ECANCELED, TOLD}, {WRITE, EINTR, HIDDEN},   {READ, EINTR, HIDDEN},
    {POLL, EINTR, HIDDEN},    {POLL, ENOMEM, HIDDEN},     {POLL, EINVAL, HIDDEN},   {NAP, EINTR, HIDDEN},
    {DUP3, EINTR, HIDDEN},    {DUP3, EBUSY, TOLD},        {DUP3, EMFILE, TOLD},     {PRCTL, EINVAL, HIDDEN},
    {PRCTL, EPERM, HIDDEN},   {KCMP, EPERM, HIDDEN},      {KCMP, ENOSYS, HIDDEN},
};

static const char *const names[] = {
    "epoll_create1", "EPOLL_CTL_ADD", "EPOLL_CTL_MOD",   "EPOLL_CTL_DEL", "epoll_wait",
    "epoll_pwait2",  "eventfd",       "timerfd_create",  "timerfd_settime", "write",
    "read",          "poll", "nanosleep", "dup3", "prctl", "kcmp"};

enum { CALLS = sizeof names / sizeof *names, WAYS = sizeof ways / sizeof *ways };

static long all_injected[CALLS];
static int scenarios;

static int is_true(void) {
  int was_injected = inject.injected > 0;
  if (inject.times > 2) inject.error = 0;
  return was_injected;
}

static void end(void) { inject.error = 0; }

/* Lets so many calls fail, from the n-th on. Was the n-th made at all? */
static int let_fail(void (*scenario)(void), const struct way *way, long at, long times) {
  const char *scenario_name = fault.name;
  char name[120];
  snprintf(name, sizeof name, "%s, %s number %ld says %s, %ld time(s) at most", fault.name, names[way->call], at,
           loop_error_name(-way->error), times);
  fault.name = name;
  fault.error = way->error;
  fault.is_hidden = way->kind == HIDDEN;
  fault.lies = way->kind == LIE;
  inject.call = way->call;
  inject.error = way->error;
  inject.at = at;
  inject.times = times;
  inject.met = inject.injected = 0;
  run_scenario(scenario);
  inject.error = 0;
  fault.name = scenario_name;
  all_injected[way->call] += inject.injected;
  return inject.injected > 0;
}

/* A signal that comes again and again is not the case; one that comes a few times is. */
static long longest(const struct way *way) { return way->error == EINTR ? 5 : 1000; }

static void let_each_fail(const char *name, void (*scenario)(void)) {
  long runs = 0;
  fault.name = name;
  fault.is_true = is_true;
  fault.end = end;
  fault.told = 0;
  for (size_t i = 0; i < WAYS; i++) {
    int goes_on = 1;
    for (long at = 1; goes_on; at++) {
      goes_on = 0;
      long times[] = {1, 2, longest(&ways[i])};
      for (int k = 0; k < 3; k++, runs++) goes_on |= let_fail(scenario, &ways[i], at, times[k]);
    }
  }
  scenarios++;
  fprintf(stderr, "    %ld runs, %ld faults told\n", runs, fault.told);
}

#define LET_FAIL(scenario) \
  TEST(failing_calls_in_##scenario) { let_each_fail(#scenario, scenario); }
SCENARIOS(LET_FAIL)

/* Not even an error: the loop waits in another way, a little later. */
TEST(a_set_without_room_for_the_timerfd_waits_all_the_same) {
  fault.name = "no room for the timerfd";
  fault.is_true = is_true;
  fault.end = end;
  CHECK_EQ(prctl(PR_SET_TIMERSLACK, 50000ul), 0); /* one that could not be set back is still very short */
  open_loop(0, 0);
  inject.call = ADD;
  inject.error = fault.error = ENOSPC;
  inject.at = 1;
  inject.times = 1000;
  inject.met = inject.injected = 0;
  for (int i = 0; i < 10000 && inject.injected == 0; i++) CHECK_EQ(loop_run_once(loop, (int64_t)US(30)), 0);
  struct source *s = new_source(3);
  for (uint64_t i = 0; i < 3; i++) later(US(20) + i * US(700), s);
  while (s->runs < 3) CHECK(loop_run_once(loop, -1) >= 0);
  CHECK(inject.injected > 0);
  end_loop();
}

TEST(each_call_was_made_to_fail) {
  for (int i = 0; i < CALLS; i++) fprintf(stderr, "    %s failed %ld times\n", names[i], all_injected[i]);
  if (scenarios < 13) return; /* one test alone */
  for (int i = 0; i < CALLS; i++) CHECK(all_injected[i] > 0 || i == KCMP); /* made in a child */
}
