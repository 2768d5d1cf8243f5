/* The ready queue: callbacks for the next turn; loops; empty turns. */
#include "backend.h"

#include <stdlib.h>
#include <unistd.h>

enum { PASSES = 4 }; /* the first one warms up */

static const char *measured(int pass, const char *row) { return pass ? row : "-"; }

ON_SOON(count_soon) {
  SOON_ENTER;
  ++*(uint64_t *)ARG;
}

/* Many callbacks queued at once, then one turn. */
void run_soon(uint64_t count) {
  b_loop *l = b_new();
  b_soon *soon = touched(count, sizeof *soon);
  for (uint64_t i = 0; i < count; i++) b_soon_init(l, &soon[i], count_soon, &calls);
  for (int pass = 0; pass < PASSES; pass++) {
    calls = 0;
    phase_begin(measured(pass, "soon"));
    for (uint64_t i = 0; i < count; i++) b_call_soon(l, &soon[i]);
    b_turn(l);
    phase_end(count);
    must_equal("soon callbacks", count, calls);
  }
  b_free(l);
}

/* The same through what the users of the others write instead: a ring of (function, argument), drained
 * by one callback of the library. Nothing in it can be cancelled. evloop needs none. */
typedef struct entry {
  void (*call)(void *arg);
  void *arg;
} entry;
static struct {
  entry *entries;
  uint64_t head, tail, mask;
} own;

static void count_entry(void *arg) { ++*(uint64_t *)arg; }

ON_DRAIN(drain_own) {
  SOON_ENTER;
  (void)ARG;
  for (uint64_t end = own.tail; own.head != end; own.head++) {
    entry e = own.entries[own.head & own.mask];
    e.call(e.arg);
  }
}

static void grow_own(void) {
  uint64_t size = own.entries ? 2 * (own.mask + 1) : 64;
  entry *entries = malloc(size * sizeof *entries);
  must(entries != NULL, "no memory");
  for (uint64_t i = own.head; i != own.tail; i++) entries[i & (size - 1)] = own.entries[i & own.mask];
  free(own.entries);
  own.entries = entries;
  own.mask = size - 1;
}

void run_soon_own_queue(uint64_t count) {
  b_loop *l = b_new();
  b_drain_t drain;
  b_drain_init(l, &drain, drain_own, NULL);
  for (int pass = 0; pass < PASSES; pass++) {
    calls = 0;
    phase_begin(measured(pass, "soon_own_queue"));
    for (uint64_t i = 0; i < count; i++) {
      if (!own.entries || own.tail - own.head > own.mask) grow_own();
      if (own.head == own.tail) b_drain(l, &drain);
      own.entries[own.tail++ & own.mask] = (entry){count_entry, &calls};
    }
    b_turn(l);
    phase_end(count);
    must_equal("soon callbacks", count, calls);
  }
  b_free(l);
}

/* A callback that schedules the next one, while a descriptor must still be served: every
 * SERVED_EVERY links it becomes readable, and it must have been read before the next time. */
enum { SERVED_EVERY = 50000 };
static struct {
  b_loop *loop;
  uint64_t count, served;
  int fd;
} chain;

ON_FD(chain_served) {
  uint64_t value;
  if (FD_IS_READABLE && read(chain.fd, &value, sizeof value) == sizeof value) chain.served++;
  (void)ARG;
}

ON_CHAIN(chain_link) {
  (void)ARG;
  if (calls % SERVED_EVERY == 0) {
    uint64_t one = 1;
    must_equal("descriptors served meanwhile", calls / SERVED_EVERY, chain.served);
    must(write(chain.fd, &one, sizeof one) == sizeof one, "write to the eventfd");
  }
  if (++calls < chain.count) {
    b_chain_next(chain.loop);
  } else {
    b_chain_end(chain.loop);
    b_stop(chain.loop);
  }
}

void run_chain(uint64_t count) {
  b_loop *l = b_new();
  chain.loop = l;
  chain.count = count;
  chain.fd = event_fd(false);
  b_fd watch;
  b_fd_init(l, &watch, chain.fd, chain_served, NULL);
  b_fd_start(l, &watch, chain.fd, READABLE, chain_served, NULL);
  b_turn(l);
  phase_begin("chain");
  b_chain_start(l, chain_link, NULL);
  b_run(l);
  phase_end(count);
  must_equal("links of the chain", count, calls);
  b_fd_stop(l, &watch);
  b_free(l);
}

void run_new_free(uint64_t count) {
  for (int pass = 0; pass < PASSES; pass++) {
    phase_begin(measured(pass, "new_free"));
    for (uint64_t i = 0; i < count; i++) b_free(b_new_plain());
    phase_end(count);
  }
}

ON_FD(never_called) {
  (void)FD_IS_READABLE;
  must(!ARG && 0, "an idle descriptor's callback");
}

/* What one reading of the clock costs here. */
void run_clock(uint64_t count) {
  uint64_t sum = 0;
  for (int pass = 0; pass < PASSES; pass++) {
    phase_begin(measured(pass, "clock"));
    for (uint64_t i = 0; i < count; i++) sum += now_ns();
    phase_end(count);
  }
  must(sum != 0, "a clock that stands at 0");
}

/* Turns that find nothing, without and with descriptors that have nothing to tell. */
enum { IDLE = 1000 };
void run_empty_turn(uint64_t turns) {
  static b_fd idle[IDLE];
  static int fds[IDLE];
  allow_descriptors(IDLE);
  b_loop *l = b_new();
  b_keep(l);
  b_turn(l);
  phase_begin("empty_turn");
  for (uint64_t i = 0; i < turns; i++) b_turn(l);
  phase_end(turns);
  for (int i = 0; i < IDLE; i++) {
    fds[i] = event_fd(false);
    b_fd_init(l, &idle[i], fds[i], never_called, NULL);
    b_fd_start(l, &idle[i], fds[i], READABLE, never_called, NULL);
  }
  b_turn(l);
  phase_begin("empty_turn_1000");
  for (uint64_t i = 0; i < turns; i++) b_turn(l);
  phase_end(turns);
  for (int i = 0; i < IDLE; i++) b_fd_stop(l, &idle[i]);
  b_free(l);
}
