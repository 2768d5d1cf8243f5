/* A malloc that counts, and has no memory where a test wants it so, before the
 * C library's, for the whole program: the loop's library included. The test
 * needs the link line "-rdynamic". Included by one file only. */
#ifndef EVLOOP_TESTS_COUNT_ALLOCATIONS_H
#define EVLOOP_TESTS_COUNT_ALLOCATIONS_H

#include <errno.h>
#include <malloc.h>
#include <string.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static struct {
  long calls;
  size_t live, peak;
  size_t largest_end; /* the largest block that was freed or moved */
  long asked;         /* how often memory was asked for, refused or not */
  long refuse_at;     /* from this time on, if not 0, it is refused... */
  long refusals;      /* ...so many times */
  long refused;
} heap;

static int is_refused(void) {
  heap.asked++;
  if (heap.refuse_at == 0 || heap.asked < heap.refuse_at || heap.refused >= heap.refusals) return 0;
  heap.refused++;
  errno = ENOMEM;
  return 1;
}

static void *taken(void *block) {
  heap.calls++;
  if (block != NULL) heap.live += malloc_usable_size(block);
  if (heap.live > heap.peak) heap.peak = heap.live;
  return block;
}

void *malloc(size_t size) { return is_refused() ? NULL : taken(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return is_refused() ? NULL : taken(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) {
  return is_refused() ? NULL : taken(__libc_memalign(alignment, size));
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  void *block = memalign(alignment, size);
  if (block == NULL) return ENOMEM;
  *out = block;
  return 0;
}

void free(void *block) {
  if (block == NULL) return;
  size_t size = malloc_usable_size(block);
  heap.calls++;
  heap.live -= size;
  if (size > heap.largest_end) heap.largest_end = size;
  __libc_free(block);
}

/* Always moves, as an allocator without mremap does, so that growing in place
 * is not what saves a table from stalling. */
void *realloc(void *block, size_t size) {
  void *bigger = malloc(size);
  if (bigger == NULL || block == NULL) return bigger;
  size_t old = malloc_usable_size(block);
  memcpy(bigger, block, old < size ? old : size);
  free(block);
  return bigger;
}

#endif
