/* dlopen.c LIBRARY: loads the library a thousand times, runs a loop of it each time, and unloads it.
 * Nothing is left behind: no mapping, descriptor, thread or memory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <evloop.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static int called;

static void on_time(loop_t *loop, void *arg) {
  (void)loop, (void)arg;
  called++;
}

/* A function of the library, whatever its type. */
static void find(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
}

static int use(const char *path) {
  loop_t *(*new_loop)(void);
  int (*free_loop)(loop_t *), (*run)(loop_t *);
  loop_handle_t (*call_later)(loop_t *, uint64_t, loop_cb, void *);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return puts(dlerror()), -1;
  find(library, "loop_new", &new_loop);
  find(library, "loop_free", &free_loop);
  find(library, "loop_run", &run);
  find(library, "loop_call_later", &call_later);
  loop_t *loop = new_loop();
  int ok = call_later(loop, 1000, on_time, NULL) > 0 && run(loop) == 1 && free_loop(loop) == 0;
  return dlclose(library) == 0 && ok ? 0 : -1;
}

static int entries(const char *folder) {
  int count = 0;
  DIR *entries = opendir(folder);
  while (readdir(entries) != NULL) count++;
  closedir(entries);
  return count;
}

static int mappings(void) {
  int lines = 0, c;
  FILE *file = fopen("/proc/self/maps", "r");
  while ((c = getc(file)) != EOF) lines += c == '\n';
  fclose(file);
  return lines;
}

int main(int argc, char **argv) {
  int before[3] = {0, 0, 0};
  size_t memory = 0;
  for (int i = 0; i < 1000; i++) {
    if (argc < 2 || use(argv[1]) < 0) return 1;
    if (i == 100) { /* warm: the allocator keeps what it has been given back */
      before[0] = entries("/proc/self/fd");
      before[1] = entries("/proc/self/task");
      before[2] = mappings();
      memory = mallinfo2().uordblks;
    }
  }
  int after[3] = {entries("/proc/self/fd"), entries("/proc/self/task"), mappings()};
  size_t memory_after = mallinfo2().uordblks;
  printf("%d callbacks; descriptors %d and %d, threads %d and %d, mappings %d and %d, ", called,
         before[0], after[0], before[1], after[1], before[2], after[2]);
  printf("memory %zu and %zu\n", memory, memory_after);
  return called != 1000 || memcmp(before, after, sizeof before) != 0 || memory_after > memory;
}
