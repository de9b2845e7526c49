// What `--profile` measures: time, work and bytes of each kind and shape of product and attention.
#ifndef LMMC_KERNELS_COMMON_MEASURE_H
#define LMMC_KERNELS_COMMON_MEASURE_H
#include <stdint.h>

// One kind of operation at one shape. `columns` and `depth` are 0 where there are none.
typedef struct {
  const char *operation, *variant;  // constants: compared by what they say
  int64_t rows, columns, depth;
  // What it gave: f32 [rows, width], rows `stride` floats apart; not part of the key
  const float *out;
  int64_t width, stride;
} lmmc_profile_key;

// Both are weak, so that kernels link without them. The clock gives seconds, 0 while nothing is measured; it is read by the thread that
// starts parallel regions, outside of them.
extern double lmmc_profile_clock(void) __attribute__((weak));
extern void lmmc_profile_add(double begin, lmmc_profile_key key, double flops, double bytes) __attribute__((weak));

static inline double lmmc_profile_begin(void) { return lmmc_profile_clock ? lmmc_profile_clock() : 0; }

static inline void lmmc_profile_end(double begin, lmmc_profile_key key, double flops, double bytes) {
  if (begin > 0 && lmmc_profile_add) lmmc_profile_add(begin, key, flops, bytes);
}

#endif
