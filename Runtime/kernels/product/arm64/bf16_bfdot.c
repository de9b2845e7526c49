// bf16 products with BFDOT, which multiplies two consecutive k of 4 columns by the two activations.
#include "kernels/product/piece.h"

#if defined(LMMC_ARM_EXTENSIONS)
#include "neon.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_BF16)

// Up to 4 rows by 16 columns at a time.
static inline __attribute__((always_inline)) void tile(const int rows, const lmmc_piece *p) {
  const int64_t stride = p->x_stride;
  for (int c = 0; c < LMMC_PANEL; c += 16) {
    const uint8_t *x = p->x, *w = p->codes + 4 * c;
    float32x4_t sums[4][4];
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      LMMC_UNROLL
      for (int v = 0; v < 4; v++) sums[r][v] = vld1q_f32(p->sums + r * LMMC_PANEL + c + 4 * v);
    }
    for (int64_t j = 0; j < p->blocks * (LMMC_BLOCK / 2); j++, x += 4, w += 4 * LMMC_PANEL) {
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const bfloat16x8_t pair = vreinterpretq_bf16_s32(four_codes(x + r * stride));
        LMMC_UNROLL
        for (int v = 0; v < 4; v++) sums[r][v] = vbfdotq_f32(sums[r][v], vreinterpretq_bf16_s32(load(w + 16 * v)), pair);
      }
    }
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      LMMC_UNROLL
      for (int v = 0; v < 4; v++) vst1q_f32(p->sums + r * LMMC_PANEL + c + 4 * v, sums[r][v]);
    }
  }
}

LMMC_UP_TO_4(tile)

const lmmc_product lmmc_bf16_bfdot = {.tile_rows = 4, .tile_blocks = 6, .tile = tile_rows};

LMMC_END_TARGET
#endif
