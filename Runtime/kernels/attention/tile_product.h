// Small matrix products whose sums stay in vector registers. Each sum is one chain, over the depth in its order, whatever the other rows
// and columns are.
#ifndef LMMC_KERNELS_ATTENTION_TILE_PRODUCT_H
#define LMMC_KERNELS_ATTENTION_TILE_PRODUCT_H
#include "attention_load.h"

// Rows, and vectors of columns, whose sums fit into the registers beside the operands.
#if defined(__aarch64__)
enum { TILE_ROWS = 6, TILE_VECTORS = 4 };
#else
enum { TILE_ROWS = 6, TILE_VECTORS = LANES == 16 ? 4 : 2 };
#endif

// c[rows][columns] (+)= a[rows][depth] . b[depth][columns], where b has elements of `type`, rows b_stride bytes apart. c overlaps neither.
typedef struct {
  int64_t columns, depth;
  const float *a;
  int64_t a_stride;
  const char *b;
  int64_t b_stride;
  float *c;
  int64_t c_stride;
  head_rows next;  // as many rows, which are prefetched meanwhile; first may be NULL
} tile;

// `vectors` of columns from `first` on; all but `first` are constants once inlined.
INLINE void tile_panel(lmmc_kv_type type, bool add, int rows, int vectors, int64_t first, const tile *t) {
  lanes sums[TILE_ROWS][8];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sums[r][v] = add ? *(const lanes *)(t->c + r * t->c_stride + first + v * LANES) : (lanes){0};
  const float *a = t->a;
  const char *b = t->b + first * attention_element_bytes(type),
             *next = t->next.first ? t->next.first + first * attention_element_bytes(type) : NULL;
  const int64_t a_stride = t->a_stride, b_stride = t->b_stride, depth = t->depth;
  for (int64_t p = 0; p < depth; p++, b += b_stride) {
    lanes right[8];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) right[v] = load_lanes(type, b + v * LANES * attention_element_bytes(type));
    if (next) prefetch(next, vectors * LANES * attention_element_bytes(type)), next += t->next.stride;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) sums[r][v] += a[r * a_stride + p] * right[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) *(lanes *)(t->c + r * t->c_stride + first + v * LANES) = sums[r][v];
}

// The last columns, fewer than LANES: as vectors too, since a loop over scalars may be compiled to separate multiplications and additions.
INLINE void tile_rest(lmmc_kv_type type, bool add, int rows, int64_t first, const tile *t) {
  const int64_t count = t->columns - first;
  lanes sums[TILE_ROWS];
  for (int r = 0; r < rows; r++) {
    sums[r] = (lanes){0};
    if (add) memcpy(&sums[r], t->c + r * t->c_stride + first, (size_t)count * sizeof(float));
  }
  for (int64_t p = 0; p < t->depth; p++) {
    lanes right = {0};
    for (int64_t i = 0; i < count; i++) right[i] = load_element(type, t->b + p * t->b_stride + (first + i) * attention_element_bytes(type));
    for (int r = 0; r < rows; r++) sums[r] += t->a[r * t->a_stride + p] * right;
  }
  for (int r = 0; r < rows; r++) memcpy(t->c + r * t->c_stride + first, &sums[r], (size_t)count * sizeof(float));
}

INLINE void tile_columns(lmmc_kv_type type, bool add, int rows, const tile *t) {
  // One or two rows have so few sums that more columns are needed to hide the latency of additions.
  const int wide = rows == 1 ? 8 : rows == 2 ? 2 * TILE_VECTORS : TILE_VECTORS;
  int64_t j = 0;
  for (; j + wide * LANES <= t->columns; j += wide * LANES) tile_panel(type, add, rows, wide, j, t);
  if (wide == 8 && j + 4 * LANES <= t->columns) tile_panel(type, add, rows, 4, j, t), j += 4 * LANES;
  for (; wide > 2 && j + 2 * LANES <= t->columns; j += 2 * LANES) tile_panel(type, add, rows, 2, j, t);
  for (; j + LANES <= t->columns; j += LANES) tile_panel(type, add, rows, 1, j, t);
  if (j < t->columns) tile_rest(type, add, rows, j, t);
}

// At most TILE_ROWS rows.
INLINE void tile_product(lmmc_kv_type type, bool add, int64_t rows, const tile *t) {
  switch (rows) {
    case 6: tile_columns(type, add, 6, t); break;
    case 5: tile_columns(type, add, 5, t); break;
    case 4: tile_columns(type, add, 4, t); break;
    case 3: tile_columns(type, add, 3, t); break;
    case 2: tile_columns(type, add, 2, t); break;
    case 1: tile_columns(type, add, 1, t); break;
    default: break;
  }
}

#endif
