/* link: -lpthread */
/* A process that is stopped for a while (SIGSTOP, as by a debugger or job
 * control) and continued: what fell due meanwhile fires once, in order, none
 * early; periodic timers do as their policies say; what came from outside and
 * what threads go on posting is all there. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <signal.h>

enum { ONE_SHOTS = 40, STOPS = 2 };

#define INTERVAL MS(5)
#define STOPPED MS(300)
#define LENGTH MS(1000) /* longer than both stops take, unless the machine is busy */

static loop_t *loop;
static int is_continued_pipe[2], ready_pipe[2];
static uint64_t begun;

/* ---- One-shots: their deadlines are mixed, some of them equal ---- */

static struct {
  uint64_t deadline;
  int number;
} fired_last;
static int fired;
static uint64_t deadlines[ONE_SHOTS];

static void fire(loop_t *l, void *arg) {
  int number = (int)(intptr_t)arg;
  uint64_t deadline = deadlines[number];
  CHECK(loop_clock(l) >= deadline);
  CHECK(deadline > fired_last.deadline || (deadline == fired_last.deadline && number > fired_last.number));
  fired_last.deadline = deadline;
  fired_last.number = number;
  fired++;
}

static void arm_one_shots(void) {
  for (int i = 0; i < ONE_SHOTS; i++) {
    deadlines[i] = begun + (uint64_t)((i * 7) % (ONE_SHOTS / 2)) * (LENGTH / (ONE_SHOTS / 2));
    CHECK(loop_call_at(loop, deadlines[i], fire, (void *)(intptr_t)i) > 0);
  }
}

/* ---- One periodic timer of each policy ---- */

static uint64_t skip_ticks, run_ticks, restarts, longest_skip, last_restart;

/* The grid's ticks that are over: all of them have been told, and none that is to come. */
static void skip(loop_t *l, uint64_t ticks, void *arg) {
  (void)arg;
  skip_ticks += ticks;
  if (ticks > longest_skip) longest_skip = ticks;
  CHECK(begun + skip_ticks * INTERVAL <= loop_clock(l));
}

static void run_each(loop_t *l, uint64_t ticks, void *arg) {
  (void)arg;
  CHECK_EQ(ticks, 1);
  run_ticks++;
  CHECK(begun + run_ticks * INTERVAL <= loop_clock(l));
}

static void restart(loop_t *l, uint64_t ticks, void *arg) {
  uint64_t now = loop_clock(l);
  (void)arg;
  CHECK_EQ(ticks, 1);
  CHECK(now - last_restart >= INTERVAL);
  last_restart = loop_now(l); /* not after the next tick was armed */
  restarts++;
}

/* ---- A thread that posts all the time, and bytes from outside ---- */

static long posts_made, posts_run;
static int bytes;

static void count_post(loop_t *l, void *arg) {
  (void)l;
  CHECK_EQ((long)(intptr_t)arg, posts_run); /* in order, each once */
  posts_run++;
}

static void *post_often(void *arg) {
  (void)arg;
  for (; check_clock() < begun + LENGTH; posts_made++) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_post, (void *)(intptr_t)posts_made, NULL), 0);
    usleep(500);
  }
  return NULL;
}

static void take_bytes(loop_t *l, int fd, uint32_t events, void *arg) {
  char byte;
  (void)l;
  (void)arg;
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(read(fd, &byte, 1), 1);
  bytes++;
}

static void stop_after_both_stops(loop_t *l, void *arg) {
  if (bytes == STOPS) {
    stop_loop(l, arg);
  } else {
    CHECK_EQ(loop_reschedule(l, loop_current(l), MS(10)), 0);
  }
}

static void run_in_child(void) {
  loop = new_loop(0);
  begun = loop_clock(loop);
  last_restart = begun;
  arm_one_shots();
  CHECK(loop_call_at(loop, begun + LENGTH, stop_after_both_stops, NULL) > 0);
  /* First ticks one interval after `begun`, which is the grid's beginning. */
  uint64_t now = loop_clock(loop);
  uint64_t first = now < begun + INTERVAL ? begun + INTERVAL - now : 0;
  loop_handle_t every[] = {loop_call_every(loop, first, INTERVAL, LOOP_SKIP_MISSED, skip, NULL),
                           loop_call_every(loop, first, INTERVAL, LOOP_RUN_MISSED, run_each, NULL),
                           loop_call_every(loop, INTERVAL, INTERVAL, LOOP_RESTART_GRID, restart, NULL)};
  for (int i = 0; i < 3; i++) CHECK(every[i] > 0);
  uint64_t grid = loop_clock(loop) + first; /* it begins then, at the latest */
  CHECK(loop_watch_fd(loop, is_continued_pipe[0], LOOP_READABLE, take_bytes, NULL) > 0);
  pthread_t thread = start_thread(post_often, NULL);
  CHECK_EQ(write(ready_pipe[1], "r", 1), 1);
  CHECK_EQ(loop_run_forever(loop), 0);
  join_thread(thread);
  /* The missed ticks come one a turn, but at once. */
  uint64_t last_turn;
  do {
    last_turn = loop_clock(loop);
  } while (loop_run_once(loop, 0) > 0);
  uint64_t due = (last_turn - grid) / INTERVAL + 1;
  CHECK(skip_ticks >= due && run_ticks >= due);
  CHECK_EQ(posts_run, posts_made);
  uint64_t intervals = (loop_clock(loop) - begun) / INTERVAL;
  CHECK(longest_skip >= STOPPED / INTERVAL - 1); /* it was stopped */
  CHECK(skip_ticks <= intervals && run_ticks <= intervals);
  CHECK(restarts + 2 * (STOPPED / INTERVAL - 1) <= intervals); /* what was missed is not made up for */
  CHECK_EQ(fired, ONE_SHOTS);
  CHECK_EQ(bytes, STOPS);
  free_loop(loop);
}

static void stop_and_continue(pid_t child) {
  int status;
  CHECK_EQ(kill(child, SIGSTOP), 0);
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK(WIFSTOPPED(status));
  uint64_t stopped_at = check_clock();
  CHECK_EQ(write(is_continued_pipe[1], "x", 1), 1);
  while (check_clock() < stopped_at + STOPPED) usleep(1000);
  CHECK_EQ(kill(child, SIGCONT), 0);
}

TEST(a_stopped_process_goes_on_where_it_was) {
  char byte;
  CHECK_EQ(pipe(is_continued_pipe), 0);
  CHECK_EQ(pipe(ready_pipe), 0);
  pid_t child = start_child(run_in_child);
  CHECK_EQ(read(ready_pipe[0], &byte, 1), 1);
  for (int i = 0; i < STOPS; i++) {
    usleep(30000);
    stop_and_continue(child);
  }
  check_child(child);
  close_pair(is_continued_pipe);
  close_pair(ready_pipe);
}
