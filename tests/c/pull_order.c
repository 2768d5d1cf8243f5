/* link: -lpthread */
/* Pull mode: loop_next_events hands out what has no callback and calls what has
 * one, in the order of the ready queue for both; what does not fit, and what
 * comes after a callback that is not at the front, is for the next call, which
 * goes on without waiting and without asking the kernel. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static loop_event_t events[16];
static char journal[64];
static int fds[2];

/* Arguments are strings; their first letters are written down. */
static void write_letter(loop_t *l, void *arg) {
  (void)l;
  strncat(journal, arg, 1);
}

static void write_tick(loop_t *l, uint64_t ticks, void *arg) {
  CHECK_EQ(ticks, 1);
  write_letter(l, arg);
}

static void write_event(loop_t *l, int fd, uint32_t bits, void *arg) {
  CHECK_EQ(fd, fds[0]);
  CHECK_EQ(bits, LOOP_READABLE);
  write_letter(l, arg);
}

/* One batch: what was called in small letters, what was handed out in brackets. */
static void check_batch(size_t capacity, const char *expected) {
  journal[0] = '\0';
  int count = loop_next_events(loop, events, capacity, -1);
  CHECK(count >= 0 && (size_t)count <= capacity);
  strcat(journal, "[");
  for (int i = 0; i < count; i++) {
    if (events[i].kind != LOOP_EVENT_WOKEN) write_letter(loop, events[i].arg);
  }
  strcat(journal, "]");
  if (strcmp(journal, expected) != 0) {
    fprintf(stderr, "batch \"%s\", expected \"%s\"\n", journal, expected);
    exit(1);
  }
}

static void check_nothing_left(void) {
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 0);
}

/* Its time stands still while anything is ready. */
static void start(void) {
  loop = new_loop(LOOP_PULL | LOOP_VIRTUAL_CLOCK);
  make_pair(fds);
}

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

static void *post(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, arg, NULL), 0);
  return NULL;
}

TEST(each_kind_is_handed_out_with_what_belongs_to_it) {
  start();
  put_byte(fds[1]);
  loop_handle_t soon = loop_call_soon(loop, NULL, "S");
  loop_handle_t at = loop_call_at(loop, 0, NULL, "A");
  loop_handle_t later = loop_call_later(loop, 0, NULL, "L");
  loop_handle_t tick = loop_call_every(loop, 0, 1000, LOOP_SKIP_MISSED, NULL, "T");
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_WRITABLE, NULL, "F");
  on_thread(post, "P");
  CHECK(soon > 0 && at > 0 && later > 0 && tick > 0 && watch > 0);
  memset(events, 0xaa, sizeof events);
  check_batch(16, "[SFALTP]");
  const loop_event_t expected[] = {
      {soon, "S", LOOP_EVENT_SOON, -1, 0, 0, 0, 0, NULL, 0},
      {watch, "F", LOOP_EVENT_FD, fds[0], LOOP_READABLE | LOOP_WRITABLE, 0, 0, 0, NULL, 0},
      {at, "A", LOOP_EVENT_TIMER, -1, 0, 0, 0, 0, NULL, 0},
      {later, "L", LOOP_EVENT_TIMER, -1, 0, 0, 0, 0, NULL, 0},
      {tick, "T", LOOP_EVENT_TICK, -1, 0, 0, 1, 0, NULL, 0},
      {events[5].handle, "P", LOOP_EVENT_SOON, -1, 0, 0, 0, 0, NULL, 0},
  };
  for (int i = 0; i < 6; i++) {
    CHECK_EQ(events[i].handle, expected[i].handle);
    CHECK_EQ(*(const char *)events[i].arg, *(const char *)expected[i].arg);
    CHECK_EQ(events[i].kind, expected[i].kind);
    CHECK_EQ(events[i].fd, expected[i].fd);
    CHECK_EQ(events[i].events, expected[i].events);
    CHECK_EQ(events[i].flags, 0);
    CHECK_EQ(events[i].ticks, expected[i].ticks);
    CHECK_EQ(events[i].result, 0);
    CHECK(events[i].data == NULL);
    CHECK_EQ(events[i].reserved, 0);
  }
  CHECK(events[5].handle > 0); /* posts are sources like others */
  CHECK_EQ(loop_current(loop), 0);
  CHECK_EQ(loop_is_running(loop), 0);
  end();
}

TEST(ticks_that_were_missed_are_told) {
  loop = new_loop(LOOP_PULL | LOOP_MANUAL_CLOCK);
  CHECK(loop_call_every(loop, 100, 100, LOOP_SKIP_MISSED, NULL, "T") > 0);
  CHECK_EQ(loop_advance(loop, 350), 0);
  CHECK_EQ(loop_next_events(loop, events, 16, 0), 1);
  CHECK_EQ(events[0].kind, LOOP_EVENT_TICK);
  CHECK_EQ(events[0].ticks, 3);
  free_loop(loop);
}

TEST(callbacks_at_the_front_are_called_first) {
  start();
  CHECK(loop_call_soon(loop, write_letter, "a") > 0);
  CHECK(loop_call_soon(loop, write_letter, "b") > 0);
  CHECK(loop_call_soon(loop, NULL, "C") > 0);
  CHECK(loop_call_soon(loop, NULL, "D") > 0);
  check_batch(16, "ab[CD]");
  check_nothing_left();
  end();
}

TEST(a_callback_after_something_handed_out_is_for_the_next_call) {
  start();
  const char *letters = "AbCDefGh";
  for (const char *l = letters; *l; l++) {
    loop_cb cb = *l >= 'a' ? write_letter : NULL;
    CHECK(loop_call_soon(loop, cb, (void *)l) > 0);
  }
  check_batch(16, "[A]");
  check_batch(16, "b[CD]");
  check_batch(16, "ef[G]");
  check_batch(16, "h[]");
  check_nothing_left();
  end();
}

/* All five kinds of source, each with and without a callback, in the queue's order. */
TEST(both_sorts_of_every_kind_keep_the_order_of_the_queue) {
  start();
  put_byte(fds[1]);
  CHECK(loop_call_soon(loop, NULL, "S") > 0);
  CHECK(loop_call_soon(loop, write_letter, "s") > 0);
  CHECK(loop_call_at(loop, 0, write_letter, "t") > 0);
  CHECK(loop_call_at(loop, 0, NULL, "T") > 0);
  CHECK(loop_call_every(loop, 0, 1000, LOOP_RUN_MISSED, NULL, "E") > 0);
  CHECK(loop_call_every(loop, 0, 1000, LOOP_RUN_MISSED, write_tick, "e") > 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, write_event, "f") > 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, NULL, "F") > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, write_letter, "p", NULL), 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, "P", NULL), 0);
  check_batch(16, "[S]");
  check_batch(16, "sf[F]");
  check_batch(16, "t[TE]");
  check_batch(16, "ep[P]");
  end();
}

TEST(a_capacity_of_one_hands_out_one_at_a_time) {
  start();
  for (const char *l = "ABcDE"; *l; l++) {
    loop_cb cb = *l >= 'a' ? write_letter : NULL;
    CHECK(loop_call_soon(loop, cb, (void *)l) > 0);
  }
  check_batch(1, "[A]");
  check_batch(1, "[B]");
  check_batch(1, "c[D]");
  check_batch(1, "[E]");
  check_nothing_left();
  end();
}

TEST(what_is_scheduled_meanwhile_comes_after_the_snapshot) {
  start();
  for (const char *l = "ABC"; *l; l++) CHECK(loop_call_soon(loop, NULL, (void *)l) > 0);
  check_batch(1, "[A]");
  CHECK(loop_call_soon(loop, NULL, "X") > 0);
  CHECK(loop_call_at(loop, 0, NULL, "Y") > 0);
  put_byte(fds[1]);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, NULL, "F") > 0);
  on_thread(post, "P");
  check_batch(16, "[BC]"); /* the rest of the snapshot, and nothing else */
  check_batch(16, "[XFYP]");
  check_nothing_left();
  end();
}

static void schedule_one(loop_t *l, void *arg) {
  write_letter(l, arg);
  CHECK(loop_call_soon(l, NULL, "N") > 0);
}

TEST(what_a_callback_schedules_is_for_the_next_turn) {
  start();
  CHECK(loop_call_soon(loop, schedule_one, "a") > 0);
  CHECK(loop_call_soon(loop, NULL, "B") > 0);
  check_batch(16, "a[B]");
  check_batch(16, "[N]");
  end();
}

TEST(a_call_waits_like_loop_run_once) {
  loop = new_loop(LOOP_PULL);
  uint64_t begin = check_clock();
  CHECK_EQ(loop_next_events(loop, events, 16, (int64_t)MS(5)), 0);
  CHECK(check_clock() - begin >= MS(5));
  begin = check_clock();
  CHECK(loop_call_later(loop, MS(5), NULL, "T") > 0);
  check_batch(16, "[T]");
  CHECK(check_clock() - begin >= MS(5));
  CHECK_EQ(loop_wake(loop), 0);
  check_batch(16, "[]");
  CHECK_EQ(loop_stop(loop), 0);
  check_batch(16, "[]");
  free_loop(loop);
}

/* A host that pulls: the descriptor is readable while something of a batch is left. */
TEST(a_host_is_told_of_what_did_not_fit) {
  loop = new_loop(LOOP_PULL);
  embed(loop);
  for (const char *l = "ABC"; *l; l++) CHECK(loop_call_soon(loop, NULL, (void *)l) > 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(is_readable(host_fd), 1);
    CHECK_EQ(loop_timeout(loop), 0);
    CHECK_EQ(loop_next_events(loop, events, 1, 0), 1);
  }
  CHECK_EQ(loop_timeout(loop), LOOP_NEVER);
  CHECK_EQ(is_readable(host_fd), 0);
  on_thread(post, "P");
  wait_readable(host_fd);
  check_batch(16, "[P]");
  free_loop(loop);
}
