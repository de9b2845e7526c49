// Places of entries by their size. Without memory of its own: each entry is compared with all others.
#ifndef LMMC_KERNELS_REDUCTION_RANKS_H
#define LMMC_KERNELS_REDUCTION_RANKS_H
#include <stdint.h>

#include "slot_runs.h"

// How many of `values` are better than entry i, counted up to `limit`.
static inline int64_t lmmc_rank(const float *values, int64_t count, int64_t i, int64_t limit) {
  int64_t better = 0;
  for (int64_t j = 0; j < count && better < limit; j++) better += lmmc_is_better(values[j], j, values[i], i);
  return better;
}

// The best `rows` of `values`, from the best on.
static inline void lmmc_best(const float *values, int64_t count, int64_t rows, int32_t *list) {
  for (int64_t i = 0; i < count; i++) {
    const int64_t rank = lmmc_rank(values, count, i, rows);
    if (rank < rows) list[rank] = (int32_t)i;
  }
}

static inline int lmmc_holds(const int32_t *list, int64_t count, int64_t entry) {
  for (int64_t i = 0; i < count; i++)
    if (list[i] == entry) return 1;
  return 0;
}

#endif
