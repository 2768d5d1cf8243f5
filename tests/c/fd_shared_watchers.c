/* Law 7, sharing: two, three, ten watchers on one descriptor, cancelled and
 * updated in every order and from each other's callbacks. Each is told what it
 * asks for (and hang-up), in the order of their making, and nothing that it no
 * longer asks for. What has to happen is computed beside the loop. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

enum { MOST = 10, NOTHING = -1, CANCEL = 1 << 20 };

/* What a watcher's callback does to another one (or to itself). */
struct act {
  int target; /* NOTHING, or whom */
  uint32_t mask; /* or CANCEL */
};

static struct watcher {
  loop_handle_t handle;
  uint32_t mask, expected; /* expected: still to be told in this turn */
  int alive;
  struct act act;
} watchers[MOST];

static loop_t *loop;
static int fds[2], count, last_told, runs;
static uint32_t state; /* of the descriptor, as the kernel has it */

static uint32_t share_of(uint32_t happened, uint32_t mask) {
  uint32_t ended = happened & (LOOP_HANGUP | LOOP_ERROR);
  if (mask == 0) return 0;
  if (ended != 0) happened |= LOOP_READABLE | LOOP_WRITABLE;
  return (happened & mask) | ended;
}

static void act_on(struct act act) {
  if (act.target == NOTHING) return;
  struct watcher *target = &watchers[act.target];
  if (!target->alive) {
    CHECK_EQ(loop_cancel(loop, target->handle), LOOP_ESTALE);
    return;
  }
  if (act.mask == CANCEL) {
    CHECK_EQ(loop_cancel(loop, target->handle), 0);
    target->alive = 0;
    target->mask = target->expected = 0;
    return;
  }
  CHECK_EQ(loop_watch_update(loop, target->handle, act.mask), 0);
  target->mask = act.mask;
  target->expected = share_of(target->expected, act.mask);
}

static void on_event(loop_t *l, int fd, uint32_t events, void *arg) {
  struct watcher *self = arg;
  CHECK_EQ(fd, fds[0]);
  CHECK_EQ(loop_current(l), self->handle);
  CHECK_EQ(events, self->expected);
  CHECK((int)(self - watchers) > last_told); /* the order of their making */
  last_told = (int)(self - watchers);
  self->expected = 0;
  runs++;
  act_on(self->act);
}

static void add(uint32_t mask, struct act act) {
  struct watcher *new = &watchers[count++];
  *new = (struct watcher){0, mask, 0, 1, act};
  new->handle = loop_watch_fd(loop, fds[0], mask, on_event, new);
  CHECK(new->handle > 0);
}

static void turn(void) {
  for (int i = 0; i < count; i++) watchers[i].expected = share_of(state, watchers[i].mask);
  last_told = -1;
  runs = 0;
  CHECK_EQ(loop_run_once(loop, 0), runs);
  for (int i = 0; i < count; i++) CHECK_EQ(watchers[i].expected, 0); /* nobody was left out */
}

static void peace(void) {
  for (int i = 0; i < count; i++) watchers[i].act = (struct act){NOTHING, 0};
}

static void cancel_all(void) {
  for (int i = 0; i < count; i++) act_on((struct act){i, CANCEL});
  count = 0;
  CHECK_EQ(loop_has_work(loop), 0);
}

/* Data to read, room to write; and maybe the peer has gone. */
static void start(int hangup) {
  loop = loop_new();
  make_pair(fds);
  put_byte(fds[1]);
  state = LOOP_READABLE | LOOP_WRITABLE;
  if (!hangup) return;
  CHECK_EQ(shutdown(fds[1], SHUT_RDWR), 0);
  state |= LOOP_HANGUP | LOOP_READ_CLOSED;
}

static void end(void) {
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

static const uint32_t masks[] = {LOOP_READABLE, LOOP_WRITABLE, LOOP_READABLE | LOOP_WRITABLE, 0, CANCEL};
enum { MASKS = 4, ACTS = 5 };

/* Watcher `actor` of so many, with masks numbered by `number`, does `act`. */
static void check_one(int watcher_count, int number, int actor, struct act act) {
  for (int i = 0; i < watcher_count; i++, number /= MASKS) {
    add(masks[number % MASKS], i == actor ? act : (struct act){NOTHING, 0});
  }
  turn();
  peace();
  turn();
  turn();
  cancel_all();
}

static void check_every_act(int watcher_count) {
  int numbers = 1;
  for (int i = 0; i < watcher_count; i++) numbers *= MASKS;
  for (int number = 0; number < numbers; number++) {
    for (int actor = 0; actor < watcher_count; actor++) {
      for (int target = 0; target < watcher_count; target++) {
        for (int a = 0; a < ACTS; a++) check_one(watcher_count, number, actor, (struct act){target, masks[a]});
      }
    }
  }
}

TEST(of_two_each_does_everything_to_each) {
  for (int hangup = 0; hangup <= 1; hangup++) {
    start(hangup);
    check_every_act(2);
    end();
  }
}

TEST(of_three_each_does_everything_to_each) {
  for (int hangup = 0; hangup <= 1; hangup++) {
    start(hangup);
    check_every_act(3);
    end();
  }
}

/* Between turns: four watchers go, in each of the 24 orders. */
static void cancel_in_order(int order) {
  const uint32_t wanted[] = {LOOP_READABLE, LOOP_WRITABLE, LOOP_READABLE | LOOP_READ_CLOSED, LOOP_HANGUP};
  for (int i = 0; i < 4; i++) add(wanted[i], (struct act){NOTHING, 0});
  turn();
  for (int left = 4; left > 0; order /= left, left--) {
    int skip = order % left, victim = 0;
    while (!watchers[victim].alive || skip-- > 0) victim++;
    act_on((struct act){victim, CANCEL});
    turn();
  }
  count = 0;
  CHECK_EQ(loop_has_work(loop), 0);
}

TEST(four_are_cancelled_in_every_order) {
  for (int hangup = 0; hangup <= 1; hangup++) {
    start(hangup);
    for (int order = 0; order < 24; order++) cancel_in_order(order);
    end();
  }
}

static uint32_t random_below(uint32_t limit) {
  static uint64_t random = 7;
  random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(random >> 33) % limit;
}

static uint32_t random_mask(void) { return random_below(3) == 0 ? 0 : random_below(ALL_EVENTS + 1); }

TEST(ten_do_anything_to_anyone_in_two_thousand_turns) {
  for (int hangup = 0; hangup <= 1; hangup++) {
    start(hangup);
    for (int round = 0; round < 200; round++) {
      for (int i = 0; i < MOST; i++) add(random_mask(), (struct act){NOTHING, 0});
      for (int t = 0; t < 5; t++) {
        for (int i = 0; i < MOST; i++) {
          int target = random_below(2) ? (int)random_below(MOST) : NOTHING;
          watchers[i].act = (struct act){target, random_below(4) == 0 ? (uint32_t)CANCEL : random_mask()};
        }
        turn();
      }
      peace();
      turn();
      cancel_all();
    }
    end();
  }
}

/* One that is made by a callback stands behind the others, from the next turn on. */
static void add_one_more(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)l, (void)fd, (void)events, (void)arg;
  if (count < MOST) add(LOOP_WRITABLE, (struct act){NOTHING, 0});
}

TEST(one_made_by_a_callback_is_told_from_the_next_turn_on) {
  start(0);
  loop_handle_t maker = loop_watch_fd(loop, fds[0], LOOP_READABLE, add_one_more, NULL);
  CHECK(maker > 0);
  for (int made = 0; made < MOST; made++) {
    int before = count;
    for (int i = 0; i < before; i++) watchers[i].expected = LOOP_WRITABLE;
    last_told = -1;
    runs = 0;
    CHECK_EQ(loop_run_once(loop, 0), 1 + before);
    CHECK_EQ(runs, before);
  }
  CHECK_EQ(loop_cancel(loop, maker), 0);
  cancel_all();
  end();
}
