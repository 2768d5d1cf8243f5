/* Due timers of the hand-written loop: taken out of the heap or wheel before any callback of the turn
 * runs, in order, so that what a callback schedules waits for the next turn. */
typedef struct raw_due {
  struct b_timer **at;
  size_t count, capacity;
} raw_due;

static inline size_t raw_due_add(raw_due *due, struct b_timer *timer) {
  if (due->count == due->capacity) {
    due->capacity = due->capacity ? 2 * due->capacity : 64;
    due->at = realloc(due->at, due->capacity * sizeof *due->at);
    must(due->at != NULL, "no memory");
  }
  due->at[due->count] = timer;
  return due->count++;
}
