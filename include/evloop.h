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

/*
 * ---- Types -----------------------------------------------------------------------------------
 *
 * A loop is an opaque pointer. Everything that a loop runs is a *source*, and a handle names it.
 * All times are nanoseconds.
 */

/**
 * A callback. It gets the loop that runs it and the argument it was registered with.
 *
 * It runs on the loop's thread, never at the same time as another callback of the loop. It may
 * call every function of this header, also the run functions and loop_free. A C++ exception may
 * leave it.
 */
typedef void (*loop_cb)(loop_t *loop, void *arg);

/**
 * The callback of loop_call_every. `ticks` is the number of intervals that this call stands for.
 */
typedef void (*loop_tick_cb)(loop_t *loop, uint64_t ticks, void *arg);

/**
 * The callback of loop_watch_fd. `fd` is the watched descriptor, `events` what happened to it:
 * LOOP_READABLE and so on.
 */
typedef void (*loop_fd_cb)(loop_t *loop, int fd, uint32_t events, void *arg);

/**
 * Names a source: a scheduled callback, a timer, a watcher, a hook, an operation.
 *
 * A handle is positive and below 2^53, so that a double (a number in JavaScript or Lua) holds it
 * exactly. 0 is never a handle. A function that returns a handle returns a negative error code
 * if it fails. A handle is never reused: after its source has ended it is stale for ever
 * (LOOP_ESTALE).
 */
typedef int64_t loop_handle_t;

/**
 * The callback of an operation. `source` is the operation's handle, `what` is LOOP_EVENT_DONE,
 * `result` is the result or a negative error code, `data` goes with the result and is NULL for
 * loop_poll_fd.
 */
typedef void (*loop_io_cb)(loop_t *loop,
                           loop_handle_t source,
                           uint32_t what,
                           int64_t result,
                           void *data,
                           void *arg);

/**
 * A release function. The loop calls it exactly once, when it no longer needs the argument:
 * after the last call of the callback, after a cancel, or in loop_free.
 *
 * It is never called inside loop_cancel, but between two turns (of a nested run, too), and not
 * while a callback of its own source is on the stack. It may call the loop. It must not throw.
 */
typedef void (*loop_release_cb)(void *arg);

/**
 * The wake hook of a host: see loop_set_wake_hook.
 */
typedef void (*loop_wake_cb)(void *arg);

/*
 * ---- Life cycle ------------------------------------------------------------------------------
 *
 * A loop can be made on any thread, filled, run, and freed at any time. A loop at rest belongs
 * to no thread: make it on one, run it on another and free it on a third, but do not use it from
 * two threads at once. (See LOOP_BOUND for a loop that belongs to one thread.)
 */

/**
 * Polls the kernel in every turn, also while callbacks stay ready (see poll_gap_ns).
 */
#define LOOP_STRICT_POLL 1

/**
 * Binds the loop to the thread that makes it. Every call from another thread returns
 * LOOP_EWRONGTHREAD, also while the loop is at rest; functions that any thread may call are
 * allowed. After that thread has ended, any thread may call loop_free, but nothing else.
 * loop_after_fork binds the loop to the calling thread of the child.
 */
#define LOOP_BOUND 2

/**
 * Pull mode: a source may have a NULL callback. loop_next_events returns such sources as structs
 * when they are ready, and takes the place of the run functions.
 */
#define LOOP_PULL 4

/**
 * Gives the loop a clock for tests and simulations. It begins at virtual_start_ns. Where the
 * loop would wait for a timer, the clock jumps to the timer's deadline, so that an hour of
 * timers takes a millisecond.
 *
 * While a descriptor is watched, the loop waits for it in real time and the clock does not move.
 * Call loop_unref for watchers that should not hold the clock. A loop_run_once with a time limit
 * never waits in real time: the clock jumps to the next deadline or to the limit.
 */
#define LOOP_VIRTUAL_CLOCK 8

/**
 * Gives the loop a clock that moves only by loop_advance. The loop never waits: a run returns
 * when nothing is ready.
 */
#define LOOP_MANUAL_CLOCK 16

/**
 * Sets the thread's timer slack (50 us by default on Linux) to its minimum while the loop waits
 * for a timer. Timers are more exact, and each such wait makes three more system calls.
 */
#define LOOP_TIMER_SLACK 32

/**
 * The options of loop_new_with. Zero means the default in every field. Set the whole struct to
 * zero, set `size`, and set the fields that you want to change. Later versions add fields at the
 * end.
 */
typedef struct loop_options_t {
  /**
   * sizeof(loop_options_t)
   */
  uint32_t size;
  /**
   * LOOP_STRICT_POLL | LOOP_BOUND | ..., or 0.
   */
  uint32_t flags;
  /**
   * How long the turns of a run may skip the poll for descriptor events while callbacks stay
   * ready, in nanoseconds (default 50 us). A system call costs more than twenty callbacks. Due
   * timers and posts of other threads are collected in every turn all the same.
   */
  uint64_t poll_gap_ns;
  /**
   * The most descriptor events that one turn takes from the kernel (default 1,024, at most
   * 1,048,576). A loop_next_events with a larger capacity takes more. Memory for more than 1,024
   * events, 12 bytes each, is allocated when that many descriptors are watched.
   */
  uint32_t max_events;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * The first time of a virtual or manual clock, in nanoseconds.
   */
  uint64_t virtual_start_ns;
} loop_options_t;

/**
 * Makes a loop with the default options.
 *
 * It opens three descriptors: an epoll set, an eventfd and a timerfd. All are close-on-exec.
 *
 * Returns the loop, or NULL if there is no memory or no free descriptor; loop_new_with returns
 * the reason. Any thread.
 */
loop_t *loop_new(void);

/**
 * Makes a loop with options and stores it in `*out`.
 *
 * Returns 0, or an error, and then `*out` is unchanged: LOOP_ENULL if a pointer is NULL;
 * LOOP_EOPTIONS if a flag is unknown, two flags contradict each other, `size` is less than 8,
 * `max_events` is too large, or a field that this version does not know is not zero; -EMFILE,
 * -ENFILE, -ENOMEM or -ENOSPC. Any thread.
 */
int loop_new_with(const struct loop_options_t *options, loop_t **out);

/**
 * Frees a loop with everything in it, at any time: all sources end, and each release function
 * that has not been called is called once.
 *
 * If the loop is at rest, this happens inside the call, and the pointer is invalid when it
 * returns. Inside a callback, the loop is closed at once: no other callback runs, and every
 * further call with the loop returns LOOP_ECLOSED. Every run on the stack returns LOOP_ECLOSED;
 * the outermost calls the release functions and frees the memory, and after it the pointer is
 * invalid.
 *
 * The descriptors that were watched stay open. The function works in a forked child and after
 * LOOP_EPANIC. No other thread may use the pointer any more; a remote may be used (see
 * loop_remote_new).
 *
 * Returns 0, LOOP_ENULL, LOOP_EWRONGTHREAD, LOOP_ECLOSED if a callback that has not returned has
 * freed the loop before, or -EDEADLK inside the wake hook. After an error nothing has happened.
 * Loop's thread.
 */
int loop_free(loop_t *loop);

/**
 * Sets a pointer of your own, which loop_data returns. The loop neither uses nor frees it.
 *
 * Returns 0 or one of the usual errors. Loop's thread.
 */
int loop_set_data(loop_t *loop, void *data);

/**
 * Returns the pointer that loop_set_data has set; NULL if none was set or the call is not
 * allowed. Loop's thread.
 */
void *loop_data(loop_t *loop);

/*
 * ---- Run -------------------------------------------------------------------------------------
 *
 * A run makes turns. One turn waits for descriptors, timers and other threads if nothing is
 * ready, collects what has become ready, and runs the callbacks that are ready then (the
 * *snapshot*), in order. What these schedule runs in the next turn.
 *
 * Runs nest: a callback may call a run function, for example for a modal dialog. The nested run
 * first runs the rest of the outer snapshot and what has been scheduled since, then its turns go
 * on as usual. A source whose callback is on the stack is reported again like any other. To
 * avoid that, pause the source's watcher with loop_watch_update before the nested run.
 *
 * If a host's main loop runs inside the callback instead, see loop_flush.
 *
 * Errors of all run functions: the usual errors, and -ENOSPC if the kernel cannot register a
 * descriptor. In pull mode only loop_next_events can run the loop. LOOP_ECLOSED means that a
 * callback has freed the loop: after the outermost run has returned it, the pointer is invalid.
 * After -ENOMEM or -ENOSPC nothing is lost, and the loop can be run again.
 */

/**
 * Runs the loop until loop_stop.
 *
 * If there is nothing to do, it waits, since another thread or a signal handler may still bring
 * work.
 *
 * Returns 0 if it was stopped (with a manual clock also if nothing is ready), or an error. Any
 * thread, if the loop is at rest; the thread owns the loop until the call returns.
 */
int loop_run_forever(loop_t *loop);

/**
 * Runs the loop until loop_stop, or until nothing is left that could run.
 *
 * These keep it running: callbacks that are ready, armed timers (also one that never fires),
 * operations, watchers (paused ones, too), posts of other threads, and remotes. Hooks do not,
 * nor do sources with loop_unref.
 *
 * Returns 0 if it was stopped (with a manual clock also if nothing is ready), 1 if nothing is
 * left (immediately, if there was nothing to begin with), or an error. Threads: see
 * loop_run_forever.
 */
int loop_run(loop_t *loop);

/**
 * Makes one turn that waits at most `timeout_ns` nanoseconds. 0 does not wait, a negative number
 * waits without limit.
 *
 * The wait ends when something is ready, when the time is over, or by loop_wake or loop_stop. A
 * signal does not end it. The limit is for the wait only, callbacks may take longer. A loop_stop
 * that is pending or comes during the turn is consumed by it.
 *
 * Returns the number of callbacks that ran (0 if the time was over), or an error. Threads: see
 * loop_run_forever.
 */
int loop_run_once(loop_t *loop, int64_t timeout_ns);

/**
 * Makes turns that do not wait, until nothing is ready or `budget_ns` nanoseconds are over. A
 * game calls it once a frame.
 *
 * The clock is checked after each callback. So the budget is exceeded by at most one callback,
 * and one callback runs even with a budget of 0. Callbacks that are left over stay first in the
 * queue, in order. UINT64_MAX means no budget. A loop_stop ends it after the snapshot.
 *
 * Returns the number of callbacks that ran, or an error. Threads: see loop_run_forever.
 */
int loop_run_ready(loop_t *loop, uint64_t budget_ns);

/**
 * Ends the innermost run after its current snapshot has run, as in asyncio. A signal handler may
 * call it, for example for SIGINT.
 *
 * If the loop is at rest, the request is remembered: the next run makes one turn that does not
 * wait, and returns. Several requests before that count as one. A run that ends by an exception
 * consumes the request as well. In a nested run (a dialog) only that run ends: see
 * loop_stop_all.
 *
 * Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
 */
int loop_stop(loop_t *loop);

/**
 * Ends every run on the stack, each after its current snapshot has run. Use it to end the
 * program while a callback runs the loop (a dialog).
 *
 * The runs end one after the other, the innermost first, each between two of its turns. A run
 * that a callback starts after one of them has ended ("Save before you quit?") is not ended. If
 * the loop is at rest, the request is remembered as with loop_stop.
 *
 * Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
 */
int loop_stop_all(loop_t *loop);

/**
 * Returns how many runs of this loop are on the stack: 0 at rest, 1 in a callback, 2 in a
 * callback of a nested run; or one of the usual errors (LOOP_EWRONGTHREAD: another thread runs
 * it). Loop's thread.
 */
int loop_is_running(loop_t *loop);

/**
 * Returns whether loop_run would go on: 1 or 0, or one of the usual errors. Loop's thread.
 */
int loop_has_work(loop_t *loop);

/**
 * Returns whether the calling thread may use the loop now: 1 if it runs the loop or the loop is
 * at rest, 0 if another thread runs the loop or it is bound to another thread; or one of the
 * usual errors. Any thread.
 */
int loop_in_thread(loop_t *loop);

/*
 * ---- Callbacks -------------------------------------------------------------------------------
 *
 * Callbacks for the next turn, for a later time, and for regular intervals.
 *
 * Timers fire in the order of their deadlines; those with the same deadline fire in the order in
 * which they were scheduled. They never fire early: when the callback runs, loop_clock has
 * reached the deadline. A deadline in the past is due in the next turn, not in this one. Sums
 * saturate. UINT64_MAX as a delay or time means never.
 *
 * The functions that schedule return a positive handle, or one of the usual errors.
 */

/**
 * Skips ticks that were missed: one call stands for all of them, and `ticks` says for how many
 * intervals (1 if none was missed).
 */
#define LOOP_SKIP_MISSED 0

/**
 * Runs every tick, also those that were missed, one each turn. `ticks` is 1.
 */
#define LOOP_RUN_MISSED 1

/**
 * Starts a new grid: the next tick comes one interval after the callback is called. `ticks` is
 * 1.
 */
#define LOOP_RESTART_GRID 2

/**
 * Runs a callback once, in the next turn, after everything that is ready already.
 *
 * It costs about 5 ns and no system call. Other threads use loop_call_soon_threadsafe.
 *
 * Returns the callback's handle, or one of the usual errors. Loop's thread.
 */
loop_handle_t loop_call_soon(loop_t *loop, loop_cb cb, void *arg);

/**
 * Runs a callback once, `delay_ns` nanoseconds from now.
 *
 * The clock is read in the call. So the timer does not fire too early if it is armed after long
 * work in the same turn. (libuv counts from the time at which the iteration began.)
 *
 * Returns the timer's handle, or one of the usual errors. Loop's thread.
 */
loop_handle_t loop_call_later(loop_t *loop, uint64_t delay_ns, loop_cb cb, void *arg);

/**
 * Runs a callback once, when the loop's clock (loop_clock) has reached `when_ns`.
 *
 * Returns the timer's handle, or one of the usual errors. Loop's thread.
 */
loop_handle_t loop_call_at(loop_t *loop, uint64_t when_ns, loop_cb cb, void *arg);

/**
 * Runs a callback every `interval_ns`, for the first time `first_ns` from now.
 *
 * The ticks stay on a grid: first, first + interval, first + 2 * interval and so on, however
 * late a call is. There is no drift. `policy` says what happens to ticks that were missed
 * because callbacks took too long: LOOP_SKIP_MISSED, LOOP_RUN_MISSED or LOOP_RESTART_GRID.
 *
 * The timer is armed for its next tick before the callback is called. The callback may cancel
 * the timer, or move the grid with loop_reschedule.
 *
 * Returns the timer's handle, -EINVAL if the interval is 0 or the policy is unknown, or one of
 * the usual errors. Loop's thread.
 */
loop_handle_t loop_call_every(loop_t *loop,
                              uint64_t first_ns,
                              uint64_t interval_ns,
                              uint32_t policy,
                              loop_tick_cb cb,
                              void *arg);

/**
 * Sets the deadline of a timer, or of an operation, to `delay_ns` nanoseconds from now.
 *
 * The timer may be armed, ready in this turn (then it does not run in this turn), or inside its
 * own callback (then it is armed again). Among timers of the same deadline it counts as newly
 * scheduled. A periodic timer's next tick moves, and its grid with it. It is cheaper than a
 * cancel and a new timer.
 *
 * Returns 0; LOOP_ESTALE or LOOP_EKIND (see Handles); or one of the usual errors. Loop's thread.
 */
int loop_reschedule(loop_t *loop, loop_handle_t timer, uint64_t delay_ns);

/**
 * Sets the deadline of a timer, or of an operation, to the time `when_ns`. Otherwise it is like
 * loop_reschedule.
 *
 * Returns what loop_reschedule returns. Loop's thread.
 */
int loop_reschedule_at(loop_t *loop, loop_handle_t timer, uint64_t when_ns);

/**
 * Returns the nanoseconds until a timer, or the time limit of an operation, is due: 0 if it is
 * due, ready, or in its own callback and not armed again; LOOP_NEVER if it never fires;
 * LOOP_ESTALE or LOOP_EKIND (see Handles); or one of the usual errors. Loop's thread.
 */
int64_t loop_remaining(loop_t *loop, loop_handle_t timer);

/*
 * ---- Handles ---------------------------------------------------------------------------------
 *
 * Every kind of source is cancelled, queried, named and released with the same functions.
 *
 * A one-shot source (loop_call_soon, loop_call_later, loop_call_at, a post, an operation) ends
 * when its callback returns. Its handle is valid until then: inside the callback loop_is_active
 * returns 0, loop_cancel returns 0 and does nothing, and loop_reschedule arms a timer again.
 * Periodic timers, watchers and hooks live until they are cancelled.
 *
 * A negative number in the place of a handle is an error that another call has returned. The
 * functions return it unchanged. So loop_set_release(loop, loop_watch_fd(...), f) returns the
 * reason why there is no watcher.
 *
 * Errors of all functions that take a handle: LOOP_ESTALE (the source has ended, or the number
 * is no handle of this loop), LOOP_EKIND (the function is for other kinds of sources), and the
 * usual errors.
 */

/**
 * Ends a source. When it has returned 0, the source's callback will not run, even if it was
 * ready in this turn.
 *
 * The handle is stale at once, except for a one-shot inside its own callback (see above). There
 * is no close callback to wait for. A callback may cancel its own source and any other. A
 * watcher's descriptor may be closed before or after (see Descriptors).
 *
 * The release function is not called in this call. It is called later: between two turns of the
 * innermost run, or before that run returns, but not while a callback of the same source is on
 * the stack. If the loop is at rest, the next run or loop_free calls it.
 *
 * Returns 0, or an error of this section. Loop's thread.
 */
int loop_cancel(loop_t *loop, loop_handle_t handle);

/**
 * Returns whether the source's callback may still run.
 *
 * It returns 1 if the source is ready, armed or watching (a paused watcher, too); 0 in a
 * one-shot's own callback, for a watcher whose descriptor is known to be closed, and for a
 * handle that is stale or was never given out; a negative `handle` unchanged; or one of the
 * usual errors.
 *
 * In pull mode it returns 1 for a one-shot that loop_next_events has handed out, until the
 * source is cancelled or the next loop_next_events. Loop's thread.
 */
int loop_is_active(loop_t *loop, loop_handle_t handle);

/**
 * Returns the handle of the callback or hook that is running (in a nested run, of the inner
 * one); 0 outside of callbacks; or one of the usual errors. Loop's thread.
 */
loop_handle_t loop_current(loop_t *loop);

/**
 * Gives a source another argument, for its callback and for its release function. The release
 * function is not called for the old argument: you own it again.
 *
 * Returns 0, or an error of this section. Loop's thread.
 */
int loop_set_arg(loop_t *loop, loop_handle_t handle, void *arg);

/**
 * Gives a source a release function. It is called exactly once, with the source's argument,
 * after the source has ended: after its last callback, a cancel, or loop_free. loop_cancel says
 * when.
 *
 * It replaces an earlier release function; NULL removes it. The function may call the loop, but
 * must not throw.
 *
 * Returns 0, or an error of this section; then nothing has changed. Loop's thread.
 */
int loop_set_release(loop_t *loop, loop_handle_t handle, loop_release_cb release);

/**
 * Gives a source a name, for dumps and traces. The string is copied. NULL removes the name.
 *
 * Returns 0, or an error of this section. Loop's thread.
 */
int loop_set_name(loop_t *loop, loop_handle_t handle, const char *name);

/**
 * Undoes loop_unref: the source keeps loop_run going again. Every source but a hook does so when
 * it is made. It is a flag, not a count.
 *
 * Returns 0, or an error of this section. Loop's thread.
 */
int loop_ref(loop_t *loop, loop_handle_t handle);

/**
 * Stops a source from keeping loop_run going. Use it for a heartbeat, a listening socket or a
 * signalfd. The source's callback runs as before.
 *
 * Returns 0, or an error of this section. Loop's thread.
 */
int loop_unref(loop_t *loop, loop_handle_t handle);

/*
 * ---- Descriptors -----------------------------------------------------------------------------
 *
 * A watcher calls back while its descriptor is ready. It works with a socket, pipe, terminal,
 * eventfd, or anything else that can be polled.
 *
 * Watching is level-triggered: as long as there is something to read and you do not read it, the
 * callback is called in every turn. Any number of watchers may share a descriptor, each with its
 * own mask. They are called in the order in which they were made, each once a turn with all its
 * bits.
 *
 * Set O_NONBLOCK yourself: the library never changes, duplicates or closes your descriptors. On
 * a blocking descriptor every call that has to wait stops the whole loop. Examples: a write of
 * more than there is room for; a read that waits for more than has arrived (fread, MSG_WAITALL,
 * reading until EAGAIN); two watchers that read one descriptor, when the first has read
 * everything and the second reads too. Also protect the process from SIGPIPE: send with
 * MSG_NOSIGNAL, or ignore the signal.
 *
 * What is reported, by what happened:
 *
 *     happened                    READABLE  WRITABLE  HANGUP  ERROR  READ_CLOSED
 *     data can be read            asked     -         -       -      -
 *     there is room to write      -         asked     -       -      -
 *     peer shut down its writing  asked     -         -       -      asked
 *     both directions are down    asked     asked     yes     -      asked (sockets)
 *     all writers of a pipe gone  asked     asked     yes     -      -
 *     reader of a pipe gone       asked     asked     -       yes    -
 *     reset, refused connect      asked     asked     yes     yes    asked
 *     error pending (UDP)         asked     asked     -       yes    -
 *     a terminal's program ended  asked     asked     yes     -      -
 *     a terminal was hung up      asked     asked     yes     yes    -
 *
 * "asked": reported if it is in the mask. "yes": reported to every watcher that is not paused,
 * in every turn as long as it lasts. So after a hang-up or an error a reader may simply read and
 * a writer may simply write: read or write returns the reason. Out-of-band data is
 * LOOP_PRIORITY.
 *
 * A mask of 0 pauses a watcher: nothing is reported to it, not even a hang-up, and it costs
 * nothing.
 *
 * Closing a descriptor: cancel its watcher before or after you close it. A watcher whose
 * descriptor was closed reports nothing until it is cancelled. The number may be reused
 * immediately: a new watcher on it gets no event of the old file, and the old watcher gets no
 * event of the new file. There are two exceptions. Where they matter, cancel first:
 *
 * - The file lives on in a duplicate or in a child process. Then the kernel goes on reporting it
 *   under the old number. The library detects it after 16 reports (after 256 on a watcher that
 *   has long been busy), and the watcher reports nothing from then on.
 *
 * - Two watchers are ready in the same turn. The callback of the first closes the descriptor of
 *   the second and opens another file, which gets the same number and is not watched. Then the
 *   second callback is still called in this turn, because nothing has notified the library. (If
 *   the new file is watched, by a loop_watch_fd in the same callback, the old event is dropped.)
 *
 * The library makes no system call only to find out whether a descriptor was closed. It finds
 * out when it changes the registration of the descriptor and the kernel refuses, when a new
 * watcher is made on the number, or when a closed file keeps reporting. From then on
 * loop_is_active returns 0, loop_watch_update and loop_watch_events return -EBADF, and all that
 * is left to do is loop_cancel. A watcher with LOOP_CLOSED in its mask is notified once. To ask
 * the kernel immediately, call loop_watch_update with LOOP_NOW.
 */

/**
 * A read will not block: there is data, end of file, an error, or a connection to accept.
 */
#define LOOP_READABLE 1

/**
 * A write will not block, or a connect has succeeded or failed.
 */
#define LOOP_WRITABLE 2

/**
 * There is out-of-band data on a socket, or another condition that the kernel reports as
 * EPOLLPRI.
 */
#define LOOP_PRIORITY 4

/**
 * Both directions are down. It is reported to every watcher that is not paused. As the only bit
 * of a mask it asks for LOOP_HANGUP and LOOP_ERROR alone: for a watcher that neither reads nor
 * writes but must know when the connection ends.
 */
#define LOOP_HANGUP 8

/**
 * An error is pending; getsockopt with SO_ERROR returns which. It is reported to every watcher
 * that is not paused.
 */
#define LOOP_ERROR 16

/**
 * The peer has shut down its writing direction; what it has sent before can still be read. It is
 * reported only if it is in the mask.
 */
#define LOOP_READ_CLOSED 32

/**
 * The library has detected that the descriptor was closed, or that its number now names another
 * file. It is reported only if it is in the mask, also if it is the only bit there (a watcher
 * that is paused otherwise). It is reported once, without other bits. All that is left to do is
 * loop_cancel.
 */
#define LOOP_CLOSED 64

/**
 * Edge-triggered: the callback is called when something new happens, not as long as it lasts.
 * Read and write until EAGAIN. Such a watcher cannot share its descriptor with another one
 * (LOOP_EBUSY). After each loop_watch_update the conditions that hold at that time are reported
 * again.
 */
#define LOOP_EDGE 256

/**
 * The callback is called once. Then the watcher is paused (its mask is 0) until
 * loop_watch_update.
 */
#define LOOP_ONESHOT 512

/**
 * If the kernel cannot poll the descriptor (a regular file, a directory, /dev/null), it counts
 * as ready once every turn, as in poll(2), and the loop does not wait. Without this flag such a
 * descriptor is -EPERM.
 *
 * Before each call the library checks by device and inode whether the number still names the
 * same file. It cannot distinguish the file from the same file opened again under the same
 * number.
 */
#define LOOP_ALWAYS 1024

/**
 * For loop_watch_update: passes the change to the kernel in the call, and returns the kernel's
 * error. (loop_watch_fd always does so.) It does not become part of the mask.
 */
#define LOOP_NOW 2048

/**
 * Watches a descriptor: calls `cb` whenever `fd` is ready for one of the conditions in `events`.
 *
 * `events` is a mask of LOOP_READABLE and so on, with the flags LOOP_EDGE, LOOP_ONESHOT and
 * LOOP_ALWAYS. 0 makes a watcher that is paused. The kernel checks the descriptor in the call.
 * If the number was closed and reused since older watchers were made on it, those report nothing
 * from now on.
 *
 * Returns the watcher's handle, or an error: LOOP_EMASK (unknown bits), LOOP_EBUSY (see
 * LOOP_EDGE), -EBADF (the descriptor is negative, closed, or one of the loop's own), -EPERM (see
 * LOOP_ALWAYS), -ENOSPC (the system's limit of watched descriptors), -ELOOP (epoll sets are
 * nested too deeply), or one of the usual errors. Loop's thread.
 */
loop_handle_t loop_watch_fd(loop_t *loop, int fd, uint32_t events, loop_fd_cb cb, void *arg);

/**
 * Replaces the mask of a watcher, with its flags. 0 pauses it.
 *
 * What the new mask does not contain is no longer reported, even if it has happened already in
 * this turn. The kernel is informed before the next wait, and only if something has changed by
 * then: to change a mask back and forth costs no system call. A watcher that has fired with
 * LOOP_ONESHOT is armed again.
 *
 * So a result of 0 does not mean that the descriptor is still open. With LOOP_NOW in `events`
 * the kernel is asked in the call, even if nothing has changed: -EBADF if the descriptor is
 * closed, -ENOENT if its number now names another file. After either, the watcher reports
 * nothing until it is cancelled. Use loop_watch_fd to watch the new file.
 *
 * Returns 0, or an error: LOOP_ESTALE or LOOP_EKIND (see Handles), LOOP_EMASK, LOOP_EBUSY,
 * -EPERM (the kernel cannot poll the descriptor and LOOP_ALWAYS is missing), -EBADF (the
 * descriptor is known to be closed), with LOOP_NOW also -ENOENT, or one of the usual errors.
 * Loop's thread.
 */
int loop_watch_update(loop_t *loop, loop_handle_t watch, uint32_t events);

/**
 * Returns the mask of a watcher with its flags, 0 if it is paused; or an error: LOOP_ESTALE or
 * LOOP_EKIND (see Handles), -EBADF (the descriptor is known to be closed), or one of the usual
 * errors. Loop's thread.
 */
int loop_watch_events(loop_t *loop, loop_handle_t watch);

/*
 * ---- Operations ------------------------------------------------------------------------------
 *
 * An operation is done once and ends with one callback, which gets LOOP_EVENT_DONE and the
 * result. An operation has a handle like every source. loop_cancel ends it, and its callback is
 * not called; loop_set_release, loop_set_name, loop_ref, loop_unref, loop_set_arg and
 * loop_is_active work on it.
 *
 * Its time limit is on the loop's clock: loop_reschedule sets another limit, and loop_remaining
 * returns the time that is left. A test can reach a time limit without waiting: with
 * LOOP_VIRTUAL_CLOCK, loop_run_once with a limit moves the clock to the next deadline.
 *
 * As with a one-shot timer, the handle is valid until the callback returns: inside it
 * loop_is_active returns 0, and loop_cancel returns 0 and does nothing. loop_reschedule returns
 * LOOP_ESTALE there, since an operation cannot be repeated: start another one. The call that
 * starts an operation never calls its callback.
 */

/**
 * Waits once for a descriptor, with a time limit.
 *
 * `events` is a mask as for loop_watch_fd, without LOOP_EDGE, LOOP_ONESHOT, LOOP_CLOSED and
 * LOOP_NOW. It must contain at least one condition. `timeout_ns` counts in nanoseconds from now;
 * 0 only checks whether the descriptor is ready; a negative number means no limit.
 *
 * `cb` is called once with LOOP_EVENT_DONE. Its `result` is one of:
 *
 * - the bits of what happened (LOOP_READABLE and so on), as a watcher would get them;
 *
 * - -ETIMEDOUT: the time is over. If the descriptor is ready by then, the bits win;
 *
 * - -EBADF: the library has detected that the descriptor was closed (see LOOP_CLOSED).
 *
 * Nothing is read or written, and the descriptor's flags are not changed. Any number of
 * operations and watchers may share a descriptor; each gets its own bits. Cancel the operation
 * before you close the descriptor, because the library does not always detect a close. An
 * operation costs as much as a watcher and a timer: if you wait for the same descriptor again
 * and again, a watcher that you keep is cheaper.
 *
 * Returns the operation's handle, or an error: LOOP_EMASK, LOOP_EBUSY (a LOOP_EDGE watcher has
 * the descriptor), -EBADF, -EPERM (see LOOP_ALWAYS), -ENOSPC, -ELOOP, or one of the usual
 * errors. Loop's thread.
 */
loop_handle_t loop_poll_fd(loop_t *loop,
                           int fd,
                           uint32_t events,
                           int64_t timeout_ns,
                           loop_io_cb cb,
                           void *arg);

/*
 * ---- Hooks -----------------------------------------------------------------------------------
 *
 * Hooks are called before and after the wait: for libraries that must be asked before the loop
 * blocks (X11, ZeroMQ, GLib), and for your own housekeeping. They are cancelled, named and
 * released like other sources. They do not keep loop_run going.
 *
 * Hooks of one kind run in the order in which they were made. A hook that is added by a hook of
 * the same kind runs from the next time on. A hook may do what a callback may do. If it runs the
 * loop, that run calls the hook again: the hook must end the recursion itself.
 */

/**
 * Before every system call that polls the kernel. If the hook makes work ready, the wait does
 * not block.
 */
#define LOOP_BEFORE_WAIT 1

/**
 * After every system call that polled the kernel. What the hook schedules runs in this turn,
 * after the callbacks of descriptors.
 */
#define LOOP_AFTER_WAIT 2

/**
 * Before a wait that would block, after LOOP_BEFORE_WAIT: nothing is ready, and there is time
 * for something unimportant. Unlike libuv's idle handle, it does not make the loop spin.
 */
#define LOOP_WHEN_IDLE 3

/**
 * After a signal has interrupted the wait, on the loop's thread and outside of the signal
 * handler. In pull mode the hook may have a NULL callback; then it is handed out as
 * LOOP_EVENT_INTERRUPT.
 *
 * A signal that comes just before the wait interrupts nothing: the hook is not called, and the
 * wait goes on. If you must not miss a signal, watch a signalfd, or call loop_wake in the signal
 * handler.
 */
#define LOOP_ON_INTERRUPT 4

/**
 * Adds a hook, which is called at the times that `when` names: LOOP_BEFORE_WAIT and so on.
 *
 * Returns its handle, -EINVAL if `when` is unknown, or one of the usual errors. Loop's thread.
 */
loop_handle_t loop_add_hook(loop_t *loop, uint32_t when, loop_cb cb, void *arg);

/*
 * ---- Other threads ---------------------------------------------------------------------------
 *
 * Other threads may call the functions of this section (except loop_remote_new), loop_stop,
 * loop_stop_all, loop_clock and loop_in_thread.
 *
 * A thread that calls them with the loop must be sure that the loop is not freed at the same
 * time. If it cannot be sure, it uses a *remote*: a sender that may outlive the loop.
 */

/**
 * Runs a callback on the loop's thread, in the next turn. Another thread uses it to hand over a
 * result.
 *
 * The posts of one thread run in the order in which they were made. None is merged with another
 * or dropped. A waiting loop is woken, by one system call for a burst of posts; a loop that is
 * awake needs none. A post keeps loop_run going until its callback has run. A thread that has not
 * posted yet does not: if loop_run must wait for it, give it a remote (loop_remote_new).
 *
 * `release` may be NULL. Otherwise it is called once with `arg`: between two turns, after the
 * callback has run; or by loop_free if it did not run.
 *
 * Returns 0, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EFORKED, LOOP_ECLOSED or -ENOMEM.
 * After an error you still own `arg`, and release is not called. Any thread, the loop's own too,
 * but no signal handler.
 */
int loop_call_soon_threadsafe(loop_t *loop, loop_cb cb, void *arg, loop_release_cb release);

/**
 * Ends the loop's wait: the turn goes on with what is ready. If the loop is not waiting, its
 * next poll of the kernel does not block.
 *
 * Several calls before that count as one. errno is not changed.
 *
 * Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
 */
int loop_wake(loop_t *loop);

/**
 * Makes a remote: a sender for other threads that may outlive the loop. After the loop has been
 * freed, loop_remote_call_soon returns LOOP_ECLOSED.
 *
 * Any number of threads may use one remote at the same time. A remote keeps loop_run going until
 * loop_remote_free, because posts may come. A remote that was inherited by fork works in the
 * child after loop_after_fork, but does not keep loop_run going there: the thread that would have
 * posted is the parent's.
 *
 * Returns the remote, or NULL if the call is not allowed or there is no memory. Free it with
 * loop_remote_free, before or after the loop. Loop's thread.
 */
loop_remote_t *loop_remote_new(loop_t *loop);

/**
 * Runs a callback on the loop's thread, through a remote. It is like loop_call_soon_threadsafe,
 * but also allowed while the loop is being freed, and afterwards.
 *
 * Returns 0, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_ECLOSED (the loop has been freed),
 * LOOP_EFORKED or -ENOMEM. After an error you still own `arg`, and release is not called. Any
 * thread, but no signal handler.
 */
int loop_remote_call_soon(loop_remote_t *remote, loop_cb cb, void *arg, loop_release_cb release);

/**
 * Frees a remote. No thread may use it after that. Its posts still run.
 *
 * Returns 0 or LOOP_ENULL. Any thread.
 */
int loop_remote_free(loop_remote_t *remote);

/*
 * ---- Embedding -------------------------------------------------------------------------------
 *
 * A host that owns the main loop (a game, a GUI, another event loop) runs this loop inside it.
 * The host waits for loop_fd together with whatever else it waits for. When that descriptor is
 * readable, or when the time of loop_timeout is over, it calls loop_run_once with a timeout of
 * 0, or loop_run_ready. The descriptor alone is enough: it covers watched descriptors, posts,
 * ready callbacks and due timers, so the host may wait for it without a time limit.
 *
 * Once loop_fd has been called, a watcher or timer that is made or changed while the loop is at
 * rest takes effect in the call that makes or changes it. If a source with a release function is
 * cancelled while the loop is at rest, the call of the release function is work for the next
 * run, and the host is notified.
 *
 * Inside a callback, changes are collected, and the kernel gets them after the turn. So a
 * callback that runs the host's main loop (a modal dialog) calls loop_flush first. Without it
 * nothing would wake the host for what the callback has changed. Each run of the loop that the
 * dialog makes then flushes when it returns, so one loop_flush is enough.
 *
 * Watch the descriptor level-triggered (poll, select, EPOLLIN). If the host can only watch for
 * edges, it must call loop_run_once with a timeout of 0 again and again, until that returns 0
 * and loop_timeout does not. The descriptor is an epoll set that contains another one, which
 * takes two of the five levels that Linux allows. It may be readable once although there is
 * nothing to do.
 */

/**
 * loop_event_t.kind: not the event of a source. The call has ended before its time limit and has
 * nothing to hand out: loop_wake or loop_stop ended it, or only sources with a callback were
 * ready. `handle` is 0 and `arg` is NULL.
 */
#define LOOP_EVENT_WOKEN 0

/**
 * loop_event_t.kind: a loop_call_soon or loop_call_soon_threadsafe without a callback.
 */
#define LOOP_EVENT_SOON 1

/**
 * loop_event_t.kind: a loop_call_later or loop_call_at without a callback.
 */
#define LOOP_EVENT_TIMER 2

/**
 * loop_event_t.kind: a loop_call_every without a callback. See `ticks`.
 */
#define LOOP_EVENT_TICK 3

/**
 * loop_event_t.kind: a loop_watch_fd without a callback. See `fd` and `events`.
 */
#define LOOP_EVENT_FD 4

/**
 * loop_event_t.kind: an operation without a callback has ended. See `result` and `data`.
 * Callbacks of operations get this number as `what`.
 */
#define LOOP_EVENT_DONE 14

/**
 * loop_event_t.kind: a LOOP_ON_INTERRUPT hook without a callback: a signal has interrupted the
 * wait. A language binding runs its own signal handlers here.
 */
#define LOOP_EVENT_INTERRUPT 16

/**
 * A source that is ready, for loop_next_events: 64 bytes. A field that the kind does not use is
 * 0 (`fd`: -1).
 */
typedef struct loop_event_t {
  /**
   * The source. 0 for LOOP_EVENT_WOKEN.
   */
  loop_handle_t handle;
  /**
   * The argument of the source.
   */
  void *arg;
  /**
   * LOOP_EVENT_SOON and so on. Ignore kinds that you do not know.
   */
  uint32_t kind;
  /**
   * The descriptor of a LOOP_EVENT_FD, otherwise -1.
   */
  int32_t fd;
  /**
   * What happened to the descriptor: LOOP_READABLE and so on.
   */
  uint32_t events;
  /**
   * Always 0.
   */
  uint32_t flags;
  /**
   * The number of intervals that a LOOP_EVENT_TICK stands for, otherwise 0.
   */
  uint64_t ticks;
  /**
   * The result of a LOOP_EVENT_DONE, or a negative error code; otherwise 0.
   */
  int64_t result;
  /**
   * What goes with the result, or NULL.
   */
  void *data;
  /**
   * Always 0.
   */
  uint64_t reserved;
} loop_event_t;

/**
 * Returns a descriptor that is readable when the loop has anything to do.
 *
 * It stays the same until loop_free, which closes it. Do not close it, and do not read from it.
 * The first call opens three more descriptors; one call is enough. Inside a callback it also
 * does what loop_flush does.
 *
 * Errors: -ELOOP (epoll sets are nested too deeply), -EMFILE, -ENFILE, -ENOSPC, or one of the
 * usual errors. Loop's thread.
 */
int loop_fd(loop_t *loop);

/**
 * Returns how long a host may wait before it runs the loop, for hosts that wait with a time
 * limit: the nanoseconds until the next timer; 0 if something is ready now or a release function
 * must be called; LOOP_NEVER if no timer is armed; or one of the usual errors.
 *
 * It says nothing about watched descriptors: those make loop_fd readable. If you must round,
 * round up. If very many timers are due close together, the time may be too short, but never too
 * long. Loop's thread.
 */
int64_t loop_timeout(loop_t *loop);

/**
 * Passes all collected changes to the kernel now. Call it inside a callback, before that runs a
 * host's main loop (a modal dialog).
 *
 * Until the loop's next turn, further changes take effect in the call that makes them. After a
 * nested run it is not needed, because a run does the same when it returns to a callback.
 * Outside of callbacks it is not needed either.
 *
 * Returns 0, -ENOSPC if the kernel refuses a change, or one of the usual errors. Loop's thread.
 */
int loop_flush(loop_t *loop);

/**
 * Sets a function that wakes the host (SDL_PushEvent, glfwPostEmptyEvent, PostMessage). The
 * function is called when the loop is at rest and gets work or an earlier deadline.
 *
 * It is called once, and not again before the next run has ended. It is called on the thread
 * that brings the work, and inside a signal handler that calls loop_wake, loop_stop or
 * loop_stop_all. It is not called for watched descriptors: those make loop_fd readable. It is
 * not called during a run, except in a callback after loop_flush or after a nested run, when the
 * loop counts as at rest. It may call only functions that any thread may call.
 *
 * A C++ exception may leave the hook. It passes to the call that brought the work, which is
 * accepted all the same, or to the caller of the run that ends with work left. If another
 * exception is passing through that run at the time, the program ends, as always in C++.
 *
 * NULL removes the hook. When this function returns, no thread is inside the old hook.
 *
 * Returns 0; -EDEADLK inside the hook, on each thread that is inside it (if more than eight are,
 * on every thread); or one of the usual errors. Loop's thread.
 */
int loop_set_wake_hook(loop_t *loop, loop_wake_cb hook, void *arg);

/**
 * Makes a loop that was inherited by fork usable in the child.
 *
 * All its sources go on in the child, with the same handles and descriptors. Those of the parent
 * go on in the parent, undisturbed. Before this call, only it and loop_free work in a child;
 * everything else returns LOOP_EFORKED.
 *
 * A loop with LOOP_BOUND becomes bound to the calling thread. A post that another thread was
 * making at the moment of the fork may be in the parent alone. An inherited remote works in the
 * child, but does not keep loop_run going there (see loop_remote_new).
 *
 * Returns 0 (also if there was no fork), or an error: LOOP_EWRONGTHREAD (another thread was
 * running the loop at the moment of the fork: only loop_free is possible), -EDEADLK (inside the
 * wake hook), -EAGAIN, -EMFILE, -ENFILE, -ENOSPC, or one of the usual errors. After an error the
 * loop is as before. Call it on the child's only thread.
 */
int loop_after_fork(loop_t *loop);

/**
 * Makes one turn like loop_run_once, in a loop made with LOOP_PULL, and returns the ready
 * sources without a callback as structs.
 *
 * In such a loop every function that takes a callback accepts NULL (of the hooks only
 * LOOP_ON_INTERRUPT). The run functions return LOOP_EPULL. `timeout_ns` is as in loop_run_once.
 *
 * Sources come in the order of the ready queue. Those with a callback are called, the others are
 * written to `events`, at most `capacity`, which may be more than `max_events`. If a source
 * with a callback comes after an event, the batch ends before it. The next call returns the rest
 * and does not wait then; sources that are cancelled in between are left out. A level-triggered
 * event that you do not handle comes again.
 *
 * If handling one event cancels the source of a later event of the batch, that event is void. So
 * ask loop_is_active before you handle an event: it returns 1 for every source that was handed
 * out, and 0 once it has been cancelled. The next call ends the one-shots that were handed out,
 * and calls their release functions. Until then their handles are valid, and loop_reschedule can
 * arm a timer again.
 *
 * Returns the number of events. 0 means that the time is over (with a `timeout_ns` of 0: nothing
 * was ready). If the call ends earlier and has nothing to hand out, it returns one
 * LOOP_EVENT_WOKEN. Or it returns an error: -EINVAL if `capacity` is 0, LOOP_EPULL if the loop
 * was made without LOOP_PULL, or an error of the run functions (see Run). Threads: see
 * loop_run_forever.
 */
int loop_next_events(loop_t *loop,
                     struct loop_event_t *events,
                     size_t capacity,
                     int64_t timeout_ns);

/*
 * ---- Time ------------------------------------------------------------------------------------
 *
 * Times are nanoseconds of CLOCK_MONOTONIC, which counts from an arbitrary point and stops while
 * the machine is suspended. With LOOP_VIRTUAL_CLOCK or LOOP_MANUAL_CLOCK they are on the loop's
 * own clock.
 */

/**
 * A microsecond in nanoseconds.
 */
#define LOOP_US UINT64_C(1000)

/**
 * A millisecond in nanoseconds. Write `20 * LOOP_MS`.
 */
#define LOOP_MS UINT64_C(1000000)

/**
 * A second in nanoseconds.
 */
#define LOOP_SECOND UINT64_C(1000000000)

/**
 * What loop_timeout and loop_remaining return for "never". (As a delay or time, pass
 * UINT64_MAX.)
 */
#define LOOP_NEVER INT64_MAX

/**
 * Returns the time of this turn. The clock is read when this is first called in a turn; later
 * calls in the turn return the same. At rest it is like loop_clock. 0 if the call is not
 * allowed. Loop's thread.
 */
uint64_t loop_now(loop_t *loop);

/**
 * Returns the time, read now. 0 if the loop is NULL, was freed in a callback that has not
 * returned, or is the parent's (see loop_after_fork). Any thread.
 */
uint64_t loop_clock(loop_t *loop);

/**
 * Moves a virtual or manual clock forward by `ns` nanoseconds. Timers that are due then run in
 * the next turn.
 *
 * Returns 0, LOOP_ECLOCK if the loop uses the system's clock, or one of the usual errors. Loop's
 * thread.
 */
int loop_advance(loop_t *loop, uint64_t ns);

/*
 * ---- Errors and version ----------------------------------------------------------------------
 *
 * In every function a negative result is an error: -errno for an error of the system (-EBADF,
 * -ENOMEM), or one of these codes, from -20001 down. The usual errors are explained at the top
 * of this file.
 */

/**
 * The loop, or another pointer that must not be NULL, is NULL.
 */
#define LOOP_ENULL -20001

/**
 * The callback is NULL, and the loop is not in pull mode.
 */
#define LOOP_ENOCALLBACK -20002

/**
 * The source of the handle has ended, or the number is no handle of this loop.
 */
#define LOOP_ESTALE -20003

/**
 * The handle names a source of a kind that the function is not for.
 */
#define LOOP_EKIND -20004

/**
 * There are unknown bits in an event mask, or the function does not accept them.
 */
#define LOOP_EMASK -20005

/**
 * An option flag is unknown, flags contradict each other, a size is too small, or a field that
 * must be zero is not.
 */
#define LOOP_EOPTIONS -20006

/**
 * Another thread runs this loop, or the loop is bound to another thread.
 */
#define LOOP_EWRONGTHREAD -20007

/**
 * An edge-triggered watcher cannot share its descriptor with another one.
 */
#define LOOP_EBUSY -20008

/**
 * A run function was called on a loop in pull mode, or loop_next_events on a loop that is not.
 */
#define LOOP_EPULL -20009

/**
 * This is a forked child, and the loop is the parent's until loop_after_fork.
 */
#define LOOP_EFORKED -20010

/**
 * The loop has been freed.
 */
#define LOOP_ECLOSED -20011

/**
 * A bug in the library was caught. Only loop_free still works.
 */
#define LOOP_EPANIC -20012

/**
 * A limit is reached: sources of one kind, or nested runs (see the usual errors).
 */
#define LOOP_ELIMIT -20013

/**
 * The loop uses the system's clock, which cannot be advanced.
 */
#define LOOP_ECLOCK -20014

/**
 * The version of this header, 0xMMmmpp.
 */
#define LOOP_VERSION (((LOOP_VERSION_MAJOR << 16) | (LOOP_VERSION_MINOR << 8)) | LOOP_VERSION_PATCH)

/**
 * Within one major version, later versions only add.
 */
#define LOOP_VERSION_MAJOR 0

/**
 * It grows with new functions, options and constants.
 */
#define LOOP_VERSION_MINOR 1

/**
 * It grows with corrections.
 */
#define LOOP_VERSION_PATCH 0

/**
 * Returns a description of an error code in English; "success" for 0 and above. A static string,
 * never NULL. Any thread.
 */
const char *loop_strerror(int code);

/**
 * Returns the name of an error code, such as "LOOP_ESTALE" or "EBADF"; "OK" for 0 and above,
 * "UNKNOWN" if the code has no name. A static string, never NULL. Any thread.
 */
const char *loop_error_name(int code);

/**
 * Returns the version of the loaded library, in the form of LOOP_VERSION. Any thread.
 */
uint32_t loop_version(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* EVLOOP_H */
