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

// Up to 7 rows by 32 columns. Registers would hold 14, but rows are often a multiple of 4 KiB apart, so that those of a tile share a set of
// the L1 cache, which has 8 lines on Zen 4: 14 rows took a fifth longer there. A sum is one chain over the pairs of K, by whichever number
// of rows: for a single row that takes a third of the time in which memory delivers the weights.
static inline __attribute__((always_inline)) void product(const int rows, const bool ahead, const lmmc_piece *p) {
  __m512 sums[7][2];
  const uint8_t *x = p->x, *w = p->codes;
  const int64_t stride = p->x_stride;
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    sums[r][0] = _mm512_loadu_ps(p->sums + r * LMMC_PANEL);
    sums[r][1] = _mm512_loadu_ps(p->sums + r * LMMC_PANEL + 16);
  }
  for (int64_t b = 0; b < p->blocks; b++) {
    lmmc_ahead next = {0};
    if (ahead) next = lmmc_look_ahead(LMMC_BF16, p, b);
    for (int j = 0; j < LMMC_BLOCK / 2; j++, x += 4, w += 4 * LMMC_PANEL) {
      if (ahead) LMMC_ASK(next, j, LMMC_BLOCK / 2);
      const __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 64);
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const __m512bh pair = pair_at(x + r * stride);
        sums[r][0] = _mm512_dpbf16_ps(sums[r][0], w0, pair);
        sums[r][1] = _mm512_dpbf16_ps(sums[r][1], w1, pair);
      }
    }
  }
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL, sums[r][0]);
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL + 16, sums[r][1]);
  }
}

static inline __attribute__((always_inline)) void tile(const int rows, const lmmc_piece *p) { product(rows, false, p); }
LMMC_UP_TO_7(tile)

static inline __attribute__((always_inline)) void stream(const int rows, const lmmc_piece *p) { product(rows, true, p); }
LMMC_UP_TO_7(stream)

const lmmc_product lmmc_bf16_avx512bf16 = {
    .tile_rows = 7, .tile_blocks = 6, .tile = tile_rows, .stream_tile_rows = 7, .stream_rows = 48, .stream = stream_rows};

LMMC_END_TARGET
#endif
