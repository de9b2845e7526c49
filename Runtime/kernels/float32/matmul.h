// Products of f32 activations with f32 weights.
#ifndef LMMC_KERNELS_FLOAT32_MATMUL_H
#define LMMC_KERNELS_FLOAT32_MATMUL_H
#include <stdint.h>

#include "contract/level.h"
#include "kernels/common/activation.h"

// out = activation(x . transpose(weight) + bias + addend). Rows are consecutive floats; a stride counts floats from row to row.
typedef struct {
  int64_t m, n, k;
  const float *x;  // [m, k]
  int64_t x_stride;
  const float *weight;  // [n, k]
  int64_t weight_stride;
  const float *bias;    // [n], or NULL
  const float *addend;  // [m, n], or NULL; may be `out` with its stride
  int64_t addend_stride;
  lmmc_activation activation;
  float *out;  // [m, n]; overlaps neither x nor weight
  int64_t out_stride;
} lmmc_matmul;

// Many rows go to OpenBLAS; for up to 12, where the time goes into reading the weights, a kernel of our own reads them once, and a row's
// result does not depend on the others. By OpenBLAS it does: float32 has no promise of equal bits over numbers of rows.
#define lmmc_matmul_f32 LMMC_LEVELED(lmmc_matmul_f32)
void lmmc_matmul_f32(lmmc_matmul product);

// The name of the CPU core that OpenBLAS has chosen its kernels for.
const char *lmmc_blas_core(void);

#endif
