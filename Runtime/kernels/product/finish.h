// The epilogue of a tile, compiled once per instruction set.
#ifndef LMMC_KERNELS_PRODUCT_FINISH_H
#define LMMC_KERNELS_PRODUCT_FINISH_H
#include "product_variant.h"
#include "kernels/rows/rows.h"

static inline __attribute__((always_inline)) void finish_rows(int64_t rows, int64_t columns, float *sums, const lmmc_finish *f) {
  if (f->exponents) {
    float factors[LMMC_PANEL];
    for (int64_t c = 0; c < columns; c++) factors[c] = lmmc_power_of_2(f->exponents[c]);
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < columns; c++) sums[r * LMMC_PANEL + c] *= factors[c];
  }
  if (f->bias)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < columns; c++) sums[r * LMMC_PANEL + c] += f->bias[c];
  // The whole addend is read before the first result is written. Rows are often a multiple of 4 KiB apart, and a load waits for an earlier
  // store whose address has the same low 12 bits.
  if (f->addend)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < columns; c++) sums[r * LMMC_PANEL + c] += f->addend[r * f->addend_stride + c];
  for (int64_t r = 0; r < rows; r++, sums += LMMC_PANEL) {
    switch (f->activation) {
      case LMMC_IDENTITY: break;
      case LMMC_GELU: lmmc_gelu_row(LMMC_PANEL, sums, sums); break;
      case LMMC_QUICK_GELU: lmmc_quick_gelu_row(LMMC_PANEL, sums, sums); break;
      case LMMC_SILU: lmmc_silu_row(LMMC_PANEL, sums, sums); break;
    }
    memcpy(f->out + r * f->out_stride, sums, (size_t)columns * sizeof *sums);
  }
}

// finish_rows, with constant bounds for whole panels.
static inline __attribute__((always_inline)) void finish_tile(int64_t rows, int64_t columns, float *sums, const lmmc_finish *f) {
  if (columns == LMMC_PANEL) {
    finish_rows(rows, LMMC_PANEL, sums, f);
  } else {
    finish_rows(rows, columns, sums, f);
  }
}

#endif
