/*
 * evloop.h - an event loop for C programs and for everything that can call C
 *
 * One loop runs callbacks, one at a time: soon, after some time, when a descriptor is
 * ready, or on behalf of another thread. It owns your main loop (loop_run), or takes a slice
 * of somebody else's (loop_run_ready). The semantics are asyncio's (call_soon, call_later,
 * run_forever, level-triggered watchers), the place is libuv's.
 *
 * Link with -levloop. This file is the manual; it is made from the library's source.
 *
 * A program
 *
 * ~~~c
 * // first.c: a first program. It says hello, ticks three times, and ends.
 * #include <evloop.h>
 * #include <stdio.h>
 *
 * static void hello(loop_t *loop, void *arg) {
 *   (void)loop;
 *   puts(arg);
 * }
 *
 * static void tick(loop_t *loop, uint64_t ticks, void *arg) {
 *   int *count = arg;
 *   *count += (int)ticks;
 *   printf("tick %d\n", *count);
 *   if (*count == 3) loop_cancel(loop, loop_current(loop));
 * }
 *
 * int main(void) {
 *   int count = 0;
 *   loop_t *loop = loop_new();
 *   loop_call_soon(loop, hello, "hello");
 *   loop_call_every(loop, 100 * LOOP_MS, 100 * LOOP_MS, LOOP_RUN_MISSED, tick, &count);
 *   int result = loop_run(loop); // until nothing is left to do
 *   loop_free(loop);
 *   return result < 0; // errors are negative; a NULL loop is one, not a crash
 * }
 * ~~~
 *
 * One turn
 *
 *   1. wait     nothing ready? wait for descriptors, timers, other threads
 *   2. collect  descriptors' events, then due timers, then other threads' posts,
 *               behind what is in the ready queue already
 *   3. run      the snapshot: exactly what is ready now, in that order, one at a time
 *
 * What a callback schedules runs in the next turn, so a chain of callbacks cannot keep
 * timers or descriptors from being served. While callbacks stay ready, the wait does not
 * block; it may be left out for up to 50 us (see poll_gap_ns). Within step 2 descriptors come
 * in the kernel's order, the watchers of one descriptor in the order of their making, timers
 * by (deadline, order of scheduling), posts in the order of their arrival.
 *
 * Threads
 *
 * A loop is used by one thread at a time; that thread runs all callbacks. A loop at rest may
 * be handed to another thread. "Loop's thread" in a function's description means: the
 * thread that runs the loop, or any one while it rests. A call from a wrong thread while it
 * runs is LOOP_EWRONGTHREAD and does nothing. "Any thread" means any, at any time until
 * loop_free; functions that a signal handler may call say so. Loops share nothing with each
 * other: have as many as you like. After fork, a child's calls answer LOOP_EFORKED, until it calls
 * loop_after_fork; it may also loop_free, which leaves the parent's loop alone.
 *
 * Ownership
 *
 * You own what you pass in: arguments, descriptors, names (copied). The loop owns what it
 * makes; loop_free frees all of it. A source is known by a number that goes stale when it
 * ends, never by a pointer that dangles. If an argument has to be freed when its source
 * ends, give the source a release function (loop_set_release): it is called exactly once,
 * never under your feet inside loop_cancel, but between two turns, and not before the source's
 * own callback has returned.
 *
 * Calling back from a callback
 *
 * Everything is allowed: scheduling, cancelling oneself and others, re-scheduling, closing
 * descriptors, running the loop again, freeing it. After loop_cancel has returned 0, the
 * callback will not run, even if it was ready already.
 *
 * Time
 *
 * Nanoseconds in uint64_t, on the monotonic clock. Timers never fire early. A delay counts
 * from the moment of the call, not from the beginning of the turn. For tests, a loop can
 * have a clock of its own (LOOP_VIRTUAL_CLOCK, LOOP_MANUAL_CLOCK).
 *
 * Errors
 *
 * A negative number is an error, in every function: -errno, or a LOOP_E... code; nothing has
 * changed then. loop_strerror and loop_error_name explain. The library never exits, aborts or
 * prints; NULL loops, stale handles, closed descriptors and wrong threads are codes, not
 * crashes. What cannot be found out: a pointer to a loop that has been freed.
 *
 * Exceptions
 *
 * A C++ exception may leave any callback and hook (not a release function). It passes through
 * the run call to its caller; the callback that threw counts as run, what was ready after it
 * is still ready, and the loop can be run again. Out of the wake hook it passes to whoever brought
 * the work. longjmp, pthread_exit and
 * pthread_cancel out of a callback are not supported.
 *
 * Costs
 *
 * Scheduling, cancelling and finding a source take constant time (timers: a timing wheel).
 * After warm-up none of it calls the allocator; memory grows in blocks that never move, and
 * goes back slowly after a burst. A timer takes 53 bytes, a watcher about 75. A
 * descriptor's interest is told to the kernel at most once per wait. There is no thread, no
 * signal handler, no environment variable and no global state that you could notice.
 *
 * A call takes at most 8 KB of the stack, and mostly less than 2 KB, beside what your callbacks
 * take; each nested run is a further call. A loop lives on a thread of PTHREAD_STACK_MIN
 * bytes and in a fiber of 16 KB.
 *
 * Not here: streams, name resolution, files, processes. Bring your own sockets.
 */
#ifndef EVLOOP_H
#define EVLOOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An event loop; opaque. */
typedef struct loop_t loop_t;

/* A sender for other threads that may outlive its loop; opaque. See loop_remote_new. */
typedef struct loop_remote_t loop_remote_t;
