/* Laws 10 and 13: an exception passes through one run call at a time. Caught
 * between an inner and an outer run, it leaves the outer one as it was; else it
 * ends both. */
#include <functional>

#include "throwing.hpp"

/* An outer run, in which the callback O does whatever a test wants. */
struct Nested : Scene {
  std::function<void()> outer;
  loop_handle_t outer_handle = 0;
  int outer_released = 0;

  void call_outer() {
    loop_cb run_outer = [](loop_t *loop, void *arg) {
      OnTheStack object;
      Nested &nested = *static_cast<Nested *>(arg);
      nested.journal += 'O';
      CHECK_EQ(loop_current(loop), nested.outer_handle);
      nested.outer();
    };
    outer_handle = loop_call_soon(loop, run_outer, this);
    loop_release_cb count = [](void *arg) { static_cast<Nested *>(arg)->outer_released++; };
    CHECK_EQ(loop_set_release(loop, outer_handle, count), 0);
  }
};

TEST(caught_between_the_outer_run_goes_on) {
  for (const Kind &kind : all_kinds) {
    for (const Run &inner : all_runs) {
      for (const Run &outer : all_runs) {
        Nested s;
        s.outer = [&] {
          kind.arm(s);
          post(s, mark_and_stop<'z'>);
          run_and_catch(s, inner);
          CHECK_JOURNAL(s, "aOyT");
          CHECK_EQ(loop_is_running(s.loop), 1);
          CHECK_EQ(loop_current(s.loop), s.outer_handle);
          check_thrower_left(s, kind.repeats);
          if (kind.repeats) CHECK_EQ(loop_cancel(s.loop, s.thrower), 0);
          CHECK_EQ(s.released, 0); /* owed until the next boundary between turns */
        };
        call_soon(s, mark<'a'>);
        s.call_outer();
        call_soon(s, mark<'y'>);
        CHECK(outer.run(s.loop) >= 0);
        if (s.journal.empty()) CHECK_EQ(loop_run_once(s.loop, 0), 1); /* z's turn */
        CHECK_JOURNAL(s, "z");
        CHECK_EQ(s.released, 1);
        CHECK_EQ(s.outer_released, 1);
        CHECK_EQ(loop_run_once(s.loop, 0), 0);
      }
    }
  }
}

TEST(passing_through_both_the_rest_runs_next_time) {
  for (const Kind &kind : all_kinds) {
    for (const Run &inner : all_runs) {
      for (const Run &outer : all_runs) {
        Nested s;
        s.outer = [&] {
          kind.arm(s);
          post(s, mark_and_stop<'z'>);
          inner.run(s.loop);
          CHECK(!"the inner run throws");
        };
        call_soon(s, mark<'a'>);
        s.call_outer();
        call_soon(s, mark<'y'>);
        run_and_catch(s, outer);
        CHECK_JOURNAL(s, "aOyT");
        CHECK_EQ(loop_is_running(s.loop), 0);
        CHECK_EQ(loop_current(s.loop), 0);
        CHECK_EQ(loop_is_active(s.loop, s.outer_handle), 0);
        CHECK_EQ(loop_cancel(s.loop, s.outer_handle), LOOP_ESTALE);
        check_thrower_left(s, kind.repeats);
        if (kind.repeats) CHECK_EQ(loop_cancel(s.loop, s.thrower), 0);
        CHECK_EQ(outer.run(s.loop), outer.counts ? 1 : 0);
        CHECK_JOURNAL(s, "z");
        CHECK_EQ(s.released, 1);
        CHECK_EQ(s.outer_released, 1);
      }
    }
  }
}

TEST(a_hook_may_throw_through_an_inner_run) {
  Interruptions interruptions;
  for (const Hook &hook : all_hooks) {
    for (const Run &inner : all_runs) {
      if (hook.blocks && strcmp(inner.name, "run_ready") == 0) continue;
      for (bool is_caught_between : {true, false}) {
        Nested s;
        s.outer = [&] {
          arm_hook(s, hook);
          if (hook.when == LOOP_AFTER_WAIT) CHECK_EQ(loop_wake(s.loop), 0);
          if (is_caught_between) {
            run_and_catch(s, inner);
            s.throws = false;
            CHECK_EQ(loop_is_running(s.loop), 1);
          } else {
            inner.run(s.loop);
            CHECK(!"the inner run throws");
          }
        };
        loop_handle_t silent = loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE, mark_event<'w'>, &s);
        CHECK(silent > 0); /* loop_run ends where there is nothing to wait for */
        s.call_outer();
        if (is_caught_between) {
          CHECK_EQ(loop_run_once(s.loop, 0), 1);
        } else {
          run_and_catch(s, all_runs[0]);
        }
        CHECK_JOURNAL(s, "OT");
        s.throws = false;
        CHECK_EQ(loop_is_active(s.loop, s.thrower), 1);
        CHECK_EQ(loop_cancel(s.loop, s.thrower), 0);
        CHECK_EQ(loop_cancel(s.loop, silent), 0);
        call_soon(s, mark<'z'>);
        CHECK_EQ(loop_run(s.loop), 1);
        CHECK_JOURNAL(s, "z");
        CHECK_EQ(s.released, 1);
        CHECK_EQ(s.outer_released, 1);
      }
    }
  }
}

TEST(the_outer_batch_goes_on_in_order_after_a_throw_out_of_it) {
  Nested s;
  s.outer = [&] {
    run_and_catch(s, all_runs[0]);
    CHECK_JOURNAL(s, "OpT");
    CHECK_EQ(loop_run_once(s.loop, 0), 2); /* the rest of the batch, still first */
    CHECK_JOURNAL(s, "qr");
    call_soon(s, mark<'n'>);
  };
  s.call_outer();
  call_soon(s, mark<'p'>);
  arm_soon(s);
  call_soon(s, mark<'q'>);
  call_soon(s, mark<'r'>);
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "n");
}

TEST(the_rest_of_the_batch_is_run_by_the_outer_run_once) {
  Nested s;
  s.outer = [&] { run_and_catch(s, all_runs[0]); };
  s.call_outer();
  arm_soon(s);
  call_soon(s, mark<'q'>);
  call_soon(s, mark<'r'>);
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "OTqr");
}

TEST(a_handler_may_run_the_loop_again) {
  Nested s;
  s.outer = [&] {
    arm_soon(s);
    call_soon(s, mark<'z'>);
    try {
      loop_run(s.loop);
      CHECK(!"the inner run throws");
    } catch (const std::runtime_error &) {
      CHECK_EQ(loop_run(s.loop), 1);
      CHECK_EQ(loop_is_running(s.loop), 1);
    }
    CHECK_EQ(s.released, 1); /* by the second inner run, at whose beginning it is owed */
  };
  s.call_outer();
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "OTz");
  CHECK_EQ(s.released, 1);
}

TEST(rethrown_at_every_depth) {
  static const int deepest = 20;
  static int seen;
  struct Level {
    static void call(loop_t *loop, void *arg) {
      OnTheStack object;
      int depth = loop_is_running(loop);
      loop_handle_t current = loop_current(loop);
      CHECK(loop_call_soon(loop, depth == deepest ? thrower_call : call, arg) > 0);
      try {
        loop_run_once(loop, 0);
        CHECK(!"the inner run throws");
      } catch (const std::runtime_error &) {
        CHECK_EQ(loop_is_running(loop), depth);
        CHECK_EQ(loop_current(loop), current);
        seen++;
        throw;
      }
    }
  };
  Scene s;
  seen = 0;
  call_soon(s, Level::call);
  run_and_catch(s, all_runs[1]);
  CHECK_EQ(seen, deepest);
  CHECK_EQ(loop_run(s.loop), 1);
  CHECK_JOURNAL(s, "T");
}

TEST(a_stop_of_the_inner_run_that_threw_does_not_stop_the_outer) {
  Nested s;
  s.outer = [&] {
    call_soon(s, mark_and_stop<'s'>);
    arm_soon(s);
    run_and_catch(s, all_runs[0]);
  };
  s.call_outer();
  CHECK(loop_call_later(s.loop, MS(5), mark_and_stop<'l'>, &s) > 0);
  CHECK_EQ(loop_run_forever(s.loop), 0);
  CHECK_JOURNAL(s, "OsTl");
}
