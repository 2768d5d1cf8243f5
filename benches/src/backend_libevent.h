/* libevent. Events live in the user's memory (event_assign), which is cheaper than event_new. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>
#include <stdlib.h>

#define BACKEND_NAME "libevent"

typedef struct event_base b_loop;

static inline b_loop *b_new(void) {
  struct event_config *config = event_config_new();
  int flags = EVENT_BASE_FLAG_IGNORE_ENV;
  if (has_option("precise")) flags |= EVENT_BASE_FLAG_PRECISE_TIMER;
  if (has_option("changelist")) flags |= EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST;
  event_config_set_flag(config, flags);
  if (has_option("threads")) must(evthread_use_pthreads() == 0, "evthread_use_pthreads");
  b_loop *l = event_base_new_with_config(config);
  event_config_free(config);
  must(l != NULL, "event_base_new");
  if (has_option("threads")) must(evthread_make_base_notifiable(l) == 0, "evthread_make_base_notifiable");
  return l;
}
static inline b_loop *b_new_plain(void) { return event_base_new(); }
static inline void b_free(b_loop *l) { event_base_free(l); }
static inline void b_keep(b_loop *l) { (void)l; }
static inline void b_turn(b_loop *l) { event_base_loop(l, EVLOOP_ONCE | EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY); }
static inline void b_wait(b_loop *l) { event_base_loop(l, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY); }
static inline void b_run(b_loop *l) { event_base_loop(l, EVLOOP_NO_EXIT_ON_EMPTY); }
static inline void b_stop(b_loop *l) { event_base_loopbreak(l); }

#define ARG arg_
#define B_CALLBACK_(name) static void name(evutil_socket_t fd_, short what_, void *arg_)

/* Soon: an event activated by hand. */
typedef struct event b_soon;
#define ON_SOON(name) B_CALLBACK_(name)
#define SOON_ENTER ((void)fd_, (void)what_)
static inline void b_soon_init(b_loop *l, b_soon *s, event_callback_fn cb, void *arg) {
  event_assign(s, l, -1, 0, cb, arg);
}
static inline void b_call_soon(b_loop *l, b_soon *s) {
  (void)l;
  event_active(s, EV_TIMEOUT, 0);
}

typedef b_soon b_drain_t;
#define ON_DRAIN(name) ON_SOON(name)
static inline void b_drain_init(b_loop *l, b_drain_t *d, event_callback_fn cb, void *arg) { b_soon_init(l, d, cb, arg); }
static inline void b_drain(b_loop *l, b_drain_t *d) { b_call_soon(l, d); }

/* An activated event would run before the descriptors are looked at: a timer of zero. */
#define ON_CHAIN(name) B_CALLBACK_(name)
static struct event b_chain_;
static inline void b_chain_next(b_loop *l) {
  static const struct timeval zero;
  (void)l;
  event_add(&b_chain_, &zero);
}
static inline void b_chain_start(b_loop *l, event_callback_fn cb, void *arg) {
  event_assign(&b_chain_, l, -1, 0, cb, arg);
  b_chain_next(l);
}
static inline void b_chain_end(b_loop *l) { (void)l; }

/* Timers. */
typedef struct event b_timer;
typedef struct timeval b_delay;
typedef int b_base;
#define ON_TIMER(name) B_CALLBACK_(name)
static inline b_delay b_delay_of(uint64_t ns) {
  uint64_t us = (ns + 999) / 1000;
  return (struct timeval){(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
}
static inline b_delay b_constant(b_loop *l, b_delay delay) {
  return *event_base_init_common_timeout(l, &delay);
}
static inline b_base b_base_of(b_loop *l) { return event_base_update_cache_time(l), 0; }
static inline void b_timer_later(b_loop *l, b_timer *t, event_callback_fn cb, void *arg, b_delay delay) {
  event_assign(t, l, -1, 0, cb, arg);
  event_add(t, &delay);
}
static inline void b_timer_start(b_loop *l, b_timer *t, event_callback_fn cb, void *arg, b_base base, b_delay delay) {
  (void)base;
  b_timer_later(l, t, cb, arg, delay);
}
static inline void b_timer_again(b_loop *l, b_timer *t, event_callback_fn cb, b_delay delay) {
  (void)l, (void)cb;
  event_add(t, &delay);
}
static inline void b_timer_restart(b_loop *l, b_timer *t, event_callback_fn cb, b_base base, b_delay delay) {
  (void)base;
  b_timer_again(l, t, cb, delay);
}
static inline bool b_timer_is_armed(b_loop *l, b_timer *t) {
  (void)l;
  return evtimer_pending(t, NULL);
}
static inline void b_timer_cancel(b_loop *l, b_timer *t) {
  (void)l;
  event_del(t);
}
static inline void b_timers_pass(b_loop *l, uint64_t until_ns, uint64_t duration_ns) {
  (void)l, (void)duration_ns;
  sleep_until(until_ns);
}
static inline void b_timer_end(b_loop *l, b_timer *t) { (void)l, (void)t; }

/* Descriptors. */
typedef struct event b_fd;
#define ON_FD(name) B_CALLBACK_(name)
#define FD_IS_READABLE (what_ & EV_READ)
static inline void b_fd_init(b_loop *l, b_fd *w, int fd, event_callback_fn cb, void *arg) {
  event_assign(w, l, fd, EV_READ | EV_PERSIST, cb, arg);
}
static inline short b_events_(uint32_t events) {
  return (short)(EV_PERSIST | (events & READABLE ? EV_READ : 0) | (events & WRITABLE ? EV_WRITE : 0));
}
static inline void b_fd_start(b_loop *l, b_fd *w, int fd, uint32_t events, event_callback_fn cb, void *arg) {
  event_assign(w, l, fd, b_events_(events), cb, arg);
  event_add(w, NULL);
}
static inline void b_fd_set(b_loop *l, b_fd *w, uint32_t events) {
  event_del(w);
  if (events) {
    event_assign(w, l, event_get_fd(w), b_events_(events), event_get_callback(w), event_get_callback_arg(w));
    event_add(w, NULL);
  }
}
static inline void b_fd_stop(b_loop *l, b_fd *w) {
  (void)l;
  event_del(w);
}
static inline void b_fd_end(b_loop *l, b_fd *w, void (*done)(void *), void *arg) {
  b_fd_stop(l, w);
  if (done) done(arg);
}

/* Interest in writing: a second event, as bufferevents have it. */
typedef struct event b_write;
static inline void b_write_init(b_loop *l, b_write *x, b_fd *w, int fd, event_callback_fn cb, void *arg) {
  (void)w;
  event_assign(x, l, fd, EV_WRITE | EV_PERSIST, cb, arg);
}
static inline void b_write_on(b_loop *l, b_write *x, b_fd *w) { (void)l, (void)w, event_add(x, NULL); }
static inline void b_write_off(b_loop *l, b_write *x, b_fd *w) { (void)l, (void)w, event_del(x); }

/* Other threads: the base has to be made with locks (-o threads). */
typedef struct event b_post;
#define ON_POST(name) B_CALLBACK_(name)
#define EXCEPTIONS_PASS 0
#define POSTS_ARE_KEPT 0
static inline void b_post_init(b_loop *l, b_post *p, event_callback_fn cb, void *arg) {
  event_assign(p, l, -1, 0, cb, arg);
}
static inline void b_send(b_loop *l, b_post *p) {
  (void)l;
  event_active(p, EV_READ, 0);
}
