/* link: -lpthread */
/* Guest mode: the main thread belongs to a GUI that can wait for its own events
 * only. A helper thread waits on loop_fd for it, sends the GUI an event, and
 * waits again once the GUI has run the loop. All callbacks run on the GUI's
 * thread. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <semaphore.h>
#include <stdatomic.h>

/* The GUI: a queue of events, of which other threads may push some. */
enum event { RUN_THE_LOOP, KEY_PRESSED, QUIT };

static struct {
  pthread_mutex_t lock;
  pthread_cond_t filled;
  enum event events[64];
  unsigned pushed, taken;
} gui = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void push_event(enum event event) {
  CHECK_EQ(pthread_mutex_lock(&gui.lock), 0);
  CHECK(gui.pushed - gui.taken < 64);
  gui.events[gui.pushed++ % 64] = event;
  CHECK_EQ(pthread_cond_signal(&gui.filled), 0);
  CHECK_EQ(pthread_mutex_unlock(&gui.lock), 0);
}

static enum event next_event(void) {
  CHECK_EQ(pthread_mutex_lock(&gui.lock), 0);
  while (gui.pushed == gui.taken) CHECK_EQ(pthread_cond_wait(&gui.filled, &gui.lock), 0);
  enum event event = gui.events[gui.taken++ % 64];
  CHECK_EQ(pthread_mutex_unlock(&gui.lock), 0);
  return event;
}

/* The helper: it never touches the loop, only the descriptor. */
struct helper {
  pthread_t thread;
  int loop_fd;
  sem_t loop_has_run;
  atomic_int is_over;
  int wake_ups;
};

static void *help(void *arg) {
  struct helper *helper = arg;
  for (;;) {
    wait_readable(helper->loop_fd);
    if (helper->is_over) return NULL;
    helper->wake_ups++;
    push_event(RUN_THE_LOOP);
    CHECK_EQ(sem_wait(&helper->loop_has_run), 0);
  }
}

static void start_helper(struct helper *helper, loop_t *loop) {
  CHECK_EQ(pthread_mutex_lock(&gui.lock), 0);
  gui.taken = gui.pushed; /* what the last test's helper said as it ended */
  CHECK_EQ(pthread_mutex_unlock(&gui.lock), 0);
  *helper = (struct helper){.loop_fd = loop_fd(loop)};
  CHECK(helper->loop_fd >= 0);
  CHECK_EQ(sem_init(&helper->loop_has_run, 0, 0), 0);
  helper->thread = start_thread(help, helper);
}

static void stop_helper(struct helper *helper, loop_t *loop) {
  helper->is_over = 1;
  CHECK_EQ(loop_wake(loop), 0);
  CHECK_EQ(sem_post(&helper->loop_has_run), 0);
  join_thread(helper->thread);
  sem_destroy(&helper->loop_has_run);
}

static pthread_t gui_thread;
static int keys, idle_wake_ups;

/* The GUI's main loop, which knows of the loop only that it has to be run sometimes. */
static void run_gui(struct helper *helper, loop_t *loop) {
  gui_thread = pthread_self();
  for (;;) {
    switch (next_event()) {
      case RUN_THE_LOOP: {
        int count = loop_run_ready(loop, MS(1));
        CHECK(count >= 0);
        idle_wake_ups += count == 0;
        CHECK_EQ(sem_post(&helper->loop_has_run), 0);
        break;
      }
      case KEY_PRESSED:
        keys++;
        break;
      case QUIT:
        return;
    }
  }
}

enum { ROUNDS = 300 };

static int echoed, posts_run, ticks, workers_left;

static void check_thread_and_count(loop_t *loop, void *arg) {
  CHECK(pthread_equal(pthread_self(), gui_thread));
  count_run(loop, arg);
}

static void tick(loop_t *loop, uint64_t count, void *arg) {
  (void)count;
  check_thread_and_count(loop, arg);
}

static void answer(loop_t *loop, int fd, uint32_t events, void *arg) {
  CHECK(pthread_equal(pthread_self(), gui_thread));
  echo_byte(loop, fd, events, arg);
}

static void worker_has_finished(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  if (--workers_left == 0) push_event(QUIT);
}

static void *post_results(void *remote) {
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(loop_remote_call_soon(remote, check_thread_and_count, &posts_run, NULL), 0);
    if (i % 10 == 0) usleep(300);
    if (i % 20 == 0) push_event(KEY_PRESSED);
  }
  CHECK_EQ(loop_remote_call_soon(remote, worker_has_finished, NULL, NULL), 0);
  CHECK_EQ(loop_remote_free(remote), 0);
  return NULL;
}

struct client {
  int fd;
  loop_remote_t *remote;
};

static void *talk(void *arg) {
  struct client *client = arg;
  for (int i = 0; i < ROUNDS; i++) {
    put_byte(client->fd);
    take_byte(client->fd); /* the next one only after the answer */
  }
  CHECK_EQ(loop_remote_call_soon(client->remote, worker_has_finished, NULL, NULL), 0);
  CHECK_EQ(loop_remote_free(client->remote), 0);
  return NULL;
}

TEST(a_gui_is_woken_by_a_helper_that_waits_on_the_descriptor) {
  struct helper helper;
  int fds[2];
  loop_t *loop = new_loop(0);
  make_pair(fds);
  start_helper(&helper, loop);
  CHECK(loop_watch_fd(loop, fds[0], LOOP_READABLE, answer, &echoed) > 0);
  CHECK(loop_call_every(loop, MS(1), MS(1), LOOP_SKIP_MISSED, tick, &ticks) > 0);
  workers_left = 2;
  struct client client = {fds[1], loop_remote_new(loop)};
  pthread_t poster = start_thread(post_results, loop_remote_new(loop));
  pthread_t talker = start_thread(talk, &client);
  run_gui(&helper, loop);
  join_thread(poster);
  join_thread(talker);
  stop_helper(&helper, loop);
  CHECK_EQ(posts_run, ROUNDS);
  CHECK_EQ(echoed, ROUNDS);
  CHECK_EQ(keys, ROUNDS / 20);
  CHECK(ticks > 0);
  close_pair(fds);
  free_loop(loop);
}

static void quit(loop_t *loop, void *arg) {
  (void)loop;
  (void)arg;
  push_event(QUIT);
}

/* Nothing to do for 200 ms: the helper sleeps, and the GUI is left in peace. */
TEST(a_gui_is_left_alone_while_there_is_nothing_to_do) {
  struct helper helper;
  loop_t *loop = new_loop(0);
  idle_wake_ups = 0;
  uint64_t start = check_clock();
  CHECK(loop_call_later(loop, MS(200), quit, NULL) > 0);
  start_helper(&helper, loop);
  run_gui(&helper, loop);
  CHECK(check_clock() - start >= MS(200));
  CHECK(helper.wake_ups <= 2);
  CHECK(idle_wake_ups <= 1);
  stop_helper(&helper, loop);
  free_loop(loop);
}
