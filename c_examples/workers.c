/* workers.c [count]: four threads count primes and hand their results over to the loop's thread,
 * which adds them up without a lock. A remote keeps loop_run going until it is freed, so the run
 * ends by itself after the last result. With a count it is stopped after so many; what is on its
 * way then is not delivered, but released. */
#include <err.h>
#include <evloop.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 4, END = 200000, PART = 1000 };

struct result {
  long primes;
  bool delivered;
};

static atomic_long next_part;                       /* what the workers share */
static long wanted, primes, delivered, undelivered; /* the main thread's alone: it runs the loop */

static void on_result(loop_t *loop, void *arg) {
  struct result *result = arg;
  result->delivered = true;
  primes += result->primes;
  if (++delivered == wanted) loop_stop(loop); /* after this turn */
}

/* Called once for each result that the loop has taken: after on_result, or by loop_free. */
static void release_result(void *arg) {
  struct result *result = arg;
  if (!result->delivered) undelivered++;
  free(result);
}

static struct result *count_primes(long from, long to) {
  struct result *result = calloc(1, sizeof *result);
  if (result == NULL) err(1, "result");
  for (long number = from < 2 ? 2 : from; number < to; number++) {
    long divisor = 2;
    while (divisor * divisor <= number && number % divisor != 0) divisor++;
    if (divisor * divisor > number) result->primes++;
  }
  return result;
}

/* On a thread of its own. The loop may be freed meanwhile: the remote is still good then. */
static void *work(void *arg) {
  loop_remote_t *remote = arg;
  int code = 0;
  while (code == 0) {
    long from = PART * atomic_fetch_add(&next_part, 1);
    if (from >= END) break;
    struct result *result = count_primes(from, from + PART);
    code = loop_remote_call_soon(remote, on_result, result, release_result);
    if (code < 0) free(result); /* LOOP_ECLOSED: it was not taken, so it is still ours */
  }
  loop_remote_free(remote);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[WORKERS];
  wanted = argc > 1 ? atol(argv[1]) : 0;
  loop_t *loop = loop_new();
  for (int i = 0; i < WORKERS; i++) {
    loop_remote_t *remote = loop_remote_new(loop);
    if (remote == NULL) errx(1, "no remote");
    if (pthread_create(&threads[i], NULL, work, remote) != 0) errx(1, "no thread");
  }
  int result = loop_run(loop); /* until the last remote is freed, or loop_stop */
  loop_free(loop);             /* workers may be posting right now */
  for (int i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
  printf("%ld primes, %ld results, %ld not delivered\n", primes, delivered, undelivered);
  return result < 0;
}
