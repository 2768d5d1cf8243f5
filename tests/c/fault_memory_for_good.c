/* link: -rdynamic -lpthread -ldl */
/* Memory that is gone and does not come back: from the n-th request on, for every n,
 * nothing is given any more. A call works or says -ENOMEM, a program goes on without what
 * it did not get, a cancel always works, and so does loop_free, which makes every
 * release that is owed, once. Nothing is left over; nothing ends the process. */
#define _GNU_SOURCE 1
#include <limits.h>
#include <unistd.h>

#include "check.h"
#include "count_allocations.h"
#include "count_calls.h"
#include "pairs.h"

__attribute__((constructor)) static void hang_guard(void) { alarm(100); }

#define HOUR (UINT64_C(3600) * NS_PER_SEC)

enum { MANY = 2500, WATCHED = 140 };

static loop_t *loop;
static long owed;
static loop_handle_t handles[4 * MANY];
static int handle_count;

static void count_wake(void *arg) { (void)arg; }

/* Did the call work? For want of memory it need not. */
static int works(int64_t result) {
  if (result >= 0) return 1;
  CHECK_EQ(result, -ENOMEM);
  CHECK(heap.refused > 0);
  return 0;
}

static int works_with_release(int result) {
  if (!works(result)) return 0;
  owed++;
  return 1;
}

/* A source, with a release if there is memory for it. */
static void keep(loop_handle_t handle) {
  if (!works(handle)) return;
  works_with_release(loop_set_release(loop, handle, count_release));
  handles[handle_count++] = handle;
}

/* It has ended by itself, or ends now. */
static void cancel_all(void) {
  while (handle_count > 0) {
    loop_handle_t handle = handles[--handle_count];
    int is_active = loop_is_active(loop, handle);
    int code = loop_cancel(loop, handle);
    CHECK(code == 0 || (code == LOOP_ESTALE && !is_active));
  }
}

static void run_turns(int count) {
  for (int i = 0; i < count; i++) works(loop_run_once(loop, 0));
}

static void nest(loop_t *l, void *arg) {
  (void)arg;
  keep(loop_call_soon(l, count_run, NULL));
  works(loop_run_once(l, 0));
  works(loop_flush(l));
}

static void add_hooks(void) {
  for (uint32_t when = LOOP_BEFORE_WAIT; when <= LOOP_ON_INTERRUPT; when++) {
    keep(loop_add_hook(loop, when, count_run, NULL));
    if (handle_count > 0) works(loop_set_name(loop, handles[handle_count - 1], "a hook"));
  }
}

/* So many of each that queues and tables need further blocks and larger directories; the queues
 * are empty in mid-block before. */
static void many_of_each(void) {
  works(loop_call_soon(loop, nest, NULL));
  for (int i = 0; i < MANY; i++) {
    keep(loop_call_soon(loop, count_run, NULL));
    keep(loop_call_later(loop, HOUR, count_run, NULL));
    works_with_release(loop_call_soon_threadsafe(loop, count_run, NULL, count_release));
    if (i % 500 == 0 && handle_count > 0) works(loop_set_name(loop, handles[handle_count - 1], "one of many"));
  }
  keep(loop_call_every(loop, 0, US(1), LOOP_SKIP_MISSED, count_tick, NULL));
}

static void watch_descriptors(const int fds[WATCHED]) {
  for (int i = 0; i < WATCHED; i++) {
    keep(loop_watch_fd(loop, fds[i], LOOP_WRITABLE, count_event, NULL));
    if (i % 3 == 0) keep(loop_watch_fd(loop, fds[i], LOOP_READABLE, count_event, NULL));
  }
}

static void be_embedded(void) {
  works(loop_fd(loop));
  works(loop_set_wake_hook(loop, count_wake, NULL));
  CHECK(loop_timeout(loop) >= 0);
}

static void use_remote(void) {
  loop_remote_t *remote = loop_remote_new(loop);
  if (remote == NULL) return;
  works_with_release(loop_remote_call_soon(remote, count_run, NULL, count_release));
  CHECK_EQ(loop_remote_free(remote), 0);
}

static void everything(const int fds[WATCHED]) {
  if (!works(loop_new_with(&(loop_options_t){.size = sizeof(loop_options_t)}, &loop))) return;
  keep(loop_call_soon(loop, count_run, NULL));
  works_with_release(loop_call_soon_threadsafe(loop, count_run, NULL, count_release));
  run_turns(2);
  add_hooks();
  many_of_each();
  use_remote();
  watch_descriptors(fds);
  be_embedded();
  run_turns(3);
  for (int i = 0; i < MANY; i++) keep(loop_call_later(loop, 0, count_run, NULL));
  run_turns(2);
  cancel_all();
  run_turns(2);
  for (int i = 0; i < 10; i++) keep(loop_call_soon(loop, count_run, NULL));
  handle_count = 0;
  CHECK_EQ(loop_free(loop), 0);
}

static void pulled(const int fds[WATCHED]) {
  loop_event_t events[100];
  loop_options_t options = {.size = sizeof options, .flags = LOOP_PULL};
  if (!works(loop_new_with(&options, &loop))) return;
  for (int i = 0; i < MANY; i++) {
    keep(loop_call_soon(loop, i % 7 ? NULL : count_run, NULL));
    keep(loop_call_later(loop, 0, NULL, NULL));
    works_with_release(loop_call_soon_threadsafe(loop, NULL, NULL, count_release));
  }
  keep(loop_call_every(loop, 0, US(1), LOOP_RUN_MISSED, NULL, NULL));
  for (int i = 0; i < WATCHED; i++) keep(loop_watch_fd(loop, fds[i], LOOP_WRITABLE, NULL, NULL));
  for (int i = 0; i < 20; i++) works(loop_next_events(loop, events, 100, 0));
  cancel_all();
  works(loop_next_events(loop, events, 100, 0));
  CHECK_EQ(loop_free(loop), 0);
}

/* Was the n-th request made at all? */
static int refuse_from(void (*scenario)(const int fds[WATCHED]), const int fds[WATCHED], long at) {
  size_t before = heap.live;
  owed = releases = 0;
  handle_count = 0;
  heap.asked = heap.refused = 0;
  heap.refusals = LONG_MAX;
  heap.refuse_at = at;
  scenario(fds);
  heap.refuse_at = 0;
  if (releases != owed || heap.live != before) {
    fprintf(stderr, "%ld releases of %ld, %ld bytes left over, without memory from request %ld on\n",
            releases, owed, (long)(heap.live - before), at);
    exit(1);
  }
  return heap.refused > 0;
}

static void refuse_from_each(void (*scenario)(const int fds[WATCHED])) {
  int pair[2], fds[WATCHED];
  make_pair_with(pair, SOCK_NONBLOCK);
  for (int i = 0; i < WATCHED; i++) CHECK((fds[i] = dup(pair[0])) >= 0);
  refuse_from(scenario, fds, LONG_MAX); /* what is made once in a process */
  long at = 1;
  while (refuse_from(scenario, fds, at)) at++;
  printf("    %ld requests for memory\n", at - 1);
  CHECK(at > 100);
  for (int i = 0; i < WATCHED; i++) CHECK_EQ(close(fds[i]), 0);
  close_pair(pair);
}

TEST(memory_that_is_gone_for_good_ends_no_process) { refuse_from_each(everything); }
TEST(memory_that_is_gone_for_good_ends_no_process_in_pull_mode) { refuse_from_each(pulled); }
