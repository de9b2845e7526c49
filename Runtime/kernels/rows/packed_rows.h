// Rows of packed matrices (contract/packed_layout.h) as floats.
#ifndef LMMC_KERNELS_ROWS_PACKED_ROWS_H
#define LMMC_KERNELS_ROWS_PACKED_ROWS_H
#include <stdint.h>

#include "rows.h"

// Row `row` of a packed [n, k] matrix as floats.
void lmmc_unpack_row_bf16(int64_t n, int64_t k, const void *packed, int64_t row, float *out);
void lmmc_unpack_row_q8(int64_t n, int64_t k, const void *packed, int64_t row, float *out);
void lmmc_unpack_row_q4(int64_t n, int64_t k, const void *packed, int64_t row, float *out);

// lmmc_embed_row for a table [rows, n] that is packed.
#define LMMC_EMBED_ROW(type)                                                                                                  \
  static inline void lmmc_embed_row_##type(int64_t rows, int64_t n, int32_t token, const uint8_t *table, const float *vision, \
                                           float *out) {                                                                      \
    if (token < 0) {                                                                                                          \
      lmmc_copy_row(n, vision + (-1 - (int64_t)token) * n, out);                                                              \
    } else {                                                                                                                  \
      lmmc_unpack_row_##type(rows, n, table, token, out);                                                                     \
    }                                                                                                                         \
  }
LMMC_EMBED_ROW(bf16)
LMMC_EMBED_ROW(q8)
LMMC_EMBED_ROW(q4)
#undef LMMC_EMBED_ROW

#endif
