// What the 8-bit and 4-bit products with VPDPBUSD on 512 bits share.
#ifndef LMMC_KERNELS_PRODUCT_X86_64_AVX512VNNI_H
#define LMMC_KERNELS_PRODUCT_X86_64_AVX512VNNI_H
#include <immintrin.h>

#include "kernels/product/piece.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI)

static inline __m512i four_codes(const uint8_t *x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

// The tile of 8-bit products, which unpacked 4-bit weights go through as well.
lmmc_piece_kernel lmmc_tile_q8_avx512vnni;

LMMC_END_TARGET
#endif
