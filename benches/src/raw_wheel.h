/* Timers of the hand-written loop: a hierarchical wheel of intrusive lists, 5 levels of 256
 * slots, in ticks of 65 us. It fires up to a tick late and does not sort within a tick. */
typedef struct b_timer {
  struct b_timer *next, *previous;
  uint64_t when;
  void (*cb)(void *);
  void *arg;
} b_timer;

enum { RAW_TICK_BITS = 16, RAW_SLOT_BITS = 8, RAW_LEVELS = 5, RAW_SLOTS = 1 << RAW_SLOT_BITS };

typedef struct raw_timers {
  b_timer slots[RAW_LEVELS][RAW_SLOTS]; /* heads of the lists */
  uint64_t tick;                        /* the next one to fire */
  size_t count;
} raw_timers;

static void raw_timers_init(raw_timers *t, uint64_t now) {
  for (int level = 0; level < RAW_LEVELS; level++)
    for (int slot = 0; slot < RAW_SLOTS; slot++) {
      b_timer *head = &t->slots[level][slot];
      head->next = head->previous = head;
    }
  t->tick = now >> RAW_TICK_BITS;
  t->count = 0;
}
static void raw_timers_drop(raw_timers *t) { (void)t; }

/* A deadline within a tick is due when the tick is over: not early. */
static inline void raw_link_(raw_timers *t, b_timer *timer) {
  uint64_t tick = (timer->when >> RAW_TICK_BITS) + 1;
  if (tick < t->tick) tick = t->tick;
  uint64_t differs = tick ^ t->tick;
  int level = differs ? (63 - __builtin_clzll(differs)) / RAW_SLOT_BITS : 0;
  must(level < RAW_LEVELS, "a deadline beyond the wheel");
  b_timer *head = &t->slots[level][(tick >> (level * RAW_SLOT_BITS)) & (RAW_SLOTS - 1)];
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
  t->count++;
  raw_link_(t, timer);
}
static inline void raw_timer_move(raw_timers *t, b_timer *timer, uint64_t when) {
  raw_unlink_(timer);
  timer->when = when;
  raw_link_(t, timer);
}
static inline void raw_timer_remove(raw_timers *t, b_timer *timer) {
  raw_unlink_(timer);
  timer->next = NULL;
  t->count--;
}
static inline bool raw_timer_is_armed(const b_timer *timer) { return timer->next != NULL; }
/* A lower bound of the next deadline; UINT64_MAX: none. */
static inline uint64_t raw_timers_next(raw_timers *t) {
  if (!t->count) return UINT64_MAX;
  for (uint64_t tick = t->tick;; tick++) {
    b_timer *head = &t->slots[0][tick & (RAW_SLOTS - 1)];
    if (head->next != head || (tick & (RAW_SLOTS - 1)) == RAW_SLOTS - 1) return tick << RAW_TICK_BITS;
  }
}
/* The slots of the higher levels that begin with this tick go down. */
static inline void raw_cascade_(raw_timers *t) {
  for (int level = 1; level < RAW_LEVELS && !(t->tick & ((1ull << (level * RAW_SLOT_BITS)) - 1)); level++) {
    b_timer *head = &t->slots[level][(t->tick >> (level * RAW_SLOT_BITS)) & (RAW_SLOTS - 1)];
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
static inline void raw_timers_fire(raw_timers *t, uint64_t now) {
  for (uint64_t last = now >> RAW_TICK_BITS; t->tick <= last;) {
    b_timer *head = &t->slots[0][t->tick & (RAW_SLOTS - 1)];
    while (head->next != head) {
      b_timer *timer = head->next;
      raw_timer_remove(t, timer);
      timer->cb(timer->arg);
    }
    t->tick++;
    raw_cascade_(t);
  }
}
static inline size_t raw_timers_count(const raw_timers *t) { return t->count; }
