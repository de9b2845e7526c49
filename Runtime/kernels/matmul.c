#include "matmul.h"

#include <cblas.h>
#include <string.h>

#include "pragmas.h"
#include "vector_math.h"

// Up to here one pass over the weights serves all rows.
enum { FEW_ROWS = 4 };

static inline float activate(lmmc_activation activation, float x) {
  switch (activation) {
    case LMMC_IDENTITY: return x;
    case LMMC_GELU: return lmmc_gelu(x);
    case LMMC_QUICK_GELU: return lmmc_quick_gelu(x);
    case LMMC_SILU: return lmmc_silu(x);
  }
  return x;
}

// The loops are written out per activation, for the compiler to vectorise each.
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

// Four weight rows against `rows` rows of x (a constant after inlining): sums[row][weight row].
static inline __attribute__((always_inline)) void dot_block(int rows, int64_t k, const float *x, int64_t x_stride, const float *w,
                                                            int64_t w_stride, float sums[FEW_ROWS][4]) {
  const float *w0 = w, *w1 = w + w_stride, *w2 = w + 2 * w_stride, *w3 = w + 3 * w_stride;
  for (int r = 0; r < rows; r++) {
    const float *row = x + r * x_stride;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < k; i++) {
      s0 += row[i] * w0[i];
      s1 += row[i] * w1[i];
      s2 += row[i] * w2[i];
      s3 += row[i] * w3[i];
    }
    sums[r][0] = s0, sums[r][1] = s1, sums[r][2] = s2, sums[r][3] = s3;
  }
}

static void few_rows(const lmmc_matmul *p) {
  const int64_t blocks = (p->n + 3) / 4;
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = b * 4, count = p->n - first < 4 ? p->n - first : 4;
    float sums[FEW_ROWS][4];
    if (count == 4) {
      dot_block((int)p->m, p->k, p->x, p->x_stride, p->weight + first * p->weight_stride, p->weight_stride, sums);
    } else {
      for (int64_t j = 0; j < count; j++) {
        float column[FEW_ROWS][4];
        dot_block((int)p->m, p->k, p->x, p->x_stride, p->weight + (first + j) * p->weight_stride, 0, column);
        for (int64_t r = 0; r < p->m; r++) sums[r][j] = column[r][0];
      }
    }
    for (int64_t r = 0; r < p->m; r++)
      for (int64_t j = 0; j < count; j++) {
        float sum = sums[r][j];
        if (p->bias) sum += p->bias[first + j];
        if (p->addend) sum += p->addend[r * p->addend_stride + first + j];
        p->out[r * p->out_stride + first + j] = activate(p->activation, sum);
      }
  }
}

static void many_rows(const lmmc_matmul *p) {
  if (p->addend && p->addend != p->out)
    for (int64_t i = 0; i < p->m; i++)
      memcpy(p->out + i * p->out_stride, p->addend + i * p->addend_stride, (size_t)p->n * sizeof *p->out);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)p->m, (blasint)p->n, (blasint)p->k, 1, p->x, (blasint)p->x_stride,
              p->weight, (blasint)p->weight_stride, p->addend ? 1 : 0, p->out, (blasint)p->out_stride);
  if (!p->bias && p->activation == LMMC_IDENTITY) return;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < p->m; i++) finish_row(p->n, p->bias, p->activation, p->out + i * p->out_stride);
}

void lmmc_matmul_f32(lmmc_matmul product) {
  if (product.m <= FEW_ROWS) {
    few_rows(&product);
  } else {
    many_rows(&product);
  }
}

const char *lmmc_blas_core(void) { return openblas_get_corename(); }
