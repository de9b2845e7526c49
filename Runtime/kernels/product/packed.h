// Products of bf16 or 8-bit activations with packed bf16, 8-bit or 4-bit weights. Results are floats. contract/packed_layout.h states how
// the bytes of weights and activations lie.
#ifndef LMMC_KERNELS_PRODUCT_PACKED_H
#define LMMC_KERNELS_PRODUCT_PACKED_H
#include <stdint.h>

#include "contract/packed_layout.h"
#include "kernels/common/activation.h"

// out = activation(x . transpose(weight) + bias + addend). On one CPU a row of out has the same bits whatever the other rows are and
// however many, and by any number of threads.
typedef struct {
  int64_t m, n, k;
  const void *x;  // activation rows, `x_stride` bytes from one to the next
  int64_t x_stride;
  const void *weight;   // packed
  const float *bias;    // [n], or NULL
  const float *addend;  // [m, n], or NULL; may be `out` with its stride
  int64_t addend_stride;
  lmmc_activation activation;
  float *out;  // [m, n]; overlaps neither x nor weight
  int64_t out_stride;
} lmmc_packed_matmul;

void lmmc_matmul_bf16(lmmc_packed_matmul product);
void lmmc_matmul_q8(lmmc_packed_matmul product);  // x: q8 rows
void lmmc_matmul_q4(lmmc_packed_matmul product);  // x: q8 rows

// Quantises one activation row of k floats. q8: a block with a NaN or an infinity gets the scale NaN, which makes all results of its row
// NaN; a block whose magnitudes are all below 2^-100 becomes zeros. bf16: rounded to nearest, ties to even, and NaN stays NaN.
void lmmc_quantize_row_q8(int64_t k, const float *x, void *out);
void lmmc_quantize_row_bf16(int64_t k, const float *x, void *out);

// The instruction set whose code runs for 'bf16', 'q8' or 'q4' (products), 'quantize_q8' or 'quantize_bf16'; NULL for any other name.
const char *lmmc_kernel_variant(const char *kernel);

#endif
