/* evloop through its C interface. A source is a number. */
#include <evloop.h>

#define BACKEND_NAME "evloop"

typedef loop_t b_loop;

static inline b_loop *b_new(void) {
  loop_options_t options = {sizeof options, 0, 0, 0, 0, 0};
  /* For counting: always the same time. */
  if (has_option("manual_clock")) {
    options.flags |= LOOP_MANUAL_CLOCK;
    options.virtual_start_ns = 1000000000000000;
  }
  if (has_option("timer_slack")) options.flags |= LOOP_TIMER_SLACK;
  if (has_option("strict_poll")) options.flags |= LOOP_STRICT_POLL;
  loop_t *l = NULL;
  must(loop_new_with(&options, &l) == 0, "loop_new_with");
  if (has_option("loop_fd")) must(loop_fd(l) >= 0, "loop_fd");
  return l;
}
/* For the row that measures it. */
static inline b_loop *b_new_plain(void) {
  b_loop *l = loop_new();
  if (has_option("loop_fd")) loop_fd(l);
  return l;
}
static inline void b_free(b_loop *l) { loop_free(l); }
static inline void b_keep(b_loop *l) { (void)l; }
static inline void b_turn(b_loop *l) { loop_run_once(l, 0); }
static inline void b_wait(b_loop *l) { loop_run_once(l, -1); }
static inline void b_run(b_loop *l) { loop_run_forever(l); }
static inline void b_stop(b_loop *l) { loop_stop(l); }

#define ARG arg_

/* Soon. */
typedef struct b_soon {
  loop_cb cb;
  void *arg;
} b_soon;
#define ON_SOON(name) static void name(loop_t *loop_, void *arg_)
#define SOON_ENTER ((void)loop_)
static inline void b_soon_init(b_loop *l, b_soon *s, loop_cb cb, void *arg) {
  (void)l;
  s->cb = cb;
  s->arg = arg;
}
static inline void b_call_soon(b_loop *l, b_soon *s) { loop_call_soon(l, s->cb, s->arg); }

typedef b_soon b_drain_t;
#define ON_DRAIN(name) ON_SOON(name)
static inline void b_drain_init(b_loop *l, b_drain_t *d, loop_cb cb, void *arg) { b_soon_init(l, d, cb, arg); }
static inline void b_drain(b_loop *l, b_drain_t *d) { b_call_soon(l, d); }

#define ON_CHAIN(name) static void name(loop_t *loop_, void *arg_)
static loop_cb b_chain_cb_;
static void *b_chain_arg_;
static inline void b_chain_start(b_loop *l, loop_cb cb, void *arg) {
  b_chain_cb_ = cb;
  b_chain_arg_ = arg;
  loop_call_soon(l, cb, arg);
}
static inline void b_chain_next(b_loop *l) { loop_call_soon(l, b_chain_cb_, b_chain_arg_); }
static inline void b_chain_end(b_loop *l) { (void)l; }

/* Timers. */
typedef loop_handle_t b_timer;
typedef uint64_t b_delay;
typedef uint64_t b_base;
#define ON_TIMER(name) static void name(loop_t *loop_, void *arg_)
static inline b_delay b_delay_of(uint64_t ns) { return ns; }
static inline b_delay b_constant(b_loop *l, b_delay delay) { return (void)l, delay; }
static inline b_base b_base_of(b_loop *l) { return loop_clock(l); }
static inline void b_timer_start(b_loop *l, b_timer *t, loop_cb cb, void *arg, b_base base, b_delay delay) {
  *t = loop_call_at(l, base + delay, cb, arg);
}
static inline void b_timer_later(b_loop *l, b_timer *t, loop_cb cb, void *arg, b_delay delay) {
  *t = loop_call_later(l, delay, cb, arg);
}
static inline void b_timer_restart(b_loop *l, b_timer *t, loop_cb cb, b_base base, b_delay delay) {
  (void)cb;
  loop_reschedule_at(l, *t, base + delay);
}
static inline void b_timer_again(b_loop *l, b_timer *t, loop_cb cb, b_delay delay) {
  (void)cb;
  loop_reschedule(l, *t, delay);
}
static inline bool b_timer_is_armed(b_loop *l, b_timer *t) {
  return loop_is_active(l, *t) == 1;
}
static inline void b_timer_cancel(b_loop *l, b_timer *t) { loop_cancel(l, *t); }
static inline void b_timers_pass(b_loop *l, uint64_t until_ns, uint64_t duration_ns) {
  if (has_option("manual_clock")) loop_advance(l, duration_ns);
  else sleep_until(until_ns);
}
static inline void b_timer_end(b_loop *l, b_timer *t) { (void)l, (void)t; }

/* Descriptors. */
typedef loop_handle_t b_fd;
#define ON_FD(name) static void name(loop_t *loop_, int fd_, uint32_t events_, void *arg_)
#define FD_IS_READABLE (events_ & LOOP_READABLE)
static inline void b_fd_init(b_loop *l, b_fd *w, int fd, loop_fd_cb cb, void *arg) {
  (void)l, (void)w, (void)fd, (void)cb, (void)arg;
}
static inline void b_fd_start(b_loop *l, b_fd *w, int fd, uint32_t events, loop_fd_cb cb, void *arg) {
  *w = loop_watch_fd(l, fd, events, cb, arg);
}
static inline void b_fd_set(b_loop *l, b_fd *w, uint32_t events) { loop_watch_update(l, *w, events); }
static inline void b_fd_stop(b_loop *l, b_fd *w) { loop_cancel(l, *w); }
static inline void b_fd_end(b_loop *l, b_fd *w, void (*done)(void *), void *arg) {
  loop_cancel(l, *w);
  if (done) done(arg);
}

/* Interest in writing: another mask of the same watcher. */
typedef char b_write;
static inline void b_write_init(b_loop *l, b_write *x, b_fd *w, int fd, loop_fd_cb cb, void *arg) {
  (void)l, (void)x, (void)w, (void)fd, (void)cb, (void)arg;
}
static inline void b_write_on(b_loop *l, b_write *x, b_fd *w) { (void)x, b_fd_set(l, w, READABLE | WRITABLE); }
static inline void b_write_off(b_loop *l, b_write *x, b_fd *w) { (void)x, b_fd_set(l, w, READABLE); }

/* Other threads. */
typedef b_soon b_post;
#define ON_POST(name) static void name(loop_t *loop_, void *arg_)
#define EXCEPTIONS_PASS 1
#define POSTS_ARE_KEPT 1
static inline void b_post_init(b_loop *l, b_post *p, loop_cb cb, void *arg) { b_soon_init(l, p, cb, arg); }
static inline void b_send(b_loop *l, b_post *p) { loop_call_soon_threadsafe(l, p->cb, p->arg, NULL); }
