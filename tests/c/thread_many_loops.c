/* link: -lpthread */
/* Loops share nothing with each other: 64 of them at once, each run by a thread
 * of its own with timers, descriptors and posts, each with a remote of its
 * neighbour. Tokens go round all of them. And one thread may have many loops. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <sys/epoll.h>

enum { LOOPS = 64, TOKENS = 16, LAPS = 20, ECHOES = 50 };

struct node {
  loop_t *loop;
  pthread_t thread;
  loop_remote_t *next; /* a remote of the next node's loop */
  struct node *next_node;
  int fds[2];
  int tokens_passed, ticks, echoes, foreign_calls;
};

static struct node nodes[LOOPS];

static void check_thread(struct node *node, loop_t *loop) {
  if (loop != node->loop || !pthread_equal(pthread_self(), node->thread)) node->foreign_calls++;
}

/* A token has come: it goes on to the neighbour until it has been here in every lap. */
static void pass_token(loop_t *loop, void *arg) {
  struct node *node = arg;
  check_thread(node, loop);
  node->tokens_passed++;
  int is_last = node == &nodes[LOOPS - 1];
  if (!is_last || node->tokens_passed <= TOKENS * (LAPS - 1)) {
    CHECK_EQ(loop_remote_call_soon(node->next, pass_token, node->next_node, NULL), 0);
  }
  if (node->tokens_passed == TOKENS * LAPS) CHECK_EQ(loop_remote_free(node->next), 0);
}

static void tick(loop_t *loop, uint64_t ticks, void *arg) {
  struct node *node = arg;
  (void)ticks;
  check_thread(node, loop);
  if (++node->ticks == 20) CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
}

/* Both ends of a pair in one loop: each byte is sent back and forth. */
static void echo(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct node *node = arg;
  CHECK_EQ(events, LOOP_READABLE);
  check_thread(node, loop);
  take_byte(fd);
  if (++node->echoes < ECHOES) {
    put_byte(fd);
  } else {
    CHECK_EQ(shutdown(node->fds[0], SHUT_RDWR), 0);
  }
}

static void *run_node(void *arg) {
  struct node *node = arg;
  node->thread = pthread_self();
  CHECK_EQ(loop_run(node->loop), 1); /* ends when its last remote is freed, and all else is done */
  return NULL;
}

static void echo_or_end(loop_t *loop, int fd, uint32_t events, void *arg) {
  if (events & LOOP_HANGUP) {
    CHECK_EQ(loop_cancel(loop, loop_current(loop)), 0);
  } else {
    echo(loop, fd, events, arg);
  }
}

TEST(sixty_four_loops_run_at_once) {
  pthread_t threads[LOOPS];
  memset(nodes, 0, sizeof nodes);
  for (int i = 0; i < LOOPS; i++) {
    struct node *node = &nodes[i];
    node->loop = new_loop(i % 3 == 0 ? LOOP_STRICT_POLL : 0);
    make_pair(node->fds);
    CHECK(loop_call_every(node->loop, 0, US(300), LOOP_SKIP_MISSED, tick, node) > 0);
    for (int end = 0; end < 2; end++) {
      CHECK(loop_watch_fd(node->loop, node->fds[end], LOOP_READABLE, echo_or_end, node) > 0);
    }
    put_byte(node->fds[0]);
  }
  for (int i = 0; i < LOOPS; i++) {
    nodes[i].next_node = &nodes[(i + 1) % LOOPS];
    nodes[i].next = loop_remote_new(nodes[i].next_node->loop);
  }
  for (int i = 0; i < TOKENS; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(nodes[0].loop, pass_token, &nodes[0], NULL), 0);
  }
  for (int i = 0; i < LOOPS; i++) threads[i] = start_thread(run_node, &nodes[i]);
  for (int i = 0; i < LOOPS; i++) join_thread(threads[i]);
  for (int i = 0; i < LOOPS; i++) {
    CHECK_EQ(nodes[i].tokens_passed, TOKENS * LAPS);
    CHECK_EQ(nodes[i].ticks, 20);
    CHECK_EQ(nodes[i].echoes, ECHOES);
    CHECK_EQ(nodes[i].foreign_calls, 0);
    free_loop(nodes[i].loop);
    close_pair(nodes[i].fds);
  }
}

static void *live_a_whole_life(void *arg) {
  for (int i = 0; i < 50; i++) {
    int runs = 0;
    loop_t *loop = new_loop(i % 2 == 0 ? LOOP_BOUND : 0);
    CHECK(loop_call_later(loop, US(10), count_run, &runs) > 0);
    CHECK(loop_call_soon(loop, count_run, &runs) > 0);
    CHECK(loop_fd(loop) >= 0);
    CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs, NULL), 0);
    CHECK_EQ(loop_run(loop), 1);
    CHECK_EQ(runs, 3);
    free_loop(loop);
  }
  return arg;
}

TEST(loops_are_made_run_and_freed_on_64_threads_at_once) {
  pthread_t threads[LOOPS];
  for (int i = 0; i < LOOPS; i++) threads[i] = start_thread(live_a_whole_life, NULL);
  for (int i = 0; i < LOOPS; i++) join_thread(threads[i]);
}

static loop_t *inner;

static void run_the_inner_loop(loop_t *outer, void *arg) {
  CHECK(outer != inner);
  CHECK_EQ(loop_is_running(outer), 1);
  CHECK(loop_call_soon(inner, count_run, arg) > 0);
  CHECK_EQ(loop_run(inner), 1);
  CHECK_EQ(loop_is_running(inner), 0);
  CHECK(loop_current(outer) > 0);
  CHECK_EQ(loop_current(inner), 0);
}

static void run_inner_when_readable(loop_t *outer, int fd, uint32_t events, void *arg) {
  CHECK_EQ(events, LOOP_READABLE);
  CHECK_EQ(fd, loop_fd(inner));
  CHECK(loop_run_once(inner, 0) >= 0);
  if (*(int *)arg == 3) CHECK_EQ(loop_stop(outer), 0);
}

TEST(one_thread_may_have_many_loops_and_one_may_watch_another) {
  int runs = 0;
  loop_t *outer = new_loop(0);
  inner = new_loop(0);
  CHECK(loop_call_soon(outer, run_the_inner_loop, &runs) > 0);
  CHECK_EQ(loop_run(outer), 1);
  CHECK_EQ(runs, 1);
  CHECK(loop_watch_fd(outer, loop_fd(inner), LOOP_READABLE, run_inner_when_readable, &runs) > 0);
  CHECK(loop_call_later(inner, MS(1), count_run, &runs) > 0);
  CHECK(loop_call_later(inner, MS(2), count_run, &runs) > 0);
  CHECK_EQ(loop_run_forever(outer), 0);
  CHECK_EQ(runs, 3);
  free_loop(inner);
  free_loop(outer);
}

static void run_inner(loop_t *outer, int fd, uint32_t events, void *arg) {
  (void)outer;
  (void)arg;
  CHECK_EQ(fd, loop_fd(inner));
  CHECK_EQ(events, LOOP_READABLE);
  CHECK(loop_run_once(inner, 0) >= 0);
}

/* Each takes two of the kernel's five levels of nested epoll sets, the host the last. */
TEST(a_loop_in_a_loop_in_a_host_that_uses_epoll) {
  struct epoll_event event = {.events = EPOLLIN};
  int runs = 0, fds[2], host = epoll_create1(EPOLL_CLOEXEC);
  loop_t *outer = new_loop(0);
  inner = new_loop(0);
  make_pair(fds);
  CHECK(loop_watch_fd(outer, loop_fd(inner), LOOP_READABLE, run_inner, NULL) > 0);
  CHECK_EQ(epoll_ctl(host, EPOLL_CTL_ADD, loop_fd(outer), &event), 0);
  CHECK(loop_watch_fd(inner, fds[0], LOOP_READABLE, echo_byte, &runs) > 0);
  for (int i = 1; i <= 10; i++) {
    put_byte(fds[1]);
    CHECK_EQ(loop_call_soon_threadsafe(inner, count_run, &runs, NULL), 0);
    CHECK(loop_call_later(inner, US(100), count_run, &runs) > 0);
    while (runs < 3 * i) {
      CHECK_EQ(epoll_wait(host, &event, 1, -1), 1);
      CHECK(loop_run_once(outer, 0) >= 0);
    }
    take_byte(fds[1]);
  }
  CHECK_EQ(epoll_wait(host, &event, 1, 0), 0);
  CHECK_EQ(close(host), 0);
  close_pair(fds);
  free_loop(inner);
  free_loop(outer);
}
