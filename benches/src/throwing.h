/* C++ exceptions for a workload in C; compiled with -fexceptions, they pass through it. */
#ifndef BENCH_THROWING_H
#define BENCH_THROWING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern uint64_t caught;
void throw_number(uint64_t number);
void throw_and_catch(uint64_t number);
void call_and_catch(void (*function)(void *), void *arg);

#ifdef __cplusplus
}
#endif

#endif
