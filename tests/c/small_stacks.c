/* link: -lpthread -Wl,-z,now */
/* A loop lives on a small stack: on a thread of PTHREAD_STACK_MIN bytes, and in a fiber
 * of 16 KB. And no call takes more of the stack than the header says: a stack is painted
 * before the calls, and what has lost its paint afterwards has been used. */
#define _GNU_SOURCE 1
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "count_calls.h"
#include "pairs.h"

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

/* What the header promises, and what the frames of a test's own functions take. */
enum { PROMISED = 8 * 1024, OF_THE_TEST = 512 };
enum { FIBER = 16 * 1024, LARGE = 256 * 1024, PAINT = 0xA5 };

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

static loop_t *loop;
static int pair[2], other_pair[2];
static loop_remote_t *remote;

static void count_wake(void *arg) { ++*(int *)arg; }

static void make(uint32_t flags) {
  loop_options_t options = {.size = sizeof options, .flags = flags};
  CHECK_EQ(loop_new_with(&options, &loop), 0);
}

/* Every kind of source, and what a handle can do. */
static void first_soon(void) { CHECK(loop_call_soon(loop, count_run, NULL) > 0); }
static void first_timer(void) { CHECK(loop_call_later(loop, US(1), count_run, NULL) > 0); }
static void first_tick(void) {
  CHECK(loop_call_every(loop, 0, US(1), LOOP_SKIP_MISSED, count_tick, NULL) > 0);
}
static void first_watcher(void) {
  CHECK(loop_watch_fd(loop, pair[0], LOOP_READABLE, count_event, NULL) > 0);
}
static void first_hook(void) { CHECK(loop_add_hook(loop, LOOP_AFTER_WAIT, count_run, NULL) > 0); }
static void first_release(void) {
  loop_handle_t handle = loop_call_soon(loop, count_run, NULL);
  CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
}
static void first_name(void) {
  loop_handle_t handle = loop_call_later(loop, HOUR, count_run, NULL);
  CHECK_EQ(loop_set_name(loop, handle, "an hour"), 0);
}
static void first_post(void) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, NULL, count_release), 0);
}
static void first_remote(void) {
  remote = loop_remote_new(loop);
  CHECK(remote != NULL);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, NULL, count_release), 0);
}
static void run_a_turn(void) { CHECK(loop_run_once(loop, 0) >= 0); }
static void run_some_turns(void) { CHECK(loop_run_ready(loop, US(50)) >= 0); }
static void wait_a_little(void) { CHECK(loop_run_once(loop, (int64_t)US(200)) >= 0); }

static void use_every_handle_function(void) {
  loop_handle_t timer = loop_call_later(loop, HOUR, count_run, NULL);
  loop_handle_t watch = loop_watch_fd(loop, pair[1], LOOP_READABLE, count_event, NULL);
  loop_handle_t second = loop_watch_fd(loop, pair[1], LOOP_WRITABLE, count_event, NULL);
  CHECK(timer > 0 && watch > 0 && second > 0);
  CHECK_EQ(loop_reschedule(loop, timer, MS(1)), 0);
  CHECK_EQ(loop_reschedule_at(loop, timer, HOUR), 0);
  CHECK(loop_remaining(loop, timer) >= 0);
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_READABLE), 0);
  CHECK_EQ(loop_watch_events(loop, watch), LOOP_READABLE);
  loop_handle_t handles[] = {timer, watch, second};
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(loop_is_active(loop, handles[i]), 1);
    CHECK_EQ(loop_set_arg(loop, handles[i], &runs), 0);
    CHECK_EQ(loop_set_release(loop, handles[i], count_release), 0);
    CHECK_EQ(loop_set_name(loop, handles[i], "a name"), 0);
    CHECK_EQ(loop_unref(loop, handles[i]), 0);
    CHECK_EQ(loop_ref(loop, handles[i]), 0);
    CHECK_EQ(loop_cancel(loop, handles[i]), 0);
    CHECK_EQ(loop_cancel(loop, handles[i]), LOOP_ESTALE);
  }
  CHECK(loop_now(loop) > 0 && loop_clock(loop) > 0);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK(strlen(loop_strerror(LOOP_ESTALE)) > 0);
}

static void post_from_thread(void) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, NULL, NULL), 0);
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(loop_stop(loop), 0);
  CHECK_EQ(loop_run_forever(loop), 0);
}

static void nest_runs(loop_t *l, void *arg) {
  (void)arg;
  CHECK(loop_call_soon(l, count_run, NULL) > 0);
  CHECK(loop_run_once(l, 0) >= 0);
}
static void run_nested(void) {
  CHECK(loop_call_soon(loop, nest_runs, NULL) > 0);
  CHECK(loop_run_once(loop, 0) >= 1);
}

/* So many that every way of sorting them has its turn. */
static void fire(uint64_t count, uint64_t apart) {
  uint64_t now = loop_clock(loop);
  for (uint64_t i = 0; i < count; i++) {
    CHECK(loop_call_at(loop, now - i * apart, count_run, NULL) > 0);
  }
  CHECK(loop_run_once(loop, 0) >= (int)count);
}
static void fire_few_timers(void) { fire(10, 1); }
static void fire_hundred_timers(void) { fire(100, 1); }
static void fire_equal_timers(void) { fire(100, 0); }
static void fire_overdue_timers(void) { fire(200, NS_PER_SEC / 10); }
static void fire_thousands_of_timers(void) { fire(3000, 1); }

static void fill_blocks(void) {
  for (int i = 0; i < 3000; i++) {
    loop_handle_t soon = loop_call_soon(loop, count_run, NULL);
    CHECK_EQ(loop_set_release(loop, soon, count_release), 0);
    if (i % 2) CHECK_EQ(loop_cancel(loop, soon), 0);
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, NULL, count_release), 0);
  }
  for (int i = 0; i < 3; i++) CHECK(loop_run_once(loop, 0) >= 0);
}

static void serve_descriptors(void) {
  put_byte(pair[1]);
  CHECK(loop_run_once(loop, -1) >= 1);
  take_byte(pair[0]);
}

/* A file that lives on in a copy: the set is made anew. */
static void end_an_orphan(void) {
  int copy = dup(other_pair[0]);
  loop_handle_t watch = loop_watch_fd(loop, other_pair[0], LOOP_READABLE, count_event, NULL);
  CHECK(watch > 0);
  put_byte(other_pair[1]);
  CHECK_EQ(close(other_pair[0]), 0);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  for (int i = 0; i < 3; i++) CHECK(loop_run_once(loop, 0) >= 0);
  other_pair[0] = copy;
}

static void set_up_a_host(void) {
  static int wakes;
  CHECK(loop_fd(loop) >= 0);
  CHECK_EQ(loop_set_wake_hook(loop, count_wake, &wakes), 0);
  CHECK(loop_call_soon(loop, count_run, NULL) > 0);
  struct pollfd one = {loop_fd(loop), POLLIN, 0};
  CHECK_EQ(poll(&one, 1, -1), 1);
  CHECK(loop_timeout(loop) == 0 && wakes > 0);
  CHECK(loop_run_once(loop, 0) >= 1);
}
static void flush_now(loop_t *l, void *arg) {
  (void)arg;
  CHECK_EQ(loop_flush(l), 0);
}
static void flush(void) {
  CHECK(loop_call_soon(loop, flush_now, NULL) > 0);
  CHECK(loop_run_once(loop, 0) >= 1);
}

static void make_an_ordinary_loop(void) { make(LOOP_TIMER_SLACK); }
static void free_it(void) {
  if (remote != NULL) CHECK_EQ(loop_remote_free(remote), 0);
  remote = NULL;
  CHECK_EQ(loop_free(loop), 0);
  loop = NULL;
}

static void make_a_loop_to_pull(void) { make(LOOP_PULL); }
static void pull(void) {
  loop_event_t events[4];
  CHECK(loop_call_soon(loop, NULL, NULL) > 0);
  CHECK(loop_call_later(loop, 0, NULL, NULL) > 0);
  CHECK(loop_call_every(loop, 0, HOUR, LOOP_RUN_MISSED, NULL, NULL) > 0);
  CHECK(loop_watch_fd(loop, pair[0], LOOP_WRITABLE, NULL, NULL) > 0);
  for (int count = 0; count < 4;) {
    int more = loop_next_events(loop, events, 4, (int64_t)MS(4000));
    CHECK(more > 0);
    count += more;
  }
}

/* In this order, since each first use allocates. */
static const struct step {
  const char *name;
  void (*make)(void);
} steps[] = {
    {"make a loop", make_an_ordinary_loop},
    {"the first soon-callback", first_soon},
    {"the first timer", first_timer},
    {"the first periodic timer", first_tick},
    {"the first watcher", first_watcher},
    {"the first hook", first_hook},
    {"the first release", first_release},
    {"the first name", first_name},
    {"the first post", first_post},
    {"the first remote", first_remote},
    {"a turn", run_a_turn},
    {"some turns", run_some_turns},
    {"a wait", wait_a_little},
    {"handles", use_every_handle_function},
    {"stop and wake", post_from_thread},
    {"nested runs", run_nested},
    {"few timers that are due", fire_few_timers},
    {"a hundred timers", fire_hundred_timers},
    {"a hundred equal timers", fire_equal_timers},
    {"overdue timers", fire_overdue_timers},
    {"thousands of timers", fire_thousands_of_timers},
    {"thousands of everything", fill_blocks},
    {"events", serve_descriptors},
    {"an orphan", end_an_orphan},
    {"a host", set_up_a_host},
    {"a flush", flush},
    {"a turn for the host", run_a_turn},
    {"free", free_it},
    {"make a loop to pull", make_a_loop_to_pull},
    {"pull", pull},
    {"free that", free_it},
};
enum { STEPS = sizeof steps / sizeof *steps };

static void open_pairs(void) {
  make_pair_with(pair, SOCK_NONBLOCK);
  make_pair_with(other_pair, SOCK_NONBLOCK);
}
static void close_pairs(void) {
  close_pair(pair);
  close_pair(other_pair);
}

/* A stack with a page below it that must not be touched. */
static char *make_stack(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *guard = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(guard != MAP_FAILED);
  CHECK_EQ(mprotect(guard, page, PROT_NONE), 0);
  return guard + page;
}
static void free_stack(char *stack, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  CHECK_EQ(munmap(stack - page, page + size), 0);
}

static ucontext_t here, fiber;
static void (*in_fiber)(void);
static void begin_fiber(void) { in_fiber(); }

static void on_stack(char *stack, size_t size, void (*work)(void)) {
  in_fiber = work;
  CHECK_EQ(getcontext(&fiber), 0);
  fiber.uc_stack.ss_sp = stack;
  fiber.uc_stack.ss_size = size;
  fiber.uc_link = &here;
  makecontext(&fiber, begin_fiber, 0);
  CHECK_EQ(swapcontext(&here, &fiber), 0);
}

static size_t used_by(void (*work)(void), char *stack) {
  memset(stack, PAINT, LARGE);
  on_stack(stack, LARGE, work);
  size_t unused = 0;
  while (unused < LARGE && (unsigned char)stack[unused] == PAINT) unused++;
  return LARGE - unused;
}

static void nothing(void) {}

TEST(a_call_takes_no_more_of_the_stack_than_the_header_says) {
  open_pairs();
  char *stack = make_stack(LARGE);
  size_t fiber_itself = used_by(nothing, stack), most = 0;
  for (int i = 0; i < STEPS; i++) {
    size_t used = used_by(steps[i].make, stack) - fiber_itself;
    printf("    %5zu bytes: %s\n", used, steps[i].name);
    if (used > most) most = used;
  }
  CHECK(most <= PROMISED + OF_THE_TEST);
  free_stack(stack, LARGE);
  close_pairs();
}

static void all_steps(void) {
  for (int i = 0; i < STEPS; i++) steps[i].make();
}

TEST(a_loop_lives_in_a_fiber_of_16_kb) {
  open_pairs();
  char *stack = make_stack(FIBER);
  on_stack(stack, FIBER, all_steps);
  free_stack(stack, FIBER);
  close_pairs();
}

static void *all_steps_on_thread(void *arg) {
  all_steps();
  return arg;
}

TEST(a_loop_lives_on_a_thread_of_the_smallest_stack) {
  open_pairs();
  pthread_attr_t attributes;
  pthread_t thread;
  CHECK_EQ(pthread_attr_init(&attributes), 0);
  CHECK_EQ(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN), 0);
  CHECK_EQ(pthread_create(&thread, &attributes, all_steps_on_thread, NULL), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_EQ(pthread_attr_destroy(&attributes), 0);
  close_pairs();
}
