// Rows of a cache of keys or values in bf16 or int8. They are written here and read by attention.
#ifndef LMMC_KERNELS_ROWS_CACHE_ROWS_H
#define LMMC_KERNELS_ROWS_CACHE_ROWS_H
#include <stdint.h>
#include <string.h>

#include "base/parallel.h"
#include "contract/packed_layout.h"
#include "kernels/common/half_floats.h"

// The places that `count` rows take in the caches of their slots: behind the rows that are there and the earlier ones of the same slot.
// lengths [slots] grow by the rows.
static inline void lmmc_reserve(int64_t count, const int32_t *slots, int32_t *lengths, int32_t *places) {
  for (int64_t i = 0; i < count; i++) places[i] = lengths[slots[i]]++;
}

static inline void lmmc_store_row_bf16(int64_t n, const float *x, uint16_t *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_bf16(x[i]);
}

// x -> [heads * head_size] int8 codes in -127 ... 127, then [heads] float scales: x ~ scale * code, and the greatest magnitude of a head
// has the code 127 or -127. A head with a NaN or an infinity gets that as its scale, so that none of its values reads as finite.
static inline void lmmc_store_row_i8(int64_t heads, int64_t head_size, const float *x, void *out) {
  int8_t *codes = out;
  for (int64_t h = 0; h < heads; h++, x += head_size, codes += head_size) {
    // The bits of magnitudes, compared as integers, have the order of the magnitudes, with NaN above infinity.
    int32_t most = 0;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < head_size; i++) {
      int32_t bits;
      memcpy(&bits, x + i, sizeof bits);
      bits &= 0x7fffffff;
      most = bits > most ? bits : most;
    }
    float amax;
    memcpy(&amax, &most, sizeof amax);
    // Below 1e-30 the inverse would leave the range of floats; such a head is zero.
    const float scale = amax < 1e-30f ? 0 : amax / 127, inverse = amax >= 1e-30f && amax <= 3.4028234e38f ? 127 / amax : 0;
#pragma omp simd
    for (int64_t i = 0; i < head_size; i++) {
      // The sum with 1.5 * 2^23 rounds to an integer, ties to even, and leaves it in the low bits.
      const float shifted = (inverse > 0 ? x[i] : 0) * inverse + 12582912.0f;
      int32_t bits;
      memcpy(&bits, &shifted, sizeof bits);
      codes[i] = (int8_t)bits;
    }
    memcpy((int8_t *)out + heads * head_size + h * (int64_t)sizeof scale, &scale, sizeof scale);
  }
}

#endif
