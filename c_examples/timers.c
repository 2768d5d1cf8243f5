/* timers.c: one timer for each need. A time-out that every message puts off; a reminder for a
 * point in time, moved while it waits; a heartbeat that does not keep the program going. */
#include <evloop.h>
#include <stdio.h>

struct peer {
  loop_handle_t timeout, reminder;
  int messages;
};

static void on_timeout(loop_t *loop, void *arg) {
  struct peer *peer = arg;
  printf("time-out, after %d messages\n", peer->messages);
  loop_cancel(loop, peer->reminder); /* it may have fired: then this is LOOP_ESTALE */
}

static void on_reminder(loop_t *loop, void *arg) {
  struct peer *peer = arg;
  int64_t left = loop_remaining(loop, peer->timeout);
  puts(left > 0 ? "reminder: the time-out is still to come" : "reminder: the time-out is due");
}

/* Rescheduling is cheaper than a cancel and a new timer, and the handle stays. */
static void on_message(loop_t *loop, uint64_t ticks, void *arg) {
  struct peer *peer = arg;
  (void)ticks; /* 1 each time: no message is skipped, see LOOP_RUN_MISSED */
  printf("message %d\n", ++peer->messages);
  loop_reschedule(loop, peer->timeout, 200 * LOOP_MS);
  if (peer->messages == 3) loop_cancel(loop, loop_current(loop));
}

static void on_heartbeat(loop_t *loop, uint64_t ticks, void *arg) {
  (void)loop, (void)ticks, (void)arg; /* would tell somebody that the program is alive */
}

int main(void) {
  struct peer peer = {.messages = 0};
  loop_t *loop = loop_new();
  peer.timeout = loop_call_later(loop, 200 * LOOP_MS, on_timeout, &peer);
  loop_call_every(loop, 50 * LOOP_MS, 50 * LOOP_MS, LOOP_RUN_MISSED, on_message, &peer);

  uint64_t now = loop_clock(loop);
  peer.reminder = loop_call_at(loop, now + 5 * LOOP_SECOND, on_reminder, &peer);
  loop_reschedule_at(loop, peer.reminder, now + 175 * LOOP_MS); /* rather sooner */

  loop_handle_t heartbeat =
      loop_call_every(loop, 0, 10 * LOOP_MS, LOOP_SKIP_MISSED, on_heartbeat, NULL);
  loop_set_name(loop, heartbeat, "heartbeat");
  loop_unref(loop, heartbeat); /* loop_run does not wait for it to end */

  int result = loop_run(loop);
  printf("the heartbeat is %s\n", loop_is_active(loop, heartbeat) == 1 ? "still active" : "gone");
  loop_free(loop);
  return result < 0;
}
