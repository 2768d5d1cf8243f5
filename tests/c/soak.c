/* link: -lpthread */
/* A soak: a server and its clients, two processes with a loop each, keep thousands
 * of TCP connections busy: echoes, disconnects of every sort and new connections,
 * timers that fire, move and are cancelled, posts of threads. All answers are
 * right, everything is released, and once the load is steady neither memory nor
 * descriptors grow. How late timers were is told.
 *
 * `make soak SECONDS=600 CONNECTIONS=10000`; a few seconds without these. */
#define _GNU_SOURCE 1
#include "soak_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { PORTS = 4, POSTERS = 2, ACTIONS_A_TICK = 10 };

static uint64_t seconds;
static long wanted; /* connections */
static uint64_t start, end;
static int clients_end[2]; /* a pipe that hangs up when the clients have gone */
static int listeners[PORTS];
static uint16_t ports[PORTS];

static loop_t *loop;
static const char *who;
static struct sample samples[SAMPLES];
static int sample_count;
static long connections; /* that this process has open now */
static long opened, closed, released;
static atomic_bool is_over;

/* ---- Probes: every millisecond, and now and then a sample ---- */

static uint64_t probe_due;

static uint64_t time_of_sample(int number) { return start + (end - start) * (uint64_t)(number + 1) / (SAMPLES + 1); }

static void probe(loop_t *l, void *arg) {
  uint64_t now = loop_clock(l);
  (void)arg;
  CHECK(now >= probe_due);
  note_lateness(now - probe_due);
  if (sample_count < SAMPLES && now >= time_of_sample(sample_count)) {
    samples[sample_count++] = take_sample(connections); /* counting descriptors takes its time */
  }
  if (atomic_load(&is_over)) return;
  probe_due = loop_clock(l) + MS(1);
  CHECK(loop_call_at(l, probe_due, probe, NULL) > 0);
}

static void start_probes(void) {
  probe_due = loop_clock(loop) + MS(1);
  CHECK(loop_call_at(loop, probe_due, probe, NULL) > 0);
}

/* And the last sample was taken: a busy machine is late with it. */
static int is_time_over(void) { return check_clock() >= end && sample_count == SAMPLES; }

static void tell(void) {
  fprintf(stderr, "    %s: %ld connections opened; late by at most: %.0f us of 50 %%, %.0f us of 99 %%, "
          "%.0f us of 99.9 %%, %.0f us ever, of %ld timers\n",
          who, opened, lateness_of(500), lateness_of(990), lateness_of(999), lateness_of(1000), lateness.count);
  CHECK_EQ(sample_count, SAMPLES);
  check_growth(who, samples);
}

/* ---- Connections: what both sides do with one ---- */

struct connection {
  int fd;
  long number; /* the client's */
  loop_handle_t watch, timer;
  int is_connected, is_waiting; /* the client's: for the echo of sent */
  uint64_t sent;
};

/* The watcher's release: nobody can come back to it. */
static void release_connection(void *arg) {
  released++;
  free(arg);
}

static void close_now(struct connection *c) {
  int fd_first = once_in(2);
  if (once_in(3)) {
    struct linger reset = {1, 0};
    CHECK_EQ(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  }
  if (fd_first) CHECK_EQ(close(c->fd), 0);
  CHECK_EQ(loop_cancel(loop, c->watch), 0);
  CHECK_EQ(loop_cancel(loop, c->timer), 0);
  if (!fd_first) CHECK_EQ(close(c->fd), 0);
  connections--;
  closed++;
}

static struct connection *new_connection(int fd, uint32_t events, loop_fd_cb cb, loop_cb timeout, uint64_t delay) {
  struct connection *c = calloc(1, sizeof *c);
  CHECK(c != NULL && fd >= 0);
  c->fd = fd;
  c->watch = loop_watch_fd(loop, fd, events, cb, c);
  c->timer = loop_call_later(loop, delay, timeout, c);
  CHECK(c->watch > 0 && c->timer > 0);
  CHECK_EQ(loop_set_release(loop, c->watch, release_connection), 0);
  connections++;
  opened++;
  return c;
}

/* ---- The server ---- */

static long echoes, timers_made, timers_fired, timers_cancelled, posts_run, posts_released;
static atomic_long posts_made;
static loop_handle_t last_timer;

static void server_timeout(loop_t *l, void *arg) {
  (void)l;
  (void)arg;
  CHECK(!"a connection is idle for minutes");
}

static void fire(loop_t *l, void *arg) {
  (void)arg;
  timers_fired++;
  if (loop_current(l) == last_timer) last_timer = 0;
}

static void use_timers(void) {
  if (last_timer != 0 && once_in(2)) {
    CHECK_EQ(loop_cancel(loop, last_timer), 0);
    timers_cancelled++;
  }
  last_timer = loop_call_later(loop, next_random() % MS(20), fire, NULL);
  CHECK(last_timer > 0);
  timers_made++;
}

static void echo(loop_t *l, int fd, uint32_t events, void *arg) {
  struct connection *c = arg;
  uint64_t words[64];
  CHECK(events != 0);
  ssize_t count = recv(fd, words, sizeof words, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0 || send(fd, words, (size_t)count, MSG_NOSIGNAL) != count || once_in(500)) {
    close_now(c);
    return;
  }
  echoes++;
  CHECK_EQ(loop_reschedule(l, c->timer, 300 * (uint64_t)NS_PER_SEC), 0);
  if (once_in(4)) use_timers();
}

static void accept_some(loop_t *l, int fd, uint32_t events, void *arg) {
  (void)l;
  (void)events;
  (void)arg;
  for (int i = 0; i < 64; i++) {
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    new_connection(accepted, LOOP_READABLE, echo, server_timeout, 300 * (uint64_t)NS_PER_SEC);
  }
}

static void run_post(loop_t *l, void *arg) {
  (void)l;
  CHECK(arg == &posts_made);
  posts_run++;
}

static void release_post(void *arg) {
  CHECK(arg == &posts_made);
  posts_released++;
}

static void *post_in_bursts(void *arg) {
  loop_remote_t *remote = arg;
  unsigned seed = (unsigned)(uintptr_t)arg;
  do {
    int burst = 1 + rand_r(&seed) % 19;
    for (int i = 0; i < burst; i++) {
      CHECK_EQ(loop_remote_call_soon(remote, run_post, &posts_made, release_post), 0);
      atomic_fetch_add(&posts_made, 1);
    }
    usleep((useconds_t)(rand_r(&seed) % 20000));
  } while (!atomic_load(&is_over));
  CHECK_EQ(loop_remote_free(remote), 0);
  return NULL;
}

static int have_clients_gone(void) {
  struct pollfd end_of_pipe = {clients_end[0], POLLIN, 0};
  return poll(&end_of_pipe, 1, 0) == 1;
}

static void end_server(loop_t *l, void *arg) {
  loop_handle_t *accepting = arg;
  if (!is_time_over() || !have_clients_gone()) {
    CHECK_EQ(loop_reschedule(l, loop_current(l), MS(10)), 0);
    return;
  }
  atomic_store(&is_over, 1);
  for (int i = 0; i < PORTS; i++) CHECK_EQ(loop_cancel(l, accepting[i]), 0);
}

static void serve(void) {
  pthread_t threads[POSTERS];
  loop_handle_t accepting[PORTS];
  start_probes();
  for (int i = 0; i < PORTS; i++) {
    accepting[i] = loop_watch_fd(loop, listeners[i], LOOP_READABLE, accept_some, NULL);
    CHECK(accepting[i] > 0);
  }
  for (int i = 0; i < POSTERS; i++) {
    CHECK_EQ(pthread_create(&threads[i], NULL, post_in_bursts, loop_remote_new(loop)), 0);
  }
  CHECK(loop_call_at(loop, end + MS(500), end_server, accepting) > 0);
  CHECK_EQ(loop_run(loop), 1); /* until the last connection is closed */
  for (int i = 0; i < POSTERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  CHECK_EQ(loop_run(loop), 1);
  fprintf(stderr, "    %s: %ld echoes, %ld posts, %ld timers\n", who, echoes, posts_run, timers_made);
  CHECK_EQ(posts_run, atomic_load(&posts_made));
  CHECK_EQ(posts_released, posts_run);
  CHECK_EQ(timers_made, timers_fired + timers_cancelled);
  CHECK(echoes > 0 && posts_run > 0); /* the clients count; an echo before a close is not counted here */
}

/* ---- The clients ---- */

static struct connection **clients;
static long answers;

static void lose_client(struct connection *c) {
  clients[c->number] = NULL;
  close_now(c);
}

static void client_timeout(loop_t *l, void *arg) {
  struct connection *c = arg;
  (void)l;
  CHECK(!c->is_waiting || !"an echo did not come for a minute");
  lose_client(c);
}

static void client_event(loop_t *l, int fd, uint32_t events, void *arg) {
  struct connection *c = arg;
  uint64_t answer;
  if (!c->is_connected && (events & LOOP_WRITABLE)) {
    c->is_connected = 1;
    CHECK_EQ(loop_watch_update(l, c->watch, LOOP_READABLE), 0);
  }
  ssize_t count = recv(fd, &answer, sizeof answer, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) { /* the server's choice */
    lose_client(c);
    return;
  }
  CHECK_EQ(count, sizeof answer);
  CHECK(c->is_waiting && answer == c->sent);
  c->is_waiting = 0;
  answers++;
}

static void open_client(long number) {
  int which = (int)(next_random() % PORTS);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = ports[which]};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
    CHECK_EQ(errno, EADDRNOTAVAIL); /* all ports wait for late packets: another time */
    CHECK_EQ(close(fd), 0);
    return;
  }
  clients[number] = new_connection(fd, LOOP_READABLE | LOOP_WRITABLE, client_event, client_timeout,
                                   60 * (uint64_t)NS_PER_SEC);
  clients[number]->number = number;
}

static void act(void) {
  long number = (long)(next_random() % (uint64_t)wanted);
  struct connection *c = clients[number];
  if (c == NULL) {
    open_client(number);
  } else if (once_in(20)) {
    lose_client(c);
  } else if (once_in(100)) {
    (void)shutdown(c->fd, SHUT_WR); /* the server closes then */
  } else if (c->is_connected && !c->is_waiting) {
    c->sent = next_random();
    c->is_waiting = send(c->fd, &c->sent, sizeof c->sent, MSG_NOSIGNAL) == sizeof c->sent;
    CHECK_EQ(loop_reschedule(loop, c->timer, 60 * (uint64_t)NS_PER_SEC), 0);
  }
}

static void act_often(loop_t *l, uint64_t ticks, void *arg) {
  (void)ticks;
  (void)arg;
  if (!is_time_over() || answers <= wanted / 2) {
    for (int i = 0; i < ACTIONS_A_TICK; i++) act();
    return;
  }
  CHECK_EQ(loop_cancel(l, loop_current(l)), 0);
  atomic_store(&is_over, 1);
  for (long i = 0; i < wanted; i++) {
    if (clients[i] != NULL) lose_client(clients[i]);
  }
}

static void be_the_clients(void) {
  clients = calloc((size_t)wanted, sizeof *clients);
  CHECK(clients != NULL);
  start_probes();
  CHECK(loop_call_every(loop, 0, MS(1), LOOP_SKIP_MISSED, act_often, NULL) > 0);
  CHECK_EQ(loop_run(loop), 1);
  free(clients);
}

/* ---- Both ---- */

static void be(const char *name, void (*body)(void)) {
  who = name;
  loop_free(loop_new()); /* what is made once in a process */
  size_t heap = heap_in_use();
  long descriptors = open_descriptors();
  loop = loop_new();
  CHECK(loop != NULL);
  body();
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(connections, 0);
  CHECK_EQ(opened, closed);
  CHECK_EQ(released, opened);
  CHECK_EQ(open_descriptors(), descriptors);
  tell();
  fprintf(stderr, "    %s: %zd bytes are left over\n", who, (ssize_t)(heap_in_use() - heap));
  CHECK(heap_in_use() <= heap + 20000); /* stdio, and what pthread keeps of a thread */
}

static void open_listeners(void) {
  for (int i = 0; i < PORTS; i++) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listeners[i], (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(listen(listeners[i], 4096), 0);
    CHECK_EQ(getsockname(listeners[i], (struct sockaddr *)&address, &length), 0);
    ports[i] = address.sin_port;
  }
}

static void take_descriptors(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  long most = (long)limit.rlim_max - 100;
  if (wanted <= most) return;
  fprintf(stderr, "    %ld connections instead of %ld: the limit of descriptors\n", most, wanted);
  wanted = most;
}

TEST(nothing_grows_under_a_steady_load) {
  int status;
  seconds = (uint64_t)setting("EVLOOP_SOAK_SECONDS", 5);
  wanted = setting("EVLOOP_SOAK_CONNECTIONS", 1000);
  alarm((unsigned)seconds + 120);
  take_descriptors();
  open_listeners();
  CHECK_EQ(pipe(clients_end), 0);
  start = check_clock();
  end = start + seconds * NS_PER_SEC;
  fflush(NULL);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm((unsigned)seconds + 120);
    CHECK_EQ(close(clients_end[0]), 0);
    for (int i = 0; i < PORTS; i++) close(listeners[i]);
    random_state += 1;
    be("clients", be_the_clients);
    exit(0);
  }
  CHECK_EQ(close(clients_end[1]), 0);
  be("server", serve);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(close(clients_end[0]), 0);
  for (int i = 0; i < PORTS; i++) CHECK_EQ(close(listeners[i]), 0);
}
