/* link: -lpthread */
/* The same program, pushed and pulled, gives the same order. A random program
 * schedules, cancels, reschedules, posts, watches, reads and writes, and
 * journals what it is told and what it is answered; it is written once, and run
 * by callbacks, by loop_next_events, and by a mixture of both. */
#define _GNU_SOURCE 1
#include "host_support.h"

#include <fcntl.h>

enum { SOURCES = 400, PIPES = 3, JOURNAL = 20000 };

enum kind { SOON, LATER, AT, EVERY, POST, WATCH, KINDS };

struct program;

struct source {
  struct program *program;
  enum kind kind;
  loop_handle_t handle;
  int number, pipe, calls;
};

/* How a program is run. */
struct way {
  uint32_t flags;
  size_t capacity; /* of a batch */
  int mixture;     /* one source in so many has a callback; 0: none */
};

struct program {
  loop_t *loop;
  struct way way;
  int takes_back; /* also cancels, reschedules and updates */
  uint64_t random;
  struct source sources[SOURCES];
  struct source *performing;
  int made, releases;
  int pipes[PIPES][2];
  long long journal[JOURNAL];
  int length;
};

static void note(struct program *program, long long what) {
  CHECK(program->length < JOURNAL);
  program->journal[program->length++] = what;
}

static uint64_t choose(struct program *program, uint64_t from) {
  return next_random(&program->random) % from;
}

/* What a source does when its turn comes, by whichever way. */
static void perform(struct source *source, uint64_t ticks, uint32_t events);

static void run_plain(loop_t *loop, void *arg) {
  (void)loop;
  perform(arg, 0, 0);
}
static void run_tick(loop_t *loop, uint64_t ticks, void *arg) {
  (void)loop;
  perform(arg, ticks, 0);
}
static void run_event(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct source *source = arg;
  (void)loop;
  CHECK_EQ(fd, source->program->pipes[source->pipe][0]);
  perform(source, 0, events);
}
static void release(void *arg) { ((struct source *)arg)->program->releases++; }

static void make_source(struct program *program) {
  if (program->made == SOURCES) return;
  struct source *source = &program->sources[program->made];
  loop_t *loop = program->loop;
  int is_called = program->way.flags == 0 ||
                  (program->way.mixture != 0 && program->made % program->way.mixture == 0);
  uint64_t when = 4 * choose(program, 4), now = loop_clock(loop), rest = now % 4;
  *source = (struct source){.program = program, .kind = (enum kind)choose(program, KINDS)};
  source->number = program->made++;
  source->pipe = (int)choose(program, PIPES);
  loop_cb plain = is_called ? run_plain : NULL;
  loop_tick_cb tick = is_called ? run_tick : NULL;
  loop_fd_cb event = is_called ? run_event : NULL;
  switch (source->kind) {
    case SOON: source->handle = loop_call_soon(loop, plain, source); break;
    /* A tick is armed anew when it is handed out, not when it is dealt with: in a batch that
     * is before timers of the same deadline that others of the batch arm. There are none here:
     * modulo 4 a one-shot's deadline is 0, a first tick's 1, a second's 2, a third's 3. */
    case LATER: source->handle = loop_call_later(loop, when + (4 - rest) % 4, plain, source); break;
    case AT: source->handle = loop_call_at(loop, now - rest + when, plain, source); break;
    case EVERY:
      source->handle = loop_call_every(loop, when + (5 - rest) % 4, when + 1, LOOP_SKIP_MISSED, tick, source);
      break;
    case POST: source->handle = loop_call_soon_threadsafe(loop, plain, source, release); return;
    default:
      source->handle = loop_watch_fd(loop, program->pipes[source->pipe][0], LOOP_READABLE, event, source);
      CHECK_EQ(loop_unref(loop, source->handle), 0); /* the pipes are the program's own */
  }
  CHECK(source->handle > 0);
  if (when == 0) CHECK_EQ(loop_set_release(loop, source->handle, release), 0);
}

/* Something is done to some source, which may be in any state. */
static void take_something_back(struct program *program) {
  loop_t *loop = program->loop;
  struct source *source = &program->sources[choose(program, (uint64_t)program->made)];
  if (source->kind == POST) return;
  /* (A one-shot is not active in its own callback, and is while its event is handed out.) */
  if (source != program->performing) note(program, loop_is_active(loop, source->handle));
  switch (choose(program, 4)) {
    case 0: note(program, loop_cancel(loop, source->handle)); break;
    case 1: note(program, loop_reschedule(loop, source->handle, choose(program, 5))); break;
    case 2: note(program, loop_watch_update(loop, source->handle, choose(program, 2) * LOOP_READABLE)); break;
    default: note(program, loop_remaining(loop, source->handle));
  }
}

static void perform(struct source *source, uint64_t ticks, uint32_t events) {
  struct program *program = source->program;
  char byte;
  program->performing = source;
  note(program, source->number);
  note(program, (long long)ticks);
  note(program, events);
  note(program, (long long)loop_clock(program->loop));
  if (source->kind == WATCH) note(program, read(program->pipes[source->pipe][0], &byte, 1));
  if (++source->calls == 3 && (source->kind == EVERY || source->kind == WATCH)) {
    note(program, loop_cancel(program->loop, source->handle));
  }
  for (uint64_t i = choose(program, 4); i > 0; i--) make_source(program);
  if (choose(program, 3) == 0) CHECK_EQ(write(program->pipes[choose(program, PIPES)][1], "x", 1), 1);
  for (uint64_t i = choose(program, 3); program->takes_back && i > 0; i--) take_something_back(program);
}

/* The pulling side: written once for all kinds. */
static void pull_and_perform(struct program *program) {
  loop_event_t events[64];
  int count = loop_next_events(program->loop, events, program->way.capacity, -1);
  CHECK(count >= 0);
  for (int i = 0; i < count; i++) {
    struct source *source = events[i].arg;
    if (events[i].kind == LOOP_EVENT_WOKEN) continue; /* only callbacks ran */
    if (source->kind != POST) CHECK_EQ(events[i].handle, source->handle);
    CHECK_EQ(events[i].fd, source->kind == WATCH ? program->pipes[source->pipe][0] : -1);
    perform(source, events[i].ticks, events[i].events);
  }
}

static struct program *run_program(uint64_t seed, int takes_back, struct way way) {
  struct program *program = calloc(1, sizeof *program);
  CHECK(program != NULL);
  program->way = way;
  program->takes_back = takes_back;
  program->random = seed;
  loop_options_t options = {
      .size = sizeof options, .flags = way.flags | LOOP_VIRTUAL_CLOCK, .virtual_start_ns = 1000};
  CHECK_EQ(loop_new_with(&options, &program->loop), 0);
  for (int i = 0; i < PIPES; i++) CHECK_EQ(pipe2(program->pipes[i], O_NONBLOCK | O_CLOEXEC), 0);
  for (int i = 0; i < 10; i++) make_source(program);
  if (way.flags == 0) {
    CHECK_EQ(loop_run(program->loop), 1);
  } else {
    while (loop_has_work(program->loop)) pull_and_perform(program);
  }
  free_loop(program->loop);
  for (int i = 0; i < PIPES; i++) close_pair(program->pipes[i]);
  return program;
}

static int compared;

static void compare_ways(int takes_back, struct way way) {
  for (uint64_t seed = 1; seed <= 100 / CHECK_SLOWDOWN; seed++) {
    struct program *pushed = run_program(seed, takes_back, (struct way){0, 0, 0});
    struct program *pulled = run_program(seed, takes_back, way);
    for (int i = 0; i < pushed->length && i < pulled->length; i++) {
      if (pushed->journal[i] != pulled->journal[i]) fprintf(stderr, "seed %d, note %d\n", (int)seed, i);
      CHECK_EQ(pulled->journal[i], pushed->journal[i]);
    }
    CHECK_EQ(pulled->length, pushed->length);
    CHECK_EQ(pulled->made, pushed->made);
    CHECK_EQ(pulled->releases, pushed->releases);
    compared += pushed->length;
    free(pushed);
    free(pulled);
  }
  CHECK(compared > 10000 / CHECK_SLOWDOWN);
}

TEST(one_at_a_time) { compare_ways(1, (struct way){LOOP_PULL, 1, 0}); }
TEST(one_at_a_time_with_callbacks_among_them) { compare_ways(1, (struct way){LOOP_PULL, 1, 2}); }
TEST(with_callbacks_alone) { compare_ways(1, (struct way){LOOP_PULL, 1, 1}); }

/* What was handed out in one batch can no longer be taken back: such programs take nothing back. */
TEST(in_batches) { compare_ways(0, (struct way){LOOP_PULL, 64, 0}); }
TEST(in_small_batches) { compare_ways(0, (struct way){LOOP_PULL, 3, 0}); }
TEST(in_batches_with_callbacks_among_them) { compare_ways(0, (struct way){LOOP_PULL, 64, 3}); }
