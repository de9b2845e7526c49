// bf16 products with VDPBF16PS on 512 bits, which multiplies two consecutive k of 16 columns by the two activations.
#include "kernels/product/piece.h"

#if defined(__x86_64__)
#include <immintrin.h>
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512BF16)

static inline __m512bh pair_at(const uint8_t *x) {
  int32_t pair;
  memcpy(&pair, x, sizeof pair);
  return (__m512bh)_mm512_set1_epi32(pair);
}

// Up to 14 rows by 32 columns: 28 registers of sums, two of weights, one of activations.
static inline __attribute__((always_inline)) void tile(const int rows, const lmmc_piece *p) {
  __m512 sums[14][2];
  const uint8_t *x = p->x, *w = p->codes;
  const int64_t stride = p->x_stride;
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    sums[r][0] = _mm512_loadu_ps(p->sums + r * LMMC_PANEL);
    sums[r][1] = _mm512_loadu_ps(p->sums + r * LMMC_PANEL + 16);
  }
  for (int64_t j = 0; j < p->blocks * (LMMC_BLOCK / 2); j++, x += 4, w += 4 * LMMC_PANEL) {
    const __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 64);
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      const __m512bh pair = pair_at(x + r * stride);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], w0, pair);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], w1, pair);
    }
  }
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL, sums[r][0]);
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL + 16, sums[r][1]);
  }
}

LMMC_UP_TO_14(tile)

// For few rows even and odd pairs have sums of their own, so that fewer additions wait for one another.
static inline __attribute__((always_inline)) void stream(const int rows, const lmmc_piece *p) {
  __m512 sums[4][4];
  const uint8_t *x = p->x, *w = p->codes;
  const int64_t stride = p->x_stride;
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = sums[r][2] = sums[r][3] = _mm512_setzero_ps();
  for (int64_t j = 0; j < p->blocks * (LMMC_BLOCK / 4); j++, x += 8, w += 8 * LMMC_PANEL) {
    __m512bh part[4];
    LMMC_UNROLL
    for (int i = 0; i < 4; i++) {
      part[i] = (__m512bh)_mm512_loadu_si512(w + 64 * i);
      _mm_prefetch((const char *)w + LMMC_AHEAD + 64 * i, _MM_HINT_T0);
    }
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      const __m512bh even = pair_at(x + r * stride), odd = pair_at(x + r * stride + 4);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], part[0], even);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], part[1], even);
      sums[r][2] = _mm512_dpbf16_ps(sums[r][2], part[2], odd);
      sums[r][3] = _mm512_dpbf16_ps(sums[r][3], part[3], odd);
    }
  }
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL, _mm512_add_ps(sums[r][0], sums[r][2]));
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL + 16, _mm512_add_ps(sums[r][1], sums[r][3]));
  }
}

LMMC_UP_TO_4(stream)

const lmmc_product lmmc_bf16_avx512bf16 = {.tile_rows = 14, .tile_blocks = 6, .tile = tile_rows, .stream_rows = 4, .stream = stream_rows};

LMMC_END_TARGET
#endif
