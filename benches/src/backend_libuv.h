/* libuv. Handles live in the user's memory and are closed with a callback. */
#include <stdlib.h>
#include <uv.h>

#define BACKEND_NAME "libuv"

typedef uv_loop_t b_loop;

static inline b_loop *b_new(void) {
  uv_loop_t *l = malloc(sizeof *l);
  must(uv_loop_init(l) == 0, "uv_loop_init");
  return l;
}
static inline b_loop *b_new_plain(void) { return b_new(); }
static void b_close_one_(uv_handle_t *h, void *arg) {
  (void)arg;
  if (!uv_is_closing(h)) uv_close(h, NULL);
}
static inline void b_free(b_loop *l) {
  if (uv_loop_close(l) != 0) {
    uv_walk(l, b_close_one_, NULL);
    uv_run(l, UV_RUN_DEFAULT);
    must(uv_loop_close(l) == 0, "uv_loop_close");
  }
  free(l);
}
/* A turn of a loop without active handles does nothing at all. */
static void b_keep_cb_(uv_async_t *h) { (void)h; }
static inline void b_keep(b_loop *l) {
  static uv_async_t keep;
  uv_async_init(l, &keep, b_keep_cb_);
}
static inline void b_turn(b_loop *l) { uv_run(l, UV_RUN_NOWAIT); }
static inline void b_wait(b_loop *l) { uv_run(l, UV_RUN_ONCE); }
static inline void b_run(b_loop *l) { uv_run(l, UV_RUN_DEFAULT); }
static inline void b_stop(b_loop *l) { uv_stop(l); }

#define ARG (h_->data)

/* Soon: libuv has no call_soon. An idle handle per callback is its cheapest way to be called
 * in the next turn. */
typedef uv_idle_t b_soon;
#define ON_SOON(name) static void name(uv_idle_t *h_)
#define SOON_ENTER uv_idle_stop(h_)
static inline void b_soon_init(b_loop *l, b_soon *s, uv_idle_cb cb, void *arg) {
  uv_idle_init(l, s);
  s->data = arg;
  /* Once started it keeps its callback; uv_idle_start wants it anyway. */
  s->idle_cb = cb;
}
static inline void b_call_soon(b_loop *l, b_soon *s) {
  (void)l;
  uv_idle_start(s, s->idle_cb);
}

typedef b_soon b_drain_t;
#define ON_DRAIN(name) ON_SOON(name)
static inline void b_drain_init(b_loop *l, b_drain_t *d, uv_idle_cb cb, void *arg) { b_soon_init(l, d, cb, arg); }
static inline void b_drain(b_loop *l, b_drain_t *d) { b_call_soon(l, d); }

#define ON_CHAIN(name) static void name(uv_idle_t *h_)
static uv_idle_t b_chain_;
static inline void b_chain_start(b_loop *l, uv_idle_cb cb, void *arg) {
  uv_idle_init(l, &b_chain_);
  b_chain_.data = arg;
  uv_idle_start(&b_chain_, cb);
}
static inline void b_chain_next(b_loop *l) { (void)l; }
static inline void b_chain_end(b_loop *l) {
  (void)l;
  uv_idle_stop(&b_chain_);
}

/* Timers: whole milliseconds, rounded up so that none is early. */
typedef uv_timer_t b_timer;
typedef uint64_t b_delay;
typedef int b_base;
#define ON_TIMER(name) static void name(uv_timer_t *h_)
static inline b_delay b_delay_of(uint64_t ns) { return (ns + 999999) / 1000000; }
static inline b_delay b_constant(b_loop *l, b_delay delay) { return (void)l, delay; }
static inline b_base b_base_of(b_loop *l) { return uv_update_time(l), 0; }
static inline void b_timer_later(b_loop *l, b_timer *t, uv_timer_cb cb, void *arg, b_delay delay) {
  uv_timer_init(l, t);
  t->data = arg;
  uv_timer_start(t, cb, delay, 0);
}
static inline void b_timer_start(b_loop *l, b_timer *t, uv_timer_cb cb, void *arg, b_base base, b_delay delay) {
  (void)base;
  b_timer_later(l, t, cb, arg, delay);
}
static inline void b_timer_again(b_loop *l, b_timer *t, uv_timer_cb cb, b_delay delay) {
  (void)l;
  uv_timer_start(t, cb, delay, 0);
}
static inline void b_timer_restart(b_loop *l, b_timer *t, uv_timer_cb cb, b_base base, b_delay delay) {
  (void)base;
  b_timer_again(l, t, cb, delay);
}
static inline bool b_timer_is_armed(b_loop *l, b_timer *t) {
  (void)l;
  return uv_is_active((const uv_handle_t *)t);
}
static inline void b_timer_cancel(b_loop *l, b_timer *t) {
  (void)l;
  uv_timer_stop(t);
}
static inline void b_timers_pass(b_loop *l, uint64_t until_ns, uint64_t duration_ns) {
  (void)l, (void)duration_ns;
  sleep_until(until_ns);
}
static inline void b_timer_end(b_loop *l, b_timer *t) {
  (void)l;
  uv_close((uv_handle_t *)t, NULL);
}

/* Descriptors. uv_poll_init looks at the descriptor with an ADD and a DEL of its own. */
typedef uv_poll_t b_fd;
#define ON_FD(name) static void name(uv_poll_t *h_, int status_, int events_)
#define FD_IS_READABLE (status_ == 0 && (events_ & UV_READABLE))
static inline void b_fd_init(b_loop *l, b_fd *w, int fd, uv_poll_cb cb, void *arg) {
  must(uv_poll_init(l, w, fd) == 0, "uv_poll_init");
  w->data = arg;
  w->poll_cb = cb; /* uv_poll_start wants it anyway */
}
static inline void b_fd_set(b_loop *l, b_fd *w, uint32_t events) {
  (void)l;
  if (events) uv_poll_start(w, (int)events, w->poll_cb);
  else uv_poll_stop(w);
}
static inline void b_fd_start(b_loop *l, b_fd *w, int fd, uint32_t events, uv_poll_cb cb, void *arg) {
  (void)l, (void)fd, (void)arg;
  uv_poll_start(w, (int)events, cb);
}
static inline void b_fd_stop(b_loop *l, b_fd *w) {
  (void)l;
  uv_poll_stop(w);
}
/* A program ends its watchers in one way only. */
static void (*b_done_)(void *);
static void b_fd_closed_(uv_handle_t *h) {
  if (b_done_) b_done_(h->data);
}
static inline void b_fd_end(b_loop *l, b_fd *w, void (*done)(void *), void *arg) {
  (void)l;
  b_done_ = done;
  w->data = arg;
  uv_close((uv_handle_t *)w, b_fd_closed_);
}

/* Interest in writing: another mask of the same watcher. */
typedef char b_write;
static inline void b_write_init(b_loop *l, b_write *x, b_fd *w, int fd, uv_poll_cb cb, void *arg) {
  (void)l, (void)x, (void)w, (void)fd, (void)cb, (void)arg;
}
static inline void b_write_on(b_loop *l, b_write *x, b_fd *w) { (void)x, b_fd_set(l, w, READABLE | WRITABLE); }
static inline void b_write_off(b_loop *l, b_write *x, b_fd *w) { (void)x, b_fd_set(l, w, READABLE); }

/* Other threads. */
typedef uv_async_t b_post;
#define ON_POST(name) static void name(uv_async_t *h_)
#define EXCEPTIONS_PASS 0
#define POSTS_ARE_KEPT 0
static inline void b_post_init(b_loop *l, b_post *p, uv_async_cb cb, void *arg) {
  uv_async_init(l, p, cb);
  p->data = arg;
}
static inline void b_send(b_loop *l, b_post *p) {
  (void)l;
  uv_async_send(p);
}
