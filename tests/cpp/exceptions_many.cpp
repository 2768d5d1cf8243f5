/* Law 10: a hundred thousand exceptions leave nothing behind: each argument is
 * released once, every thrown object and every frame is gone, no memory and no
 * descriptor is kept. */
#include <malloc.h>
#include <vector>

#include "throwing.hpp"

static const int many = 100000 / CHECK_SLOWDOWN;
static int thrown_alive = 0;

struct Numbered {
  int number;
  explicit Numbered(int n) : number(n) { thrown_alive++; }
  Numbered(const Numbered &other) : number(other.number) { thrown_alive++; }
  ~Numbered() { thrown_alive--; }
};

/* A source's argument: its release is counted, its callback throws its number. */
struct Item {
  int number, released;

  static void release(void *item) { static_cast<Item *>(item)->released++; }
  static void call(loop_t *, void *item) {
    OnTheStack object;
    throw Numbered(static_cast<Item *>(item)->number);
  }
  static void tick(loop_t *, uint64_t, void *item) { call(nullptr, item); }
  static void event(loop_t *, int, uint32_t, void *item) { call(nullptr, item); }
};

static int run_and_catch_number(loop_t *loop) {
  int number = -1;
  try {
    loop_run_forever(loop);
  } catch (const Numbered &thrown) {
    number = thrown.number;
  }
  return number;
}

static size_t allocated_bytes() { return mallinfo2().uordblks; }

static void check_nothing_left(Scene &s) {
  CHECK_EQ(objects_alive, 0);
  CHECK_EQ(thrown_alive, 0);
  CHECK_EQ(loop_is_running(s.loop), 0);
  CHECK_EQ(loop_current(s.loop), 0);
}

static void check_each_released_once(const std::vector<Item> &items) {
  for (const Item &item : items) CHECK_EQ(item.released, 1);
}

TEST(one_shots_one_after_the_other) {
  std::vector<Item> items(many);
  Scene s;
  size_t bytes_early = 0;
  for (int i = 0; i < many; i++) {
    if (i == many / 10) bytes_early = allocated_bytes();
    items[i] = {i, 0};
    loop_handle_t handle = i % 2 ? loop_call_soon(s.loop, Item::call, &items[i])
                                 : loop_call_later(s.loop, 0, Item::call, &items[i]);
    CHECK_EQ(loop_set_release(s.loop, handle, Item::release), 0);
    CHECK_EQ(run_and_catch_number(s.loop), i);
  }
  CHECK_EQ(loop_run(s.loop), 1);
  check_nothing_left(s);
  check_each_released_once(items);
  CHECK(allocated_bytes() < bytes_early + 64 * 1024);
}

TEST(all_ready_in_one_batch) {
  std::vector<Item> items(many);
  Scene s;
  for (int i = 0; i < many; i++) {
    items[i] = {i, 0};
    loop_handle_t handle = loop_call_soon(s.loop, Item::call, &items[i]);
    CHECK_EQ(loop_set_release(s.loop, handle, Item::release), 0);
  }
  for (int i = 0; i < many; i++) CHECK_EQ(run_and_catch_number(s.loop), i);
  CHECK_EQ(loop_run(s.loop), 1);
  check_nothing_left(s);
  check_each_released_once(items);
}

TEST(posts_one_after_the_other) {
  std::vector<Item> items(many);
  Scene s;
  for (int i = 0; i < many; i++) {
    items[i] = {i, 0};
    CHECK_EQ(loop_call_soon_threadsafe(s.loop, Item::call, &items[i], Item::release), 0);
    CHECK_EQ(run_and_catch_number(s.loop), i);
  }
  CHECK_EQ(loop_run(s.loop), 1);
  check_nothing_left(s);
  check_each_released_once(items);
}

TEST(a_watcher_and_a_periodic_timer_and_a_hook_that_throw_every_time) {
  Scene s;
  s.fill_pipe();
  int last_fd = dup(0);
  close(last_fd);
  for (int kind = 0; kind < 3; kind++) {
    Item item = {kind, 0};
    loop_handle_t handle =
        kind == 0   ? loop_watch_fd(s.loop, s.pipe_ends[0], LOOP_READABLE, Item::event, &item)
        : kind == 1 ? loop_call_every(s.loop, 0, 1, LOOP_SKIP_MISSED, Item::tick, &item)
                    : loop_add_hook(s.loop, LOOP_BEFORE_WAIT, Item::call, &item);
    CHECK_EQ(loop_set_release(s.loop, handle, Item::release), 0);
    size_t bytes_early = 0;
    for (int i = 0; i < many; i++) {
      if (i == many / 10) bytes_early = allocated_bytes();
      CHECK_EQ(run_and_catch_number(s.loop), kind);
    }
    CHECK(allocated_bytes() < bytes_early + 64 * 1024);
    CHECK_EQ(item.released, 0);
    CHECK_EQ(loop_cancel(s.loop, handle), 0);
    CHECK_EQ(loop_run(s.loop), 1);
    CHECK_EQ(item.released, 1);
  }
  check_nothing_left(s);
  int fd = dup(0);
  CHECK_EQ(fd, last_fd);
  close(fd);
}

TEST(inner_runs_within_one_outer_callback) {
  static std::vector<Item> items;
  items.assign(many, Item());
  Scene s;
  call_soon(s, [](loop_t *loop, void *) {
    for (int i = 0; i < many; i++) {
      items[i] = {i, 0};
      loop_handle_t handle = loop_call_soon(loop, Item::call, &items[i]);
      CHECK_EQ(loop_set_release(loop, handle, Item::release), 0);
      CHECK_EQ(run_and_catch_number(loop), i);
      CHECK_EQ(loop_is_running(loop), 1);
    }
  });
  CHECK_EQ(loop_run(s.loop), 1);
  check_nothing_left(s);
  check_each_released_once(items);
}
