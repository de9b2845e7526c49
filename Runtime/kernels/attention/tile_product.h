// A small matrix product whose sums stay in vector registers.
#ifndef LMMC_KERNELS_ATTENTION_TILE_PRODUCT_H
#define LMMC_KERNELS_ATTENTION_TILE_PRODUCT_H
#include <stdint.h>

#include "kernels/common/lanes.h"

// Rows, and vectors of columns, whose sums fit into the registers beside the operands.
#if defined(__aarch64__)
enum { TILE_ROWS = 6, TILE_VECTORS = 4 };
#else
enum { TILE_ROWS = 6, TILE_VECTORS = LANES == 16 ? 4 : 2 };
#endif

// c[rows][vectors * LANES] += a[rows][depth] . b[depth][vectors * LANES]; rows and vectors are constants once inlined.
static inline __attribute__((always_inline)) void tile_panel(int rows, int vectors, int64_t depth, const float *a, int64_t a_stride,
                                                             const float *b, int64_t b_stride, float *c, int64_t c_stride) {
  lanes sums[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sums[r][v] = *(const lanes *)(c + r * c_stride + v * LANES);
  for (int64_t p = 0; p < depth; p++) {
    lanes right[TILE_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) right[v] = *(const lanes *)(b + p * b_stride + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) sums[r][v] += a[r * a_stride + p] * right[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) *(lanes *)(c + r * c_stride + v * LANES) = sums[r][v];
}

static inline __attribute__((always_inline)) void tile_columns(int rows, int64_t columns, int64_t depth, const float *a, int64_t a_stride,
                                                               const float *b, int64_t b_stride, float *c, int64_t c_stride) {
  int64_t j = 0;
  for (; j + TILE_VECTORS * LANES <= columns; j += TILE_VECTORS * LANES)
    tile_panel(rows, TILE_VECTORS, depth, a, a_stride, b + j, b_stride, c + j, c_stride);
  for (; j + LANES <= columns; j += LANES) tile_panel(rows, 1, depth, a, a_stride, b + j, b_stride, c + j, c_stride);
  if (j == columns) return;
  for (int r = 0; r < rows; r++)
    for (int64_t p = 0; p < depth; p++)
      for (int64_t i = j; i < columns; i++) c[r * c_stride + i] += a[r * a_stride + p] * b[p * b_stride + i];
}

// c[rows][columns] += a[rows][depth] . b[depth][columns], at most TILE_ROWS rows; c overlaps neither a nor b.
static inline void tile_product(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_stride, const float *b,
                                int64_t b_stride, float *c, int64_t c_stride) {
  switch (rows) {
    case 6: tile_columns(6, columns, depth, a, a_stride, b, b_stride, c, c_stride); break;
    case 5: tile_columns(5, columns, depth, a, a_stride, b, b_stride, c, c_stride); break;
    case 4: tile_columns(4, columns, depth, a, a_stride, b, b_stride, c, c_stride); break;
    case 3: tile_columns(3, columns, depth, a, a_stride, b, b_stride, c, c_stride); break;
    case 2: tile_columns(2, columns, depth, a, a_stride, b, b_stride, c, c_stride); break;
    case 1: tile_columns(1, columns, depth, a, a_stride, b, b_stride, c, c_stride); break;
    default: break;
  }
}

#endif
