/* Other threads: posts, and round trips between two loops. */
#include "backend.h"

#include <pthread.h>
#include <stdlib.h>

/* Posts of which each runs its own callback with its own argument. Where the library merges
 * (libuv, libev, libevent), that takes what its users write: a queue with a lock in front of
 * one post, which is sent when the queue was empty. */
typedef struct item {
  void (*call)(void *arg);
  void *arg;
} item;

static struct {
  b_loop *loop;
  b_post post;
  uint64_t count;
  uint64_t sent; /* atomic */
  pthread_mutex_t lock;
  struct batch {
    item *items;
    size_t count, capacity;
  } queue, taken;
} many = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void count_item(void *arg) {
  ++*(uint64_t *)arg;
  if (calls == many.count) b_stop(many.loop);
}

ON_POST(kept_post) {
  if (POSTS_ARE_KEPT) {
    count_item(ARG);
    return;
  }
  pthread_mutex_lock(&many.lock);
  struct batch batch = many.queue;
  many.queue = many.taken;
  many.queue.count = 0;
  pthread_mutex_unlock(&many.lock);
  for (size_t i = 0; i < batch.count; i++) batch.items[i].call(batch.items[i].arg);
  many.taken = batch;
}

static inline void send_kept(void) {
  if (POSTS_ARE_KEPT) {
    b_send(many.loop, &many.post);
    return;
  }
  pthread_mutex_lock(&many.lock);
  struct batch *queue = &many.queue;
  if (queue->count == queue->capacity) {
    queue->capacity = queue->capacity ? 2 * queue->capacity : 64;
    queue->items = realloc(queue->items, queue->capacity * sizeof(item));
  }
  bool was_empty = queue->count == 0;
  queue->items[queue->count++] = (item){count_item, &calls};
  pthread_mutex_unlock(&many.lock);
  if (was_empty) b_send(many.loop, &many.post);
}

static const char *sending_row; /* the sending is the phase */
static void *send_many_kept(void *arg) {
  (void)arg;
  pin(1);
  if (sending_row) phase_begin(sending_row);
  for (uint64_t i = 0; i < many.count; i++) send_kept();
  if (sending_row) phase_end(many.count);
  return NULL;
}

/* The library's own call, whether it merges or not; where it does, only the last has to be seen. */
ON_POST(merged_post) {
  (void)ARG;
  calls++;
  uint64_t sent = __atomic_load_n(&many.sent, __ATOMIC_ACQUIRE);
  if (POSTS_ARE_KEPT ? calls == many.count : sent == many.count) b_stop(many.loop);
}

static void *send_many_merged(void *arg) {
  (void)arg;
  pin(1);
  for (uint64_t i = 0; i < many.count; i++) {
    __atomic_store_n(&many.sent, i + 1, __ATOMIC_RELEASE);
    b_send(many.loop, &many.post);
  }
  return NULL;
}

static pthread_t start(void *(*function)(void *)) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, function, NULL) == 0, "pthread_create");
  return thread;
}

/* A thread posts as fast as it can while the loop runs: to the last callback. */
void run_post(uint64_t count) {
  pin(0);
  many.loop = b_new();
  b_post_init(many.loop, &many.post, kept_post, &calls);
  many.count = count;
  for (int pass = 0; pass < 3; pass++) {
    calls = 0;
    phase_begin(pass ? "post" : "-");
    pthread_t thread = start(send_many_kept);
    b_run(many.loop);
    phase_end(count);
    pthread_join(thread, NULL);
    must_equal("posts", count, calls);
  }
  /* And apart: sent while the loop rests, then run in one turn. */
  for (int pass = 0; pass < 3; pass++) {
    calls = 0;
    sending_row = pass ? "post_send" : "-";
    pthread_join(start(send_many_kept), NULL);
    phase_begin(pass ? "post_run" : "-");
    b_run(many.loop);
    phase_end(count);
    must_equal("posts", count, calls);
  }
  b_free(many.loop);
}

void run_post_merged(uint64_t count) {
  pin(0);
  many.loop = b_new();
  b_post_init(many.loop, &many.post, merged_post, NULL);
  many.count = count;
  for (int pass = 0; pass < 3; pass++) {
    calls = many.sent = 0;
    phase_begin(pass ? "post_merged" : "-");
    pthread_t thread = start(send_many_merged);
    b_run(many.loop);
    phase_end(count);
    pthread_join(thread, NULL);
    if (POSTS_ARE_KEPT) must_equal("posts", count, calls);
    else must(calls >= 1 && calls <= count, "posts");
    b_turn(many.loop);
  }
  report("post_calls_percent", 100 * (double)calls / (double)count);
  b_free(many.loop);
}

/* Two loops on two threads wake each other in turn. */
static struct {
  b_loop *here, *there;
  b_post to_here, to_there;
  uint64_t count;
  bool is_over;
} trip;

ON_POST(came_back) {
  (void)ARG;
  trip.is_over = ++calls == trip.count;
  if (trip.is_over) b_stop(trip.here);
  b_send(trip.there, &trip.to_there);
}

ON_POST(came_there) {
  (void)ARG;
  if (trip.is_over) b_stop(trip.there);
  else b_send(trip.here, &trip.to_here);
}

static void *run_there(void *arg) {
  (void)arg;
  pin(1);
  b_run(trip.there);
  return NULL;
}

void run_round_trip(uint64_t count) {
  pin(0);
  trip.here = b_new();
  trip.there = b_new();
  b_post_init(trip.here, &trip.to_here, came_back, NULL);
  b_post_init(trip.there, &trip.to_there, came_there, NULL);
  trip.count = count;
  pthread_t thread = start(run_there);
  phase_begin("round_trip");
  b_send(trip.there, &trip.to_there);
  b_run(trip.here);
  phase_end(count);
  pthread_join(thread, NULL);
  must_equal("round trips", count, calls);
  b_free(trip.here);
  b_free(trip.there);
}
