// The rows of a call that stand together as one slot's.
#ifndef LMMC_KERNELS_REDUCTION_SLOT_RUNS_H
#define LMMC_KERNELS_REDUCTION_SLOT_RUNS_H
#include <stdint.h>

// Behind the last row of the run that begins at `start`.
static inline int64_t lmmc_run_end(const int32_t *slots, int64_t rows, int64_t start) {
  int64_t end = start;
  while (end < rows && slots[end] == slots[start]) end++;
  return end;
}

// Rows with negative tokens among start ... end - 1.
static inline int64_t lmmc_vision_rows(const int32_t *tokens, int64_t start, int64_t end) {
  int64_t count = 0;
  for (int64_t i = start; i < end; i++) count += tokens[i] < 0;
  return count;
}

// Whether a score `a` at row i is better than `b` at row j: greater, or equal and before it. NaN is below all others.
static inline int lmmc_is_better(float a, int64_t i, float b, int64_t j) {
  const float x = a == a ? a : -__builtin_inff(), y = b == b ? b : -__builtin_inff();
  return x > y || (x == y && i < j);
}

#endif
