/* For functions that stand before the C library's own and pass the call on. */
#ifndef EVLOOP_TESTS_FIND_REAL_H
#define EVLOOP_TESTS_FIND_REAL_H

#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

/* Makes `real` the C library's function of that name. Any thread may come first. */
#define FIND_REAL(real, name)                               \
  do {                                                      \
    static void *_Atomic found;                             \
    void *function = found;                                 \
    if (function == NULL) {                                 \
      found = function = dlsym(RTLD_NEXT, name);            \
    }                                                       \
    memcpy(&real, &function, sizeof real);                  \
  } while (0)

/* What syscall(number, ...) was given: no call of the kernel has more than six. */
#define TAKE_ARGUMENTS(a, number)                           \
  do {                                                      \
    va_list list;                                           \
    va_start(list, number);                                 \
    for (int i = 0; i < 6; i++) (a)[i] = va_arg(list, long); \
    va_end(list);                                           \
  } while (0)

#endif
