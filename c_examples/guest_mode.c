/* guest_mode.c: evloop as a guest of a GUI that can wait for nothing but its own events. A helper
 * thread waits for the loop's descriptor in its place and sends it an event. The GUI then runs a
 * turn and tells the helper to wait again: without that the helper would find the descriptor still
 * readable, and spin. All callbacks run on the GUI's thread. */
#define _POSIX_C_SOURCE 200809L
#include <err.h>
#include <evloop.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* The GUI: a queue of events. Any thread may post one, the main thread takes them. */
enum { KEY_PRESSED = 'k', RUN_LOOP = 'r', QUIT = 'q' };

static int queue[2]; /* a pipe */
static pthread_t gui_thread;

static void gui_post(char event) {
  if (write(queue[1], &event, 1) != 1) err(1, "gui_post");
}

static char gui_next_event(void) {
  char event;
  if (read(queue[0], &event, 1) != 1) err(1, "gui_next_event");
  return event;
}

/* The helper: it waits for the descriptor, and never calls the loop. */
static sem_t loop_has_run;
static atomic_bool is_over;
static int wake_ups;

static void *help(void *fd_of_loop) {
  struct pollfd guest = {.fd = *(int *)fd_of_loop, .events = POLLIN};
  while (!is_over) {
    if (poll(&guest, 1, -1) < 0) continue; /* a signal */
    wake_ups++;
    gui_post(RUN_LOOP);
    while (sem_wait(&loop_has_run) != 0) continue;
  }
  return NULL;
}

static void say(loop_t *loop, void *text) {
  bool is_gui = pthread_equal(pthread_self(), gui_thread);
  (void)loop;
  printf("%s, on %s thread\n", (char *)text, is_gui ? "the GUI's" : "another");
}

static void after_key(loop_t *loop, void *keys) {
  say(loop, "20 ms after a key");
  if (++*(int *)keys == 3) gui_post(QUIT);
}

/* What happens outside: pictures come for the loop, keys are pressed for the GUI. */
static void *outside(void *loop) {
  for (int i = 0; i < 3; i++) {
    struct timespec a_while = {.tv_nsec = 50000000};
    nanosleep(&a_while, NULL);
    loop_call_soon_threadsafe(loop, say, "a picture has come", NULL);
    gui_post(KEY_PRESSED);
  }
  return NULL;
}

int main(void) {
  pthread_t helper, world;
  int keys = 0;
  loop_t *loop = loop_new();
  int fd = loop_fd(loop);
  gui_thread = pthread_self();
  if (fd < 0 || pipe(queue) < 0 || sem_init(&loop_has_run, 0, 0) < 0 ||
      pthread_create(&helper, NULL, help, &fd) || pthread_create(&world, NULL, outside, loop))
    errx(1, "cannot start");
  for (char event; (event = gui_next_event()) != QUIT;) {
    if (event == KEY_PRESSED) loop_call_later(loop, 20 * LOOP_MS, after_key, &keys);
    if (event == RUN_LOOP) {
      int called = loop_run_once(loop, 0); /* a turn that does not wait */
      if (called < 0) errx(1, "%s", loop_strerror(called));
      sem_post(&loop_has_run);
    }
  }
  is_over = true;
  loop_wake(loop);         /* if the helper waits for the descriptor */
  sem_post(&loop_has_run); /* if it waits for the GUI */
  pthread_join(helper, NULL);
  pthread_join(world, NULL);
  loop_free(loop); /* closes the descriptor: the helper must have ended */
  printf("the GUI was asked %d times to run the loop\n", wake_ups);
  return 0;
}
