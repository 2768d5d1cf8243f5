/* link: -rdynamic -lpthread -ldl */
/* Law 7, orphans whose watcher nobody cancels: the descriptor is closed, its file
 * lives on in a duplicate and goes on reporting. The library finds it out after
 * a number of reports; from then on the watcher is silent, and everybody else's
 * watching goes on in the set that was renewed. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_syscalls.h"
#include "fd_support.h"

#include <sys/eventfd.h>

enum {
  FEW = 40,       /* calls after the close: a few dozen */
  SEVERAL = 300,  /* after a long life, in which reports in a row were right */
  MANY = 3000,    /* turns in which an orphan that is never found out is called */
};

static loop_t *loop;
static struct seen orphan;
static int fds[2], copy;
static loop_handle_t handle;

static void start(uint32_t max_events, uint32_t mask) {
  loop_options_t options = {sizeof options, 0, 0, max_events, 0, 0};
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  orphan = (struct seen){0, 0};
  make_pair(fds);
  copy = dup(fds[0]);
  CHECK(copy >= 0);
  handle = watch(loop, fds[0], mask, &orphan);
}

static void check_silent(void) {
  int told = orphan.calls;
  check_idle(loop, MS(300));
  CHECK_EQ(orphan.calls, told);
  CHECK_EQ(loop_is_active(loop, handle), 0); /* and it says so */
  CHECK_EQ(loop_watch_update(loop, handle, LOOP_READABLE), -EBADF);
  check_idle(loop, MS(20));
  CHECK_EQ(orphan.calls, told);
}

static void end(void) {
  CHECK_EQ(loop_cancel(loop, handle), 0);
  CHECK_EQ(loop_cancel(loop, handle), LOOP_ESTALE);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(close(copy), 0);
  CHECK_EQ(close(fds[1]), 0);
}

static void turns(int count) {
  for (int i = 0; i < count; i++) CHECK(loop_run_once(loop, 0) >= 0);
}

TEST(it_is_called_a_few_times_and_then_never_again) {
  const uint32_t masks[] = {LOOP_READABLE, LOOP_WRITABLE, LOOP_READABLE | LOOP_WRITABLE};
  for (int i = 0; i < 3; i++) {
    start(0, masks[i]);
    put_byte(fds[1]);
    CHECK_EQ(close(fds[0]), 0);
    turns(FEW + 10);
    CHECK(orphan.calls <= FEW);
    check_silent();
    end();
  }
}

TEST(one_that_was_busy_all_its_life_falls_silent_too) {
  start(0, LOOP_READABLE);
  put_byte(fds[1]);
  turns(1000);
  CHECK_EQ(orphan.calls, 1000);
  CHECK_EQ(close(fds[0]), 0);
  turns(SEVERAL + 10);
  CHECK(orphan.calls <= 1000 + SEVERAL);
  check_silent();
  end();
}

TEST(a_file_put_over_its_number_is_not_taken_for_it) {
  int other[2];
  start(0, LOOP_READABLE);
  put_byte(fds[1]);
  make_pair(other);
  put_byte(other[1]);
  move_fd(other[0], fds[0]); /* nobody watches it */
  turns(FEW + 10);
  CHECK(orphan.calls <= FEW);
  check_silent();
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(close(other[1]), 0);
  end();
}

TEST(every_watcher_of_the_closed_descriptor_falls_silent) {
  struct seen second = {0, 0}, third = {0, 0};
  start(0, LOOP_READABLE);
  loop_handle_t writer = watch(loop, fds[0], LOOP_WRITABLE, &second);
  loop_handle_t paused = watch(loop, fds[0], 0, &third);
  put_byte(fds[1]);
  CHECK_EQ(close(fds[0]), 0);
  turns(FEW + 10);
  CHECK(orphan.calls <= FEW && second.calls <= FEW);
  check_silent();
  CHECK_EQ(loop_watch_update(loop, paused, LOOP_READABLE), -EBADF);
  CHECK_EQ(loop_cancel(loop, writer), 0);
  CHECK_EQ(loop_cancel(loop, paused), 0);
  CHECK_EQ(third.calls, 0);
  end();
}

/* A paused one is never called, of course; its orphan is noticed all the same. */
TEST(a_paused_orphan_whose_peer_hangs_up_is_not_noticed_by_anybody) {
  start(0, LOOP_READABLE);
  CHECK_EQ(loop_watch_update(loop, handle, 0), 0);
  turns(1);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(shutdown(fds[1], SHUT_RDWR), 0);
  turns(3);
  check_silent();
  CHECK_EQ(orphan.calls, 0);
  end();
}


/* Each byte is reported once and taken by the owner of the duplicate, so that no two
 * polls in a row report anything. */
TEST(one_that_reports_now_and_then_falls_silent_too) {
  start(0, LOOP_READABLE);
  CHECK_EQ(close(fds[0]), 0);
  for (int i = 0; i < MANY; i++) {
    put_byte(fds[1]);
    turns(1);
    take_byte(copy);
    turns(1);
  }
  CHECK(orphan.calls <= SEVERAL);
  check_silent();
  end();
}

TEST(one_that_takes_turns_with_another_descriptor_falls_silent_too) {
  struct seen other = {0, 0};
  int event = eventfd(1, 0); /* ready for ever */
  start(1, LOOP_READABLE);   /* one event a turn */
  watch(loop, event, LOOP_READABLE, &other);
  put_byte(fds[1]);
  CHECK_EQ(close(fds[0]), 0);
  turns(MANY);
  CHECK(orphan.calls <= SEVERAL);
  CHECK(other.calls > MANY / 2);
  CHECK_EQ(close(event), 0);
  end();
}

TEST(an_edge_triggered_one_falls_silent_too) {
  start(0, LOOP_READABLE | LOOP_EDGE);
  CHECK_EQ(close(fds[0]), 0);
  for (int i = 0; i < MANY; i++) {
    put_byte(fds[1]);
    turns(1);
    take_byte(copy);
  }
  CHECK(orphan.calls <= SEVERAL);
  check_silent();
  end();
}

/* The set is renewed because of the orphan. Meanwhile a quiet descriptor was closed as well,
 * and its number has another file, which nobody watches. */
TEST(a_renewal_does_not_bring_a_closed_watcher_to_the_new_file_of_its_number) {
  struct seen old = {0, 0};
  int quiet[2], other[2];
  start(0, LOOP_READABLE);
  make_pair(quiet);
  make_pair(other);
  loop_handle_t old_watch = watch(loop, quiet[0], LOOP_READABLE | LOOP_WRITABLE, &old);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  move_fd(other[0], quiet[0]);
  put_byte(other[1]);
  put_byte(fds[1]);
  CHECK_EQ(close(fds[0]), 0);
  turns(FEW + 10);
  check_silent();
  CHECK_EQ(old.calls, 1);
  CHECK_EQ(loop_watch_update(loop, old_watch, LOOP_READABLE), -EBADF);
  CHECK_EQ(loop_cancel(loop, old_watch), 0);
  close_pair(quiet);
  CHECK_EQ(close(other[1]), 0);
  end();
}

/* What goes on in the renewed set: every way of watching. */
enum { BYSTANDERS = 200 };

static struct bystander {
  int fds[2];
  uint32_t mask;
  loop_handle_t handle;
  struct seen seen;
} bystanders[BYSTANDERS];

TEST(everybody_else_goes_on_in_the_renewed_set) {
  const uint32_t masks[] = {LOOP_READABLE, LOOP_READABLE | LOOP_WRITABLE, LOOP_READABLE | LOOP_EDGE,
                            LOOP_READABLE | LOOP_ONESHOT, 0};
  start(0, LOOP_READABLE);
  for (int i = 0; i < BYSTANDERS; i++) {
    struct bystander *b = &bystanders[i];
    *b = (struct bystander){{-1, -1}, masks[i % 5], 0, {0, 0}};
    make_pair(b->fds);
    b->handle = watch(loop, b->fds[0], b->mask, &b->seen);
  }
  put_byte(fds[1]);
  CHECK_EQ(close(fds[0]), 0);
  turns(FEW + 10);
  CHECK(orphan.calls <= FEW);
  for (int i = 0; i < BYSTANDERS; i++) {
    struct bystander *b = &bystanders[i];
    CHECK_EQ(b->seen.events, b->mask & LOOP_WRITABLE);
    b->seen = (struct seen){0, 0};
    if (b->mask == 0) CHECK_EQ(loop_watch_update(loop, b->handle, LOOP_READABLE), 0);
    put_byte(b->fds[1]);
  }
  turns(1);
  for (int i = 0; i < BYSTANDERS; i++) {
    struct bystander *b = &bystanders[i];
    CHECK_EQ(b->seen.calls, 1);
    CHECK_EQ(b->seen.events, LOOP_READABLE | (b->mask & LOOP_WRITABLE));
    if (i % 2 == 0) CHECK_EQ(loop_cancel(loop, b->handle), 0);
  }
  turns(1);
  for (int i = 0; i < BYSTANDERS; i++) {
    struct bystander *b = &bystanders[i];
    int is_over = i % 2 == 0 || b->mask & (LOOP_EDGE | LOOP_ONESHOT);
    CHECK_EQ(b->seen.calls, is_over ? 1 : 2);
    close_pair(b->fds);
  }
  end();
}
