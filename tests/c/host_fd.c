/* link: -lpthread */
/* loop_fd is enough: a host that waits for this descriptor alone, without any
 * time limit, and then runs the loop for a moment, misses nothing. Hosts that
 * wait by poll(2), select(2), level-triggered epoll, and edge-triggered epoll
 * as the header documents it. Each thing is tried alone: missed, it would hang. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>

static loop_t *loop;
static int is_done;

struct host {
  int epoll;
  uint32_t epoll_events;
  void (*wait)(struct host *host);
  int (*drive)(void);
};

static void wait_by_poll(struct host *host) {
  (void)host;
  wait_readable(host_fd);
}

static void wait_by_select(struct host *host) {
  fd_set set;
  int fd = host_fd;
  (void)host;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  CHECK_EQ(select(fd + 1, &set, NULL, NULL, NULL), 1);
}

static void wait_by_epoll(struct host *host) {
  struct epoll_event event;
  if (host->epoll == -1) {
    event = (struct epoll_event){.events = host->epoll_events};
    host->epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(host->epoll >= 0);
    CHECK_EQ(epoll_ctl(host->epoll, EPOLL_CTL_ADD, host_fd, &event), 0);
  }
  CHECK_EQ(epoll_wait(host->epoll, &event, 1, -1), 1);
}

static int run_one_turn(void) { return loop_run_once(loop, 0); }
static int run_for_a_moment(void) { return loop_run_ready(loop, US(200)); }

/* The rule for hosts that only hear of edges. */
static int run_until_nothing_is_left(void) {
  int count;
  do {
    count = loop_run_once(loop, 0);
  } while (count > 0 || loop_timeout(loop) == 0);
  return count;
}

/* The host's main loop. */
static void host_until_done(struct host *host) {
  while (!is_done) {
    host->wait(host);
    CHECK(host->drive() >= 0);
  }
  is_done = 0;
}

static void done(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  is_done = 1;
}

enum { ROUNDS = 200 };

struct client {
  int fds[2];
  sem_t ran;
  int echoed, posts_run;
};

static void *talk(void *arg) {
  struct client *client = arg;
  for (int i = 0; i < ROUNDS; i++) {
    put_byte(client->fds[1]);
    take_byte(client->fds[1]); /* the next one only after the answer */
  }
  return NULL;
}

static void post_has_run(loop_t *l, void *arg) {
  struct client *client = arg;
  (void)l;
  client->posts_run++;
  CHECK_EQ(sem_post(&client->ran), 0);
}

static void *post(void *arg) {
  struct client *client = arg;
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(loop_call_soon_threadsafe(loop, post_has_run, client, NULL), 0);
    CHECK_EQ(sem_wait(&client->ran), 0);
  }
  return NULL;
}

static void *talk_and_finish(void *arg) {
  talk(arg);
  CHECK_EQ(loop_call_soon_threadsafe(loop, done, NULL, NULL), 0);
  return NULL;
}

static void *post_and_finish(void *arg) {
  post(arg);
  CHECK_EQ(loop_call_soon_threadsafe(loop, done, NULL, NULL), 0);
  return NULL;
}

static void only_descriptors(struct host *host, struct client *client) {
  loop_handle_t watch = loop_watch_fd(loop, client->fds[0], LOOP_READABLE, echo_byte, &client->echoed);
  CHECK(watch > 0);
  pthread_t thread = start_thread(talk_and_finish, client);
  host_until_done(host);
  join_thread(thread);
  CHECK_EQ(client->echoed, ROUNDS);
  CHECK_EQ(loop_cancel(loop, watch), 0);
}

static void only_posts(struct host *host, struct client *client) {
  pthread_t thread = start_thread(post_and_finish, client);
  host_until_done(host);
  join_thread(thread);
  CHECK_EQ(client->posts_run, ROUNDS);
}

static void timer_chain(loop_t *l, void *arg) {
  int *left = arg;
  if (--*left == 0) {
    is_done = 1;
  } else {
    CHECK(loop_call_later(l, (uint64_t)(*left % 7) * US(100), timer_chain, left) > 0);
  }
}

static void only_timers(struct host *host) {
  int left = 100;
  CHECK(loop_call_later(loop, MS(1), timer_chain, &left) > 0);
  host_until_done(host);
  for (uint64_t i = 0; i < 50; i++) { /* armed by the host, between the runs */
    uint64_t start = check_clock();
    CHECK(loop_call_later(loop, i * US(50), done, NULL) > 0);
    host_until_done(host);
    CHECK(check_clock() - start >= i * US(50));
  }
}

static void soon_chain(loop_t *l, void *arg) {
  int *left = arg;
  if (--*left == 0) {
    is_done = 1;
  } else {
    CHECK(loop_call_soon(l, soon_chain, left) > 0);
  }
}

static void only_ready_work(struct host *host) {
  int left = ROUNDS;
  CHECK(loop_call_soon(loop, soon_chain, &left) > 0);
  host_until_done(host);
  for (int i = 0; i < 50; i++) {
    CHECK(loop_call_soon(loop, done, NULL) > 0);
    host_until_done(host);
  }
}

/* More than one turn takes: the rest stays with the level-triggered watcher. */
static void bytes_left_unread(struct host *host, struct client *client) {
  char bytes[100] = {0};
  client->echoed = 0;
  loop_handle_t watch = loop_watch_fd(loop, client->fds[0], LOOP_READABLE, echo_byte, &client->echoed);
  CHECK_EQ(send(client->fds[1], bytes, sizeof bytes, 0), sizeof bytes);
  while (client->echoed < (int)sizeof bytes) {
    host->wait(host);
    CHECK(host->drive() >= 0);
  }
  CHECK_EQ(recv(client->fds[1], bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
  CHECK_EQ(loop_cancel(loop, watch), 0);
}

static void everything_at_once(struct host *host, struct client *client) {
  int ticks = 0;
  client->echoed = client->posts_run = 0;
  loop_handle_t watch = loop_watch_fd(loop, client->fds[0], LOOP_READABLE, echo_byte, &client->echoed);
  loop_handle_t ticker = loop_call_every(loop, 0, US(300), LOOP_SKIP_MISSED, count_tick, &ticks);
  pthread_t talker = start_thread(talk, client), poster = start_thread(post, client);
  while (client->echoed < ROUNDS || client->posts_run < ROUNDS || ticks < 20) {
    host->wait(host);
    CHECK(host->drive() >= 0);
  }
  join_thread(talker);
  join_thread(poster);
  CHECK_EQ(loop_cancel(loop, watch), 0);
  CHECK_EQ(loop_cancel(loop, ticker), 0);
}

static void try_host(struct host host) {
  struct client client = {.echoed = 0};
  host.epoll = -1;
  loop = new_loop(0);
  embed(loop);
  make_pair(client.fds);
  CHECK_EQ(sem_init(&client.ran, 0, 0), 0);
  only_descriptors(&host, &client);
  only_posts(&host, &client);
  only_timers(&host);
  only_ready_work(&host);
  bytes_left_unread(&host, &client);
  everything_at_once(&host, &client);
  check_quiet(loop);
  if (host.epoll != -1) CHECK_EQ(close(host.epoll), 0);
  sem_destroy(&client.ran);
  close_pair(client.fds);
  free_loop(loop);
}

TEST(a_host_that_uses_poll) { try_host((struct host){.wait = wait_by_poll, .drive = run_one_turn}); }

TEST(a_host_that_uses_select) {
  try_host((struct host){.wait = wait_by_select, .drive = run_one_turn});
}

TEST(a_host_that_uses_level_triggered_epoll) {
  try_host((struct host){.wait = wait_by_epoll, .drive = run_one_turn, .epoll_events = EPOLLIN});
}

TEST(a_host_that_gives_a_budget) {
  try_host((struct host){.wait = wait_by_epoll, .drive = run_for_a_moment, .epoll_events = EPOLLIN});
}

TEST(an_edge_triggered_host_that_runs_until_nothing_is_left) {
  try_host((struct host){.wait = wait_by_epoll, .drive = run_until_nothing_is_left,
                         .epoll_events = EPOLLIN | EPOLLET});
}
