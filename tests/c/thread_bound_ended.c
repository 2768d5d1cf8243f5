/* link: -lpthread */
/* A loop that is bound to a thread which has ended: the next thread, which mostly gets the old one's
 * address, may not use it; any may free it; and a forked child's only thread may adopt it. */
#define _GNU_SOURCE 1
#include "host_support.h"

static loop_t *loop;
static int runs, released;

static void *bind_here(void *arg) {
  loop = new_loop(LOOP_BOUND);
  CHECK_EQ(loop_in_thread(loop), 1);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_run_once(loop, 0), 1);
  loop_handle_t timer = loop_call_later(loop, MS(1), count_run, &runs); /* after the run: it must not fire there */
  CHECK(timer > 0);
  CHECK_EQ(loop_set_release(loop, timer, count_release), 0);
  CHECK_EQ(loop_set_arg(loop, timer, &released), 0);
  CHECK_EQ(loop_in_thread(loop), 1);
  return arg;
}

static uintptr_t address;

static void *note_address(void *arg) {
  address = (uintptr_t)pthread_self();
  return bind_here(arg);
}

static int sat_there;

static void *use_it(void *arg) {
  sat_there += (uintptr_t)pthread_self() == address;
  CHECK_EQ(loop_in_thread(loop), 0);
  CHECK_EQ(loop_call_soon(loop, count_run, &runs), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_run(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_is_running(loop), LOOP_EWRONGTHREAD);
  CHECK_EQ(loop_wake(loop), 0); /* which any thread may */
  /* A loop of its own does not make it the other's. */
  loop_t *own = new_loop(LOOP_BOUND);
  CHECK_EQ(loop_in_thread(own), 1);
  CHECK_EQ(loop_in_thread(loop), 0);
  CHECK_EQ(loop_call_later(loop, 0, count_run, &runs), LOOP_EWRONGTHREAD);
  free_loop(own);
  return arg;
}

static void *free_it(void *arg) {
  CHECK_EQ(loop_free(loop), 0);
  return arg;
}

TEST(the_next_thread_at_its_address_is_another_one) {
  for (int i = 0; i < 20; i++) {
    runs = released = 0;
    on_thread(note_address, NULL);
    on_thread(use_it, NULL);
    on_thread(use_it, NULL);
    use_it(NULL);
    if (i % 2) on_thread(free_it, NULL);
    if (i % 2 == 0) free_it(NULL);
    CHECK_EQ(runs, 1);
    CHECK_EQ(released, 1);
  }
  fprintf(stderr, "    %d threads sat at the address of the one before\n", sat_there);
}

static void *bind_two(void *arg) {
  loop_t **loops = arg;
  for (int i = 0; i < 3; i++) loops[i] = new_loop(LOOP_BOUND);
  CHECK_EQ(loop_free(loops[1]), 0);
  return NULL;
}

TEST(of_several_loops_each_can_be_freed) {
  loop_t *loops[3];
  on_thread(bind_two, loops);
  for (int i = 0; i < 3; i += 2) {
    CHECK_EQ(loop_in_thread(loops[i]), 0);
    CHECK_EQ(loop_has_work(loops[i]), LOOP_EWRONGTHREAD);
    CHECK_EQ(loop_free(loops[i]), 0);
  }
}

TEST(nobody_else_frees_it_while_the_thread_lives) {
  loop = new_loop(LOOP_BOUND);
  loop_t *mine = loop;
  CHECK_EQ(loop_free(mine), 0);
  loop = new_loop(LOOP_BOUND);
  pthread_t thread = start_thread(use_it, NULL);
  join_thread(thread);
  CHECK_EQ(loop_in_thread(loop), 1);
  free_loop(loop);
}

static void adopt(void) {
  runs = released = 0;
  CHECK_EQ(loop_call_soon(loop, count_run, &runs), LOOP_EFORKED);
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_in_thread(loop), 1);
  CHECK(loop_call_soon(loop, count_run, &runs) > 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(runs, 1);
  on_thread(use_it, NULL); /* bound to this thread now */
  CHECK_EQ(loop_in_thread(loop), 1);
  free_loop(loop);
}

static void free_without_adopting(void) { free_loop(loop); }

TEST(a_child_adopts_a_loop_that_is_bound_to_a_thread_which_has_ended) {
  on_thread(bind_here, NULL);
  in_child(adopt);
  in_child(free_without_adopting);
  CHECK_EQ(loop_in_thread(loop), 0);
  free_loop(loop);
}

static pthread_barrier_t bound, forked;

static void *bind_and_live(void *arg) {
  bind_here(arg);
  pthread_barrier_wait(&bound);
  pthread_barrier_wait(&forked);
  CHECK_EQ(loop_in_thread(loop), 1); /* of what happens in the child, nothing */
  free_loop(loop);
  return NULL;
}

TEST(a_child_adopts_a_loop_that_is_bound_to_a_thread_which_did_not_fork) {
  CHECK_EQ(pthread_barrier_init(&bound, NULL, 2), 0);
  CHECK_EQ(pthread_barrier_init(&forked, NULL, 2), 0);
  pthread_t thread = start_thread(bind_and_live, NULL);
  pthread_barrier_wait(&bound);
  in_child(adopt);
  in_child(free_without_adopting);
  CHECK_EQ(loop_free(loop), LOOP_EWRONGTHREAD);
  pthread_barrier_wait(&forked);
  join_thread(thread);
}

/* A remote whose thread is the parent's keeps no run of the child's going; it can still be used. */
static loop_remote_t *remote;

static void run_without_it(void) {
  runs = 0;
  CHECK_EQ(loop_after_fork(loop), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_remote_call_soon(remote, count_run, &runs, NULL), 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(runs, 1);
  loop_remote_t *own = loop_remote_new(loop);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_remote_free(own), 0);
  CHECK_EQ(loop_has_work(loop), 0);
  free_loop(loop);
}

TEST(an_inherited_remote_keeps_no_run_going) {
  loop = new_loop(0);
  remote = loop_remote_new(loop);
  in_child(run_without_it);
  CHECK_EQ(loop_has_work(loop), 1);
  CHECK_EQ(loop_remote_free(remote), 0);
  CHECK_EQ(loop_run(loop), 1);
  free_loop(loop);
}
