/* Laws 6 and 10: a callback or hook may free the loop and then throw. All is
 * released once, the memory goes with the outermost run, and the exception
 * arrives at the caller all the same. */
#include "throwing.hpp"

/* Sources that never run, each with a count of its releases. */
struct Waiting {
  int released[6] = {};

  static void never(loop_t *, void *) { CHECK(!"runs after loop_free"); }
  static void never_tick(loop_t *loop, uint64_t, void *arg) { never(loop, arg); }
  static void never_event(loop_t *loop, int, uint32_t, void *arg) { never(loop, arg); }
  static void release(void *count) { ++*static_cast<int *>(count); }

  void add(loop_t *loop, int quiet_fd) {
    loop_handle_t handles[] = {
        loop_call_later(loop, NS_PER_SEC * UINT64_C(3600), never, &released[0]),
        loop_call_every(loop, NS_PER_SEC * UINT64_C(3600), 1, LOOP_RUN_MISSED, never_tick, &released[1]),
        loop_watch_fd(loop, quiet_fd, LOOP_PRIORITY, never_event, &released[2]),
    };
    for (loop_handle_t handle : handles) CHECK_EQ(loop_set_release(loop, handle, release), 0);
  }
  /* Behind the one that frees the loop, in the same batch. */
  void add_ready(loop_t *loop) {
    for (int i = 3; i < 6; i++) {
      CHECK_EQ(loop_call_soon_threadsafe(loop, never, &released[i], release), 0);
    }
  }
  void check_released(int sources, int times) {
    for (int i = 0; i < sources; i++) CHECK_EQ(released[i], times);
  }
};

struct Freeing : Scene {
  Waiting waiting;
  int expected_depth = 1;

  void free_and_throw() {
    journal += 'T';
    CHECK_EQ(loop_is_running(loop), expected_depth);
    CHECK_EQ(loop_free(loop), 0);
    CHECK_EQ(loop_call_soon(loop, Waiting::never, nullptr), LOOP_ECLOSED);
    CHECK_EQ(loop_free(loop), LOOP_ECLOSED);
    CHECK_EQ(released, 0);
    OnTheStack object;
    throw std::runtime_error("T");
  }
  static void call(loop_t *, void *arg) { static_cast<Freeing *>(arg)->free_and_throw(); }
  static void tick(loop_t *, uint64_t, void *arg) { call(nullptr, arg); }
  static void event(loop_t *, int, uint32_t, void *arg) { call(nullptr, arg); }

  void check_run_throws(const Run &run) {
    try {
      run.run(loop);
      CHECK(!"the run throws");
    } catch (const std::runtime_error &) {
    }
    CHECK_EQ(objects_alive, 0);
    loop = nullptr;
  }

  void arm(const std::string &kind) {
    if (kind == "post") {
      CHECK_EQ(loop_call_soon_threadsafe(loop, call, this, thrower_release), 0);
      return;
    }
    if (kind == "soon") thrower = loop_call_soon(loop, call, this);
    if (kind == "later") thrower = loop_call_later(loop, 0, call, this);
    if (kind == "every") thrower = loop_call_every(loop, 0, 1, LOOP_RUN_MISSED, tick, this);
    if (kind == "watch") {
      fill_pipe();
      thrower = loop_watch_fd(loop, pipe_ends[0], LOOP_READABLE, event, this);
    }
    release_with_scene(*this);
  }
};

TEST(throw_after_free_in_every_kind_of_callback) {
  for (const Kind &kind : all_kinds) {
    for (const Run &run : all_runs) {
      fprintf(stderr, "    %s through %s\n", kind.name, run.name);
      Freeing s;
      s.waiting.add(s.loop, s.pipe_ends[0]);
      s.arm(kind.name);
      s.waiting.add_ready(s.loop);
      s.check_run_throws(run);
      CHECK_JOURNAL(s, "T");
      CHECK_EQ(s.released, 1);
      s.waiting.check_released(6, 1);
    }
  }
}

TEST(throw_after_free_in_every_kind_of_hook) {
  Interruptions interruptions;
  for (const Hook &hook : all_hooks) {
    for (const Run &run : all_runs) {
      if (hook.blocks && strcmp(run.name, "run_ready") == 0) continue;
      fprintf(stderr, "    %s through %s\n", hook.name, run.name);
      Freeing s;
      s.waiting.add(s.loop, s.pipe_ends[0]);
      if (!hook.blocks) s.waiting.add_ready(s.loop);
      s.thrower = loop_add_hook(s.loop, hook.when, Freeing::call, &s);
      release_with_scene(s);
      s.check_run_throws(run);
      CHECK_JOURNAL(s, "T");
      CHECK_EQ(s.released, 1);
      s.waiting.check_released(hook.blocks ? 3 : 6, 1);
    }
  }
}

/* The thrower runs in an inner run; `outer` is the callback that calls it. */
static void run_nested(Freeing &s, loop_cb outer) {
  s.waiting.add(s.loop, s.pipe_ends[0]);
  s.expected_depth = 2;
  call_soon(s, outer);
}

TEST(freed_in_an_inner_run_and_caught_between) {
  for (const Run &run : all_runs) {
    Freeing s;
    run_nested(s, [](loop_t *loop, void *arg) {
      Freeing &scene = *static_cast<Freeing *>(arg);
      scene.arm("soon");
      scene.waiting.add_ready(loop);
      scene.check_run_throws(all_runs[0]);
      CHECK_EQ(loop_run_once(loop, 0), LOOP_ECLOSED);
      CHECK_EQ(loop_call_soon(loop, Waiting::never, nullptr), LOOP_ECLOSED);
      CHECK(loop_data(loop) == nullptr);
    });
    CHECK_EQ(run.run(s.loop), LOOP_ECLOSED);
    CHECK_JOURNAL(s, "T");
    CHECK_EQ(s.released, 1);
    s.waiting.check_released(6, 1);
  }
}

TEST(freed_in_an_inner_run_and_thrown_through_both) {
  for (const Run &run : all_runs) {
    Freeing s;
    run_nested(s, [](loop_t *loop, void *arg) {
      Freeing &scene = *static_cast<Freeing *>(arg);
      scene.arm("soon");
      scene.waiting.add_ready(loop);
      loop_run_forever(loop);
      CHECK(!"the inner run throws");
    });
    s.check_run_throws(run);
    CHECK_JOURNAL(s, "T");
    CHECK_EQ(s.released, 1);
    s.waiting.check_released(6, 1);
  }
}

TEST(freed_in_an_inner_run_that_returns_then_thrown_by_the_outer_callback) {
  for (const Run &run : all_runs) {
    Freeing s;
    run_nested(s, [](loop_t *loop, void *arg) {
      Freeing &scene = *static_cast<Freeing *>(arg);
      call_soon(scene, [](loop_t *inner, void *) { CHECK_EQ(loop_free(inner), 0); });
      scene.waiting.add_ready(loop);
      CHECK_EQ(loop_run_forever(loop), LOOP_ECLOSED);
      throw std::runtime_error("T");
    });
    s.check_run_throws(run);
    s.waiting.check_released(6, 1);
  }
}

TEST(freed_by_the_handler_of_an_inner_exception) {
  for (const Run &run : all_runs) {
    Freeing s;
    run_nested(s, [](loop_t *loop, void *arg) {
      Freeing &scene = *static_cast<Freeing *>(arg);
      arm_soon(scene);
      scene.waiting.add_ready(loop);
      run_and_catch(scene, all_runs[0]);
      CHECK_EQ(loop_free(loop), 0);
    });
    CHECK_EQ(run.run(s.loop), LOOP_ECLOSED);
    s.loop = nullptr;
    CHECK_JOURNAL(s, "T");
    CHECK_EQ(s.released, 1);
    s.waiting.check_released(6, 1);
  }
}
