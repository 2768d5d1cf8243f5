/* Law 10: a C++ exception may leave any callback. It arrives at the caller of
 * the run, whichever run that is; what was ready after it runs next time, in
 * order and once; the loop can be run as before. */
#include <thread>

#include "throwing.hpp"

TEST(an_exception_arrives_at_the_caller_and_the_rest_runs_next_time) {
  for (const Kind &kind : all_kinds) {
    for (const Run &run : all_runs) {
      fprintf(stderr, "    %s through %s\n", kind.name, run.name);
      Scene s;
      call_soon(s, mark<'a'>);
      kind.arm(s);
      post(s, mark<'b'>);
      post(s, mark_and_stop<'c'>);
      run_and_catch(s, run);
      CHECK_JOURNAL(s, "aT");
      CHECK_EQ(loop_is_running(s.loop), 0);
      CHECK_EQ(loop_current(s.loop), 0);
      check_thrower_left(s, kind.repeats);

      s.throws = false;
      int result = run.run(s.loop);
      CHECK_EQ(result, run.counts ? (kind.repeats ? 3 : 2) : 0);
      CHECK_JOURNAL(s, kind.repeats ? "bcT" : "bc");
      CHECK_EQ(s.released, kind.repeats ? 0 : 1);
      CHECK_EQ(loop_free(s.loop), 0);
      s.loop = nullptr;
      CHECK_EQ(s.released, 1);
    }
  }
}

TEST(what_repeats_can_throw_every_time) {
  for (const Kind &kind : all_kinds) {
    if (!kind.repeats) continue;
    for (const Run &run : all_runs) {
      Scene s;
      kind.arm(s);
      for (int i = 0; i < 5; i++) run_and_catch(s, run);
      CHECK_JOURNAL(s, "TTTTT");
      CHECK_EQ(loop_cancel(s.loop, s.thrower), 0);
      CHECK_EQ(loop_run_once(s.loop, 0), 0);
      CHECK_EQ(s.released, 1);
    }
  }
}

TEST(what_was_collected_in_the_same_turn_is_neither_lost_nor_run_twice) {
  for (const Run &run : all_runs) {
    Scene s;
    arm_soon(s);
    s.fill_pipe();
    CHECK(loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE, mark_event<'w'>, &s) > 0);
    CHECK(loop_call_later(s.loop, 0, mark<'l'>, &s) > 0);
    post(s, mark_and_stop<'p'>);
    run_and_catch(s, run);
    CHECK_JOURNAL(s, "T");
    CHECK_EQ(run.run(s.loop), run.counts ? 3 : 0);
    CHECK_JOURNAL(s, "wlp");
  }
}

TEST(a_level_event_left_by_an_exception_goes_when_its_cause_has_gone) {
  Scene s;
  arm_soon(s);
  s.fill_pipe();
  CHECK(loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE, mark_event<'w'>, &s) > 0);
  run_and_catch(s, all_runs[0]);
  s.drain_pipe();
  CHECK_EQ(loop_run_once(s.loop, 0), 0);
  s.fill_pipe();
  CHECK_EQ(loop_run_once(s.loop, -1), 1);
  CHECK_JOURNAL(s, "Tw");
}

TEST(an_edge_left_by_an_exception_is_kept) {
  Scene s;
  arm_soon(s);
  s.fill_pipe();
  uint32_t edge = LOOP_READABLE | LOOP_EDGE;
  CHECK(loop_watch_fd(s.loop, s.pipe_ends[0], edge, mark_event<'w'>, &s) > 0);
  run_and_catch(s, all_runs[0]);
  CHECK_EQ(loop_run_once(s.loop, 0), 1);
  CHECK_EQ(loop_run_once(s.loop, 0), 0);
  CHECK_JOURNAL(s, "Tw");
}

TEST(a_periodic_timer_that_threw_keeps_its_grid) {
  for (uint32_t policy : {LOOP_SKIP_MISSED, LOOP_RUN_MISSED, LOOP_RESTART_GRID}) {
    loop_options_t options = {};
    options.size = sizeof options;
    options.flags = LOOP_MANUAL_CLOCK;
    Scene s;
    CHECK_EQ(loop_free(s.loop), 0);
    CHECK_EQ(loop_new_with(&options, &s.loop), 0);
    s.thrower = loop_call_every(s.loop, MS(10), MS(10), policy, thrower_tick, &s);
    for (int i = 0; i < 3; i++) {
      CHECK_EQ(loop_remaining(s.loop, s.thrower), MS(10));
      CHECK_EQ(loop_advance(s.loop, MS(10)), 0);
      run_and_catch(s, all_runs[0]);
    }
    CHECK_JOURNAL(s, "TTT");
  }
}

TEST(a_timer_that_armed_itself_again_before_it_threw_runs_again) {
  Scene s;
  s.thrower = loop_call_later(s.loop, 0, [](loop_t *loop, void *arg) {
    Scene &scene = *static_cast<Scene *>(arg);
    if (scene.throws) CHECK_EQ(loop_reschedule(loop, loop_current(loop), 0), 0);
    may_throw(scene);
  }, &s);
  release_with_scene(s);
  run_and_catch(s, all_runs[0]);
  run_and_catch(s, all_runs[0]);
  CHECK_EQ(s.released, 0);
  s.throws = false;
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "TTT");
  CHECK_EQ(s.released, 1);
  check_thrower_left(s, false);
}

TEST(what_repeats_and_cancelled_itself_before_it_threw_is_finished) {
  for (const Run &run : all_runs) {
    Scene s;
    s.fill_pipe();
    s.thrower = loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE,
                              [](loop_t *loop, int, uint32_t, void *arg) {
      CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
      may_throw(*static_cast<Scene *>(arg));
    }, &s);
    release_with_scene(s);
    run_and_catch(s, run);
    check_thrower_left(s, false);
    CHECK_EQ(loop_run(s.loop), 1);
    CHECK_JOURNAL(s, "T");
    CHECK_EQ(s.released, 1);
  }
}

TEST(a_stop_before_the_throw_ends_with_the_run_that_threw) {
  Scene s;
  call_soon(s, mark_and_stop<'s'>);
  arm_soon(s);
  run_and_catch(s, all_runs[0]);
  CHECK(loop_call_later(s.loop, MS(5), mark_and_stop<'l'>, &s) > 0);
  CHECK_EQ(loop_run_forever(s.loop), 0);
  CHECK_JOURNAL(s, "sTl");
}

TEST(after_an_exception_the_loop_rests_and_another_thread_may_run_it) {
  Scene s;
  arm_soon(s);
  call_soon(s, mark<'b'>);
  std::thread([&] { run_and_catch(s, all_runs[0]); }).join();
  CHECK_EQ(loop_in_thread(s.loop), 1);
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "Tb");
}

TEST(any_type_can_be_thrown_and_dies_once) {
  static int alive = 0;
  struct Counted {
    Counted() { alive++; }
    Counted(const Counted &) { alive++; }
    ~Counted() { alive--; }
  };
  Scene s;
  call_soon(s, [](loop_t *, void *) { throw Counted(); });
  call_soon(s, [](loop_t *, void *) { throw 42; });
  call_soon(s, mark<'b'>);
  bool caught = false;
  try {
    loop_run(s.loop);
  } catch (const Counted &) {
    caught = alive == 1;
  }
  CHECK(caught);
  CHECK_EQ(alive, 0);
  int number = 0;
  try {
    loop_run(s.loop);
  } catch (int thrown) {
    number = thrown;
  }
  CHECK_EQ(number, 42);
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "b");
}
