// How products and attention report to `--profile`: the time, the work and the bytes of each kind and shape.
#ifndef LMMC_KERNELS_COMMON_MEASURE_H
#define LMMC_KERNELS_COMMON_MEASURE_H
#include <stdint.h>

// One kind of operation at one shape. `columns` and `depth` are 0 where there are none.
typedef struct {
  const char *operation, *variant;  // string constants, compared by their text
  int64_t rows, columns, depth;
  // The result: f32 [rows, width], rows `stride` floats apart; not part of the key
  const float *out;
  int64_t width, stride;
} lmmc_profile_key;

// Both are weak, so that kernels link without the room that measures. The clock gives seconds, or 0 while nothing is measured. Only the
// thread that starts parallel regions reads it, outside of them.
extern double lmmc_profile_clock(void) __attribute__((weak));
extern void lmmc_profile_add(double begin, lmmc_profile_key key, double flops, double bytes) __attribute__((weak));

static inline double lmmc_profile_begin(void) { return lmmc_profile_clock ? lmmc_profile_clock() : 0; }

static inline void lmmc_profile_end(double begin, lmmc_profile_key key, double flops, double bytes) {
  if (begin > 0 && lmmc_profile_add) lmmc_profile_add(begin, key, flops, bytes);
}

#endif
