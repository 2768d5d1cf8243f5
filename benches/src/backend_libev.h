/* libev. Watchers live in the user's memory. */
#include <ev.h>
#include <stdlib.h>

#define BACKEND_NAME "libev"

typedef struct ev_loop b_loop;

static inline b_loop *b_new(void) {
  b_loop *l = ev_loop_new(EVFLAG_NOENV);
  must(l != NULL, "ev_loop_new");
  return l;
}
static inline b_loop *b_new_plain(void) { return b_new(); }
static inline void b_free(b_loop *l) { ev_loop_destroy(l); }
static inline void b_keep(b_loop *l) { ev_ref(l); }
static inline void b_turn(b_loop *l) { ev_run(l, EVRUN_NOWAIT); }
static inline void b_wait(b_loop *l) { ev_run(l, EVRUN_ONCE); }
static inline void b_run(b_loop *l) { ev_run(l, 0); }
static inline void b_stop(b_loop *l) { ev_break(l, EVBREAK_ALL); }

#define ARG (w_->data)

/* Soon: an event fed to a watcher that is not started. */
typedef ev_prepare b_soon;
#define ON_SOON(name) static void name(struct ev_loop *loop_, ev_prepare *w_, int revents_)
#define SOON_ENTER ((void)loop_, (void)revents_)
typedef void (*b_soon_cb_)(struct ev_loop *, ev_prepare *, int);
static inline void b_soon_init(b_loop *l, b_soon *s, b_soon_cb_ cb, void *arg) {
  (void)l;
  ev_prepare_init(s, cb);
  s->data = arg;
}
static inline void b_call_soon(b_loop *l, b_soon *s) { ev_feed_event(l, s, EV_CUSTOM); }

typedef b_soon b_drain_t;
#define ON_DRAIN(name) ON_SOON(name)
static inline void b_drain_init(b_loop *l, b_drain_t *d, b_soon_cb_ cb, void *arg) { b_soon_init(l, d, cb, arg); }
static inline void b_drain(b_loop *l, b_drain_t *d) { b_call_soon(l, d); }

/* Fed events would keep the descriptors from being served: an idle watcher. */
#define ON_CHAIN(name) static void name(struct ev_loop *loop_, ev_idle *w_, int revents_)
static ev_idle b_chain_;
static inline void b_chain_start(b_loop *l, void (*cb)(struct ev_loop *, ev_idle *, int), void *arg) {
  ev_idle_init(&b_chain_, cb);
  b_chain_.data = arg;
  ev_idle_start(l, &b_chain_);
}
static inline void b_chain_next(b_loop *l) { (void)l; }
static inline void b_chain_end(b_loop *l) { ev_idle_stop(l, &b_chain_); }

/* Timers: seconds as a double, from the loop's cached time. */
typedef ev_timer b_timer;
typedef ev_tstamp b_delay;
typedef int b_base;
#define ON_TIMER(name) static void name(struct ev_loop *loop_, ev_timer *w_, int revents_)
typedef void (*b_timer_cb_)(struct ev_loop *, ev_timer *, int);
static inline b_delay b_delay_of(uint64_t ns) { return (double)ns * 1e-9; }
static inline b_delay b_constant(b_loop *l, b_delay delay) { return (void)l, delay; }
static inline b_base b_base_of(b_loop *l) { return ev_now_update(l), 0; }
static inline void b_timer_later(b_loop *l, b_timer *t, b_timer_cb_ cb, void *arg, b_delay delay) {
  ev_timer_init(t, cb, delay, 0);
  t->data = arg;
  ev_timer_start(l, t);
}
static inline void b_timer_start(b_loop *l, b_timer *t, b_timer_cb_ cb, void *arg, b_base base, b_delay delay) {
  (void)base;
  b_timer_later(l, t, cb, arg, delay);
}
static inline void b_timer_again(b_loop *l, b_timer *t, b_timer_cb_ cb, b_delay delay) {
  (void)cb;
  t->repeat = delay;
  ev_timer_again(l, t);
}
static inline void b_timer_restart(b_loop *l, b_timer *t, b_timer_cb_ cb, b_base base, b_delay delay) {
  (void)base;
  b_timer_again(l, t, cb, delay);
}
static inline bool b_timer_is_armed(b_loop *l, b_timer *t) {
  (void)l;
  return ev_is_active(t);
}
static inline void b_timer_cancel(b_loop *l, b_timer *t) { ev_timer_stop(l, t); }
static inline void b_timers_pass(b_loop *l, uint64_t until_ns, uint64_t duration_ns) {
  (void)l, (void)duration_ns;
  sleep_until(until_ns);
}
static inline void b_timer_end(b_loop *l, b_timer *t) { (void)l, (void)t; }

/* Descriptors. */
typedef ev_io b_fd;
#define ON_FD(name) static void name(struct ev_loop *loop_, ev_io *w_, int revents_)
#define FD_IS_READABLE (revents_ & EV_READ)
typedef void (*b_fd_cb_)(struct ev_loop *, ev_io *, int);
static inline void b_fd_init(b_loop *l, b_fd *w, int fd, b_fd_cb_ cb, void *arg) {
  (void)l, (void)w, (void)fd, (void)cb, (void)arg;
}
static inline void b_fd_start(b_loop *l, b_fd *w, int fd, uint32_t events, b_fd_cb_ cb, void *arg) {
  ev_io_init(w, cb, fd, (int)events);
  w->data = arg;
  ev_io_start(l, w);
}
static inline void b_fd_set(b_loop *l, b_fd *w, uint32_t events) {
  ev_io_stop(l, w);
  if (events) {
    ev_io_modify(w, (int)events);
    ev_io_start(l, w);
  }
}
static inline void b_fd_stop(b_loop *l, b_fd *w) { ev_io_stop(l, w); }
static inline void b_fd_end(b_loop *l, b_fd *w, void (*done)(void *), void *arg) {
  ev_io_stop(l, w);
  if (done) done(arg);
}

/* Interest in writing: a second watcher, which is cheaper than to change the first. */
typedef ev_io b_write;
static inline void b_write_init(b_loop *l, b_write *x, b_fd *w, int fd, b_fd_cb_ cb, void *arg) {
  (void)l, (void)w;
  ev_io_init(x, cb, fd, EV_WRITE);
  x->data = arg;
}
static inline void b_write_on(b_loop *l, b_write *x, b_fd *w) { (void)w, ev_io_start(l, x); }
static inline void b_write_off(b_loop *l, b_write *x, b_fd *w) { (void)w, ev_io_stop(l, x); }

/* Other threads. */
typedef ev_async b_post;
#define ON_POST(name) static void name(struct ev_loop *loop_, ev_async *w_, int revents_)
#define EXCEPTIONS_PASS 0
#define POSTS_ARE_KEPT 0
static inline void b_post_init(b_loop *l, b_post *p, void (*cb)(struct ev_loop *, ev_async *, int), void *arg) {
  ev_async_init(p, cb);
  p->data = arg;
  ev_async_start(l, p);
}
static inline void b_send(b_loop *l, b_post *p) { ev_async_send(l, p); }
