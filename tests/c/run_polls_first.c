/* Law 8 and section 2: between busy turns of one run the poll may be skipped, but the
 * first turn of every run call asks the kernel. With a gap of a minute no run would notice
 * what has happened since the last one, however fast the machine is. */
#define _GNU_SOURCE 1
#include "fd_support.h"

static int fds[2];
static char order[64];
static size_t length;

static void note(char letter) {
  CHECK(length + 1 < sizeof order);
  order[length++] = letter;
  order[length] = '\0';
}

static loop_t *new_patient_loop(void) {
  loop_options_t options = {.size = sizeof options, .poll_gap_ns = MS(60000)};
  loop_t *loop = NULL;
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  make_pair(fds);
  length = 0;
  return loop;
}

static void end(loop_t *loop) {
  CHECK_EQ(loop_free(loop), 0);
  close_pair(fds);
}

/* Something is always ready, so that only a run's first turn has to poll. */
static void again(loop_t *loop, void *arg) {
  note('s');
  CHECK(loop_call_soon(loop, again, arg) > 0);
}

static void ready(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop, (void)events, (void)arg;
  note('r');
  take_byte(fd);
}

static int once(loop_t *loop) { return loop_run_once(loop, 0); }
static int once_patiently(loop_t *loop) { return loop_run_once(loop, (int64_t)MS(1)); }
static int one_callback(loop_t *loop) { return loop_run_ready(loop, 0); }

TEST(each_run_begins_with_a_poll_however_busy_the_loop_is) {
  int (*const runs[])(loop_t *) = {once, once_patiently};
  for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
    loop_t *loop = new_patient_loop();
    CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, ready, NULL) > 0);
    CHECK(loop_call_soon(loop, again, NULL) > 0);
    CHECK_EQ(runs[i](loop), 1); /* polls, and finds nothing */
    for (int turn = 0; turn < 3; turn++) {
      put_byte(fds[1]);
      CHECK_EQ(runs[i](loop), 2);
    }
    CHECK(strcmp(order, "ssrsrsr") == 0);
    end(loop);
  }
}

TEST(a_run_that_a_budget_ends_begins_the_next_with_a_poll) {
  loop_t *loop = new_patient_loop();
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, ready, NULL) > 0);
  CHECK(loop_call_soon(loop, again, NULL) > 0);
  CHECK_EQ(one_callback(loop), 1);
  put_byte(fds[1]);
  CHECK_EQ(one_callback(loop), 1); /* the event is behind the soon-callback */
  CHECK_EQ(one_callback(loop), 1);
  CHECK(strcmp(order, "ssr") == 0);
  end(loop);
}

static void nest(loop_t *loop, void *arg) {
  (void)arg;
  note('n');
  put_byte(fds[1]);
  CHECK_EQ(loop_run_once(loop, 0), 2);
  note('.');
}

TEST(a_nested_run_begins_with_a_poll) {
  loop_t *loop = new_patient_loop();
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, ready, NULL) > 0);
  CHECK(loop_call_soon(loop, nest, NULL) > 0);
  CHECK(loop_call_soon(loop, again, NULL) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1); /* the rest of the snapshot ran inside */
  CHECK(strcmp(order, "nsr.") == 0);
  end(loop);
}
