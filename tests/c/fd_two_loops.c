/* Law 7 in two loops: watchers of one descriptor in two loops, on two threads,
 * know nothing of each other, whatever one of the loops does with its own. */
#define _GNU_SOURCE 1
#include "check.h"
#include "fd_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

static void run_on_thread(pthread_t *thread, loop_t *loop, void *(*run)(void *)) {
  CHECK_EQ(pthread_create(thread, NULL, run, loop), 0);
}

static void join(pthread_t thread) {
  void *result;
  CHECK_EQ(pthread_join(thread, &result), 0);
  CHECK(result == NULL);
}

static void *run_until_stopped(void *loop) {
  CHECK_EQ(loop_run_forever(loop), 0);
  return NULL;
}

/* A semaphore holds tokens; whoever is called takes one, or finds that the other loop
 * was faster. */
enum { TOKENS = 20000 };

static loop_t *takers[2];
static atomic_int taken, calls_of[2];

static void take_token(loop_t *loop, int fd, uint32_t events, void *arg) {
  eventfd_t token;
  (void)loop;
  CHECK_EQ(events, LOOP_READABLE);
  atomic_fetch_add((atomic_int *)arg, 1);
  if (atomic_load(&calls_of[0]) == 0 || atomic_load(&calls_of[1]) == 0) return; /* both are told first */
  if (eventfd_read(fd, &token) != 0) {
    CHECK_EQ(errno, EAGAIN);
  } else if (atomic_fetch_add(&taken, 1) + 1 == TOKENS) {
    for (int i = 0; i < 2; i++) CHECK_EQ(loop_stop(takers[i]), 0);
  }
}

TEST(two_threads_share_the_tokens_of_one_semaphore) {
  pthread_t threads[2];
  int semaphore = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
  for (int i = 0; i < 2; i++) {
    takers[i] = loop_new();
    CHECK(loop_watch_fd(takers[i], semaphore, LOOP_READABLE, take_token, &calls_of[i]) > 0);
    run_on_thread(&threads[i], takers[i], run_until_stopped);
  }
  for (int i = 0; i < TOKENS / 100; i++) CHECK_EQ(eventfd_write(semaphore, 100), 0);
  for (int i = 0; i < 2; i++) join(threads[i]); /* one of them stops both loops */
  for (int i = 0; i < 2; i++) CHECK_EQ(loop_free(takers[i]), 0);
  CHECK_EQ(atomic_load(&taken), TOKENS);
  CHECK(atomic_load(&calls_of[0]) + atomic_load(&calls_of[1]) >= TOKENS);
  CHECK_EQ(close(semaphore), 0);
}

/* A loop on another thread is told all the time. It counts, and that must go on. */
static atomic_int told;
static atomic_uint told_bits;

static void count_told(loop_t *loop, int fd, uint32_t events, void *arg) {
  (void)loop;
  (void)fd;
  (void)arg;
  atomic_fetch_or(&told_bits, events);
  atomic_fetch_add(&told, 1);
}

static void check_goes_on(void) {
  int before = atomic_load(&told);
  while (atomic_load(&told) < before + 5) usleep(50);
}

static struct neighbour {
  loop_t *loop;
  loop_handle_t handle;
  pthread_t thread;
  int fds[2];
} neighbour;

static void start_neighbour(void) {
  loop_t *loop = loop_new();
  make_pair(neighbour.fds);
  put_byte(neighbour.fds[1]);
  atomic_store(&told_bits, 0);
  neighbour.loop = loop;
  neighbour.handle = loop_watch_fd(loop, neighbour.fds[0], LOOP_READABLE, count_told, NULL);
  CHECK(neighbour.handle > 0);
  run_on_thread(&neighbour.thread, loop, run_until_stopped);
  check_goes_on();
}

static void end_neighbour(void) {
  check_goes_on();
  CHECK_EQ(atomic_load(&told_bits), LOOP_READABLE); /* never anything else */
  CHECK_EQ(loop_stop(neighbour.loop), 0);
  join(neighbour.thread);
  CHECK_EQ(loop_cancel(neighbour.loop, neighbour.handle), 0);
  CHECK_EQ(loop_free(neighbour.loop), 0);
  close_pair(neighbour.fds);
}

TEST(what_one_loop_asks_for_the_other_does_not_hear) {
  start_neighbour();
  int fd = neighbour.fds[0];
  const uint32_t masks[] = {LOOP_WRITABLE, 0, LOOP_READABLE | LOOP_WRITABLE, LOOP_PRIORITY};
  const uint32_t expected[] = {LOOP_WRITABLE, 0, LOOP_READABLE | LOOP_WRITABLE, 0};
  for (int round = 0; round < 100; round++) {
    struct seen seen = {0, 0};
    loop_t *loop = loop_new();
    loop_handle_t handle = watch(loop, fd, masks[round % 4], &seen);
    for (int turn = 0; turn < 4; turn++) {
      int kind = (round + turn) % 4;
      CHECK_EQ(loop_watch_update(loop, handle, masks[kind]), 0);
      CHECK_EQ(loop_run_once(loop, 0), expected[kind] != 0);
      if (expected[kind] != 0) CHECK_EQ(seen.events, expected[kind]);
    }
    if (round % 2) CHECK_EQ(loop_cancel(loop, handle), 0);
    CHECK_EQ(loop_free(loop), 0); /* takes its own registration with it, and no other */
    if (round % 10 == 0) check_goes_on();
  }
  end_neighbour();
}

TEST(edge_and_one_shot_watchers_of_one_loop_do_not_disturb_the_other) {
  start_neighbour();
  int fd = neighbour.fds[0];
  struct seen edge = {0, 0}, once = {0, 0};
  loop_t *loop = loop_new();
  loop_handle_t handle = watch(loop, fd, LOOP_READABLE | LOOP_EDGE, &edge); /* alone in its loop */
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  check_goes_on();
  CHECK_EQ(loop_cancel(loop, handle), 0);
  watch(loop, fd, LOOP_READABLE | LOOP_ONESHOT, &once);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(loop_run_once(loop, 0), 0);
  CHECK_EQ(loop_free(loop), 0);
  end_neighbour();
}

/* The orphan disturbs the loop whose descriptor was closed; the other one watches the same
 * file under another number. */
TEST(an_orphan_of_one_loop_does_not_disturb_the_other) {
  start_neighbour();
  struct seen orphan = {0, 0};
  loop_t *loop = loop_new();
  int copy = dup(neighbour.fds[0]);
  loop_handle_t handle = watch(loop, copy, LOOP_READABLE, &orphan);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  CHECK_EQ(close(copy), 0);
  CHECK_EQ(loop_cancel(loop, handle), 0);
  for (int turn = 0; turn < 10; turn++) CHECK_EQ(loop_run_once(loop, 0), 0);
  check_goes_on();
  CHECK_EQ(loop_run_once(loop, (int64_t)MS(50)), 0);
  CHECK_EQ(orphan.calls, 1);
  CHECK_EQ(loop_free(loop), 0);
  end_neighbour();
}

/* Both loops lose a descriptor by one close; one of them watches what has its number. */
TEST(a_close_silences_the_watchers_of_both) {
  struct seen old[2] = {{0, 0}, {0, 0}}, new = {0, 0};
  loop_t *loops[2] = {loop_new(), loop_new()};
  loop_handle_t handles[2];
  int fds[2], others[2];
  make_pair(fds);
  put_byte(fds[1]);
  for (int i = 0; i < 2; i++) {
    handles[i] = watch(loops[i], fds[0], LOOP_READABLE, &old[i]);
    CHECK_EQ(loop_run_once(loops[i], 0), 1);
  }
  make_pair(others);
  move_fd(others[0], fds[0]);
  watch(loops[0], fds[0], LOOP_READABLE, &new);
  put_byte(others[1]);
  CHECK_EQ(loop_run_once(loops[0], 0), 1);
  CHECK_EQ(loop_run_once(loops[1], 0), 0);
  CHECK_EQ(loop_watch_update(loops[1], handles[1], LOOP_READABLE | LOOP_WRITABLE), 0);
  CHECK_EQ(loop_run_once(loops[1], 0), 0);
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(loop_cancel(loops[i], handles[i]), 0);
    CHECK_EQ(old[i].calls, 1);
  }
  CHECK_EQ(loop_run_once(loops[0], 0), 1); /* the cancels took nothing from the new one */
  CHECK_EQ(new.calls, 2);
  for (int i = 0; i < 2; i++) CHECK_EQ(loop_free(loops[i]), 0);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(close(fds[1]), 0);
  CHECK_EQ(close(others[1]), 0);
}
