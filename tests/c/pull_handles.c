/* link: -lpthread */
/* Pull mode: what becomes of a source that was handed out. A cancel holds for
 * what is not handed out yet. A one-shot is finished, and released, by the next
 * call; until then it is as if its callback ran. A level-triggered event comes
 * again until it is dealt with. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static loop_event_t events[16];
static int releases, other_releases, fds[2];

static void start(void) {
  loop = new_loop(LOOP_PULL | LOOP_MANUAL_CLOCK);
  releases = other_releases = 0;
  make_pair(fds);
}

static void end(void) {
  free_loop(loop);
  close_pair(fds);
}

static loop_handle_t with_release(loop_handle_t handle) {
  CHECK(handle > 0);
  CHECK_EQ(loop_set_release(loop, handle, count_release), 0);
  return handle;
}

static void check_next(int count) { CHECK_EQ(loop_next_events(loop, events, 16, 0), count); }

static loop_handle_t make_soon(void) { return loop_call_soon(loop, NULL, &releases); }
static loop_handle_t make_timer(void) { return loop_call_at(loop, 0, NULL, &releases); }
static loop_handle_t (*const makers[])(void) = {make_soon, make_timer};

TEST(a_cancel_holds_for_what_is_not_handed_out_yet) {
  start();
  put_byte(fds[1]);
  loop_handle_t first = make_soon(), soon = with_release(make_soon());
  loop_handle_t timer = with_release(make_timer());
  loop_handle_t tick =
      with_release(loop_call_every(loop, 0, 10, LOOP_SKIP_MISSED, NULL, &releases));
  loop_handle_t watch = with_release(loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, &releases));
  loop_handle_t kept = loop_call_at(loop, 0, NULL, &releases);
  CHECK_EQ(loop_next_events(loop, events, 1, 0), 1);
  CHECK_EQ(events[0].handle, first);
  const loop_handle_t cancelled[] = {soon, timer, tick, watch};
  for (int i = 0; i < 4; i++) {
    CHECK_EQ(loop_is_active(loop, cancelled[i]), 1);
    CHECK_EQ(loop_cancel(loop, cancelled[i]), 0);
    CHECK_EQ(loop_is_active(loop, cancelled[i]), 0);
    CHECK_EQ(loop_cancel(loop, cancelled[i]), LOOP_ESTALE);
  }
  CHECK_EQ(releases, 0); /* not inside the cancel */
  check_next(1);
  CHECK_EQ(events[0].handle, kept);
  CHECK_EQ(releases, 4);
  check_next(0);
  end();
}

TEST(an_update_holds_for_what_is_not_handed_out_yet) {
  start();
  put_byte(fds[1]);
  CHECK(make_soon() > 0);
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_WRITABLE, NULL, NULL);
  CHECK_EQ(loop_next_events(loop, events, 1, 0), 1);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_WRITABLE), 0);
  check_next(1);
  CHECK_EQ(events[0].events, LOOP_WRITABLE);
  CHECK_EQ(loop_watch_update(loop, watch, 0), 0);
  check_next(0);
  end();
}

TEST(a_one_shot_is_released_by_the_next_call) {
  for (int i = 0; i < 2; i++) {
    start();
    loop_handle_t handle = with_release(makers[i]());
    CHECK(with_release(makers[i]()) > 0);
    check_next(2);
    CHECK_EQ(events[0].handle, handle);
    CHECK_EQ(releases, 0);
    check_next(0);
    CHECK_EQ(releases, 2);
    check_next(0);
    CHECK_EQ(releases, 2);
    end();
    CHECK_EQ(releases, 2);
  }
}

TEST(a_posts_release_is_called_by_the_next_call) {
  start();
  loop_remote_t *remote = loop_remote_new(loop);
  CHECK_EQ(loop_call_soon_threadsafe(loop, NULL, &releases, count_release), 0);
  CHECK_EQ(loop_remote_call_soon(remote, NULL, &releases, count_release), 0);
  check_next(2);
  CHECK_EQ(releases, 0);
  check_next(0);
  CHECK_EQ(releases, 2);
  CHECK_EQ(loop_remote_free(remote), 0);
  end();
}

/* Law 4: as inside its callback; but it is active as long as its event stands. */
TEST(a_one_shot_that_is_handed_out_lives_until_the_next_call) {
  for (int i = 0; i < 2; i++) {
    start();
    loop_handle_t handle = with_release(makers[i]());
    check_next(1);
    CHECK_EQ(loop_is_active(loop, handle), 1);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_is_active(loop, handle), 0);
    CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_set_name(loop, handle, "handed out"), 0);
    CHECK_EQ(loop_set_arg(loop, handle, &other_releases), 0);
    if (i == 1) CHECK_EQ(loop_remaining(loop, handle), 0);
    check_next(0);
    CHECK_EQ(releases, 0);
    CHECK_EQ(other_releases, 1); /* with the argument it had at the end */
    CHECK_EQ(loop_cancel(loop, handle), LOOP_ESTALE);
    CHECK_EQ(loop_is_active(loop, handle), 0);
    end();
  }
}

TEST(a_release_may_be_given_or_taken_back_while_it_is_handed_out) {
  for (int i = 0; i < 2; i++) {
    start();
    loop_handle_t given = makers[i](), taken = with_release(makers[i]());
    check_next(2);
    CHECK_EQ(loop_set_release(loop, given, count_release), 0);
    CHECK_EQ(loop_set_release(loop, taken, NULL), 0);
    check_next(0);
    CHECK_EQ(releases, 1);
    end();
  }
}

TEST(a_timer_that_is_handed_out_can_be_armed_again) {
  start();
  loop_handle_t timer = with_release(make_timer());
  for (int round = 0; round < 5; round++) {
    check_next(1);
    CHECK_EQ(events[0].handle, timer);
    CHECK_EQ(loop_reschedule(loop, timer, 100), 0);
    CHECK_EQ(loop_is_active(loop, timer), 1);
    CHECK_EQ(loop_remaining(loop, timer), 100);
    check_next(0); /* the next call does not finish it */
    CHECK_EQ(releases, 0);
    CHECK_EQ(loop_advance(loop, 100), 0);
  }
  check_next(1);
  CHECK_EQ(loop_reschedule(loop, timer, 100), 0);
  CHECK_EQ(loop_cancel(loop, timer), 0); /* armed again, and cancelled */
  CHECK_EQ(loop_is_active(loop, timer), 0);
  CHECK_EQ(loop_advance(loop, 100), 0);
  check_next(0);
  CHECK_EQ(releases, 1);
  CHECK_EQ(loop_cancel(loop, timer), LOOP_ESTALE);
  end();
}

TEST(periodic_timers_and_watchers_live_on) {
  start();
  put_byte(fds[1]);
  loop_handle_t tick =
      with_release(loop_call_every(loop, 0, 10, LOOP_SKIP_MISSED, NULL, &releases));
  loop_handle_t watch = with_release(loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, &releases));
  for (int round = 0; round < 5; round++) {
    check_next(2);
    CHECK_EQ(events[0].handle, watch);
    CHECK_EQ(events[1].handle, tick);
    CHECK_EQ(loop_is_active(loop, tick), 1);
    CHECK_EQ(loop_is_active(loop, watch), 1);
    CHECK_EQ(loop_advance(loop, 10), 0);
  }
  CHECK_EQ(releases, 0);
  CHECK_EQ(loop_cancel(loop, tick), 0);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  check_next(0);
  CHECK_EQ(releases, 2);
  end();
}

TEST(a_level_triggered_event_comes_again_until_it_is_dealt_with) {
  start();
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, NULL) > 0);
  check_next(0);
  put_byte(fds[1]);
  for (int round = 0; round < 5; round++) check_next(1);
  take_byte(fds[0]);
  check_next(0);
  end();
}

/* An event that is queued while its reason goes away: only what is still so is handed out. */
TEST(what_did_not_fit_is_still_handed_out_without_asking_the_kernel) {
  start();
  put_byte(fds[1]);
  CHECK(make_soon() > 0);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, NULL, NULL) > 0);
  CHECK_EQ(loop_next_events(loop, events, 1, 0), 1);
  check_next(1);
  CHECK_EQ(events[0].kind, LOOP_EVENT_FD);
  end();
}

TEST(once_and_on_edges_as_asked_for) {
  start();
  put_byte(fds[1]);
  loop_handle_t watch = loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, NULL, NULL);
  check_next(1);
  CHECK_EQ(loop_watch_events(loop, watch) & LOOP_READABLE, 0);
  check_next(0);
  CHECK_EQ(loop_watch_update(loop, watch, LOOP_READABLE | LOOP_EDGE), 0);
  check_next(1);
  check_next(0);
  put_byte(fds[1]);
  check_next(1);
  end();
}

TEST(loop_free_releases_what_is_handed_out_once) {
  start();
  for (int i = 0; i < 2; i++) {
    with_release(makers[i]());
    with_release(makers[i]());
  }
  CHECK_EQ(loop_next_events(loop, events, 3, 0), 3); /* the fourth is still queued */
  CHECK_EQ(releases, 0);
  end();
  CHECK_EQ(releases, 4);
}
