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

/*
 * ---- Types -----------------------------------------------------------------------------------
 *
 * A loop is an opaque pointer; everything that a loop runs (a *source*) is known by a
 * number. All times are nanoseconds.
 */

/**
 * A callback: gets the loop that runs it and the argument it was registered with.
 * It runs on the loop's thread, alone, and may call every function of this header,
 * loop_run... and loop_free included. A C++ exception may leave it.
 */
typedef void (*loop_cb)(loop_t *loop, void *arg);

/**
 * The callback of loop_call_every: how many ticks this call stands for.
 */
typedef void (*loop_tick_cb)(loop_t *loop, uint64_t ticks, void *arg);

/**
 * The callback of loop_watch_fd: the descriptor and what happened to it, as LOOP_READABLE...
 * bits.
 */
typedef void (*loop_fd_cb)(loop_t *loop, int fd, uint32_t events, void *arg);

/**
 * Names a source: a scheduled callback, a timer, a watcher, a hook. Positive and below
 * 2^53, so that a double (a JavaScript or Lua number) holds it exactly. Functions that
 * return one return a negative error code instead when they fail; 0 is never a handle.
 * It is never given out again for something else: once the source has ended, it is
 * LOOP_ESTALE for ever.
 */
typedef int64_t loop_handle_t;

/**
 * The callback of operations: which one (`source`), what happened (LOOP_EVENT_DONE), what it came to
 * (`result`, or a negative error code), and what goes with it (`data`, often NULL).
 */
typedef void (*loop_io_cb)(loop_t *loop,
                           loop_handle_t source,
                           uint32_t what,
                           int64_t result,
                           void *data,
                           void *arg);

/**
 * Called exactly once when an argument is no longer needed: after the last run of its
 * callback, after a cancel, or by loop_free; never inside loop_cancel, but between two turns (also of
 * a run that a callback makes), when its own callback is on the stack no more. It must not throw.
 */
typedef void (*loop_release_cb)(void *arg);

/**
 * A host's hook; see loop_set_wake_hook.
 */
typedef void (*loop_wake_cb)(void *arg);

/*
 * ---- Life cycle ------------------------------------------------------------------------------
 *
 * A loop is made on any thread, filled, run, and freed at any time. It belongs to
 * nobody while it rests: make it here, run it there, free it elsewhere, as long as
 * two threads do not use it at once.
 */

/**
 * Ask the kernel in every turn, also while callbacks stay ready (see poll_gap_ns).
 */
#define LOOP_STRICT_POLL 1

/**
 * The loop belongs to the thread that makes it: every call from another thread is
 * LOOP_EWRONGTHREAD, also while the loop rests. When that thread has ended, any other may free it,
 * and no more.
 */
#define LOOP_BOUND 2

/**
 * Pull mode: sources may have no callback and are handed out by loop_next_events, which
 * takes the place of the run functions.
 */
#define LOOP_PULL 4

/**
 * A clock for tests and simulations: it begins at virtual_start_ns, and where the loop
 * would wait for a timer it moves to the timer's time instead. An hour of timers takes a
 * millisecond. While a descriptor is watched, the loop waits for it in real time and its clock
 * stands still: loop_unref watchers that shall not hold the clock. (A loop_run_once with a time
 * limit never waits in real time.)
 */
#define LOOP_VIRTUAL_CLOCK 8

/**
 * A clock that moves by loop_advance alone. The loop never waits: a run call returns when
 * nothing is ready.
 */
#define LOOP_MANUAL_CLOCK 16

/**
 * Sets the thread's timer slack (on Linux 50 us) to its minimum while the loop waits for a
 * timer: still more exact timers for three more system calls a wait.
 */
#define LOOP_TIMER_SLACK 32

/**
 * What loop_new_with can change. Zero means the usual in every field; set it all to zero,
 * then `size`, then what you want. Later versions add fields at the end.
 */
typedef struct loop_options_t {
  /**
   * sizeof(loop_options_t)
   */
  uint32_t size;
  /**
   * LOOP_STRICT_POLL | LOOP_BOUND | ...
   */
  uint32_t flags;
  /**
   * While callbacks stay ready, the kernel is asked for descriptor events at least this
   * often (default 50 us) and not necessarily every turn: a system call costs more than
   * twenty callbacks. Due timers and posts of other threads are looked for every turn.
   */
  uint64_t poll_gap_ns;
  /**
   * The most descriptor events taken from the kernel at once (default 1,024, at most
   * 1,048,576; loop_next_events with a larger capacity takes more). The memory for more than
   * 1,024, 12 bytes each, is taken when so many descriptors are watched.
   */
  uint32_t max_events;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * Where a virtual or manual clock begins.
   */
  uint64_t virtual_start_ns;
} loop_options_t;

/**
 * Makes a loop.
 *
 * Returns NULL when there is no memory or no descriptor left; loop_new_with says which.
 * Takes two descriptors (an epoll set and an eventfd, close-on-exec), and a third (a timerfd) when
 * it first waits for less than about 60 us. Any thread.
 */
loop_t *loop_new(void);

/**
 * Makes a loop with options and stores it in `*out`.
 *
 * Returns 0, or with `*out` untouched: LOOP_ENULL when a pointer is NULL, LOOP_EOPTIONS
 * when a flag is unknown, flags contradict each other, `size` is less than 8, or a field
 * that this version does not know is not zero; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC; -EAGAIN (LOOP_BOUND:
 * the process has no thread-specific key left). Any thread.
 */
int loop_new_with(const struct loop_options_t *options,
                  loop_t **out);

/**
 * Frees a loop, at any time, with whatever is still in it: all sources end, and the
 * release functions that are owed are called, each once.
 *
 * Between runs it all happens here, and the pointer is dead when this returns. Inside a
 * callback the loop ends as soon as the callback returns: nothing more runs, every call
 * with the loop answers LOOP_ECLOSED from now on, the releases are called, and every run
 * function on the stack returns LOOP_ECLOSED; when the outermost has returned, the pointer
 * is dead. Descriptors that were watched are not touched.
 *
 * Returns 0, LOOP_ENULL, LOOP_EWRONGTHREAD or, in the wake hook, -EDEADLK (nothing happens
 * then), or LOOP_ECLOSED when it has been freed already in this callback. Works in a forked
 * child and after LOOP_EPANIC. Other threads must no longer use the pointer. Loop's thread.
 */
int loop_free(loop_t *loop);

/**
 * Sets a pointer of your own, for loop_data. It is never released.
 *
 * Returns 0 or an error. Loop's thread.
 */
int loop_set_data(loop_t *loop, void *data);

/**
 * Your pointer of loop_set_data; NULL before, and when the call is not allowed.
 * Loop's thread.
 */
void *loop_data(loop_t *loop);

/*
 * ---- Run -------------------------------------------------------------------------------------
 *
 * A run call makes turns. One turn waits for descriptors, timers and other threads if
 * nothing is ready, collects what has become ready, and runs exactly the callbacks that
 * were ready then (the *snapshot*), in order; what they schedule is for the next turn.
 *
 * A callback may make a run call: the run nests. First the rest of the outer snapshot
 * runs, with what has been scheduled since, then turns follow as usual. A source whose callback is on the stack is delivered
 * again like any other (pause it with loop_watch_update if you do not want that).
 *
 * Errors of all run functions: LOOP_ENULL, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED
 * (a callback freed the loop: the pointer is dead unless this run is nested), LOOP_EPANIC,
 * LOOP_ELIMIT (1,000 nested runs), and what the system says when it cannot wait
 * (-ENOMEM, -ENOSPC): nothing is lost then, and the loop can be run again.
 */

/**
 * Runs until loop_stop.
 *
 * Also with nothing to do: then it waits, for other threads or a signal handler. Returns 0
 * when it was stopped (with a manual clock also when nothing is ready), or an error. Any
 * thread may call it on a loop that is at rest; the loop is that thread's until it returns.
 */
int loop_run_forever(loop_t *loop);

/**
 * Runs until loop_stop, or until nothing is left that could ever run.
 *
 * What keeps it going: callbacks that are ready, timers, watchers (paused ones too), posts
 * of other threads. What does not: hooks, and sources with loop_unref. Returns 0 when it
 * was stopped (with a manual clock also when nothing is ready), 1 when nothing is left (at
 * once, if there is nothing to begin with), or an error. Threads as loop_run_forever.
 */
int loop_run(loop_t *loop);

/**
 * Makes one turn that waits `timeout_ns` at the longest; 0 does not wait, a negative
 * number waits without limit.
 *
 * The wait ends when something is ready, when the time is over, or by loop_wake; a
 * signal does not end it. The limit belongs to the wait, not to the callbacks. Returns the
 * number of callbacks run (0 when the time was over), or an error. A loop_stop meanwhile is
 * used up by it. Threads as loop_run_forever.
 */
int loop_run_once(loop_t *loop, int64_t timeout_ns);

/**
 * Makes turns that never wait, until nothing is ready or `budget_ns` are over: a game's
 * slice of each frame.
 *
 * The budget is looked at after each callback, so it is exceeded by one callback at the
 * most, and one callback runs even with 0. What is left over stays first in the queue, in
 * order. UINT64_MAX: no budget. Returns the number of callbacks run, or an error. A
 * loop_stop ends it after the snapshot. Threads as loop_run_forever.
 */
int loop_run_ready(loop_t *loop, uint64_t budget_ns);

/**
 * Ends the innermost run when its present snapshot has run, as in asyncio.
 *
 * With no run on the stack it is remembered: the next run makes one turn that does not
 * wait, and returns. Several calls before that count as one. A run that ends by an exception has
 * used it up as well. A callback that runs the loop (a dialog) makes another run the innermost:
 * see loop_stop_all. Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal
 * handlers too.
 */
int loop_stop(loop_t *loop);

/**
 * Ends every run on the stack, each when its present snapshot has run: the program shall end while
 * a callback runs the loop (a dialog).
 *
 * The runs end one after the other, from the innermost outwards, as each comes between two turns.
 * A run that a callback begins after one of them has ended ("save before you go?") is not
 * ended. With no run on the stack it is remembered, as loop_stop is. Returns 0, LOOP_ENULL,
 * LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
 */
int loop_stop_all(loop_t *loop);

/**
 * How many run calls of this loop are on the stack: 0 at rest, 1 in a callback, 2 in a
 * callback of a nested run.
 *
 * Returns the number or an error (LOOP_EWRONGTHREAD: it runs, elsewhere). Loop's thread.
 */
int loop_is_running(loop_t *loop);

/**
 * Would loop_run go on? 1 or 0, or an error. Loop's thread.
 */
int loop_has_work(loop_t *loop);

/**
 * May the calling thread use the loop now? 1 when it runs or may run it, 0 when another
 * thread runs it or it is bound to another; or another error. Any thread.
 */
int loop_in_thread(loop_t *loop);

/*
 * ---- Callbacks -------------------------------------------------------------------------------
 *
 * Callbacks for the next turn, for later, and for every so often.
 *
 * Timers fire by deadline, those of one deadline in the order in which they were
 * scheduled, and never early: the clock says the deadline or more when the callback runs.
 * A deadline in the past is due in the next turn, not in this one. Sums saturate, and
 * UINT64_MAX as a delay or time means never.
 *
 * Errors of the functions that schedule: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EWRONGTHREAD,
 * LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC, -ENOMEM, LOOP_ELIMIT (33,554,432 timers).
 */

/**
 * Skip the ticks that were missed, and tell how many intervals the call stands for: `ticks`
 * is 1 when none was missed.
 */
#define LOOP_SKIP_MISSED 0

/**
 * Run every tick, the missed ones too, one a turn; `ticks` is 1.
 */
#define LOOP_RUN_MISSED 1

/**
 * Start the grid anew: the next tick is one interval after this call; `ticks` is 1.
 */
#define LOOP_RESTART_GRID 2

/**
 * Runs a callback in the next turn, after everything that is ready already.
 *
 * Returns its handle, or an error. About 5 ns, no system call. Loop's thread; others use
 * loop_call_soon_threadsafe.
 */
loop_handle_t loop_call_soon(loop_t *loop, loop_cb cb, void *arg);

/**
 * Runs a callback once, `delay_ns` from now.
 *
 * From now: the clock is read, so a timer armed after long work is not early by it. Returns
 * the timer's handle, or an error. Loop's thread.
 */
loop_handle_t loop_call_later(loop_t *loop, uint64_t delay_ns, loop_cb cb, void *arg);

/**
 * Runs a callback once, when the loop's clock (loop_clock) says `when_ns`.
 *
 * Returns the timer's handle, or an error. Loop's thread.
 */
loop_handle_t loop_call_at(loop_t *loop, uint64_t when_ns, loop_cb cb, void *arg);

/**
 * Runs a callback every `interval_ns`, for the first time `first_ns` from now.
 *
 * The ticks stay on the grid first, first + interval, first + 2 * interval..., however late
 * a call is: there is no drift. `policy` says what happens to ticks that could not be made
 * in time, because callbacks took too long: LOOP_SKIP_MISSED, LOOP_RUN_MISSED or
 * LOOP_RESTART_GRID. The timer is armed for its next tick before the callback is called,
 * which may cancel it or, with loop_reschedule, move the grid.
 *
 * Returns the timer's handle, or an error; -EINVAL when the interval is 0 or the policy
 * unknown. Loop's thread.
 */
loop_handle_t loop_call_every(loop_t *loop,
                              uint64_t first_ns,
                              uint64_t interval_ns,
                              uint32_t policy,
                              loop_tick_cb cb,
                              void *arg);

/**
 * Gives a timer the deadline `delay_ns` from now, whatever it was doing: armed, ready in
 * this turn (then it does not run now), or in the middle of its own callback (then it is
 * armed again).
 *
 * It counts as newly scheduled among timers of the same deadline. A periodic timer's next
 * tick moves, and its grid with it. Cheaper than a cancel and a new timer. Returns 0,
 * LOOP_ESTALE, LOOP_EKIND, or another error. Loop's thread.
 */
int loop_reschedule(loop_t *loop, loop_handle_t timer, uint64_t delay_ns);

/**
 * Like loop_reschedule, with the time itself instead of a delay. Loop's thread.
 */
int loop_reschedule_at(loop_t *loop, loop_handle_t timer, uint64_t when_ns);

/**
 * Nanoseconds until a timer is due: 0 when it is due, ready, or in its own callback and not
 * armed again; INT64_MAX when it never fires.
 *
 * Returns them, or LOOP_ESTALE, LOOP_EKIND, or another error. Loop's thread.
 */
int64_t loop_remaining(loop_t *loop, loop_handle_t timer);

/*
 * ---- Handles ---------------------------------------------------------------------------------
 *
 * Every source is ended, asked about, named and released in the same way, whatever it is.
 *
 * A one-shot (soon, later, at) is finished when its callback returns; until then its
 * handle lives: inside the callback loop_is_active is 0, loop_cancel is 0 and does nothing
 * more, and loop_reschedule arms a timer again. Periodic timers, watchers and hooks live
 * until they are cancelled.
 *
 * A negative number is no handle but an error that some call has answered: it comes back as it is, so
 * loop_set_release(loop, loop_watch_fd(...), f) says why there is no watcher.
 *
 * Errors: LOOP_ENULL, LOOP_ESTALE (the source has ended, or the number is no handle of this
 * loop at all), LOOP_EKIND (the function is for other kinds), LOOP_EWRONGTHREAD,
 * LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC.
 */

/**
 * Ends a source: when this returns 0, its callback will not run, not even if it was ready
 * in this very turn.
 *
 * There is nothing to wait for, and the handle is stale at once. The release function is
 * not called here but at the next boundary of the outermost run (between two turns, or
 * before it returns) or by loop_free, so that it always finds a clean stack. A descriptor
 * may be closed before or after. A callback may cancel itself and any other. Returns 0 or an
 * error. Loop's thread.
 */
int loop_cancel(loop_t *loop, loop_handle_t handle);

/**
 * May the source's callback still run? 1 while it is ready, armed or watching (paused
 * watchers too); 0 in a one-shot's own callback, for a watcher whose descriptor the library knows to
 * be closed, and for stale handles and numbers that are none; or an error. In pull mode it is 1 for
 * a one-shot that loop_next_events has handed out, until it is cancelled or the next call is made.
 * Loop's thread.
 */
int loop_is_active(loop_t *loop,
                   loop_handle_t handle);

/**
 * The handle of the callback (or hook) that is running, 0 outside of callbacks, or an error.
 * In a nested run it is the inner one. Loop's thread.
 */
loop_handle_t loop_current(loop_t *loop);

/**
 * Gives a source another argument for its callback and its release function. The old one is
 * not released: it is yours again. Returns 0 or an error. Loop's thread.
 */
int loop_set_arg(loop_t *loop, loop_handle_t handle, void *arg);

/**
 * Gives a source a function that is called exactly once, with the source's argument, when
 * the source has ended: after its last run, a cancel, or loop_free.
 *
 * It replaces the one there was; NULL takes it away. The function may call the loop, but
 * must not throw. Returns 0, -ENOMEM (then nothing changed), or another error. Loop's thread.
 */
int loop_set_release(loop_t *loop, loop_handle_t handle, loop_release_cb release);

/**
 * Gives a source a name, for people who look for it in dumps and traces. It is copied; NULL
 * takes it away. Returns 0, -ENOMEM, or another error. Loop's thread.
 */
int loop_set_name(loop_t *loop, loop_handle_t handle, const char *name);

/**
 * Lets a source keep loop_run going again, which it does from the beginning. A flag, not a
 * count. Returns 0 or an error. Loop's thread.
 */
int loop_ref(loop_t *loop, loop_handle_t handle);

/**
 * Lets a source no longer keep loop_run going: a heartbeat, a listening socket, a signal
 * descriptor. It runs as before. Returns 0 or an error. Loop's thread.
 */
int loop_unref(loop_t *loop, loop_handle_t handle);

/*
 * ---- Descriptors -----------------------------------------------------------------------------
 *
 * A watcher calls back while its descriptor is ready: a socket, pipe, terminal, eventfd,
 * or anything else that can be polled.
 *
 * Watching is level-triggered: as long as there is something to read and you do not
 * read it, you are called every turn. Any number of watchers may share a descriptor, each
 * with a mask of its own; they are called in the order of their making, each once a turn
 * with all its bits. The library never changes a descriptor's flags, never duplicates and
 * never closes it; blocking descriptors work as well as non-blocking ones.
 *
 * What is reported, beside what was asked for:
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
 * "asked": if it is in the mask. "yes": whoever asks for anything is told, again and
 * again while it stands. So after a hang-up or error a reader reads, a writer writes, and
 * read or write tells the reason. Out-of-band data is LOOP_PRIORITY.
 *
 * A mask of 0 pauses a watcher: it is told nothing, not even a hang-up, and costs nothing.
 *
 * Closing: cancel the watcher first, or close first, as you like. A watcher whose descriptor
 * was closed is silent until it is cancelled. Its number may be reused at once: a new watcher on
 * the number hears nothing that was meant for the old file, and the old watcher hears nothing of
 * the new one. Two cases remain; cancel first where they matter:
 *
 * - If the file lives on in a duplicate or in a child process, the kernel goes on reporting it under
 *   the old number. The library finds out after 16 reports, on a long-lived busy watcher after 256,
 *   and the watcher is silent from then on.
 * - Two watchers are ready in the same turn. The callback of the first closes the descriptor of the
 *   second and opens another file, which gets the number and is not watched. Then the second
 *   callback is still called in this turn, because nothing has told the library.
 *
 * A watcher does not notice by itself that its descriptor was closed, and the library makes no
 * system call only to find out. It learns of it when it tells the kernel something about the
 * descriptor and the kernel refuses, when a new watcher is made on the number, or when a closed file
 * keeps reporting. From then on loop_is_active is 0, loop_watch_update and loop_watch_events are
 * -EBADF, and only loop_cancel is of use. LOOP_CLOSED in the mask tells the callback so, once.
 * loop_watch_update with LOOP_NOW asks the kernel in the call.
 */

/**
 * Reading would not block: there is data, the end of the file, an error, or a connection to
 * accept.
 */
#define LOOP_READABLE 1

/**
 * Writing would not block, or a connect is decided.
 */
#define LOOP_WRITABLE 2

/**
 * Out-of-band data on a socket, or what else the kernel calls priority (EPOLLPRI).
 */
#define LOOP_PRIORITY 4

/**
 * Both directions are down. Told to whoever asks for anything. Alone in a mask it asks for nothing
 * but this and LOOP_ERROR: for who neither reads nor writes, and wants to know of the end.
 */
#define LOOP_HANGUP 8

/**
 * An error is pending (getsockopt SO_ERROR tells which). Told to whoever asks for anything.
 */
#define LOOP_ERROR 16

/**
 * The peer has shut down its writing: what it sent can still be read. Only if asked for.
 */
#define LOOP_READ_CLOSED 32

/**
 * The library has found out that the descriptor was closed, or that its number means another file by
 * now. Only if asked for, also by a watcher that is paused otherwise. Told once, alone; what is left
 * to do is loop_cancel.
 */
#define LOOP_CLOSED 64

/**
 * Edge-triggered: called when something new happens, not while it lasts; read and write until
 * EAGAIN. Such a watcher shares its descriptor with no other: LOOP_EBUSY. Every
 * loop_watch_update reports anew what stands.
 */
#define LOOP_EDGE 256

/**
 * Called once, then paused (its mask is 0) until loop_watch_update.
 */
#define LOOP_ONESHOT 512

/**
 * If the kernel cannot watch the descriptor (a regular file, a directory, /dev/null), it
 * counts as ready once every turn, as poll(2) has it; the loop does not wait meanwhile.
 * Without this flag such a descriptor is -EPERM. The library asks before each call whether the number
 * still means the same file, by its device and inode: the same file opened a second time under the
 * same number is not told from the first.
 */
#define LOOP_ALWAYS 1024

/**
 * For loop_watch_update: tell the kernel in the call, and return what it says. (loop_watch_fd
 * always does.) It is not part of the mask.
 */
#define LOOP_NOW 2048

/**
 * Calls `cb` whenever `fd` is ready for what `events` asks for.
 *
 * The kernel is told at once, so that a bad descriptor is found out here. When the number
 * was closed and opened anew since older watchers were made on it, those fall silent.
 *
 * Returns the watcher's handle, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EMASK (unknown
 * bits), LOOP_EBUSY (see LOOP_EDGE), -EBADF (negative or closed), -EPERM (see LOOP_ALWAYS),
 * -ENOSPC (the system's limit of watched descriptors), -ELOOP (sets of descriptors nested too deeply),
 * -ENOMEM, LOOP_ELIMIT, LOOP_EWRONGTHREAD,
 * LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC. Loop's thread.
 */
loop_handle_t loop_watch_fd(loop_t *loop,
                            int fd,
                            uint32_t events,
                            loop_fd_cb cb,
                            void *arg);

/**
 * Gives a watcher another mask with its flags; 0 pauses it.
 *
 * What this takes away is not reported any more, not even if it happened already in this
 * turn. The kernel is told before the next wait, and only if something changed by then:
 * to change a mask back and forth costs no system call. A watcher that fired with
 * LOOP_ONESHOT is armed again.
 *
 * So 0 does not mean that the descriptor is still open. With LOOP_NOW in `events` the kernel is told
 * in the call, whether anything changed or not: -EBADF if the descriptor is closed, -ENOENT if its
 * number means another file by now. Then the watcher is silent until it is cancelled, and
 * loop_watch_fd watches the new file.
 *
 * Returns 0 or an error: LOOP_ESTALE, LOOP_EKIND, LOOP_EMASK, LOOP_EBUSY, -EPERM (an unwatchable
 * descriptor without LOOP_ALWAYS), -EBADF (the descriptor was closed meanwhile, and the library
 * knows; only loop_cancel is left), with LOOP_NOW also -ENOENT, or another
 * one. Loop's thread.
 */
int loop_watch_update(loop_t *loop,
                      loop_handle_t watch,
                      uint32_t events);

/**
 * A watcher's mask with its flags: 0 when it is paused. Or an error: LOOP_ESTALE, LOOP_EKIND,
 * -EBADF (the library knows that the descriptor was closed), or another one. Loop's thread.
 */
int loop_watch_events(loop_t *loop, loop_handle_t watch);

/*
 * ---- Operations ------------------------------------------------------------------------------
 *
 * An operation is done once and ends with one callback: LOOP_EVENT_DONE with its result. Its handle
 * is a source's like any other: loop_cancel ends it without a word, loop_set_release,
 * loop_set_name, loop_ref, loop_unref, loop_set_arg and loop_is_active work on it. Its time limit is
 * on the loop's clock: loop_reschedule gives it another one, and loop_remaining returns what is left. A test
 * runs a silent peer into its time limit without waiting: with LOOP_VIRTUAL_CLOCK, loop_run_once
 * with a limit moves the clock to the next deadline.
 *
 * As with a one-shot timer, the handle lives until the callback returns: inside it
 * loop_is_active is 0, and loop_cancel returns 0 and does nothing. loop_reschedule is LOOP_ESTALE there:
 * an operation cannot be repeated, make another one. No callback is called inside the call that
 * makes the operation.
 */

/**
 * Waits once for a descriptor, with a time limit.
 *
 * `events` is a mask as for loop_watch_fd, without LOOP_EDGE and LOOP_ONESHOT; a mask that asks for
 * nothing is refused. `timeout_ns`: nanoseconds from now, 0 for "at once or not at
 * all", negative for no limit. `cb` is called once with LOOP_EVENT_DONE, and `result` is one of:
 *
 * - the LOOP_READABLE... bits of what happened, exactly as a watcher would get them;
 * - -ETIMEDOUT: the time was over. What is ready by then wins, also if the time was over first;
 * - -EBADF: the descriptor was closed meanwhile, and the library has found out (see LOOP_CLOSED).
 *
 * Nothing is read or written, and the descriptor's flags stay as they are. Any number of waits
 * and watchers may share a descriptor; each gets its own bits. Cancel the wait before you close the
 * descriptor: the library does not always find out that you did. A wait
 * costs what a watcher and a timer cost: for a descriptor that is waited for all the time, a
 * watcher that is kept is cheaper.
 *
 * Returns the operation's handle, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EMASK, LOOP_EBUSY
 * (a LOOP_EDGE watcher has the descriptor), -EBADF, -EPERM (see LOOP_ALWAYS), -ENOSPC, -ELOOP, -ENOMEM,
 * LOOP_ELIMIT, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC. Loop's thread.
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
 * Hooks are called round the wait, for guests that have to be asked before the loop sleeps
 * (X11, ZeroMQ, GLib) and for your own housekeeping. They are cancelled, named and released
 * like every source, do not keep loop_run going, and may do whatever a callback may (one that
 * runs the loop is called again by that run: it has to end the recursion itself).
 * Hooks of one kind run in the order of their making; one that a hook adds runs from the
 * next time on.
 */

/**
 * Before every call that asks the kernel. Work that it makes ready keeps the wait from
 * blocking.
 */
#define LOOP_BEFORE_WAIT 1

/**
 * After every call that asked the kernel. What it schedules runs in this turn, after the
 * descriptors' callbacks.
 */
#define LOOP_AFTER_WAIT 2

/**
 * Before a wait that would block, after LOOP_BEFORE_WAIT: nothing is ready, there is time.
 * It does not make the loop spin.
 */
#define LOOP_WHEN_IDLE 3

/**
 * When a signal interrupted the wait, on the loop's thread, outside of the signal handler. In a
 * loop made with LOOP_PULL it may have no callback: then it is handed out as LOOP_EVENT_INTERRUPT.
 */
#define LOOP_ON_INTERRUPT 4

/**
 * Adds a hook.
 *
 * Returns its handle, or an error: -EINVAL for an unknown `when`, LOOP_ENULL,
 * LOOP_ENOCALLBACK, -ENOMEM, LOOP_ELIMIT, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED,
 * LOOP_EPANIC. Loop's thread.
 */
loop_handle_t loop_add_hook(loop_t *loop, uint32_t when, loop_cb cb, void *arg);

/*
 * ---- Other threads ---------------------------------------------------------------------------
 *
 * What other threads may call: the functions of this section, loop_stop, loop_stop_all, loop_clock
 * and loop_in_thread. With the loop itself they must be sure that it is not freed meanwhile; a
 * *remote* is a sender that may outlive it.
 */

/**
 * Runs a callback on the loop's thread, in the next turn: how another thread hands over a
 * result.
 *
 * Posts of one thread run in the order in which they were made; none is merged or dropped. A
 * waiting loop is woken, with one system call for a burst of posts, and none while it is
 * awake. `release` may be NULL; else it is called once with `arg` after the callback has run,
 * or by loop_free if it never ran. A post keeps loop_run going.
 *
 * Returns 0, or an error, and then nothing was taken and release is not called: LOOP_ENULL,
 * LOOP_ENOCALLBACK, LOOP_EFORKED, LOOP_ECLOSED, -ENOMEM. Any thread, the loop's own too; not
 * in signal handlers.
 */
int loop_call_soon_threadsafe(loop_t *loop, loop_cb cb, void *arg, loop_release_cb release);

/**
 * Ends the loop's wait: the turn goes on with what there is. If the loop does not wait now, the
 * next time it asks the kernel does not block.
 *
 * Several calls before that count as one. Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any
 * thread, signal handlers too; errno is left alone.
 */
int loop_wake(loop_t *loop);

/**
 * Makes a remote: a sender for other threads that may outlive the loop, after which it answers
 * LOOP_ECLOSED.
 *
 * Any number of threads may use one remote at once. As long as it exists it keeps loop_run
 * going: results may come. (In a forked child it does not: see loop_after_fork.) Returns NULL when the call is not allowed or there is no memory.
 * Loop's thread.
 */
loop_remote_t *loop_remote_new(loop_t *loop);

/**
 * Like loop_call_soon_threadsafe, through a remote; safe also while the loop is being freed, and
 * afterwards.
 *
 * Returns 0, or an error, and then nothing was taken and release is not called: LOOP_ENULL,
 * LOOP_ENOCALLBACK, LOOP_ECLOSED (the loop has been freed), LOOP_EFORKED, -ENOMEM. Any thread.
 */
int loop_remote_call_soon(loop_remote_t *remote, loop_cb cb, void *arg, loop_release_cb release);

/**
 * Frees a remote; its last use. Posts that it made are not affected. Returns 0 or LOOP_ENULL. Any
 * thread.
 */
int loop_remote_free(loop_remote_t *remote);

/*
 * ---- Embedding -------------------------------------------------------------------------------
 *
 * A host that owns the main loop (a game, a GUI, another event loop) gives the loop a
 * slice of it: it waits for loop_fd with whatever it waits with, and calls
 * loop_run_once(loop, 0) or loop_run_ready when the descriptor is readable, or when
 * loop_timeout is over. The descriptor alone is enough: it covers descriptors, posts,
 * ready work and due timers, so the host may wait for it without any limit.
 *
 * Between the calls of the host the loop is complete: once loop_fd has been called, a watcher
 * or timer that is made while the loop rests reaches the kernel in the call that makes it.
 * Inside a callback changes are collected until the callback's turn is over; a
 * callback that runs the host's main loop (a modal dialog) calls loop_flush first: nothing else
 * would wake the host for what the callback has changed. A run call that returns to a callback
 * leaves the loop complete as well, so in the dialog nothing more is needed. A release
 * function that is owed while the loop rests is work: the host is told.
 *
 * Watch the descriptor level-triggered (poll, select, EPOLLIN). A host that can only watch for
 * edges must call loop_run_once(loop, 0) until loop_timeout is not 0 and the call has run
 * nothing. It is an epoll set that contains another one: two of the five levels that Linux
 * allows. It may be readable once although there is nothing to do.
 */

/**
 * loop_event_t.kind: no source's event. The call ended before its time and has nothing to hand
 * out: loop_wake or loop_stop ended it, or callbacks ran. `handle` is 0, `arg` is NULL.
 */
#define LOOP_EVENT_WOKEN 0

/**
 * loop_event_t.kind: loop_call_soon or loop_call_soon_threadsafe without a callback.
 */
#define LOOP_EVENT_SOON 1

/**
 * loop_event_t.kind: loop_call_later or loop_call_at without a callback.
 */
#define LOOP_EVENT_TIMER 2

/**
 * loop_event_t.kind: loop_call_every without a callback; see `ticks`.
 */
#define LOOP_EVENT_TICK 3

/**
 * loop_event_t.kind: loop_watch_fd without a callback; see `fd` and `events`.
 */
#define LOOP_EVENT_FD 4

/**
 * loop_event_t.kind: an operation without a callback has ended; see `result` and `data`.
 */
#define LOOP_EVENT_DONE 14

/**
 * loop_event_t.kind: a LOOP_ON_INTERRUPT hook without a callback: a signal interrupted the wait.
 * The place where a language runs its own signal handlers.
 */
#define LOOP_EVENT_INTERRUPT 16

/**
 * A source that is ready, for loop_next_events: 64 bytes. What a kind does not use is 0 (`fd`: -1).
 */
typedef struct loop_event_t {
  /**
   * Which source it is.
   */
  loop_handle_t handle;
  /**
   * The source's argument.
   */
  void *arg;
  /**
   * LOOP_EVENT_SOON...; ignore kinds that you do not know.
   */
  uint32_t kind;
  /**
   * The descriptor of a LOOP_EVENT_FD, else -1.
   */
  int32_t fd;
  /**
   * What happened to it: LOOP_READABLE...
   */
  uint32_t events;
  /**
   * 0
   */
  uint32_t flags;
  /**
   * How many ticks a LOOP_EVENT_TICK stands for, else 0.
   */
  uint64_t ticks;
  /**
   * What a LOOP_EVENT_DONE came to, or a negative error code; else 0.
   */
  int64_t result;
  /**
   * What goes with the result, or NULL.
   */
  void *data;
  /**
   * 0
   */
  uint64_t reserved;
} loop_event_t;

/**
 * A descriptor that is readable when the loop has anything to do.
 *
 * It stays the same until loop_free, which closes it; do not close it, and do not read from
 * it. Calling this once is enough; the first call takes three more descriptors. Inside a
 * callback it does what loop_flush does. Returns it,
 * or an error: LOOP_ENULL, -ELOOP (sets of descriptors nested too deeply), -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, LOOP_EWRONGTHREAD, LOOP_EFORKED,
 * LOOP_ECLOSED, LOOP_EPANIC. Loop's thread.
 */
int loop_fd(loop_t *loop);

/**
 * How long a host may wait before it should run the loop, for hosts that wait with a time
 * limit: nanoseconds until the next timer, 0 when something is ready now (or a release is owed), LOOP_NEVER when no
 * timer is armed.
 *
 * Descriptors are not in it: those are loop_fd's to tell. Round up if you have to round. When
 * very many timers are due close together, it may be early, never late. Returns it, or an
 * error. Loop's thread.
 */
int64_t loop_timeout(loop_t *loop);

/**
 * Inside a callback, before a host's nested main loop: tells the kernel what changed, and
 * lets changes reach it at once until the loop's next turn.
 *
 * Outside of callbacks there is nothing to do. Returns 0, what the kernel says (-ENOMEM,
 * -ENOSPC), or another error. Loop's thread.
 */
int loop_flush(loop_t *loop);

/**
 * Sets a function that is called when work, or an earlier deadline, comes while no run is on
 * the stack: the place to wake the host (SDL_PushEvent, glfwPostEmptyEvent, PostMessage).
 *
 * It is called once, and then not before the next run has ended; on the thread that brought the
 * work (a signal handler's, if a signal handler calls loop_wake); never for descriptors, which
 * are loop_fd's to tell; never while the loop runs (but in a callback that has called loop_flush or
 * has run the loop it is as if that rested). It may call only loop_wake and the functions
 * that any thread may call. NULL takes it away; when this returns, the old one runs on no thread.
 *
 * A C++ exception may leave it: it passes to whoever brought the work, which is taken all the same,
 * or to the caller of the run that ends with work left. (If another exception is just passing
 * through that run, the program ends, as always in C++.)
 *
 * Returns 0, -ENOMEM, -EDEADLK inside the hook (on any of the threads that are inside it; where more
 * than eight are, on every thread), or another error. Loop's thread.
 */
int loop_set_wake_hook(loop_t *loop,
                       loop_wake_cb hook,
                       void *arg);

/**
 * Makes a loop that has been inherited by fork usable in the child.
 *
 * All its sources are there and go on in the child (those of the parent go on in the parent);
 * the kernel side is the child's own, under the same numbers, and the parent's is not disturbed.
 * What other threads were posting in the very moment of the fork stays the parent's. A loop that is
 * bound to a thread (LOOP_BOUND) is bound to the calling one from now on. A remote that was made
 * before works in the child, but keeps no loop_run going there: the thread that was to post is
 * the parent's. Only
 * this and loop_free work in a child before; everything else is LOOP_EFORKED. Returns 0 (also
 * when there was no fork), or an error: -EDEADLK (in the wake hook), LOOP_EWRONGTHREAD (another
 * thread was running the loop: it is in the middle of something for ever), -EAGAIN, -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, and the loop is as before.
 * The child's only thread.
 */
int loop_after_fork(loop_t *loop);

/**
 * Pull mode, for a loop made with LOOP_PULL: makes one turn like loop_run_once, but hands
 * sources without a callback out as plain structs.
 *
 * In such a loop every function that takes a callback takes NULL too (of the hooks only
 * LOOP_ON_INTERRUPT), and this function takes the place of the run functions, which are
 * LOOP_EPULL. Sources come in the order of the ready queue: those with a callback are called, the
 * others fill `events`, up to `capacity`, which may be more than the loop's `max_events`. What does
 * not fit, and what comes after a callback that is not at the front, is for the next call, which
 * then goes on without waiting; a cancel in between still holds. A level-triggered event that you
 * do not deal with comes again.
 *
 * A source of the batch may cancel another one of it, whose event is then void. Ask
 * loop_is_active before you deal with an event: it is 1 for a source that was handed out, and 0
 * once it has been cancelled, whatever its kind. A one-shot that was handed out is finished, and
 * its release function called, by the next call; until then its handle is valid, and a timer can be
 * armed again with loop_reschedule.
 *
 * Returns the number of events, or an error: -EINVAL when `capacity` is 0, LOOP_ENULL, LOOP_EPULL on
 * a loop without LOOP_PULL, and those of the run functions. 0 means that the time is over (with
 * `timeout_ns` 0: nothing was ready). A call that ends before that and has nothing to hand out
 * returns one event of the kind LOOP_EVENT_WOKEN. Threads as loop_run_forever.
 */
int loop_next_events(loop_t *loop,
                     struct loop_event_t *events,
                     size_t capacity,
                     int64_t timeout_ns);

/*
 * ---- Time ------------------------------------------------------------------------------------
 *
 * Times are nanoseconds of CLOCK_MONOTONIC, which counts from an arbitrary point and stops
 * while the machine is suspended; with LOOP_VIRTUAL_CLOCK or LOOP_MANUAL_CLOCK they are the
 * loop's own.
 */

/**
 * A microsecond.
 */
#define LOOP_US UINT64_C(1000)

/**
 * A millisecond: `20 * LOOP_MS`.
 */
#define LOOP_MS UINT64_C(1000000)

/**
 * A second.
 */
#define LOOP_SECOND UINT64_C(1000000000)

/**
 * Never, as a signed time.
 */
#define LOOP_NEVER INT64_MAX

/**
 * The time of this turn: the clock is read on first use in it and stays. Between runs it is
 * loop_clock. 0 when the call is not allowed. Loop's thread.
 */
uint64_t loop_now(loop_t *loop);

/**
 * The time, read now. 0 when the loop is NULL or freed in this callback. Any thread.
 */
uint64_t loop_clock(loop_t *loop);

/**
 * Moves a virtual or manual clock forward; what becomes due runs in the next turn.
 *
 * Returns 0, LOOP_ECLOCK on a loop whose clock is the system's, or another error. Loop's
 * thread, inside callbacks too.
 */
int loop_advance(loop_t *loop, uint64_t ns);

/*
 * ---- Errors and version ----------------------------------------------------------------------
 *
 * A negative number is an error in every function. What the system says is -errno (-EBADF,
 * -ENOMEM...); what the library finds has numbers from -20001 down. Nothing has changed
 * when a function returns an error, unless it says otherwise. No misuse ends the process.
 */

/**
 * The loop, or another pointer that is needed, is NULL.
 */
#define LOOP_ENULL -20001

/**
 * The callback is NULL.
 */
#define LOOP_ENOCALLBACK -20002

/**
 * The handle is finished, or was never given out by this loop.
 */
#define LOOP_ESTALE -20003

/**
 * The handle is of another kind of source.
 */
#define LOOP_EKIND -20004

/**
 * Unknown bits in an event mask.
 */
#define LOOP_EMASK -20005

/**
 * Unknown option flags, a size too small, or a part that must be zero is not.
 */
#define LOOP_EOPTIONS -20006

/**
 * Another thread runs this loop, or it is bound to another thread.
 */
#define LOOP_EWRONGTHREAD -20007

/**
 * An edge-triggered watcher shares its descriptor with no other.
 */
#define LOOP_EBUSY -20008

/**
 * A loop in pull mode is driven by loop_next_events alone, and other loops by the run functions.
 */
#define LOOP_EPULL -20009

/**
 * This process is a forked child, and the loop is its parent's.
 */
#define LOOP_EFORKED -20010

/**
 * The loop has been freed.
 */
#define LOOP_ECLOSED -20011

/**
 * A bug inside the library was caught; only loop_free works now.
 */
#define LOOP_EPANIC -20012

/**
 * More sources or nested runs than a loop can number.
 */
#define LOOP_ELIMIT -20013

/**
 * The loop's clock is the system's and cannot be advanced.
 */
#define LOOP_ECLOCK -20014

/**
 * The version of this header: LOOP_VERSION is 0xMMmmpp.
 */
#define LOOP_VERSION (((LOOP_VERSION_MAJOR << 16) | (LOOP_VERSION_MINOR << 8)) | LOOP_VERSION_PATCH)

/**
 * Only additions happen within a major version.
 */
#define LOOP_VERSION_MAJOR 0

/**
 * New functions, options and constants.
 */
#define LOOP_VERSION_MINOR 1

/**
 * Corrections.
 */
#define LOOP_VERSION_PATCH 0

/**
 * A sentence for a code, in English; for 0 and above "success". A static string, never
 * NULL. Any thread.
 */
const char *loop_strerror(int code);

/**
 * The name of a code, such as "LOOP_ESTALE" or "EBADF"; "OK" for 0 and above, "UNKNOWN" when there
 * is none. A static string, never NULL. Any thread.
 */
const char *loop_error_name(int code);

/**
 * The version of the library that is loaded, as LOOP_VERSION. Any thread.
 */
uint32_t loop_version(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* EVLOOP_H */
