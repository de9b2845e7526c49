// The epilogue of a tile, compiled once per instruction set.
#ifndef LMMC_PACKED_FINISH_H
#define LMMC_PACKED_FINISH_H
#include "packed_variant.h"
#include "rows.h"

static inline __attribute__((always_inline)) void finish_rows(int64_t rows, int64_t columns, const float *sums, const lmmc_finish *f) {
  for (int64_t r = 0; r < rows; r++, sums += LMMC_PANEL) {
    float row[LMMC_PANEL];
    memcpy(row, sums, sizeof row);
    if (f->bias)
      for (int64_t c = 0; c < columns; c++) row[c] += f->bias[c];
    if (f->addend)
      for (int64_t c = 0; c < columns; c++) row[c] += f->addend[r * f->addend_stride + c];
    switch (f->activation) {
      case LMMC_IDENTITY: break;
      case LMMC_GELU: lmmc_gelu_row(LMMC_PANEL, row, row); break;
      case LMMC_QUICK_GELU: lmmc_quick_gelu_row(LMMC_PANEL, row, row); break;
      case LMMC_SILU: lmmc_silu_row(LMMC_PANEL, row, row); break;
    }
    memcpy(f->out + r * f->out_stride, row, (size_t)columns * sizeof *row);
  }
}

// Whole panels with constant bounds.
static inline __attribute__((always_inline)) void finish_tile(int64_t rows, int64_t columns, const float *sums, const lmmc_finish *f) {
  if (columns == LMMC_PANEL) {
    finish_rows(rows, LMMC_PANEL, sums, f);
  } else {
    finish_rows(rows, columns, sums, f);
  }
}

#endif
