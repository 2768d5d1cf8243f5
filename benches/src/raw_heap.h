/* Timers of the hand-written loop: a 4-ary heap by (deadline, order of scheduling), with the deadlines
 * beside the pointers. */
#include "raw_due.h"

typedef struct b_timer {
  void (*cb)(void *);
  void *arg;
  size_t place; /* in the heap; 0 is none; with RAW_IS_DUE among the due ones */
  uint64_t order;
} b_timer;

typedef struct raw_entry {
  uint64_t when;
  b_timer *timer;
} raw_entry;

typedef struct raw_timers {
  raw_entry *heap; /* from 1 on */
  size_t count, capacity;
  uint64_t orders;
  raw_due due;
} raw_timers;

#define RAW_IS_DUE ((size_t)1 << 63)

static void raw_timers_init(raw_timers *t, uint64_t now) {
  (void)now;
  *t = (raw_timers){0};
}
static void raw_timers_drop(raw_timers *t) {
  free(t->heap);
  free(t->due.at);
}

static inline bool raw_is_before_(raw_entry a, raw_entry b) {
  return a.when < b.when || (__builtin_expect(a.when == b.when, 0) && a.timer->order < b.timer->order);
}
static inline size_t raw_parent_(size_t i) { return (i + 2) / 4; }
static inline void raw_put_(raw_timers *t, size_t i, raw_entry e) {
  t->heap[i] = e;
  e.timer->place = i;
}
static inline void raw_up_(raw_timers *t, size_t i, raw_entry e) {
  for (; i > 1 && raw_is_before_(e, t->heap[raw_parent_(i)]); i = raw_parent_(i)) raw_put_(t, i, t->heap[raw_parent_(i)]);
  raw_put_(t, i, e);
}
static inline void raw_down_(raw_timers *t, size_t i, raw_entry e) {
  for (;;) {
    size_t first = 4 * i - 2, last = first + 4 <= t->count + 1 ? first + 4 : t->count + 1;
    if (first > t->count) break;
    size_t least = first;
    for (size_t c = first + 1; c < last; c++)
      if (raw_is_before_(t->heap[c], t->heap[least])) least = c;
    if (raw_is_before_(e, t->heap[least])) break;
    raw_put_(t, i, t->heap[least]);
    i = least;
  }
  raw_put_(t, i, e);
}
static inline void raw_place_(raw_timers *t, size_t i, raw_entry e) {
  if (i > 1 && raw_is_before_(e, t->heap[raw_parent_(i)])) raw_up_(t, i, e);
  else raw_down_(t, i, e);
}

static inline void raw_timer_add(raw_timers *t, b_timer *timer, uint64_t when) {
  if (t->count + 2 > t->capacity) {
    t->capacity = t->capacity ? 2 * t->capacity : 64;
    t->heap = realloc(t->heap, t->capacity * sizeof *t->heap);
    must(t->heap != NULL, "no memory");
  }
  timer->order = t->orders++;
  raw_up_(t, ++t->count, (raw_entry){when, timer});
}
static inline void raw_timer_remove(raw_timers *t, b_timer *timer) {
  size_t i = timer->place;
  timer->place = 0;
  if (i & RAW_IS_DUE) {
    t->due.at[i & ~RAW_IS_DUE] = NULL;
    return;
  }
  raw_entry last = t->heap[t->count--];
  if (last.timer != timer) raw_place_(t, i, last);
}
static inline void raw_timer_move(raw_timers *t, b_timer *timer, uint64_t when) {
  if (timer->place & RAW_IS_DUE) {
    raw_timer_remove(t, timer);
    raw_timer_add(t, timer, when);
    return;
  }
  timer->order = t->orders++;
  raw_place_(t, timer->place, (raw_entry){when, timer});
}
static inline bool raw_timer_is_armed(const b_timer *timer) { return timer->place != 0; }
static inline void raw_timer_fires(b_timer *timer) { timer->place = 0; }
/* The next deadline; UINT64_MAX: none. */
static inline uint64_t raw_timers_next(raw_timers *t) { return t->count ? t->heap[1].when : UINT64_MAX; }
static inline void raw_timers_collect(raw_timers *t, uint64_t now) {
  while (t->count && t->heap[1].when <= now) {
    b_timer *timer = t->heap[1].timer;
    raw_timer_remove(t, timer);
    timer->place = raw_due_add(&t->due, timer) | RAW_IS_DUE;
  }
}
static inline size_t raw_timers_count(const raw_timers *t) { return t->count; }
