/* link: -rdynamic */
/* Laws 6 and 10: room for a release is made when it is promised, and stays. A loop that gives
 * memory back while it runs must not give that back: where no memory is left, each source is
 * cancelled and released all the same. */
#define _GNU_SOURCE 1
#include "check.h"
#include "count_allocations.h"

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

enum { SOURCES = 20000, TURNS = 64 * 500, NO_END = 1000000000 };

static int released;

static void count_release(void *arg) {
  CHECK(arg == &released);
  released++;
}

static void never(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
  CHECK(!"a timer of a year's end is called");
}

static void nothing(loop_t *loop, void *arg) { (void)loop, (void)arg; }

TEST(the_room_for_promised_releases_is_not_given_back) {
  static loop_handle_t handles[SOURCES];
  loop_t *loop = loop_new();
  CHECK(loop != NULL);
  for (int i = 0; i < SOURCES; i++) {
    handles[i] = loop_call_at(loop, UINT64_MAX - 1, never, &released);
    CHECK_EQ(loop_set_release(loop, handles[i], count_release), 0);
  }
  /* Long after the burst: memory is looked through once in 64 turns. */
  for (int i = 0; i < TURNS; i++) {
    CHECK(loop_call_soon(loop, nothing, NULL) > 0);
    CHECK_EQ(loop_run_once(loop, 0), 1);
  }
  heap.asked = heap.refused = 0;
  heap.refusals = NO_END;
  heap.refuse_at = 1; /* from now on there is no memory */
  for (int i = 0; i < SOURCES; i++) CHECK_EQ(loop_cancel(loop, handles[i]), 0);
  heap.refuse_at = 0;
  CHECK_EQ(heap.refused, 0); /* and none was asked for */
  CHECK_EQ(released, 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(released, SOURCES);
  CHECK_EQ(loop_free(loop), 0);
  CHECK_EQ(released, SOURCES);
}
