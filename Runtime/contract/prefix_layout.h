// The tokens that every prompt begins with, and their keys and values: a part of the attachment that the compiler lays out and the finished
// program computes once, when it is compiled.
#ifndef LMMC_CONTRACT_PREFIX_LAYOUT_H
#define LMMC_CONTRACT_PREFIX_LAYOUT_H
#include <stdint.h>

enum { LMMC_PREFIX_ARITHMETIC = 504, LMMC_PREFIX_ALIGNMENT = 64 };

// Little-endian. Behind it stand the tokens, i32 [count], and from the next multiple of the alignment on the rows of each cache, in the
// order of `lmmc_model.caches`: `count` of them, as they stand in a slot.
struct lmmc_prefix_header {
  int32_t count, zero;
  char arithmetic[LMMC_PREFIX_ARITHMETIC];  // that the rows were computed by, zeros behind it; all zeros: they were not
};

// Bytes before the rows.
static inline uint64_t lmmc_prefix_rows(uint64_t count) {
  const uint64_t bytes = sizeof(struct lmmc_prefix_header) + 4 * count;
  return (bytes + LMMC_PREFIX_ALIGNMENT - 1) / LMMC_PREFIX_ALIGNMENT * LMMC_PREFIX_ALIGNMENT;
}

#endif
