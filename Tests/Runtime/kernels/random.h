// Random numbers for the tests of kernels, the same in every run.
#ifndef RANDOM_H
#define RANDOM_H
#include <stdint.h>

static uint64_t random_state = 88172645463325252u;
static inline uint32_t random_bits(void) {
  random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 32);
}
static inline float random_float(void) { return (float)(int32_t)random_bits() / 2147483648.0f; }  // in [-1, 1)
static inline int random_between(int low, int high) { return low + (int)(random_bits() % (uint32_t)(high - low + 1)); }

#endif
