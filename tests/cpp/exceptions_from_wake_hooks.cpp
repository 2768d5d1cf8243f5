/* link: -lpthread */
/* Law 10: a C++ exception may leave the wake hook. It arrives at whoever brought the work, which is taken
 * all the same; the loop, the hook and everything else go on. */
#include "throwing.hpp"

#include <functional>
#include <thread>

static int calls;

static void throwing_hook(void *) {
  OnTheStack object;
  calls++;
  throw std::runtime_error("hook");
}

static bool throws(const std::function<void()> &body) {
  try {
    body();
  } catch (const std::runtime_error &error) {
    CHECK(strcmp(error.what(), "hook") == 0);
    return true;
  }
  return false;
}

static int runs;
static void count_run(loop_t *, void *) { runs++; }
static void count_tick(loop_t *, uint64_t, void *) { runs++; }

struct Bringer {
  const char *name;
  int expected_runs;
  std::function<void(loop_t *)> bring;
};

static loop_handle_t timer, owed;
static loop_remote_t *remote;
static int releases;

static const Bringer bringers[] = {
    {"call_soon", 1, [](loop_t *l) { loop_call_soon(l, count_run, nullptr); }},
    {"call_later", 1, [](loop_t *l) { loop_call_later(l, 0, count_run, nullptr); }},
    {"call_at", 1, [](loop_t *l) { loop_call_at(l, 0, count_run, nullptr); }},
    {"call_every", 1, [](loop_t *l) {
       loop_call_every(l, 0, 3600 * LOOP_SECOND, LOOP_SKIP_MISSED, count_tick, nullptr);
     }},
    {"reschedule", 1, [](loop_t *l) { loop_reschedule(l, timer, 0); }},
    {"reschedule_at", 1, [](loop_t *l) { loop_reschedule_at(l, timer, 0); }},
    {"cancel", 0, [](loop_t *l) { loop_cancel(l, owed); }},
    {"call_soon_threadsafe", 1, [](loop_t *l) { loop_call_soon_threadsafe(l, count_run, nullptr, nullptr); }},
    {"remote_call_soon", 1, [](loop_t *) { loop_remote_call_soon(remote, count_run, nullptr, nullptr); }},
    {"remote_free", 0, [](loop_t *) { loop_remote_t *last = remote; remote = nullptr; loop_remote_free(last); }},
    {"wake", 0, [](loop_t *l) { loop_wake(l); }},
    {"stop", 0, [](loop_t *l) { loop_stop(l); }},
    {"stop_all", 0, [](loop_t *l) { loop_stop_all(l); }},
};

static loop_t *start() {
  loop_t *loop = loop_new();
  CHECK(loop != nullptr);
  timer = loop_call_later(loop, 3600 * LOOP_SECOND, count_run, nullptr);
  owed = loop_call_later(loop, 3600 * LOOP_SECOND, count_run, nullptr);
  CHECK_EQ(loop_set_release(loop, owed, [](void *) { releases++; }), 0);
  remote = loop_remote_new(loop);
  CHECK_EQ(loop_set_wake_hook(loop, throwing_hook, nullptr), 0);
  calls = runs = releases = 0;
  return loop;
}

static void end(loop_t *) {
  if (remote != nullptr) CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(objects_alive, 0);
  CHECK_EQ(releases, 1);
}

TEST(it_arrives_at_whoever_brought_the_work) {
  for (const Bringer &bringer : bringers) {
    fprintf(stderr, "    %s\n", bringer.name);
    loop_t *loop = start();
    CHECK_EQ(throws([&] { bringer.bring(loop); }), true);
    CHECK_EQ(calls, 1);
    CHECK_EQ(throws([&] { bringer.bring(loop); }), false); /* once until the next run */
    CHECK_EQ(calls, 1);
    CHECK(loop_run_once(loop, 0) >= bringer.expected_runs);
    CHECK(runs >= bringer.expected_runs);
    /* And the hook goes on. */
    CHECK_EQ(throws([&] { loop_wake(loop); }), true);
    CHECK_EQ(calls, 2);
    CHECK_EQ(loop_set_wake_hook(loop, nullptr, nullptr), 0); /* nobody is inside it */
    CHECK_EQ(loop_free(loop), 0);
    end(loop);
  }
}

TEST(it_arrives_on_the_other_thread_that_posted) {
  loop_t *loop = start();
  std::thread([&] {
    CHECK_EQ(throws([&] { loop_call_soon_threadsafe(loop, count_run, nullptr, nullptr); }), true);
  }).join();
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_set_wake_hook(loop, nullptr, nullptr), 0);
  CHECK_EQ(loop_free(loop), 0);
  end(loop);
}

/* A post that the run did not get to: whoever made the run brings it to the host. */
static void post_from_elsewhere(loop_t *loop, void *) {
  std::thread([&] { CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, nullptr, nullptr), 0); }).join();
  CHECK_EQ(loop_stop(loop), 0);
}

TEST(it_arrives_at_the_caller_of_a_run_that_ends_with_a_post) {
  for (const Run &run : all_runs) {
    if (strcmp(run.name, "run_ready") == 0) continue; /* gets to it */
    loop_t *loop = start();
    CHECK_EQ(throws([&] { CHECK(loop_call_soon(loop, post_from_elsewhere, nullptr) > 0); }), true);
    CHECK_EQ(throws([&] { run.run(loop); }), true);
    CHECK_EQ(loop_is_running(loop), 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(runs, 1);
    CHECK_EQ(loop_free(loop), 0);
    end(loop);
  }
}

/* In a callback that has run the loop, the exception arrives there; or passes through the run. */
static void dialog(loop_t *loop, void *catches) {
  CHECK_EQ(loop_run_once(loop, 0), 0);
  if (catches != nullptr) {
    CHECK_EQ(throws([&] { loop_call_soon(loop, count_run, nullptr); }), true);
    CHECK_EQ(loop_is_running(loop), 1);
  } else {
    loop_call_soon(loop, count_run, nullptr);
  }
  runs++;
}

TEST(it_passes_through_a_callback_and_its_run) {
  for (int catches = 0; catches < 2; catches++) {
    loop_t *loop = start();
    CHECK_EQ(throws([&] { loop_call_soon(loop, dialog, catches ? &runs : nullptr); }), true);
    CHECK_EQ(throws([&] { loop_run_once(loop, 0); }), !catches);
    CHECK_EQ(runs, catches);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(runs, catches + 1);
    CHECK_EQ(loop_free(loop), 0);
    end(loop);
  }
}
