/* What the soak test measures: memory and descriptors, which must not grow once
 * the load is steady, and how late timers are. */
#ifndef EVLOOP_TESTS_SOAK_SUPPORT_H
#define EVLOOP_TESTS_SOAK_SUPPORT_H

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include "check.h"

struct sample {
  size_t heap, resident; /* bytes */
  long descriptors;      /* but for those of connections */
};

static size_t heap_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static size_t resident_memory(void) {
  unsigned long size, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL);
  CHECK_EQ(fscanf(file, "%lu %lu", &size, &resident), 2);
  fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static long open_descriptors(void) {
  long count = -3; /* ".", "..", and the one that reads */
  DIR *folder = opendir("/proc/self/fd");
  CHECK(folder != NULL);
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

static struct sample take_sample(long connections) {
  struct sample sample = {heap_in_use(), resident_memory(), open_descriptors() - connections};
  return sample;
}

enum { SAMPLES = 24, WARM = SAMPLES / 3 };

static size_t largest(const struct sample *from, const struct sample *to, int is_heap) {
  size_t most = 0;
  for (; from < to; from++) {
    size_t bytes = is_heap ? from->heap : from->resident;
    if (bytes > most) most = bytes;
  }
  return most;
}

/* After the warm-up the second half of the time needs no more than the first did. */
static void check_growth(const char *who, const struct sample *all) {
  static const char *const names[] = {"resident", "heap"};
  static const size_t slack[] = {2 << 20, 256 << 10};
  const struct sample *middle = all + (WARM + SAMPLES) / 2;
  for (int is_heap = 0; is_heap < 2; is_heap++) {
    size_t before = largest(all + WARM, middle, is_heap), after = largest(middle, all + SAMPLES, is_heap);
    fprintf(stderr, "    %s: %s memory at most %zu KB, then %zu KB\n", who, names[is_heap], before >> 10, after >> 10);
    CHECK(after <= before + before / 50 + slack[is_heap]);
  }
  /* One: a timerfd, which the loop makes when it first needs it. */
  for (int i = WARM; i < SAMPLES; i++) CHECK(all[i].descriptors <= all[WARM].descriptors + 1);
}

/* How late, in buckets whose bounds grow by a sixteenth. */
static struct {
  long count, buckets[64 * 16];
  uint64_t worst;
} lateness;

static void note_lateness(uint64_t ns) {
  int bits = 63 - __builtin_clzll(ns | 16);
  int bucket = bits * 16 + (int)((ns >> (bits - 4)) & 15);
  lateness.buckets[bucket]++;
  lateness.count++;
  if (ns > lateness.worst) lateness.worst = ns;
}

/* At most so late were so many of a thousand, in microseconds. */
static double lateness_of(long per_mille) {
  long left = lateness.count * per_mille / 1000;
  for (int bucket = 0; bucket < 64 * 16; bucket++) {
    left -= lateness.buckets[bucket];
    if (left >= 0) continue;
    return (double)((UINT64_C(17) + (uint64_t)bucket % 16) << (bucket / 16 - 4)) / 1000;
  }
  return (double)lateness.worst / 1000;
}

static long setting(const char *name, long usual) {
  const char *text = getenv(name);
  return text != NULL && atol(text) > 0 ? atol(text) : usual;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* One time in so many. */
static int once_in(uint64_t times) { return next_random() % times == 0; }

#endif
