/* Wrong arguments: every function with a NULL loop or remote, and with handles that are
 * finished, another loop's, invented, or another kind's. Each call answers with a code, and
 * the loop works as before. */
#define _GNU_SOURCE 1
#include "misuse.h"

static const char *const TABLE = "arguments";

static int takes(const struct function *f, const char *letters) {
  return strpbrk(f->takes, letters) != NULL;
}

/* Calls with the stage's own handles and pointers changed, and puts them back. */
static int64_t call_with(const struct function *f, struct stage *s, loop_handle_t handle) {
  struct stage kept = *s;
  s->timer = s->watch = handle;
  int64_t answer = f->call(s);
  s->timer = kept.timer;
  s->watch = kept.watch;
  return answer;
}

TEST(a_null_loop_or_remote) {
  EACH_FUNCTION(f) {
    if (!takes(f, "LR")) continue;
    struct stage s;
    stage_with(&s, 0);
    loop_t *loop = s.loop;
    loop_remote_t *remote = s.remote;
    s.loop = NULL;
    s.remote = NULL;
    int64_t answer = f->call(&s);
    CHECK_EQ(s.loop_is_freed + s.remote_is_freed, 0);
    s.loop = loop;
    s.remote = remote;
    report(TABLE, f, "NULL", answer);
    work_out(&s);
    end_stage(&s);
  }
}

/* Handles of every kind that have ended: cancelled, run, with others in their places. */
static int64_t call_with_finished(const struct function *f, struct stage *s) {
  loop_handle_t finished[] = {
      loop_call_soon(s->loop, nothing, NULL),
      loop_call_later(s->loop, HOUR, nothing, NULL),
      loop_call_every(s->loop, HOUR, 1, LOOP_RUN_MISSED, no_tick, NULL),
      loop_watch_fd(s->loop, s->fds[0], LOOP_READABLE, no_event, NULL),
      loop_add_hook(s->loop, LOOP_WHEN_IDLE, nothing, NULL),
      loop_poll_fd(s->loop, s->fds[0], LOOP_READABLE, -1, no_end, NULL),
      loop_call_soon(s->loop, nothing, NULL),
  };
  size_t count = sizeof finished / sizeof *finished;
  for (size_t i = 0; i + 1 < count; i++) CHECK_EQ(loop_cancel(s->loop, finished[i]), 0);
  CHECK_EQ(loop_run_once(s->loop, 0), 1);
  owe(s, loop_call_later(s->loop, HOUR, count_run, s));
  owe(s, loop_add_hook(s->loop, LOOP_ON_INTERRUPT, nothing, s));
  int64_t answer = call_with(f, s, finished[0]);
  for (size_t i = 1; i < count; i++) CHECK_EQ(call_with(f, s, finished[i]), answer);
  return answer;
}

/* Numbers of all sizes and both signs; none of them is a handle here. */
static int64_t call_with_invented(const struct function *f, struct stage *s) {
  static uint64_t random = 88172645463325252u;
  const loop_handle_t edges[] = {1, INT64_MAX, INT64_C(1) << 52, INT64_C(1) << 53};
  int64_t answer = call_with(f, s, 0);
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) CHECK_EQ(call_with(f, s, edges[i]), answer);
  for (int i = 0; i < 500; i++) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    loop_handle_t invented = (loop_handle_t)(random >> (i % 60) & INT64_MAX);
    if (invented == s->timer || invented == s->watch) continue;
    CHECK_EQ(call_with(f, s, invented), answer);
  }
  return answer;
}

/* Of a loop that has made more than this one: what this one has not given out. */
static int64_t call_with_foreign(const struct function *f, struct stage *s) {
  struct stage other;
  stage_with(&other, 0);
  loop_handle_t foreign[] = {0, 0, 0, 0};
  for (int i = 0; i < 8; i++) {
    foreign[0] = owe(&other, loop_call_soon(other.loop, count_run, &other));
    foreign[1] = owe(&other, loop_call_later(other.loop, HOUR, count_run, &other));
    foreign[2] = owe(&other, loop_watch_fd(other.loop, other.fds[0], LOOP_READABLE, count_event, &other));
    foreign[3] = owe(&other, loop_add_hook(other.loop, LOOP_WHEN_IDLE, nothing, &other));
  }
  int64_t answer = call_with(f, s, foreign[0]);
  for (int i = 1; i < 4; i++) CHECK_EQ(call_with(f, s, foreign[i]), answer);
  for (int i = 0; i < 4; i++) CHECK_EQ(loop_is_active(other.loop, foreign[i]), 1);
  for (int i = 1; i < 3; i++) CHECK_EQ(loop_cancel(other.loop, foreign[i]), 0);
  end_stage(&other);
  return answer;
}

/* A source of every kind that the function is not for. */
static int64_t call_with_another_kind(const struct function *f, struct stage *s) {
  int for_timers = takes(f, "T");
  loop_handle_t others[] = {
      owe(s, loop_call_soon(s->loop, count_run, s)),
      owe(s, loop_add_hook(s->loop, LOOP_WHEN_IDLE, nothing, s)),
      for_timers ? s->watch : s->timer,
      for_timers ? s->watch : owe(s, loop_call_every(s->loop, HOUR, HOUR, 0, count_tick, s)),
  };
  int64_t answer = call_with(f, s, others[0]);
  for (size_t i = 1; i < sizeof others / sizeof *others; i++) CHECK_EQ(call_with(f, s, others[i]), answer);
  return answer;
}

static void with_handles(const char *misuse, const char *letters,
                         int64_t (*call)(const struct function *, struct stage *)) {
  EACH_FUNCTION(f) {
    if (!takes(f, letters)) continue;
    struct stage s;
    stage_with(&s, 0);
    report(TABLE, f, misuse, call(f, &s));
    CHECK_EQ(loop_is_active(s.loop, s.timer), 1);
    CHECK_EQ(loop_watch_events(s.loop, s.watch), LOOP_READABLE);
    work_out(&s);
    end_stage(&s);
  }
}

TEST(a_finished_handle) { with_handles("finished handle", "THW", call_with_finished); }
TEST(an_invented_handle) { with_handles("invented handle", "THW", call_with_invented); }
TEST(another_loops_handle) { with_handles("another loop's handle", "THW", call_with_foreign); }
TEST(another_kinds_handle) { with_handles("another kind's handle", "TW", call_with_another_kind); }

TEST(no_descriptor_is_left) { CHECK_EQ(open_descriptors(), open_at_first); }
