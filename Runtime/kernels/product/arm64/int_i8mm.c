// 8-bit and 4-bit products with USMMLA, which multiplies two columns by two rows over eight consecutive k.
#include "kernels/product/piece.h"

#if defined(LMMC_ARM_EXTENSIONS)
#include "neon.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_I8MM)

// Eight codes of a row, then eight of the row `stride` bytes further on.
static inline int8x16_t two_rows(const uint8_t *x, int64_t stride) {
  return vcombine_s8(vld1_s8((const int8_t *)x), vld1_s8((const int8_t *)x + stride));
}

// `pairs` pairs of rows, or with `one` a single row, which stands for both rows of its pair.
static inline __attribute__((always_inline)) void product(const int pairs, const int one, const lmmc_piece *p) {
  const int64_t stride = p->x_stride, second = one ? 0 : stride;
  for (int64_t b = 0; b < p->blocks; b++) {
    for (int c = 0; c < LMMC_PANEL; c += 8) {
      const uint8_t *x = p->x + b * LMMC_BLOCK, *w = p->codes + b * lmmc_code_bytes(LMMC_Q8) + 4 * c;
      int32x4_t dots[4][4];  // [pairs of rows][pairs of columns], each [2 columns][2 rows]
      LMMC_UNROLL
      for (int r = 0; r < pairs; r++) dots[r][0] = dots[r][1] = dots[r][2] = dots[r][3] = vdupq_n_s32(0);
      LMMC_UNROLL
      for (int g = 0; g < LMMC_BLOCK / 4; g += 2) {
        uint8x16_t columns[4];
        LMMC_UNROLL
        for (int v = 0; v < 2; v++) {
          const ints a = load(w + 4 * LMMC_PANEL * g + 16 * v), next = load(w + 4 * LMMC_PANEL * (g + 1) + 16 * v);
          columns[2 * v] = vreinterpretq_u8_s32(vzip1q_s32(a, next));
          columns[2 * v + 1] = vreinterpretq_u8_s32(vzip2q_s32(a, next));
        }
        LMMC_UNROLL
        for (int r = 0; r < pairs; r++) {
          const int8x16_t rows = two_rows(x + 2 * r * stride, second);
          LMMC_UNROLL
          for (int v = 0; v < 4; v++) dots[r][v] = vusmmlaq_s32(dots[r][v], columns[v], rows);
        }
        x += 8;
        LMMC_OPAQUE(x);
      }
      LMMC_UNROLL
      for (int v = 0; v < 2; v++) {
        const floats scale = scales_at(p->scales + b * LMMC_PANEL + c + 4 * v);
        LMMC_UNROLL
        for (int r = 0; r < pairs; r++) {
          LMMC_UNROLL
          for (int i = 0; i < 2 - one; i++) {
            const int64_t row = 2 * r + i;
            const ints even = dots[r][2 * v], odd = dots[r][2 * v + 1];
            const ints sum = four_codes((const uint8_t *)(p->x_sums + b) + row * stride);
            const ints whole = subtract(i == 0 ? vuzp1q_s32(even, odd) : vuzp2q_s32(even, odd), shift_left(sum, 7));
            add_scaled(p->sums + row * LMMC_PANEL + c + 4 * v, whole,
                       times(scale, four_codes((const uint8_t *)(p->x_scales + b) + row * stride)));
          }
        }
      }
    }
  }
}

static void tile(int64_t rows, const lmmc_piece *p) {
  lmmc_piece rest = *p;
  const int64_t done = rows / 2 * 2;
  switch (rows / 2) {
    case 1: product(1, 0, p); break;
    case 2: product(2, 0, p); break;
    case 3: product(3, 0, p); break;
    case 4: product(4, 0, p); break;
    default: break;
  }
  if (rows == done) return;
  rest.x += done * p->x_stride;
  rest.x_sums = (const int32_t *)((const char *)p->x_sums + done * p->x_stride);
  rest.x_scales = (const float *)((const char *)p->x_scales + done * p->x_stride);
  rest.sums += done * LMMC_PANEL;
  product(1, 1, &rest);
}

const lmmc_product lmmc_q8_i8mm = {.tile_rows = 8, .tile_blocks = 8, .tile = tile, .stream_tile_rows = 2, .stream_rows = 2, .stream = tile};
const lmmc_product lmmc_q4_i8mm = {.tile_rows = 8, .tile_blocks = 8, .tile = tile, .unpack = unpack_q4, .unpacked_bytes = 2048};

LMMC_END_TARGET
#endif
