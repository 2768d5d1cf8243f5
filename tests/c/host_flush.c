/* link: -lpthread */
/* loop_flush: a callback that runs the host's main loop (a modal dialog) tells
 * the kernel first what has changed; from then on the nested host may rely on
 * loop_fd alone, as it may between runs: for descriptors, timers, ready work,
 * and posts of other threads. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static int runs, is_done, fds[2];

static void start(void) {
  loop = new_loop(0);
  embed(loop);
  runs = is_done = 0;
  make_pair(fds);
}

static void end(void) {
  check_quiet(loop);
  free_loop(loop);
  close_pair(fds);
}

/* A host's main loop, nested in a callback: waits for the descriptor alone. */
static void nested_host_until_done(loop_t *l) {
  int depth = loop_is_running(l);
  CHECK(depth >= 1);
  while (!is_done) {
    wait_readable(host_fd);
    CHECK(loop_run_once(l, 0) >= 0);
  }
  is_done = 0;
  CHECK_EQ(loop_is_running(l), depth);
}

static void done(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  is_done = 1;
}

static void done_by_event(loop_t *l, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  take_byte(fd);
  done(l, arg);
}

static void *send_later(void *arg) {
  (void)arg;
  usleep(2000);
  put_byte(fds[1]);
  return NULL;
}

/* What was changed before the flush, and what is changed after it. */
static void dialog_of_descriptors(loop_t *l, void *arg) {
  loop_handle_t watch = *(loop_handle_t *)arg;
  CHECK_EQ(loop_watch_update(l, watch, LOOP_READABLE), 0); /* it was paused */
  CHECK_EQ(loop_flush(l), 0);
  pthread_t thread = start_thread(send_later, NULL);
  nested_host_until_done(l);
  join_thread(thread);
  CHECK_EQ(loop_watch_update(l, watch, 0), 0);
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(l, 0), 0);
  CHECK_EQ(loop_watch_update(l, watch, LOOP_READABLE), 0); /* told at once: no second flush */
  nested_host_until_done(l);
  runs++;
}

TEST(a_nested_host_hears_of_descriptors) {
  start();
  loop_handle_t watch = loop_watch_fd(loop, fds[0], 0, done_by_event, NULL);
  CHECK(loop_call_soon(loop, dialog_of_descriptors, &watch) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(runs, 1);
  end();
}

static void dialog_of_timers(loop_t *l, void *arg) {
  (void)arg;
  loop_handle_t before = loop_call_later(l, MS(1), done, NULL);
  CHECK(before > 0);
  CHECK_EQ(loop_flush(l), 0);
  nested_host_until_done(l);
  for (uint64_t i = 0; i < 20; i++) {
    CHECK(loop_call_later(l, i * US(100), done, NULL) > 0);
    nested_host_until_done(l);
  }
  runs++;
}

TEST(a_nested_host_hears_of_timers) {
  start();
  CHECK(loop_call_soon(loop, dialog_of_timers, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(runs, 1);
  end();
}

static void dialog_of_ready_work(loop_t *l, void *arg) {
  (void)arg;
  CHECK(loop_call_soon(l, done, NULL) > 0);
  CHECK_EQ(loop_flush(l), 0);
  nested_host_until_done(l);
  for (int i = 0; i < 20; i++) {
    CHECK(loop_call_soon(l, done, NULL) > 0);
    nested_host_until_done(l);
  }
  runs++;
}

TEST(a_nested_host_hears_of_ready_work) {
  start();
  CHECK(loop_call_soon(loop, dialog_of_ready_work, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(runs, 1);
  end();
}

/* The rest of the outer snapshot is ready as well, and comes first. */
TEST(a_nested_host_runs_the_rest_of_the_outer_snapshot) {
  int rest = 0;
  start();
  CHECK(loop_call_soon(loop, dialog_of_ready_work, NULL) > 0);
  for (int i = 0; i < 3; i++) CHECK(loop_call_soon(loop, count_run, &rest) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(rest, 3);
  end();
}

enum { POSTS = 100 };

/* One post at a time, the next one only when the last one has run. */
static void *post_one_by_one(void *arg) {
  pthread_barrier_t *ran = arg;
  for (int i = 0; i < POSTS; i++) {
    if (i % 3 == 0) usleep(200); /* so that the host also sleeps */
    CHECK_EQ(loop_call_soon_threadsafe(loop, done, NULL, NULL), 0);
    pthread_barrier_wait(ran);
  }
  return NULL;
}

static void dialog_of_posts(loop_t *l, void *arg) {
  pthread_barrier_t ran;
  (void)arg;
  CHECK_EQ(pthread_barrier_init(&ran, NULL, 2), 0);
  CHECK_EQ(loop_flush(l), 0);
  pthread_t thread = start_thread(post_one_by_one, &ran);
  for (int i = 0; i < POSTS; i++) {
    nested_host_until_done(l);
    pthread_barrier_wait(&ran);
  }
  join_thread(thread);
  pthread_barrier_destroy(&ran);
  runs++;
}

TEST(a_nested_host_hears_of_posts) {
  start();
  CHECK(loop_call_soon(loop, dialog_of_posts, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(runs, 1);
  end();
}

/* A dialog that opens a dialog. */
static void dialog_in_dialog(loop_t *l, void *arg) {
  int *left = arg;
  CHECK_EQ(loop_flush(l), 0);
  if (--*left > 0) {
    CHECK(loop_call_later(l, US(100), dialog_in_dialog, left) > 0);
  } else {
    CHECK(loop_call_later(l, US(100), done, NULL) > 0);
  }
  nested_host_until_done(l);
  is_done = 1; /* the dialog around this one closes as well */
}

TEST(dialogs_nest) {
  int left = 10;
  start();
  CHECK(loop_call_soon(loop, dialog_in_dialog, &left) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(left, 0);
  is_done = 0;
  end();
}

/* And after the dialog the outer run goes on, and then the outer host. */
static void *post_and_leave(void *arg) {
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, arg, NULL), 0);
  return NULL;
}

static void flush_and_let_a_thread_post(loop_t *l, void *arg) {
  CHECK_EQ(loop_flush(l), 0);
  on_thread(post_and_leave, arg);
}

TEST(what_a_nested_host_did_not_run_is_left_to_the_outer_one) {
  start();
  for (int i = 1; i <= 20; i++) {
    CHECK(loop_call_soon(loop, flush_and_let_a_thread_post, &runs) > 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    wait_readable(host_fd);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    CHECK_EQ(runs, i);
    on_thread(post_and_leave, &runs);
    wait_readable(host_fd);
    CHECK_EQ(loop_run_once(loop, 0), 1);
    runs--;
  }
  end();
}

static void flush_and_go_on(loop_t *l, void *arg) {
  int *left = arg;
  CHECK_EQ(loop_flush(l), 0);
  on_thread(post_and_leave, &runs);
  if (--*left > 0) {
    CHECK(loop_call_later(l, US(100), flush_and_go_on, left) > 0);
  } else {
    CHECK_EQ(loop_stop(l), 0);
  }
}

TEST(a_run_goes_on_and_sleeps_after_a_callback_that_has_flushed) {
  int left = 20;
  start();
  CHECK(loop_call_soon(loop, flush_and_go_on, &left) > 0);
  CHECK_EQ(loop_run_forever(loop), 0);
  while (runs < 20) CHECK(loop_run_once(loop, -1) >= 0);
  end();
}

TEST(outside_of_callbacks_there_is_nothing_to_do) {
  start();
  CHECK_EQ(loop_flush(loop), 0);
  CHECK_EQ(loop_flush(NULL), LOOP_ENULL);
  end();
}
