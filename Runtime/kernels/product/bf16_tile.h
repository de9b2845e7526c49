// bf16 products for sets without bf16 instructions: weights and activations are converted to floats, the weights once per piece.
// A file that includes this defines, in code for its instruction set,
//   LANES, VECTORS, ints, floats         as for int_tile.h
//   STREAM_TILE                          most rows of a stream's tile
//   floats as_floats(x)                  the same bits
//   ints four_codes(p)                   the same four bytes in every lane
//   ints load(p); void store_ints(p, x)
//   ints shift_left(x, n), upper_halves(x)
//   ints widen_bf16(p)                   LANES bf16 as the upper halves of integers
//   floats load_floats(p), spread(p)     LANES floats; one float in every lane
//   floats fused(a, b, c)                a * b + c
//   void store_floats(p, x)
#ifndef LMMC_KERNELS_PRODUCT_BF16_TILE_H
#define LMMC_KERNELS_PRODUCT_BF16_TILE_H
#include "piece.h"

enum { PART = LANES * VECTORS, FLOAT_BLOCKS = 3 };

// Converts codes to floats: [64 of K][32 columns] for each block.
static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  (void)offsets;
  for (int64_t i = 0; i < blocks * (LMMC_BLOCK / 2); i++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
    for (int v = 0; v < LMMC_PANEL / LANES; v++) {
      const ints pair = load(codes + 4 * LANES * v);
      store_ints(out + 4 * LANES * v, shift_left(pair, 16));
      store_ints(out + 4 * LMMC_PANEL + 4 * LANES * v, upper_halves(pair));
    }
}

static inline __attribute__((always_inline)) void tile(const int rows, const lmmc_piece *p) {
  float x[12][FLOAT_BLOCKS * LMMC_BLOCK] __attribute__((aligned(64)));
  const int64_t depth = p->blocks * LMMC_BLOCK;
  for (int r = 0; r < rows; r++)
    for (int64_t i = 0; i < depth; i += LANES) store_ints((uint8_t *)(x[r] + i), widen_bf16(p->x + r * p->x_stride + 2 * i));
  for (int c = 0; c < LMMC_PANEL; c += PART) {
    const float *w = (const float *)p->codes + c;
    floats sums[12][VECTORS];
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      LMMC_UNROLL
      for (int v = 0; v < VECTORS; v++) sums[r][v] = load_floats(p->sums + r * LMMC_PANEL + c + LANES * v);
    }
    for (int64_t i = 0; i < depth; i++, w += LMMC_PANEL) {
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const floats one = spread(x[r] + i);
        LMMC_UNROLL
        for (int v = 0; v < VECTORS; v++) sums[r][v] = fused(one, load_floats(w + LANES * v), sums[r][v]);
      }
    }
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      LMMC_UNROLL
      for (int v = 0; v < VECTORS; v++) store_floats(p->sums + r * LMMC_PANEL + c + LANES * v, sums[r][v]);
    }
  }
}

// For few rows, straight from the codes, all 32 columns at a time: the same sums in the same order.
static inline __attribute__((always_inline)) void stream(const int rows, const lmmc_piece *p) {
  enum { WHOLE = LMMC_PANEL / LANES };
  floats sums[STREAM_TILE][WHOLE];
  const uint8_t *x = p->x, *w = p->codes;
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    LMMC_UNROLL
    for (int v = 0; v < WHOLE; v++) sums[r][v] = load_floats(p->sums + r * LMMC_PANEL + LANES * v);
  }
  for (int64_t b = 0; b < p->blocks; b++) {
    const lmmc_ahead next = lmmc_look_ahead(LMMC_BF16, p, b);
    for (int j = 0; j < LMMC_BLOCK / 2; j++, x += 4, w += 4 * LMMC_PANEL) {
      LMMC_ASK(next, j, LMMC_BLOCK / 2);
      floats even[STREAM_TILE], odd[STREAM_TILE];
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const ints pair = four_codes(x + r * p->x_stride);
        even[r] = as_floats(shift_left(pair, 16)), odd[r] = as_floats(upper_halves(pair));
      }
      LMMC_UNROLL
      for (int v = 0; v < WHOLE; v++) {
        const ints pair = load(w + 4 * LANES * v);
        const floats first = as_floats(shift_left(pair, 16)), second = as_floats(upper_halves(pair));
        LMMC_UNROLL
        for (int r = 0; r < rows; r++) sums[r][v] = fused(odd[r], second, fused(even[r], first, sums[r][v]));
      }
    }
  }
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    LMMC_UNROLL
    for (int v = 0; v < WHOLE; v++) store_floats(p->sums + r * LMMC_PANEL + LANES * v, sums[r][v]);
  }
}

#endif
