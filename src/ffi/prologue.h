/*
 * evloop.h - an event loop for C programs and for everything that can call C
 *
 * A loop runs callbacks, one at a time: in the next turn, after a delay, when a descriptor is
 * ready, or when another thread asks for it. It can be the main loop of your program (loop_run),
 * or it can run inside another main loop (see Embedding). The semantics are asyncio's:
 * call_soon, call_later, run_forever, level-triggered watchers. It covers what the core of libuv
 * covers: timers, polling, wake-ups from other threads. It has no streams, name resolution,
 * files or processes: bring your own sockets.
 *
 * Link with -levloop. This file is the manual. It is generated from the library's source.
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
 *   return result < 0; // negative: an error (LOOP_ENULL if loop_new failed)
 * }
 * ~~~
 *
 * Terms
 *
 *   source     what a callback belongs to: a scheduled callback, timer, watcher, hook, operation
 *   handle     the number that names a source (loop_handle_t)
 *   watcher    a source that reports when a descriptor is ready (loop_watch_fd)
 *   hook       a source that is called before or after the loop waits (loop_add_hook)
 *   operation  a source that waits once for a result (loop_poll_fd)
 *   post       a callback that another thread hands to the loop (loop_call_soon_threadsafe)
 *   remote     an object for posts that may outlive the loop (loop_remote_new)
 *   turn       one pass of the loop: wait, collect, run (an iteration in libuv)
 *   run        a call of loop_run, loop_run_forever, loop_run_once, loop_run_ready or
 *              loop_next_events, from its beginning until it returns
 *   at rest    no run of the loop is on any thread's stack
 *   nested     a run that was started by a callback of another run of the same loop
 *   host       code that owns the main loop and runs this loop inside it (see Embedding)
 *   pull mode  sources have no callbacks; loop_next_events returns them (for language bindings)
 *
 * One turn
 *
 *   1. wait     if nothing is ready: wait for descriptors, timers and other threads
 *   2. collect  append to the ready queue: descriptor events, then due timers, then the posts of
 *               other threads (callbacks that were scheduled before are in the queue already)
 *   3. run      run the snapshot: the callbacks that are in the queue now, in order, one at a time
 *
 * A callback that is scheduled during step 3 runs in the next turn. So a chain of callbacks that
 * schedule each other cannot starve timers or descriptors.
 *
 * The order within step 2: descriptor events come in the kernel's order, the watchers of one
 * descriptor in the order in which they were made, timers by deadline and then by the order in
 * which they were scheduled, posts in the order in which they arrived.
 *
 * If callbacks are ready, step 1 polls the kernel without blocking. Between the turns of one run
 * the loop may skip that poll for up to 50 us, because a system call costs more than twenty
 * callbacks (see poll_gap_ns).
 *
 * Threads
 *
 * One thread at a time uses a loop. The thread that runs it calls all its callbacks. A loop at
 * rest may be handed to another thread. Loops share nothing: have as many as you like, on as
 * many threads.
 *
 * Each function says which thread may call it. "Loop's thread": the thread that runs the loop;
 * if the loop is at rest, any thread, as long as no other thread uses the loop at the same time.
 * A call from another thread during a run returns LOOP_EWRONGTHREAD and does nothing. "Any
 * thread": at any time until loop_free. A function that a signal handler may call says so.
 *
 * In a forked child every call with the parent's loop returns LOOP_EFORKED until the child calls
 * loop_after_fork. The child may also call loop_free, which does not disturb the parent's loop.
 *
 * Ownership
 *
 * You own what you pass in: arguments and descriptors. Names are copied. The loop owns what it
 * makes, and loop_free frees all of it. You know a source by its handle, a number. When the
 * source ends, its handle becomes stale: functions return LOOP_ESTALE for it (loop_is_active
 * returns 0). It cannot dangle.
 *
 * If an argument must be freed when its source ends, give the source a release function with
 * loop_set_release. The loop calls it exactly once, never inside loop_cancel. It calls it between
 * two turns of the innermost run, when no callback of the same source is on the stack. If the
 * source is cancelled while the loop is at rest, the next run (or loop_free) calls it, and a host
 * is notified.
 *
 * What a callback may do
 *
 * A callback may do everything: schedule, cancel itself and others, reschedule, close
 * descriptors, run the loop again (see Run), free the loop. After loop_cancel has returned 0,
 * the callback of the cancelled source will not run, even if it was ready already. There is no
 * close callback to wait for.
 *
 * Time
 *
 * All times are nanoseconds in a uint64_t, on the monotonic clock. Timers never fire early. A
 * delay counts from the moment of the call, not from the beginning of the turn. For tests, a
 * loop can have a clock of its own (LOOP_VIRTUAL_CLOCK, LOOP_MANUAL_CLOCK).
 *
 * Errors
 *
 * In every function a negative result is an error: -errno for an error of the system, or a
 * LOOP_E... code. A function that returns an error has changed nothing, unless its description
 * says otherwise. loop_strerror and loop_error_name translate the codes.
 *
 * The library never exits, aborts or prints. NULL loops, stale handles, closed descriptors and
 * calls from wrong threads return codes. One mistake cannot be detected: the use of a pointer to
 * a loop that has been freed.
 *
 * The usual errors
 *
 * LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC and
 * LOOP_ELIMIT, and -ENOMEM from the system. "Or one of the usual errors" in a function's
 * description means those of them that can apply to it. Other errors are listed with each
 * function.
 *
 *   LOOP_ENULL         the loop, or another pointer that must not be NULL, is NULL
 *   LOOP_ENOCALLBACK   the callback is NULL (allowed in pull mode)
 *   LOOP_EWRONGTHREAD  another thread runs the loop, or the loop is bound to another thread
 *   LOOP_EFORKED       this is a forked child, and it has not called loop_after_fork
 *   LOOP_ECLOSED       the loop was freed in a callback that has not returned yet; or, from a
 *                      function of a remote, the loop has been freed
 *   LOOP_EPANIC        a bug in the library was caught; only loop_free still works
 *   LOOP_ELIMIT        a limit is reached: 33,554,432 sources of one kind, or 1,000 nested runs
 *   -ENOMEM            there is no memory for a new source or a larger table
 *
 * Exceptions
 *
 * A C++ exception may leave a callback or a hook, but not a release function. It passes through
 * the run function to that function's caller. The callback that threw counts as having run. What was
 * ready after it stays ready, and the loop can be run again. An exception that leaves the wake
 * hook passes to the call that brought the work. Leaving a callback by longjmp, pthread_exit or
 * pthread_cancel is not supported.
 *
 * Costs
 *
 * Scheduling, cancelling and looking up a handle take constant time (timers are in a timing
 * wheel). After warm-up none of them allocates memory, nor does calling a callback. Memory grows
 * in blocks that never move, and is given back slowly after a burst. A timer takes 53 bytes, a
 * watcher about 75. Changes of a mask are collected until the next wait, and cost at most one
 * epoll_ctl per descriptor there. The library makes no threads, installs no signal handlers, reads no environment
 * variables and has no global state that you could notice.
 *
 * A call uses at most 8 KB of stack, mostly less than 2 KB, plus what your callbacks use. A
 * nested run is one more call. A loop works on a thread of PTHREAD_STACK_MIN bytes and in a
 * fiber of 16 KB.
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
