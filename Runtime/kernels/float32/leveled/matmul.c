#include "kernels/float32/matmul.h"

#include <cblas.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/common/lanes.h"
#include "contract/level.h"
#include "base/parallel.h"
#include "kernels/common/measure.h"
#include "kernels/common/vector_math.h"

// Up to this many rows, few_rows, which reads each weight once, is faster than sgemm, which copies the weights first (measured at K =
// 4096). Each of them gets the same bits whichever rows are beside it; by sgemm, a row's bits depend on how many there are.
enum { FEW_ROWS = 12 };

static inline float activate(lmmc_activation activation, float x) {
  switch (activation) {
    case LMMC_IDENTITY: return x;
    case LMMC_GELU: return lmmc_gelu(x);
    case LMMC_QUICK_GELU: return lmmc_quick_gelu(x);
    case LMMC_SILU: return lmmc_silu(x);
  }
  return x;
}

// There is a loop for each activation, so that the compiler vectorises every one.
static void finish_row(int64_t n, const float *bias, lmmc_activation activation, float *out) {
  if (bias) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] += bias[i];
  }
  switch (activation) {
    case LMMC_IDENTITY: break;
    case LMMC_GELU:
#pragma omp simd
      for (int64_t i = 0; i < n; i++) out[i] = lmmc_gelu(out[i]);
      break;
    case LMMC_QUICK_GELU:
#pragma omp simd
      for (int64_t i = 0; i < n; i++) out[i] = lmmc_quick_gelu(out[i]);
      break;
    case LMMC_SILU:
#pragma omp simd
      for (int64_t i = 0; i < n; i++) out[i] = lmmc_silu(out[i]);
      break;
  }
}

static void few_rows(const lmmc_matmul *p) {
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < (p->n + 3) / 4; b++) {
    const int64_t first = b * 4, count = p->n - first < 4 ? p->n - first : 4;
    const float *w = p->weight + first * p->weight_stride;
    for (int64_t r = 0; r < p->m; r++) {
      const float *x = p->x + r * p->x_stride;
      float sums[4] = {0};
      if (count == 4) {
        dot_four(p->k, x, w, p->weight_stride, sums);
      } else {
        for (int64_t j = 0; j < count; j++) sums[j] = dot_one(p->k, x, w + j * p->weight_stride);
      }
      for (int64_t j = 0; j < count; j++) {
        float sum = sums[j];
        if (p->bias) sum += p->bias[first + j];
        if (p->addend) sum += p->addend[r * p->addend_stride + first + j];
        p->out[r * p->out_stride + first + j] = activate(p->activation, sum);
      }
    }
  }
}

static void many_rows(const lmmc_matmul *p) {
  if (p->addend && p->addend != p->out)
    for (int64_t i = 0; i < p->m; i++) memcpy(p->out + i * p->out_stride, p->addend + i * p->addend_stride, (size_t)p->n * sizeof *p->out);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)p->m, (blasint)p->n, (blasint)p->k, 1, p->x, (blasint)p->x_stride,
              p->weight, (blasint)p->weight_stride, p->addend ? 1 : 0, p->out, (blasint)p->out_stride);
  if (!p->bias && p->activation == LMMC_IDENTITY) return;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < p->m; i++) finish_row(p->n, p->bias, p->activation, p->out + i * p->out_stride);
}

void lmmc_matmul_f32(lmmc_matmul product) {
  const double begin = lmmc_profile_begin();
  const bool is_few = product.m <= FEW_ROWS;
  // None: a chunk of a prompt whose logits nobody wants, a call without vision rows
  if (product.m > 0) (is_few ? few_rows : many_rows)(&product);
  const double m = (double)product.m, n = (double)product.n, k = (double)product.k;
  lmmc_profile_end(begin,
                   (lmmc_profile_key){"matmul f32", is_few ? "own" : "OpenBLAS", product.m, product.n, product.k, product.out, product.n,
                                      product.out_stride},
                   2 * m * n * k, 4 * (n * k + m * k + m * n * (product.addend ? 2 : 1)));
}
