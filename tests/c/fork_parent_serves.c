/* link: -lpthread */
/* Children do not disturb their parent's loop: it goes on serving 100 clients
 * over sockets while 100 children inherit it, each of which frees it, or takes
 * it up with loop_after_fork, cancels what it finds, and runs it. The parent's
 * epoll sets, eventfds and timers are as they were. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <dirent.h>

enum { CLIENTS = 100, CHILDREN = 100 };

static loop_t *loop;
static int client_ends[CLIENTS], server_ends[CLIENTS];
static loop_handle_t watches[CLIENTS], ticker, forker;
static pid_t children[CHILDREN], client_process;
static int forks, ticks, echoes[CLIENTS], runs_in_child;

/* All clients in one process: a byte from each, an answer to each, until they are shut down. */
static void be_the_clients(void) {
  char byte = 'x';
  for (int i = 0; i < CLIENTS; i++) close(server_ends[i]);
  for (int rounds = 0;; rounds++) {
    for (int i = 0; i < CLIENTS; i++) {
      if (send(client_ends[i], &byte, 1, MSG_NOSIGNAL) != 1) _exit(rounds < 5);
    }
    for (int i = 0; i < CLIENTS; i++) {
      if (recv(client_ends[i], &byte, 1, 0) != 1) _exit(rounds < 5);
    }
  }
}

/* The watchers are the child's own: to cancel them takes nothing from the parent. */
static void take_it_up(void) {
  int fds[2];
  CHECK_EQ(loop_run_once(loop, 0), LOOP_EFORKED);
  CHECK_EQ(loop_after_fork(loop), 0);
  for (int i = 0; i < CLIENTS; i++) CHECK_EQ(loop_cancel(loop, watches[i]), 0);
  CHECK_EQ(loop_cancel(loop, ticker), 0);
  loop_cancel(loop, forker);
  make_pair(fds);
  runs_in_child = 0;
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE | LOOP_ONESHOT, count_event, &runs_in_child) > 0);
  put_byte(fds[1]);
  CHECK(loop_call_later(loop, MS(1), count_run, &runs_in_child) > 0);
  CHECK_EQ(loop_call_soon_threadsafe(loop, count_run, &runs_in_child, NULL), 0);
  CHECK_EQ(loop_wake(loop), 0);
  while (runs_in_child < 3) CHECK(loop_run_once(loop, -1) >= 0);
  CHECK_EQ(loop_free(loop), 0);
}

static void free_it(void) { CHECK_EQ(loop_free(loop), 0); }

static void start_one_more_child(void) {
  children[forks] = start_child(forks % 2 == 0 ? take_it_up : free_it);
  forks++;
}

static void echo(loop_t *l, int fd, uint32_t events, void *arg) {
  CHECK_EQ(fd, server_ends[(int *)arg - echoes]);
  echo_byte(l, fd, events, arg);
}

static void fork_in_a_callback(loop_t *l, uint64_t count, void *arg) {
  (void)count;
  (void)arg;
  start_one_more_child();
  if (forks == CHILDREN) CHECK_EQ(loop_stop(l), 0);
}

static void start(void) {
  int pair[2];
  forks = ticks = 0;
  memset(echoes, 0, sizeof echoes);
  for (int i = 0; i < CLIENTS; i++) {
    make_pair(pair);
    client_ends[i] = pair[0];
    server_ends[i] = pair[1];
  }
  client_process = start_child(be_the_clients);
  loop = new_loop(0);
  for (int i = 0; i < CLIENTS; i++) {
    close(client_ends[i]);
    watches[i] = loop_watch_fd(loop, server_ends[i], LOOP_READABLE, echo, &echoes[i]);
    CHECK(watches[i] > 0);
  }
  ticker = loop_call_every(loop, MS(1), MS(1), LOOP_SKIP_MISSED, count_tick, &ticks);
  CHECK(ticker > 0);
}

static void end(void) {
  for (int i = 0; i < CHILDREN; i++) check_child(children[i]);
  for (int i = 0; i < CLIENTS; i++) {
    CHECK(echoes[i] >= 5);
    CHECK_EQ(shutdown(server_ends[i], SHUT_RDWR), 0);
  }
  check_child(client_process);
  CHECK(ticks >= 20);
  free_loop(loop);
  for (int i = 0; i < CLIENTS; i++) CHECK_EQ(close(server_ends[i]), 0);
}

/* Until every client was served so many times more. */
static int all_served(int times) {
  for (int i = 0; i < CLIENTS; i++) {
    if (echoes[i] < times) return 0;
  }
  return ticks >= 20;
}

TEST(it_serves_while_children_are_forked_in_a_callback) {
  start();
  forker = loop_call_every(loop, MS(1), MS(2), LOOP_SKIP_MISSED, fork_in_a_callback, NULL);
  CHECK_EQ(loop_run_forever(loop), 0);
  CHECK_EQ(loop_cancel(loop, forker), 0);
  int served = echoes[0] + 5;
  while (!all_served(served)) CHECK(loop_run_once(loop, -1) > 0);
  end();
}

TEST(it_serves_while_children_are_forked_by_its_host) {
  start();
  int fd = loop_fd(loop);
  while (forks < CHILDREN) {
    for (int i = 0; i < 5; i++) {
      wait_readable(fd);
      CHECK(loop_run_once(loop, 0) >= 0);
    }
    start_one_more_child();
  }
  int served = echoes[0] + 5;
  while (!all_served(served)) {
    wait_readable(fd);
    CHECK(loop_run_once(loop, 0) >= 0);
  }
  end();
}

/* What the kernel says of this process's epoll sets, eventfds and timers, but for the time
 * that a timer has left, and whether it is over. */
static void look_at_the_kernel_side(char *text, size_t size) {
  char path[300], link[300], line[300];
  size_t length = 0;
  DIR *folder = opendir("/proc/self/fd");
  CHECK(folder != NULL);
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
    ssize_t count = readlink(path, link, sizeof link - 1);
    if (count < 0 || strncmp(link, "anon_inode:", 11) != 0) continue;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%s", entry->d_name);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    length += (size_t)snprintf(text + length, size - length, "%s\n", entry->d_name);
    while (fgets(line, sizeof line, file) != NULL) {
      if (strncmp(line, "it_value", 8) == 0 || strncmp(line, "ticks", 5) == 0) continue;
      length += (size_t)snprintf(text + length, size - length, "%s", line);
      CHECK(length < size);
    }
    fclose(file);
  }
  closedir(folder);
}

TEST(the_kernel_side_of_the_parent_is_as_it_was) {
  static char before[65536], after[65536];
  for (int is_embedded = 0; is_embedded < 2; is_embedded++) {
    start();
    if (is_embedded) embed(loop);
    while (!all_served(5)) CHECK(loop_run_once(loop, -1) > 0);
    CHECK(loop_call_soon(loop, count_run, &ticks) > 0); /* work that is left is noted there too */
    look_at_the_kernel_side(before, sizeof before);
    CHECK(strstr(before, "tfd:") != NULL);
    for (forks = 0; forks < CHILDREN;) {
      start_one_more_child();
      if (forks % 10 == 0) usleep(1000);
    }
    for (int i = 0; i < CHILDREN; i++) {
      check_child(children[i]);
      children[i] = start_child(free_it); /* so that there is somebody to wait for at the end */
    }
    look_at_the_kernel_side(after, sizeof after);
    CHECK_EQ(strcmp(before, after), 0);
    int served = echoes[0] + 5;
    while (!all_served(served)) CHECK(loop_run_once(loop, -1) > 0);
    end();
  }
}
