/* Where every field of every public struct lies, on every 64-bit machine: for whoever compiles
 * this, also where the tests cannot run. tests/abi.rs checks that none is missing here. */
#define _GNU_SOURCE 1
#include <stddef.h>

#include "check.h"

#define PLACE(type, field, offset, kind)                               \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field); \
  _Static_assert(_Generic(((type *)0)->field, kind: 1, default: 0), #type "." #field);
#define SIZE(type, size)                         \
  _Static_assert(sizeof(type) == (size), #type); \
  _Static_assert(_Alignof(type) == 8, #type);

PLACE(loop_options_t, size, 0, uint32_t)
PLACE(loop_options_t, flags, 4, uint32_t)
PLACE(loop_options_t, poll_gap_ns, 8, uint64_t)
PLACE(loop_options_t, max_events, 16, uint32_t)
PLACE(loop_options_t, reserved, 20, uint32_t)
PLACE(loop_options_t, virtual_start_ns, 24, uint64_t)
SIZE(loop_options_t, 32)

PLACE(loop_event_t, handle, 0, int64_t)
PLACE(loop_event_t, arg, 8, void *)
PLACE(loop_event_t, kind, 16, uint32_t)
PLACE(loop_event_t, fd, 20, int32_t)
PLACE(loop_event_t, events, 24, uint32_t)
PLACE(loop_event_t, flags, 28, uint32_t)
PLACE(loop_event_t, ticks, 32, uint64_t)
PLACE(loop_event_t, result, 40, int64_t)
PLACE(loop_event_t, data, 48, void *)
PLACE(loop_event_t, reserved, 56, uint64_t)
SIZE(loop_event_t, 64)

_Static_assert(sizeof(loop_handle_t) == 8, "a handle is 64 bits");

/* The library writes an event where this program reads it. */
TEST(an_event_is_where_it_is_read) {
  loop_options_t options = {.size = sizeof options, .flags = LOOP_PULL};
  loop_event_t events[2];
  loop_t *loop = NULL;
  int arg;
  memset(events, 0xa5, sizeof events);
  CHECK_EQ(loop_new_with(&options, &loop), 0);
  loop_handle_t handle = loop_call_every(loop, 0, MS(3600000), LOOP_SKIP_MISSED, NULL, &arg);
  CHECK_EQ(loop_next_events(loop, events, 2, -1), 1);
  CHECK_EQ(events[0].handle, handle);
  CHECK(events[0].arg == &arg);
  CHECK_EQ(events[0].kind, LOOP_EVENT_TICK);
  CHECK_EQ(events[0].fd, -1);
  CHECK_EQ(events[0].events, 0);
  CHECK_EQ(events[0].flags, 0);
  CHECK_EQ(events[0].ticks, 1);
  CHECK_EQ(events[0].result, 0);
  CHECK(events[0].data == NULL);
  CHECK_EQ(events[0].reserved, 0);
  CHECK_EQ(events[1].ticks, UINT64_C(0xa5a5a5a5a5a5a5a5)); /* no byte too many */
  CHECK_EQ(loop_free(loop), 0);
}
