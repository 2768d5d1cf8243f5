/* Values that a function does not take: NULL for what it needs, unknown flags and kinds, bad
 * descriptors, sizes that cannot be, calls to a loop of another kind. And those that look wrong
 * and are right. Each call answers with a code, and the loop works as before. */
#define _GNU_SOURCE 1
#include <limits.h>

#include "misuse.h"

static struct stage stage;
static loop_t *loop;

static void begin(uint32_t flags) {
  stage_with(&stage, flags);
  loop = stage.loop;
}

static void end(void) {
  work_out(&stage);
  end_stage(&stage);
}

static void say(const char *function, const char *misuse, int64_t answer) {
  const char *text = answer < 0 ? loop_error_name((int)answer) : "ok";
  CHECK(strcmp(text, "UNKNOWN") != 0);
  printf("values|%s|%s|%s\n", function, misuse, text);
}

/* A call of `function` that is `misuse`. */
#define SAY(function, misuse, ...) say(#function, misuse, (int64_t)function(__VA_ARGS__))

static void new_with(const char *misuse, loop_options_t options) {
  loop_t *made = NULL;
  int code = loop_new_with(&options, &made);
  CHECK((code == 0) == (made != NULL));
  if (made != NULL) CHECK_EQ(loop_free(made), 0);
  say("loop_new_with", misuse, code);
}

TEST(options) {
  const uint32_t size = sizeof(loop_options_t);
  loop_options_t usual = {.size = size};
  loop_t *out = NULL;
  SAY(loop_new_with, "`options` is NULL", NULL, &out);
  SAY(loop_new_with, "`out` is NULL", &usual, NULL);
  CHECK(out == NULL);
  new_with("`size` is 0", (loop_options_t){.size = 0});
  new_with("`size` is 7", (loop_options_t){.size = 7});
  new_with("`size` is 8: all beyond it is as usual", (loop_options_t){.size = 8, .reserved = 1});
  new_with("an unknown flag", (loop_options_t){.size = size, .flags = UINT32_C(1) << 31});
  new_with("two clocks", (loop_options_t){.size = size, .flags = LOOP_VIRTUAL_CLOCK | LOOP_MANUAL_CLOCK});
  new_with("`reserved` is 1", (loop_options_t){.size = size, .reserved = 1});
  new_with("`max_events` beyond 1,048,576", (loop_options_t){.size = size, .max_events = UINT32_MAX});
  new_with("`poll_gap_ns` is UINT64_MAX", (loop_options_t){.size = size, .poll_gap_ns = UINT64_MAX});
  struct {
    loop_options_t known;
    uint64_t unknown;
  } longer = {.known = {.size = sizeof longer}, .unknown = 0};
  CHECK_EQ(loop_new_with(&longer.known, &out), 0);
  CHECK_EQ(loop_free(out), 0);
  say("loop_new_with", "of a later version, its part zero", 0);
  longer.unknown = 1;
  SAY(loop_new_with, "of a later version, its part used", &longer.known, &out);
}

TEST(callbacks) {
  begin(0);
  SAY(loop_call_soon, "`cb` is NULL", loop, NULL, NULL);
  SAY(loop_call_later, "`cb` is NULL", loop, 0, NULL, NULL);
  SAY(loop_call_at, "`cb` is NULL", loop, 0, NULL, NULL);
  SAY(loop_call_every, "`cb` is NULL", loop, 0, 1, 0, NULL, NULL);
  SAY(loop_watch_fd, "`cb` is NULL", loop, stage.fds[0], LOOP_READABLE, NULL, NULL);
  SAY(loop_poll_fd, "`cb` is NULL", loop, stage.fds[0], LOOP_READABLE, -1, NULL, NULL);
  SAY(loop_add_hook, "`cb` is NULL", loop, LOOP_WHEN_IDLE, NULL, NULL);
  SAY(loop_call_soon_threadsafe, "`cb` is NULL", loop, NULL, &stage, count_release);
  SAY(loop_remote_call_soon, "`cb` is NULL", stage.remote, NULL, &stage, count_release);
  SAY(loop_call_soon_threadsafe, "`release` is NULL", loop, nothing, NULL, NULL);
  SAY(loop_remote_call_soon, "`release` is NULL", stage.remote, nothing, NULL, NULL);
  SAY(loop_set_wake_hook, "`hook` is NULL", loop, NULL, NULL);
  end();
}

TEST(times) {
  begin(0);
  SAY(loop_call_later, "never", loop, UINT64_MAX, nothing, NULL);
  SAY(loop_call_at, "in the past", loop, 0, nothing, NULL);
  SAY(loop_call_every, "interval 0", loop, 0, 0, 0, no_tick, NULL);
  SAY(loop_call_every, "an unknown policy", loop, 0, 1, LOOP_RESTART_GRID + 1, no_tick, NULL);
  SAY(loop_call_every, "the longest interval", loop, UINT64_MAX, UINT64_MAX, 0, no_tick, NULL);
  SAY(loop_reschedule, "to never", loop, stage.timer, UINT64_MAX);
  SAY(loop_reschedule_at, "to never", loop, stage.timer, UINT64_MAX);
  SAY(loop_remaining, "of what never fires", loop, stage.timer);
  SAY(loop_advance, "the system's clock", loop, 1);
  end();
  begin(LOOP_MANUAL_CLOCK);
  SAY(loop_advance, "beyond the end of time", loop, UINT64_MAX);
  SAY(loop_advance, "at the end of time", loop, UINT64_MAX);
  CHECK_EQ(loop_clock(loop), UINT64_MAX);
  end_stage(&stage);
}

TEST(sources) {
  begin(0);
  char *long_name = malloc(1000001);
  CHECK(long_name != NULL);
  memset(long_name, 'x', 1000000);
  long_name[1000000] = '\0';
  SAY(loop_set_arg, "`arg` is NULL", loop, loop_call_soon(loop, nothing, NULL), NULL);
  SAY(loop_set_name, "`name` is NULL", loop, stage.timer, NULL);
  SAY(loop_set_name, "of a million letters", loop, stage.timer, long_name);
  SAY(loop_set_name, "not UTF-8", loop, stage.timer, "\xff\xfe\x80");
  SAY(loop_set_name, "empty", loop, stage.timer, "");
  free(long_name);
  SAY(loop_set_release, "`release` is NULL", loop, stage.timer, NULL);
  CHECK_EQ(loop_set_release(loop, stage.timer, count_release), 0);
  SAY(loop_set_data, "`data` is NULL", loop, NULL);
  SAY(loop_cancel, "a second time", loop, (loop_cancel(loop, stage.timer), stage.timer));
  end();
}

/* Every bit that means nothing has the same answer. */
static void every_unknown_bit(void) {
  const uint32_t known = LOOP_READABLE | LOOP_WRITABLE | LOOP_PRIORITY | LOOP_HANGUP | LOOP_ERROR |
                         LOOP_READ_CLOSED | LOOP_CLOSED | LOOP_NOW | LOOP_EDGE | LOOP_ONESHOT | LOOP_ALWAYS;
  for (int bit = 0; bit < 32; bit++) {
    uint32_t mask = UINT32_C(1) << bit;
    if (known & mask) continue;
    CHECK_EQ(loop_watch_fd(loop, stage.fds[0], mask | 1, no_event, NULL), LOOP_EMASK);
    CHECK_EQ(loop_watch_update(loop, stage.watch, mask | 1), LOOP_EMASK);
    CHECK_EQ(loop_poll_fd(loop, stage.fds[0], mask | 1, 0, no_end, NULL), LOOP_EMASK);
  }
  SAY(loop_watch_fd, "unknown bits", loop, stage.fds[0], UINT32_MAX, no_event, NULL);
  SAY(loop_watch_update, "unknown bits", loop, stage.watch, UINT32_MAX);
}

TEST(descriptors) {
  begin(0);
  int closed = dup(stage.fds[0]), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  CHECK(closed >= 0 && file >= 0);
  close(closed);
  SAY(loop_watch_fd, "`fd` is -1", loop, -1, LOOP_READABLE, no_event, NULL);
  SAY(loop_watch_fd, "`fd` is INT_MIN", loop, INT_MIN, LOOP_READABLE, no_event, NULL);
  SAY(loop_watch_fd, "`fd` is INT_MAX", loop, INT_MAX, LOOP_READABLE, no_event, NULL);
  SAY(loop_watch_fd, "`fd` is closed", loop, closed, LOOP_READABLE, no_event, NULL);
  SAY(loop_watch_fd, "`fd` is a regular file", loop, file, LOOP_READABLE, no_event, NULL);
  SAY(loop_watch_fd, "the loop's own descriptor", loop, loop_fd(loop), LOOP_READABLE, no_event, NULL);
  SAY(loop_watch_fd, "`events` is 0", loop, stage.fds[0], 0, no_event, NULL);
  SAY(loop_watch_fd, "LOOP_EDGE beside another watcher", loop, stage.fds[0], 1 | LOOP_EDGE, no_event, NULL);
  SAY(loop_watch_update, "LOOP_EDGE beside another watcher", loop, stage.watch, 1 | LOOP_EDGE);
  SAY(loop_poll_fd, "`fd` is closed", loop, closed, LOOP_READABLE, 0, no_end, NULL);
  SAY(loop_poll_fd, "`fd` is a regular file", loop, file, LOOP_READABLE, 0, no_end, NULL);
  SAY(loop_poll_fd, "the loop's own descriptor", loop, loop_fd(loop), LOOP_READABLE, 0, no_end, NULL);
  SAY(loop_poll_fd, "`events` is 0", loop, stage.fds[0], 0, 0, no_end, NULL);
  SAY(loop_poll_fd, "LOOP_EDGE", loop, stage.fds[0], 1 | LOOP_EDGE, 0, no_end, NULL);
  SAY(loop_poll_fd, "`timeout_ns` is INT64_MIN", loop, stage.fds[0], 1, INT64_MIN, no_end, NULL);
  every_unknown_bit();
  close(file);
  end();
}

TEST(hooks) {
  begin(0);
  SAY(loop_add_hook, "`when` is 0", loop, 0, nothing, NULL);
  SAY(loop_add_hook, "`when` is 5", loop, LOOP_ON_INTERRUPT + 1, nothing, NULL);
  SAY(loop_add_hook, "`when` is UINT32_MAX", loop, UINT32_MAX, nothing, NULL);
  end();
}

TEST(loops_of_the_other_kind) {
  begin(0);
  SAY(loop_next_events, "a loop without LOOP_PULL", loop, &stage.event, 1, 0);
  end();
  begin(LOOP_PULL);
  SAY(loop_run_forever, "a loop with LOOP_PULL", loop);
  SAY(loop_run, "a loop with LOOP_PULL", loop);
  SAY(loop_run_once, "a loop with LOOP_PULL", loop, 0);
  SAY(loop_run_ready, "a loop with LOOP_PULL", loop, 0);
  SAY(loop_next_events, "`events` is NULL", loop, NULL, 1, 0);
  SAY(loop_next_events, "`capacity` is 0", loop, &stage.event, 0, 0);
  SAY(loop_next_events, "`capacity` is SIZE_MAX", loop, &stage.event, SIZE_MAX, 0);
  SAY(loop_add_hook, "`cb` is NULL, with LOOP_PULL", loop, LOOP_WHEN_IDLE, NULL, NULL);
  end_stage(&stage);
}

/* Runs inside runs until one is refused; that answer is passed up. */
static void run_deeper(loop_t *l, void *arg) {
  int *refused = arg;
  CHECK(loop_call_soon(l, run_deeper, arg) > 0);
  int code = loop_run_once(l, 0);
  if (code < 0) *refused = code;
  loop_cancel(l, loop_current(l));
}

TEST(too_deep) {
  int refused = 0;
  begin(0);
  loop_handle_t first = loop_call_soon(loop, run_deeper, &refused);
  CHECK(first > 0);
  CHECK(loop_run_once(loop, 0) >= 0);
  say("loop_run_once", "1,000 runs deep", refused);
  CHECK_EQ(loop_is_running(loop), 0);
  CHECK_EQ(loop_free(loop), 0);
  stage.loop_is_freed = 1;
  end_stage(&stage);
}

/* Any number at all has a text, and it is never NULL. */
TEST(codes) {
  uint64_t random = 88172645463325252u;
  int numbers[] = {INT_MIN, INT_MAX, 0, 1, -1, -4095, -20000, -20015};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    CHECK(loop_strerror(numbers[i]) != NULL && loop_error_name(numbers[i]) != NULL);
  }
  for (int i = 0; i < 10000; i++) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    int code = (int)(random >> 32);
    CHECK(*loop_strerror(code) != '\0' && *loop_error_name(code) != '\0');
  }
  say("loop_strerror", "no code at all", 0);
  say("loop_error_name", "no code at all", 0);
}

TEST(no_descriptor_is_left) { CHECK_EQ(open_descriptors(), open_at_first); }
