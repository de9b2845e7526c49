// Random operands of the packed products, and their product in double, for the tests.
#ifndef PACKED_OPERANDS_H
#define PACKED_OPERANDS_H
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../../check.h"
#include "../random.h"
#include "kernels/product/product_variant.h"
#include "kernels/rows/packed_rows.h"

static inline void *allocate(size_t bytes) {
  void *p = NULL;
  if (posix_memalign(&p, 64, bytes ? bytes : 1)) exit(1);
  return p;
}

// CORNERS: every code is the least or the greatest, at random; ALIKE: all products of codes are as great as they can be.
typedef enum { RANDOM, CORNERS, ALIKE } operand_kind;

static const char *const type_names[] = {"bf16", "q8", "q4"};

static inline uint16_t random_bf16(operand_kind kind) {
  const float x = kind == ALIKE ? 3 : kind == CORNERS ? (random_bits() & 1 ? 3.0f : -3.0f) : random_float();
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)(bits >> 16);
}

// An f16 between 2^-8 and 2^-7.
static inline uint16_t random_scale(void) { return (uint16_t)(0x1c00 | (random_bits() & 0x3ff)); }

// [n, k] packed by its definition, every second panel with exponents; the padding holds weights that must not matter, except in padding
// columns, which are zeros.
static inline uint8_t *random_weight(lmmc_packed_type type, operand_kind kind, int64_t n, int64_t k) {
  const int64_t panel_bytes = lmmc_panel_bytes(type, k), blocks = lmmc_blocks(k);
  uint8_t *packed = allocate((size_t)lmmc_matrix_bytes(type, n, k));
  memset(packed, 0, (size_t)lmmc_matrix_bytes(type, n, k));
  for (int64_t c = 0; c < n; c++) {
    uint8_t *panel = packed + c / LMMC_PANEL * panel_bytes;
    const int64_t column = c % LMMC_PANEL;
    uint16_t *scales = (uint16_t *)(panel + blocks * lmmc_code_bytes(type));
    uint8_t *offsets = (uint8_t *)scales + blocks * lmmc_scale_bytes(type);
    for (int64_t i = 0; i < blocks * LMMC_BLOCK; i++) {
      switch (type) {
        case LMMC_BF16: ((uint16_t *)panel)[(i / 2 * LMMC_PANEL + column) * 2 + i % 2] = i < k ? random_bf16(kind) : 0; break;
        case LMMC_Q8: {
          const int u = kind == ALIKE ? 255 : kind == CORNERS ? (random_bits() & 1 ? 1 : 255) : random_between(1, 255);
          panel[(i / 4 * LMMC_PANEL + column) * 4 + i % 4] = (uint8_t)u;
          break;
        }
        case LMMC_Q4: {
          const int q = kind == ALIKE ? 15 : kind == CORNERS ? (random_bits() & 1 ? 0 : 15) : random_between(0, 15);
          panel[(i / 8 * LMMC_PANEL + column) * 4 + i % 4] |= (uint8_t)(q << (i % 8 / 4 * 4));
          break;
        }
      }
    }
    if (type != LMMC_BF16 && c / LMMC_PANEL % 2) ((int8_t *)packed)[lmmc_exponents(type, n, k) + c] = (int8_t)random_between(-10, 10);
    for (int64_t b = 0; b < blocks && type != LMMC_BF16; b++) {
      scales[b * LMMC_PANEL + column] = random_scale();
      if (type == LMMC_Q4)
        offsets[b * LMMC_PANEL + column] = (uint8_t)(kind == ALIKE     ? 0
                                                     : kind == CORNERS ? (random_bits() & 1 ? 0 : 127)
                                                                       : random_between(0, 127));
    }
  }
  return packed;
}

static inline int64_t activation_bytes(lmmc_packed_type type, int64_t k) {
  return type == LMMC_BF16 ? lmmc_bf16_row_bytes(k) : lmmc_q8_row_bytes(k);
}

// m rows, `stride` bytes apart, with garbage between them; nothing lies behind the last one.
static inline uint8_t *random_activations(lmmc_packed_type type, operand_kind kind, int64_t m, int64_t k, int64_t stride) {
  const size_t bytes = (size_t)((m - 1) * stride + activation_bytes(type, k));
  uint8_t *rows = allocate(bytes);
  memset(rows, 0x7f, bytes);
  for (int64_t r = 0; r < m; r++) {
    uint8_t *row = rows + r * stride;
    memset(row, 0, (size_t)activation_bytes(type, k));
    float *scales = (float *)(row + lmmc_q8_scales(k));
    int32_t *sums = (int32_t *)(row + lmmc_q8_sums(k));
    const int sign = r & 1 ? -1 : 1;
    for (int64_t i = 0; i < k; i++) {
      if (type == LMMC_BF16) {
        ((uint16_t *)row)[i] = random_bf16(kind);
        continue;
      }
      const int code = kind == ALIKE ? 127 * sign : kind == CORNERS ? (random_bits() & 1 ? -127 : 127) : random_between(-127, 127);
      ((int8_t *)row)[i] = (int8_t)code;
      sums[i / LMMC_BLOCK] += code;
    }
    for (int64_t b = 0; b < lmmc_blocks(k) && type != LMMC_BF16; b++) scales[b] = (1.5f + random_float()) / 127;
  }
  return rows;
}

static inline double activation_at(lmmc_packed_type type, const uint8_t *row, int64_t k, int64_t i) {
  if (type != LMMC_BF16) return (double)((const float *)(row + lmmc_q8_scales(k)))[i / LMMC_BLOCK] * ((const int8_t *)row)[i];
  const uint32_t bits = (uint32_t)((const uint16_t *)row)[i] << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return (double)x;
}

static inline void unpack_row(lmmc_packed_type type, int64_t n, int64_t k, const void *packed, int64_t row, float *out) {
  switch (type) {
    case LMMC_BF16: lmmc_unpack_row_bf16(n, k, packed, row, out); break;
    case LMMC_Q8: lmmc_unpack_row_q8(n, k, packed, row, out); break;
    case LMMC_Q4: lmmc_unpack_row_q4(n, k, packed, row, out); break;
  }
}

#endif
