// Tiles of 8-bit and 4-bit products for any vector width. They take VECTORS vectors of columns at a time, with integer sums in registers
// and float sums in memory. A file that includes this defines, in code for its instruction set,
//   LANES, VECTORS      32-bit lanes of a vector, vectors of columns that are taken at a time
//   ints, floats        the vectors
//   ints zero(void), load(p), four_codes(p)    four_codes: the same four bytes in every lane
//   ints shift_left(x, n), add(a, b), subtract(a, b), multiply(a, b)
//   ints offsets_at(p)                  LANES bytes as integers
//   floats scales_at(p)                 LANES f16
//   void add_scaled(float *sums, ints dots, floats scale)    sums += dots * scale
//   floats times(floats scale, ints x)  scale times x, whose lanes hold the bits of floats
//   weights weights_at(p), ints dot(ints sum, weights, ints x)    dot: adds four products to each lane
//   DOT_UNSIGNED        1 where dot takes weight codes as they are stored, 128 too great, else 0
// and, with the macro TILE_Q4,
//   ints pairs(ints sum16, ints w, ints x)       adds sums of two products to each 16 bits
//   ints widen(ints sum16)                       adds neighbouring 16 bits to 32
//   ints lower_codes(ints pairs), upper_codes(ints pairs)    the lower, the upper half of each byte
#ifndef LMMC_KERNELS_PRODUCT_INT_TILE_H
#define LMMC_KERNELS_PRODUCT_INT_TILE_H
#include "piece.h"

enum { PART = LANES * VECTORS, PARTS = LMMC_PANEL / PART };

// With `ahead`, prefetches as a stream does.
static inline __attribute__((always_inline)) void product_q8(const int rows, const bool ahead, const lmmc_piece *p) {
  const int64_t stride = p->x_stride;
  for (int64_t b = 0; b < p->blocks; b++) {
    lmmc_ahead next = {0};
    if (ahead) next = lmmc_look_ahead(LMMC_Q8, p, b), LMMC_ASK_FOR(next.scales);
    for (int c = 0; c < LMMC_PANEL; c += PART) {
      const uint8_t *x = p->x + b * LMMC_BLOCK, *w = p->codes + b * lmmc_code_bytes(LMMC_Q8) + 4 * c;
      ints dots[8][VECTORS];
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const ints sum = four_codes((const uint8_t *)(p->x_sums + b) + r * stride);
        const ints start = DOT_UNSIGNED ? subtract(zero(), shift_left(sum, 7)) : zero();
        LMMC_UNROLL
        for (int v = 0; v < VECTORS; v++) dots[r][v] = start;
      }
      LMMC_UNROLL
      for (int g = 0; g < LMMC_BLOCK / 4; g++) {
        if (ahead && g % PARTS == 0) LMMC_ASK(next, (c / PART * (LMMC_BLOCK / 4) + g) / PARTS, LMMC_BLOCK / 4);
        weights four[VECTORS];
        LMMC_UNROLL
        for (int v = 0; v < VECTORS; v++) four[v] = weights_at(w + 4 * LMMC_PANEL * g + 4 * LANES * v);
        LMMC_UNROLL
        for (int r = 0; r < rows; r++) {
          const ints codes = four_codes(x + r * stride);
          LMMC_UNROLL
          for (int v = 0; v < VECTORS; v++) dots[r][v] = dot(dots[r][v], four[v], codes);
        }
        x += 4;
        LMMC_OPAQUE(x);
      }
      LMMC_UNROLL
      for (int v = 0; v < VECTORS; v++) {
        const floats scale = scales_at(p->scales + b * LMMC_PANEL + c + LANES * v);
        LMMC_UNROLL
        for (int r = 0; r < rows; r++)
          add_scaled(p->sums + r * LMMC_PANEL + c + LANES * v, dots[r][v],
                     times(scale, four_codes((const uint8_t *)(p->x_scales + b) + r * stride)));
      }
    }
  }
}

static inline __attribute__((always_inline)) void tile_q8(const int rows, const lmmc_piece *p) { product_q8(rows, false, p); }
static inline __attribute__((always_inline)) void stream_q8(const int rows, const lmmc_piece *p) { product_q8(rows, true, p); }

#ifdef TILE_Q4
// Codes q in 0 ... 15, unpacked to bytes or, with `packed`, as a stream reads them. 16 bits hold the sums of half a block, at most
// 8 * 2 * 15 * 127. A weight is 8 q - z.
static inline __attribute__((always_inline)) void product_q4(const int rows, const bool packed, const lmmc_piece *p) {
  const int64_t stride = p->x_stride;
  for (int64_t b = 0; b < p->blocks; b++) {
    lmmc_ahead next = {0};
    if (packed) next = lmmc_look_ahead(LMMC_Q4, p, b), LMMC_ASK_FOR(next.scales), LMMC_ASK_FOR(next.offsets);
    for (int c = 0; c < LMMC_PANEL; c += PART) {
      const uint8_t *x = p->x + b * LMMC_BLOCK, *w = p->codes + b * lmmc_code_bytes(packed ? LMMC_Q4 : LMMC_Q8) + 4 * c;
      ints dots[8][VECTORS];
      LMMC_UNROLL
      for (int half = 0; half < 2; half++) {
        ints narrow[8][VECTORS];
        LMMC_UNROLL
        for (int r = 0; r < rows; r++) {
          LMMC_UNROLL
          for (int v = 0; v < VECTORS; v++) narrow[r][v] = zero();
        }
        LMMC_UNROLL
        for (int g = 8 * half; g < 8 * half + 8; g++) {
          if (packed && g % PARTS == 0) LMMC_ASK(next, (c / PART * (LMMC_BLOCK / 4) + g) / PARTS, LMMC_BLOCK / 4);
          ints four[VECTORS];
          LMMC_UNROLL
          for (int v = 0; v < VECTORS; v++) {
            if (packed) {
              const ints pair = load(w + 4 * LMMC_PANEL * (g / 2) + 4 * LANES * v);
              four[v] = g % 2 ? upper_codes(pair) : lower_codes(pair);
            } else {
              four[v] = load(w + 4 * LMMC_PANEL * g + 4 * LANES * v);
            }
          }
          LMMC_UNROLL
          for (int r = 0; r < rows; r++) {
            const ints codes = four_codes(x + r * stride);
            LMMC_UNROLL
            for (int v = 0; v < VECTORS; v++) narrow[r][v] = pairs(narrow[r][v], four[v], codes);
          }
          x += 4;
          LMMC_OPAQUE(x);
        }
        LMMC_UNROLL
        for (int r = 0; r < rows; r++) {
          LMMC_UNROLL
          for (int v = 0; v < VECTORS; v++) dots[r][v] = half ? add(dots[r][v], widen(narrow[r][v])) : widen(narrow[r][v]);
        }
      }
      LMMC_UNROLL
      for (int v = 0; v < VECTORS; v++) {
        const floats scale = scales_at(p->scales + b * LMMC_PANEL + c + LANES * v);
        const ints offset = offsets_at(p->offsets + b * LMMC_PANEL + c + LANES * v);
        LMMC_UNROLL
        for (int r = 0; r < rows; r++) {
          const ints sum = four_codes((const uint8_t *)(p->x_sums + b) + r * stride);
          add_scaled(p->sums + r * LMMC_PANEL + c + LANES * v, subtract(shift_left(dots[r][v], 3), multiply(offset, sum)),
                     times(scale, four_codes((const uint8_t *)(p->x_scales + b) + r * stride)));
        }
      }
    }
  }
}
static inline __attribute__((always_inline)) void tile_q4(const int rows, const lmmc_piece *p) { product_q4(rows, false, p); }
static inline __attribute__((always_inline)) void stream_q4(const int rows, const lmmc_piece *p) { product_q4(rows, true, p); }
#endif

#endif
