/* link: -lpthread */
/* Right arguments in a wrong place: every function from a wrong thread, after loop_free in
 * the same callback, in a release that loop_free calls, in a forked child, and after a bug
 * inside. Each call answers with a code; the loop works afterwards, or is freed whole. */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sys/syscall.h>

#include "misuse.h"

static const char *const TABLE = "places";

static const struct function *to_call;
static struct stage stage;
/* Shared with forked children. */
static int64_t *answer;

__attribute__((constructor)) static void share_answer(void) {
  answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void call_it(void) { *answer = to_call->call(&stage); }

static void begin(const struct function *f, uint32_t flags) {
  stage_with(&stage, flags);
  to_call = f;
  *answer = INT64_MIN;
}

static void end(const char *misuse) {
  report(TABLE, to_call, misuse, *answer);
  if (!stage.loop_is_freed) work_out(&stage);
  end_stage(&stage);
}

/* ---- Another thread ---- */

static void *call_there(void *arg) {
  call_it();
  return arg;
}

static void call_on_another_thread(void) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, call_there, NULL), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void call_while_it_runs(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  call_on_another_thread();
}

TEST(another_thread_while_it_runs) {
  EACH_FUNCTION(f) {
    begin(f, 0);
    CHECK(loop_call_soon(stage.loop, call_while_it_runs, NULL) > 0);
    CHECK(loop_run_once(stage.loop, 0) >= 1);
    end("another thread, running");
  }
}

TEST(another_thread_of_a_bound_loop) {
  EACH_FUNCTION(f) {
    begin(f, LOOP_BOUND);
    call_on_another_thread();
    end("another thread, bound");
  }
}

/* ---- While it is freed ---- */

static void free_and_call(loop_t *loop, void *arg) {
  (void)arg;
  CHECK_EQ(loop_free(loop), 0);
  stage.loop_is_freed = 1;
  call_it();
}

TEST(after_loop_free_in_a_callback) {
  EACH_FUNCTION(f) {
    begin(f, 0);
    CHECK(loop_call_soon(stage.loop, free_and_call, NULL) > 0);
    CHECK_EQ(loop_run_once(stage.loop, 0), LOOP_ECLOSED);
    end("after loop_free, in the callback");
  }
}

static void call_in_release(void *arg) {
  (void)arg;
  call_it();
}

TEST(in_a_release_that_loop_free_calls) {
  EACH_FUNCTION(f) {
    begin(f, 0);
    loop_handle_t last = loop_call_later(stage.loop, HOUR, nothing, NULL);
    CHECK_EQ(loop_set_release(stage.loop, last, call_in_release), 0);
    CHECK_EQ(loop_free(stage.loop), 0);
    stage.loop_is_freed = 1;
    end("release in loop_free");
  }
}

/* ---- A forked child ---- */

/* The child ends here; its loop has worked once it was told of the fork. */
static void end_child(void) {
  if (!stage.loop_is_freed) {
    CHECK_EQ(loop_after_fork(stage.loop), 0);
    work_out(&stage);
  }
  end_stage(&stage);
  _exit(0);
}

TEST(in_a_forked_child) {
  EACH_FUNCTION(f) {
    begin(f, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      call_it();
      end_child();
    }
    wait_for(child);
    end("forked child");
  }
}

static pid_t child_of_callback;

static void fork_and_call(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  child_of_callback = fork();
  if (child_of_callback == 0) call_it();
}

TEST(in_a_child_that_a_callback_forked) {
  EACH_FUNCTION(f) {
    begin(f, 0);
    CHECK(loop_call_soon(stage.loop, fork_and_call, NULL) > 0);
    fflush(stdout);
    int code = loop_run_once(stage.loop, 0);
    if (child_of_callback == 0) {
      /* Unless it was told of the fork in the callback, the run is the parent's. */
      if (f->call == call_loop_after_fork) CHECK(code >= 1);
      else CHECK_EQ(code, stage.loop_is_freed ? LOOP_ECLOSED : LOOP_EFORKED);
      end_child();
    }
    CHECK_EQ(code, 1);
    wait_for(child_of_callback);
    end("child forked in a callback");
  }
}

/* ---- After a bug inside ---- */

/* A clock that breaks its own promise: before the beginning of time. What the library then
 * computes overflows, which a build with overflow checks takes for the bug that it is. */
static int clock_is_broken;

int clock_gettime(clockid_t clock, struct timespec *time) {
  int code = (int)syscall(SYS_clock_gettime, clock, time);
  if (clock_is_broken) time->tv_sec = -1000;
  return code;
}

/* Did the library notice? A build without overflow checks has no bug to notice. */
static int break_it(void) {
  clock_is_broken = 1;
  int64_t code = loop_call_later(stage.loop, 0, nothing, NULL);
  clock_is_broken = 0;
  if (code == LOOP_EPANIC) return 1;
  CHECK(code > 0);
  return 0;
}

TEST(after_a_bug_inside) {
  EACH_FUNCTION(f) {
    begin(f, 0);
    if (break_it()) {
      call_it();
      report(TABLE, f, "after a bug inside", *answer);
    }
    end_stage(&stage);
  }
}

TEST(no_descriptor_is_left) { CHECK_EQ(open_descriptors(), open_at_first); }
