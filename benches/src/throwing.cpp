// C++ exceptions for a workload in C.
#include "throwing.h"

uint64_t caught;

void throw_number(uint64_t number) { throw number; }

void throw_and_catch(uint64_t number) {
  try {
    throw_number(number);
  } catch (uint64_t) {
    caught++;
  }
}

void call_and_catch(void (*function)(void *), void *arg) {
  try {
    function(arg);
  } catch (uint64_t) {
    caught++;
  }
}
