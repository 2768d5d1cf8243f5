/* Law 10: a C++ exception may leave any hook. It arrives at the caller of the
 * run; no event, timer or hook is lost, and the hook goes on. */
#include "throwing.hpp"

/* Three watchers of one pipe, in order; the last ends the run. */
static void watch_abc(Scene &s) {
  loop_fd_cb watchers[] = {mark_event<'a'>, mark_event<'b'>,
                           [](loop_t *loop, int, uint32_t, void *scene) {
                             mark_and_stop<'c'>(loop, scene);
                           }};
  for (loop_fd_cb watcher : watchers) {
    CHECK(loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE, watcher, &s) > 0);
  }
}

/* The hook writes no letter here: it runs once or twice, as the kernel is asked. */
static void hook_throws(loop_t *loop, void *arg) {
  Scene &s = *static_cast<Scene *>(arg);
  CHECK_EQ(loop_current(loop), s.thrower);
  OnTheStack object;
  if (s.throws) throw std::runtime_error("T");
}

static void add_throwing_hook(Scene &s, uint32_t when) {
  s.thrower = loop_add_hook(s.loop, when, hook_throws, &s);
  release_with_scene(s);
}

TEST(an_exception_arrives_at_the_caller_and_everything_runs_next_time) {
  Interruptions interruptions;
  for (const Hook &hook : all_hooks) {
    for (const Run &run : all_runs) {
      if (hook.blocks && strcmp(run.name, "run_ready") == 0) continue;
      fprintf(stderr, "    %s through %s\n", hook.name, run.name);
      Scene s;
      watch_abc(s);
      add_throwing_hook(s, hook.when);
      if (!hook.blocks) s.fill_pipe();
      run_and_catch(s, run);
      CHECK_JOURNAL(s, "");
      CHECK_EQ(loop_is_running(s.loop), 0);
      CHECK_EQ(loop_current(s.loop), 0);

      if (hook.blocks) s.fill_pipe();
      s.throws = false;
      CHECK_EQ(run.run(s.loop), run.counts ? 3 : 0);
      CHECK_JOURNAL(s, "abc");

      CHECK_EQ(loop_is_active(s.loop, s.thrower), 1);
      if (hook.blocks) s.drain_pipe();
      s.throws = true;
      run_and_catch(s, run);
      CHECK_JOURNAL(s, "");
      CHECK_EQ(s.released, 0);
      CHECK_EQ(loop_free(s.loop), 0);
      s.loop = nullptr;
      CHECK_EQ(s.released, 1);
    }
  }
}

TEST(ready_callbacks_wait_for_the_next_run) {
  for (uint32_t when : {LOOP_BEFORE_WAIT, LOOP_AFTER_WAIT}) {
    for (const Run &run : all_runs) {
      Scene s;
      add_throwing_hook(s, when);
      call_soon(s, mark<'a'>);
      CHECK(loop_call_later(s.loop, 0, mark<'b'>, &s) > 0);
      post(s, mark_and_stop<'c'>);
      run_and_catch(s, run);
      run_and_catch(s, run);
      CHECK_JOURNAL(s, "");
      s.throws = false;
      CHECK_EQ(run.run(s.loop), run.counts ? 3 : 0);
      CHECK_JOURNAL(s, "abc");
    }
  }
}

TEST(an_edge_that_the_kernel_told_before_after_wait_threw_is_not_lost) {
  for (const Run &run : all_runs) {
    Scene s;
    add_throwing_hook(s, LOOP_AFTER_WAIT);
    loop_handle_t watch = loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE | LOOP_EDGE,
                                        mark_event<'e'>, &s);
    CHECK(watch > 0);
    s.fill_pipe();
    run_and_catch(s, run);
    CHECK_JOURNAL(s, "");
    s.throws = false;
    CHECK_EQ(loop_run_once(s.loop, 0), 1);
    CHECK_EQ(loop_run_once(s.loop, 0), 0);
    CHECK_JOURNAL(s, "e");
  }
}

TEST(what_a_hook_scheduled_before_it_threw_runs_next_time) {
  Scene s;
  s.thrower = loop_add_hook(s.loop, LOOP_BEFORE_WAIT, [](loop_t *loop, void *arg) {
    Scene &scene = *static_cast<Scene *>(arg);
    if (scene.throws) call_soon(scene, mark<'s'>);
    hook_throws(loop, arg);
  }, &s);
  run_and_catch(s, all_runs[0]);
  s.throws = false;
  CHECK_EQ(loop_run_once(s.loop, 0), 1);
  CHECK_EQ(loop_run_once(s.loop, 0), 0);
  CHECK_JOURNAL(s, "s");
}

TEST(the_other_hooks_of_the_kind_keep_their_order) {
  for (uint32_t when : {LOOP_BEFORE_WAIT, LOOP_AFTER_WAIT}) {
    Scene s;
    CHECK(loop_add_hook(s.loop, when, mark<'x'>, &s) > 0);
    s.thrower = loop_add_hook(s.loop, when, thrower_call, &s);
    CHECK(loop_add_hook(s.loop, when, mark<'y'>, &s) > 0);
    run_and_catch(s, all_runs[3]);
    CHECK_JOURNAL(s, "xT");
    s.throws = false;
    CHECK_EQ(loop_run_once(s.loop, 0), 0);
    CHECK_JOURNAL(s, "xTy");
  }
}

TEST(a_hook_that_cancelled_itself_before_it_threw_is_finished) {
  Interruptions interruptions;
  for (const Hook &hook : all_hooks) {
    Scene s;
    auto cancel_and_throw = [](loop_t *loop, void *arg) {
      CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
      may_throw(*static_cast<Scene *>(arg));
    };
    s.thrower = loop_add_hook(s.loop, hook.when, cancel_and_throw, &s);
    release_with_scene(s);
    if (hook.when == LOOP_AFTER_WAIT) CHECK_EQ(loop_wake(s.loop), 0);
    run_and_catch(s, all_runs[0]);
    check_thrower_left(s, false);
    CHECK(loop_call_later(s.loop, MS(3), mark<'l'>, &s) > 0);
    CHECK_EQ(loop_run(s.loop), 1);
    CHECK_JOURNAL(s, "Tl");
    CHECK_EQ(s.released, 1);
  }
}
