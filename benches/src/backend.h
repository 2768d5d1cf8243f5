/* The words in which every workload is written. Each library has a header that defines them
 * as types, macros and static inline functions; a program is compiled once per library with
 * -DBACKEND='"backend_NAME.h"', so that nothing stands between a workload and its library.
 *
 * A callback begins ON_SOON(name), ON_CHAIN(name), ON_TIMER(name), ON_FD(name),
 * ON_POST(name) or ON_DRAIN(name), and finds its argument in ARG. What a user would make once per object
 * (a libuv handle, a libev watcher) lives in b_soon, b_timer, b_fd and b_post, which the
 * workload provides; where that is no more than a number, it is just a number.
 *
 *   b_loop                       b_new()  b_free(l)
 *   b_keep(l)                    the loop has something to live for: a turn asks the kernel
 *   b_turn(l)                    one turn that does not block
 *   b_wait(l)                    one turn that may block
 *   b_run(l)  b_stop(l)          run until stopped
 *
 *   b_soon_init(l, s, cb, arg)   once, outside of the measured part
 *   b_call_soon(l, s)            the cheapest way to have cb called by the next turn;
 *                                cb begins with SOON_ENTER
 *   b_chain_start(l, cb, arg)    cb in every turn: the cheapest way that still serves
 *   b_chain_next(l)  b_chain_end(l)    descriptors; one of the two ends each callback
 *
 *   b_delay  b_delay_of(ns)      a delay in the library's own unit, made beforehand
 *   b_base  b_base_of(l)         the time that b_timer_start and b_timer_restart count from:
 *                                the loop's cached time, or the deadline's base
 *   b_timer_start(l, t, cb, arg, base, delay)
 *   b_timer_later(l, t, cb, arg, delay)   the same from the library's usual call with a delay
 *   b_timer_restart(l, t, cb, base, delay)    of an armed timer
 *   b_timer_again(l, t, cb, delay)        likewise with the usual call with a delay
 *   b_timer_cancel(l, t)
 *   b_timer_is_armed(l, t)       for checks outside of the measured part
 *   b_timers_pass(l, until, duration)     waits, with the loop at rest, until timers are due
 *   b_timer_end(l, t)            gives the storage back (by the next turn); not measured
 *   b_constant(l, delay)         the delay in the form that is best for very many equal ones
 *
 *   b_fd_init(l, w, fd, cb, arg) what is needed once per descriptor before
 *   b_fd_start(l, w, fd, events, cb, arg)   begin to watch
 *   b_fd_set(l, w, events)       another mask, 0 pauses
 *   b_fd_stop(l, w)              no longer watched
 *   b_write_init(l, x, w, fd, cb, arg)    beside w, which reads: whatever interest in writing needs
 *   b_write_on(l, x, w)  b_write_off(l, x, w)
 *   b_fd_end(l, w, done, arg)    stop for good; done(arg) when the storage may be freed
 *   FD_IS_READABLE               in ON_FD
 *
 *   b_post_init(l, p, cb, arg)   once, on the loop's thread
 *   b_drain_init(l, d, cb, arg)  b_drain(l, d)    has cb called by the next turn, once for any number
 *                                of calls: what drains a queue of the user's own
 *
 *   b_send(l, p)                 from another thread, as the library has it: libuv, libev
 *                                and libevent merge posts of one p into one call
 *   POSTS_ARE_KEPT               1: b_send does not merge
 *   EXCEPTIONS_PASS              1: a C++ exception may leave a callback
 */
#ifndef BENCH_BACKEND_H
#define BENCH_BACKEND_H

#include "bench.h"

enum { READABLE = 1, WRITABLE = 2 };

#include BACKEND

#endif
