/* Timers of the hand-written loop: a hierarchical wheel of intrusive lists, 5 levels of 256 slots, in
 * ticks of 65 us. What is due is sorted by (deadline, order of scheduling). */
#include "raw_due.h"

typedef struct b_timer {
  struct b_timer *next, *previous; /* next: NULL is idle, &raw_is_due is among the due ones */
  uint64_t when;                   /* or the place among those */
  uint64_t order;
  void (*cb)(void *);
  void *arg;
} b_timer;

enum { RAW_TICK_BITS = 16, RAW_SLOT_BITS = 8, RAW_LEVELS = 5, RAW_SLOTS = 1 << RAW_SLOT_BITS, RAW_EXACT_UP_TO = 64 };

typedef struct raw_timers {
  struct { b_timer *next, *previous; } slots[RAW_LEVELS][RAW_SLOTS]; /* heads of the lists */
  uint64_t tick;                                                      /* where the wheel stands */
  uint64_t next;                                                      /* not later than the first deadline */
  uint64_t orders;
  size_t count;
  raw_due due;
} raw_timers;

static b_timer raw_is_due;

static inline b_timer *raw_slot_(raw_timers *t, int level, uint64_t slot) {
  return (b_timer *)(void *)&t->slots[level][slot & (RAW_SLOTS - 1)];
}
static void raw_timers_init(raw_timers *t, uint64_t now) {
  for (int level = 0; level < RAW_LEVELS; level++)
    for (uint64_t slot = 0; slot < RAW_SLOTS; slot++) {
      b_timer *head = raw_slot_(t, level, slot);
      head->next = head->previous = head;
    }
  t->tick = now >> RAW_TICK_BITS;
  t->next = UINT64_MAX;
  t->orders = t->count = 0;
  t->due = (raw_due){0};
}
static void raw_timers_drop(raw_timers *t) { free(t->due.at); }

static inline void raw_link_(raw_timers *t, b_timer *timer) {
  uint64_t tick = timer->when >> RAW_TICK_BITS;
  if (tick < t->tick) tick = t->tick;
  uint64_t differs = tick ^ t->tick;
  int level = differs ? (63 - __builtin_clzll(differs)) / RAW_SLOT_BITS : 0;
  must(level < RAW_LEVELS, "a deadline beyond the wheel");
  b_timer *head = raw_slot_(t, level, tick >> (level * RAW_SLOT_BITS));
  timer->next = head;
  timer->previous = head->previous;
  head->previous->next = timer;
  head->previous = timer;
}
static inline void raw_unlink_(b_timer *timer) {
  timer->next->previous = timer->previous;
  timer->previous->next = timer->next;
}

static inline void raw_timer_add(raw_timers *t, b_timer *timer, uint64_t when) {
  timer->when = when;
  timer->order = t->orders++;
  if (when < t->next) t->next = when;
  t->count++;
  raw_link_(t, timer);
}
static inline void raw_timer_remove(raw_timers *t, b_timer *timer) {
  if (__builtin_expect(timer->next == &raw_is_due, 0)) {
    t->due.at[timer->when] = NULL;
  } else {
    raw_unlink_(timer);
    t->count--;
  }
  timer->next = NULL;
}
static inline void raw_timer_move(raw_timers *t, b_timer *timer, uint64_t when) {
  raw_timer_remove(t, timer);
  raw_timer_add(t, timer, when);
}
static inline bool raw_timer_is_armed(const b_timer *timer) { return timer->next != NULL; }
static inline void raw_timer_fires(b_timer *timer) { timer->next = NULL; }

/* The first deadline, or the beginning of its slot when many share that. */
static uint64_t raw_first_(raw_timers *t) {
  if (!t->count) return UINT64_MAX;
  for (int level = 0; level < RAW_LEVELS; level++) {
    uint64_t at = t->tick >> (level * RAW_SLOT_BITS);
    /* Of a higher level, the slot of this moment is below already. */
    for (uint64_t slot = at + (level > 0); slot <= (at | (RAW_SLOTS - 1)); slot++) {
      b_timer *head = raw_slot_(t, level, slot);
      if (head->next == head) continue;
      uint64_t first = UINT64_MAX;
      int looked = 0;
      for (b_timer *timer = head->next; timer != head; timer = timer->next) {
        if (++looked > RAW_EXACT_UP_TO) return slot << (level * RAW_SLOT_BITS + RAW_TICK_BITS);
        if (timer->when < first) first = timer->when;
      }
      return first;
    }
  }
  return UINT64_MAX;
}
static inline uint64_t raw_timers_next(raw_timers *t) { return t->next; }

/* The slots of the higher levels that begin with this tick go down. */
static inline void raw_cascade_(raw_timers *t) {
  for (int level = 1; level < RAW_LEVELS && !(t->tick & ((1ull << (level * RAW_SLOT_BITS)) - 1)); level++) {
    b_timer *head = raw_slot_(t, level, t->tick >> (level * RAW_SLOT_BITS));
    b_timer *timer = head->next;
    head->previous->next = NULL;
    head->next = head->previous = head;
    while (timer && timer != head) {
      b_timer *next = timer->next;
      raw_link_(t, timer);
      timer = next;
    }
  }
}

static inline bool raw_is_before_(const b_timer *a, const b_timer *b) {
  return a->when < b->when || (a->when == b->when && a->order < b->order);
}
static void raw_sort_(b_timer **timers, size_t count) {
  static const size_t gaps[] = {8192, 3072, 1024, 301, 132, 57, 23, 10, 4, 1};
  for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
    for (size_t gap = gaps[g], i = gap; i < count; i++) {
      b_timer *timer = timers[i];
      size_t j = i;
      for (; j >= gap && raw_is_before_(timer, timers[j - gap]); j -= gap) timers[j] = timers[j - gap];
      timers[j] = timer;
    }
}

/* Slot by slot, each sorted. */
static inline void raw_timers_collect(raw_timers *t, uint64_t now) {
  if (now < t->next) return;
  for (uint64_t last = now >> RAW_TICK_BITS;;) {
    b_timer *head = raw_slot_(t, 0, t->tick), *next;
    size_t from = t->due.count;
    for (b_timer *timer = head->next; timer != head; timer = next) {
      next = timer->next;
      if (timer->when > now) continue;
      raw_unlink_(timer);
      t->count--;
      raw_due_add(&t->due, timer);
    }
    raw_sort_(t->due.at + from, t->due.count - from);
    if (t->tick >= last) break;
    t->tick++;
    raw_cascade_(t);
  }
  for (size_t i = 0; i < t->due.count; i++) {
    t->due.at[i]->when = i;
    t->due.at[i]->next = &raw_is_due;
  }
  t->next = raw_first_(t);
}
static inline size_t raw_timers_count(const raw_timers *t) { return t->count; }
