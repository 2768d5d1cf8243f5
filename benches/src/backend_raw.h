/* The limit: a loop written by hand for these workloads on epoll, an eventfd and a timerfd,
 * with a heap (or with -DRAW_WHEEL a timing wheel) for the timers. It keeps what a user of evloop could
 * see: one order of callbacks, a snapshot a turn, exact timers, no stale event or timer. It has neither
 * handles nor checks, one watcher for a descriptor, and no loop within a loop. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifdef RAW_WHEEL
#define BACKEND_NAME "raw wheel"
#include "raw_wheel.h"
#else
#define BACKEND_NAME "raw heap"
#include "raw_heap.h"
#endif

typedef void (*raw_cb)(void *arg);
typedef void (*raw_fd_cb)(void *arg, uint32_t events);

typedef struct b_soon {
  raw_cb cb;
  void *arg;
} b_soon;

/* A ring of callbacks. */
typedef struct raw_ring {
  b_soon *at;
  size_t head, tail, capacity; /* a power of two */
} raw_ring;

typedef struct b_fd {
  raw_fd_cb cb;
  void *arg;
  int fd;
  uint8_t wanted, told, is_added, is_dirty;
} b_fd;

enum { RAW_EVENTS = 1024, RAW_POLL_GAP = 50000 };

typedef struct b_loop {
  int set, bell, alarm;
  bool is_stopped, is_strict;
  raw_ring ready;
  raw_timers timers;
  uint64_t alarm_at, polled_at;
  b_fd **dirty;
  size_t dirty_count, dirty_capacity;
  pthread_mutex_t mutex; /* of the posts */
  raw_ring posts, taken;
  int event_at, event_count; /* those that are not yet delivered */
  struct epoll_event events[RAW_EVENTS];
} b_loop;

static inline void raw_push(raw_ring *r, b_soon entry) {
  if (__builtin_expect(r->tail - r->head == r->capacity, 0)) {
    size_t capacity = r->capacity ? 2 * r->capacity : 64;
    b_soon *at = malloc(capacity * sizeof *at);
    for (size_t i = r->head; i != r->tail; i++) at[i & (capacity - 1)] = r->at[i & (r->capacity - 1)];
    free(r->at);
    r->at = at;
    r->capacity = capacity;
  }
  r->at[r->tail++ & (r->capacity - 1)] = entry;
}

static inline void raw_ctl_(b_loop *l, int operation, b_fd *w) {
  struct epoll_event event = {.data.ptr = w};
  event.events = (w->wanted & READABLE ? EPOLLIN : 0) | (w->wanted & WRITABLE ? EPOLLOUT : 0);
  must(epoll_ctl(l->set, operation, w->fd, &event) == 0, "epoll_ctl");
  w->told = w->wanted;
  w->is_added = operation != EPOLL_CTL_DEL;
}

static b_loop *b_new(void) {
  b_loop *l = malloc(sizeof *l);
  memset(l, 0, offsetof(b_loop, events));
  l->set = epoll_create1(EPOLL_CLOEXEC);
  l->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->bell};
  epoll_ctl(l->set, EPOLL_CTL_ADD, l->bell, &event);
  l->alarm = -1;
  l->alarm_at = UINT64_MAX;
  l->is_strict = has_option("strict_poll");
  raw_timers_init(&l->timers, now_ns());
  pthread_mutex_init(&l->mutex, NULL);
  return l;
}
static inline b_loop *b_new_plain(void) { return b_new(); }
static void b_free(b_loop *l) {
  close(l->set);
  close(l->bell);
  if (l->alarm >= 0) close(l->alarm);
  raw_timers_drop(&l->timers);
  free(l->ready.at);
  free(l->posts.at);
  free(l->taken.at);
  free(l->dirty);
  free(l);
}
static inline void b_keep(b_loop *l) { (void)l; }

static void raw_take_posts_(b_loop *l) {
  uint64_t rung;
  if (read(l->bell, &rung, sizeof rung) < 0) return;
  pthread_mutex_lock(&l->mutex);
  raw_ring posts = l->posts;
  l->posts = l->taken;
  l->taken = posts;
  pthread_mutex_unlock(&l->mutex);
}

/* Sets the timerfd to the next deadline; not when it is set to an earlier one anyway. */
static void raw_set_alarm_(b_loop *l) {
  uint64_t next = raw_timers_next(&l->timers);
  if (next >= l->alarm_at) return;
  if (l->alarm < 0) {
    l->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->alarm};
    epoll_ctl(l->set, EPOLL_CTL_ADD, l->alarm, &event);
  }
  struct itimerspec at = {.it_value = {(time_t)(next / 1000000000), (long)(next % 1000000000)}};
  timerfd_settime(l->alarm, TFD_TIMER_ABSTIME, &at, NULL);
  l->alarm_at = next;
}

static void raw_hush_alarm_(b_loop *l) {
  uint64_t ticks;
  if (read(l->alarm, &ticks, sizeof ticks) > 0) l->alarm_at = UINT64_MAX;
}

static inline void raw_poll_(b_loop *l, bool may_block) {
  for (size_t i = 0; i < l->dirty_count; i++) {
    b_fd *w = l->dirty[i];
    w->is_dirty = 0;
    /* Paused ones stay in the set until an event comes that nobody wants. */
    if (w->wanted && w->wanted != w->told) raw_ctl_(l, w->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w);
  }
  l->dirty_count = 0;
  if (may_block && raw_timers_count(&l->timers)) raw_set_alarm_(l);
  l->event_count = epoll_wait(l->set, l->events, RAW_EVENTS, may_block ? -1 : 0);
  for (int i = 0; i < l->event_count; i++) {
    void *who = l->events[i].data.ptr;
    if (who == &l->bell) raw_take_posts_(l);
    else if (who == &l->alarm) raw_hush_alarm_(l);
    else continue;
    l->events[i].data.ptr = NULL;
  }
}

static inline void raw_deliver_(b_loop *l) {
  while (l->event_at < l->event_count) {
    struct epoll_event event = l->events[l->event_at++];
    b_fd *w = event.data.ptr;
    if (!w) continue;
    uint32_t events = (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? READABLE : 0) |
                      (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? WRITABLE : 0);
    if (events &= w->wanted) w->cb(w->arg, events);
    else if (!w->wanted) raw_ctl_(l, EPOLL_CTL_DEL, w);
  }
}

/* An ended watcher's event that waits to be delivered is not. */
static inline void raw_forget_(b_loop *l, b_fd *w) {
  for (int i = l->event_at; i < l->event_count; i++)
    if (l->events[i].data.ptr == w) l->events[i].data.ptr = NULL;
  for (size_t i = 0; w->is_dirty && i < l->dirty_count; i++)
    if (l->dirty[i] == w) {
      l->dirty[i] = l->dirty[--l->dirty_count];
      w->is_dirty = 0;
    }
}

static inline void raw_run_ring_(raw_ring *ring, size_t end) {
  while (ring->head != end) {
    b_soon entry = ring->at[ring->head++ & (ring->capacity - 1)];
    entry.cb(entry.arg);
  }
}

static inline void raw_turn_(b_loop *l, bool may_block, bool may_skip) {
  uint64_t now = 0;
  bool is_ready = l->ready.head != l->ready.tail;
  l->event_at = l->event_count = 0;
  if (is_ready && may_skip) {
    now = now_ns();
    if (now - l->polled_at >= RAW_POLL_GAP) {
      raw_poll_(l, false);
      l->polled_at = now;
    }
  } else {
    raw_poll_(l, may_block && !is_ready);
  }
  if (raw_timers_count(&l->timers)) raw_timers_collect(&l->timers, now ? now : now_ns());
  size_t posts = l->taken.tail;
  raw_run_ring_(&l->ready, l->ready.tail);
  raw_deliver_(l);
  raw_due *due = &l->timers.due;
  for (size_t i = 0; i < due->count; i++) {
    b_timer *timer = due->at[i];
    if (!timer) continue;
    raw_timer_fires(timer);
    timer->cb(timer->arg);
  }
  due->count = 0;
  raw_run_ring_(&l->taken, posts);
}
static inline void b_turn(b_loop *l) { raw_turn_(l, false, false); }
static inline void b_wait(b_loop *l) { raw_turn_(l, true, false); }
static inline void b_run(b_loop *l) {
  for (l->is_stopped = false; !l->is_stopped;) raw_turn_(l, true, !l->is_strict);
}
static inline void b_stop(b_loop *l) { l->is_stopped = true; }

#define ARG arg_

/* Soon. */
#define ON_SOON(name) static void name(void *arg_)
#define SOON_ENTER ((void)0)
static inline void b_soon_init(b_loop *l, b_soon *s, raw_cb cb, void *arg) {
  (void)l;
  *s = (b_soon){cb, arg};
}
static inline void b_call_soon(b_loop *l, b_soon *s) { raw_push(&l->ready, *s); }

typedef b_soon b_drain_t;
#define ON_DRAIN(name) ON_SOON(name)
static inline void b_drain_init(b_loop *l, b_drain_t *d, raw_cb cb, void *arg) { b_soon_init(l, d, cb, arg); }
static inline void b_drain(b_loop *l, b_drain_t *d) { b_call_soon(l, d); }
#define ON_CHAIN(name) static void name(void *arg_)
static b_soon b_chain_;
static inline void b_chain_next(b_loop *l) { raw_push(&l->ready, b_chain_); }
static inline void b_chain_start(b_loop *l, raw_cb cb, void *arg) {
  b_chain_ = (b_soon){cb, arg};
  b_chain_next(l);
}
static inline void b_chain_end(b_loop *l) { (void)l; }

/* Timers. */
typedef uint64_t b_delay;
typedef uint64_t b_base;
#define ON_TIMER(name) static void name(void *arg_)
static inline b_delay b_delay_of(uint64_t ns) { return ns; }
static inline b_delay b_constant(b_loop *l, b_delay delay) { return (void)l, delay; }
static inline b_base b_base_of(b_loop *l) { return (void)l, now_ns(); }
static inline void b_timer_start(b_loop *l, b_timer *t, raw_cb cb, void *arg, b_base base, b_delay delay) {
  t->cb = cb;
  t->arg = arg;
  raw_timer_add(&l->timers, t, base + delay);
}
static inline void b_timer_later(b_loop *l, b_timer *t, raw_cb cb, void *arg, b_delay delay) {
  b_timer_start(l, t, cb, arg, now_ns(), delay);
}
static inline void b_timer_restart(b_loop *l, b_timer *t, raw_cb cb, b_base base, b_delay delay) {
  (void)cb;
  raw_timer_move(&l->timers, t, base + delay);
}
static inline void b_timer_again(b_loop *l, b_timer *t, raw_cb cb, b_delay delay) {
  b_timer_restart(l, t, cb, now_ns(), delay);
}
static inline bool b_timer_is_armed(b_loop *l, b_timer *t) {
  (void)l;
  return raw_timer_is_armed(t);
}
static inline void b_timer_cancel(b_loop *l, b_timer *t) { raw_timer_remove(&l->timers, t); }
static inline void b_timers_pass(b_loop *l, uint64_t until_ns, uint64_t duration_ns) {
  (void)l, (void)duration_ns;
  sleep_until(until_ns);
}
static inline void b_timer_end(b_loop *l, b_timer *t) { (void)l, (void)t; }

/* Descriptors. */
#define ON_FD(name) static void name(void *arg_, uint32_t events_)
#define FD_IS_READABLE (events_ & READABLE)
static inline void b_fd_init(b_loop *l, b_fd *w, int fd, raw_fd_cb cb, void *arg) {
  (void)l, (void)w, (void)fd, (void)cb, (void)arg;
}
static inline void b_fd_start(b_loop *l, b_fd *w, int fd, uint32_t events, raw_fd_cb cb, void *arg) {
  *w = (b_fd){.cb = cb, .arg = arg, .fd = fd, .wanted = (uint8_t)events};
  raw_ctl_(l, EPOLL_CTL_ADD, w);
}
static inline void b_fd_set(b_loop *l, b_fd *w, uint32_t events) {
  w->wanted = (uint8_t)events;
  if (w->is_dirty) return;
  w->is_dirty = 1;
  if (l->dirty_count == l->dirty_capacity) {
    l->dirty_capacity = l->dirty_capacity ? 2 * l->dirty_capacity : 64;
    l->dirty = realloc(l->dirty, l->dirty_capacity * sizeof *l->dirty);
  }
  l->dirty[l->dirty_count++] = w;
}
static inline void b_fd_stop(b_loop *l, b_fd *w) {
  w->wanted = 0;
  raw_forget_(l, w);
  if (w->is_added) raw_ctl_(l, EPOLL_CTL_DEL, w);
}
static inline void b_fd_end(b_loop *l, b_fd *w, void (*done)(void *), void *arg) {
  b_fd_stop(l, w);
  if (done) done(arg);
}

/* Interest in writing: another mask of the same watcher. */
typedef char b_write;
static inline void b_write_init(b_loop *l, b_write *x, b_fd *w, int fd, raw_fd_cb cb, void *arg) {
  (void)l, (void)x, (void)w, (void)fd, (void)cb, (void)arg;
}
static inline void b_write_on(b_loop *l, b_write *x, b_fd *w) { (void)x, b_fd_set(l, w, READABLE | WRITABLE); }
static inline void b_write_off(b_loop *l, b_write *x, b_fd *w) { (void)x, b_fd_set(l, w, READABLE); }

/* Other threads. */
typedef b_soon b_post;
#define ON_POST(name) static void name(void *arg_)
#define EXCEPTIONS_PASS 0
#define POSTS_ARE_KEPT 1
static inline void b_post_init(b_loop *l, b_post *p, raw_cb cb, void *arg) { b_soon_init(l, p, cb, arg); }
static inline void b_send(b_loop *l, b_post *p) {
  pthread_mutex_lock(&l->mutex);
  bool was_empty = l->posts.head == l->posts.tail;
  raw_push(&l->posts, *p);
  pthread_mutex_unlock(&l->mutex);
  uint64_t one = 1;
  if (was_empty) must(write(l->bell, &one, sizeof one) == sizeof one, "write to the eventfd");
}
