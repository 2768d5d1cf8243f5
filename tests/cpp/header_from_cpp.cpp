/* The header serves C++ as it is: its functions link, lambdas are callbacks,
 * its constants are constant expressions, and the usual C++ wrappers (a
 * unique_ptr for the loop, a std::function released with its source) need no
 * help from it. */
#include <evloop.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <unistd.h>

#include "check.h"

static_assert(std::is_same<loop_handle_t, int64_t>::value, "a handle is a number");
static_assert(std::is_standard_layout<loop_options_t>::value, "a plain struct");
static_assert(LOOP_ESTALE < 0 && LOOP_NEVER == INT64_MAX, "usable in constant expressions");
#if LOOP_VERSION != (LOOP_VERSION_MAJOR << 16 | LOOP_VERSION_MINOR << 8 | LOOP_VERSION_PATCH)
#error "usable in #if"
#endif

struct FreeLoop {
  void operator()(loop_t *loop) const { CHECK_EQ(loop_free(loop), 0); }
};
using LoopPtr = std::unique_ptr<loop_t, FreeLoop>;

/* Schedules any callable; the release function destroys it. */
static loop_handle_t soon(const LoopPtr &loop, std::function<void()> body) {
  auto *function = new std::function<void()>(std::move(body));
  loop_handle_t handle = loop_call_soon(
      loop.get(), [](loop_t *, void *arg) { (*static_cast<std::function<void()> *>(arg))(); },
      function);
  CHECK_EQ(loop_set_release(loop.get(), handle, [](void *arg) {
    delete static_cast<std::function<void()> *>(arg);
  }), 0);
  return handle;
}

TEST(the_library_is_the_one_of_the_header) {
  CHECK_EQ(loop_version(), LOOP_VERSION);
  CHECK_EQ(strcmp(loop_error_name(LOOP_ESTALE), "LOOP_ESTALE"), 0);
}

TEST(options_can_be_value_initialized) {
  loop_options_t options = {};
  options.size = sizeof options;
  options.flags = LOOP_VIRTUAL_CLOCK | LOOP_STRICT_POLL;
  options.virtual_start_ns = 1000;
  loop_t *loop = nullptr;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  CHECK_EQ(loop_clock(loop), 1000);
  CHECK_EQ(loop_free(loop), 0);
}

TEST(captures_live_until_their_callback_has_run_or_is_cancelled) {
  auto shared = std::make_shared<std::string>();
  LoopPtr loop(loop_new());
  soon(loop, [shared] { *shared += "a"; });
  loop_handle_t cancelled = soon(loop, [shared] { *shared += "never"; });
  soon(loop, [shared, &loop, cancelled] {
    *shared += "b";
    soon(loop, [shared] { *shared += "c"; });
    CHECK_EQ(loop_cancel(loop.get(), cancelled), LOOP_ESTALE);
  });
  CHECK_EQ(shared.use_count(), 4);
  CHECK_EQ(loop_cancel(loop.get(), cancelled), 0);
  CHECK_EQ(loop_run(loop.get()), 1);
  CHECK(*shared == "abc");
  CHECK_EQ(shared.use_count(), 1);
  soon(loop, [shared] { *shared += "never"; });
  loop.reset();
  CHECK_EQ(shared.use_count(), 1);
  CHECK(*shared == "abc");
}

/* An object is the argument of its callbacks, static member functions. */
class Counter {
 public:
  static void on_tick(loop_t *loop, uint64_t ticks, void *arg) {
    Counter *self = static_cast<Counter *>(arg);
    self->ticks_ += ticks;
    if (self->ticks_ >= 3) CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  }
  static void on_readable(loop_t *loop, int fd, uint32_t events, void *arg) {
    CHECK_EQ(events & LOOP_READABLE, LOOP_READABLE);
    char byte;
    CHECK_EQ(read(fd, &byte, 1), 1);
    static_cast<Counter *>(arg)->bytes_++;
    CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  }
  static void on_wait(loop_t *, void *arg) { static_cast<Counter *>(arg)->waits_++; }
  uint64_t ticks_ = 0, bytes_ = 0, waits_ = 0;
};

TEST(static_members_are_callbacks_of_every_kind) {
  LoopPtr loop(loop_new());
  Counter counter;
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  CHECK(loop_call_every(loop.get(), 0, US(100), LOOP_RUN_MISSED, Counter::on_tick, &counter) > 0);
  CHECK(loop_watch_fd(loop.get(), ends[0], LOOP_READABLE, Counter::on_readable, &counter) > 0);
  CHECK(loop_add_hook(loop.get(), LOOP_BEFORE_WAIT, Counter::on_wait, &counter) > 0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  CHECK_EQ(loop_run(loop.get()), 1);
  CHECK_EQ(counter.ticks_, 3);
  CHECK_EQ(counter.bytes_, 1);
  CHECK(counter.waits_ > 0);
  close(ends[0]);
  close(ends[1]);
}

TEST(std_threads_post_to_the_loop) {
  LoopPtr loop(loop_new());
  int posted = 0;
  loop_cb count = [](loop_t *l, void *arg) {
    if (++*static_cast<int *>(arg) == 400) CHECK_EQ(loop_stop(l), 0);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; n++) {
        CHECK_EQ(loop_call_soon_threadsafe(loop.get(), count, &posted, nullptr), 0);
      }
    });
  }
  CHECK_EQ(loop_run_forever(loop.get()), 0);
  CHECK_EQ(posted, 400);
  for (std::thread &thread : threads) thread.join();
}
