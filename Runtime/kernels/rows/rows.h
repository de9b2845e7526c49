// Functions of one row of n floats. Emitted loops call them with constants, for which the compiler makes copies of its own.
// `out` may be the row that is read; apart from that rows do not overlap.
#ifndef LMMC_KERNELS_ROWS_ROWS_H
#define LMMC_KERNELS_ROWS_ROWS_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/common/vector_math.h"

static inline void lmmc_copy_row(int64_t n, const float *x, float *out) { memcpy(out, x, (size_t)n * sizeof *out); }

static inline void lmmc_add_row(int64_t n, const float *a, const float *b, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

static inline void lmmc_multiply_row(int64_t n, const float *a, const float *b, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}

static inline void lmmc_scale_row(int64_t n, float factor, const float *x, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = x[i] * factor;
}

static inline void lmmc_gelu_row(int64_t n, const float *x, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_gelu(x[i]);
}

static inline void lmmc_quick_gelu_row(int64_t n, const float *x, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_quick_gelu(x[i]);
}

static inline void lmmc_silu_row(int64_t n, const float *x, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_silu(x[i]);
}

// out = f(a) * b
static inline void lmmc_gate_gelu_row(int64_t n, const float *a, const float *b, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_gelu(a[i]) * b[i];
}

static inline void lmmc_gate_quick_gelu_row(int64_t n, const float *a, const float *b, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_quick_gelu(a[i]) * b[i];
}

static inline void lmmc_gate_silu_row(int64_t n, const float *a, const float *b, float *out) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = lmmc_silu(a[i]) * b[i];
}

// The sum of a row, and the sum of the squares of x - center, in double. Each quarter of the row has a sum of its own, since each addition
// to a single sum would wait for the one before.
static inline double lmmc_sum_row(int64_t n, const float *x) {
  const int64_t quarter = n / 4;
  double a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
  for (int64_t i = 0; i < quarter; i++) a += x[i], b += x[quarter + i], c += x[2 * quarter + i], d += x[3 * quarter + i];
  for (int64_t i = 4 * quarter; i < n; i++) a += x[i];
  return a + b + (c + d);
}

static inline double lmmc_sum_squares_row(int64_t n, float center, const float *x) {
  const int64_t quarter = n / 4;
  double a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
  for (int64_t i = 0; i < quarter; i++) {
    const double p = x[i] - center, q = x[quarter + i] - center, r = x[2 * quarter + i] - center, s = x[3 * quarter + i] - center;
    a += p * p, b += q * q, c += r * r, d += s * s;
  }
  for (int64_t i = 4 * quarter; i < n; i++) a += (double)(x[i] - center) * (x[i] - center);
  return a + b + (c + d);
}

// Mean and 1 / sqrt(variance + epsilon) of a row. Sums are in double, so that only the rounding of both results to float is an error.
static inline void lmmc_moments(int64_t n, float epsilon, const float *x, float *mean_out, float *inverse_out) {
  const float mean = (float)(lmmc_sum_row(n, x) / (double)n);
  *mean_out = mean;
  *inverse_out = (float)(1.0 / sqrt(lmmc_sum_squares_row(n, mean, x) / (double)n + (double)epsilon));
}

// (x - mean) / sqrt(variance + epsilon) * scale + bias
static inline void lmmc_layer_norm_row(int64_t n, float epsilon, const float *x, const float *scale, const float *bias, float *out) {
  float mean, inverse;
  lmmc_moments(n, epsilon, x, &mean, &inverse);
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
}

// 1 / sqrt(mean(x^2) + epsilon). The sum is in double.
static inline float lmmc_inverse_rms(int64_t n, float epsilon, const float *x) {
  return (float)(1.0 / sqrt(lmmc_sum_squares_row(n, 0, x) / (double)n + (double)epsilon));
}

// x / sqrt(mean(x^2) + epsilon) * scale
static inline void lmmc_rms_norm_row(int64_t n, float epsilon, const float *x, const float *scale, float *out) {
  const float inverse = lmmc_inverse_rms(n, epsilon, x);
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = x[i] * inverse * scale[i];
}

// (x - mean) / sqrt(variance + epsilon)
static inline void lmmc_standardize_row(int64_t n, float epsilon, const float *x, float *out) {
  float mean, inverse;
  lmmc_moments(n, epsilon, x, &mean, &inverse);
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = (x[i] - mean) * inverse;
}

// x / sqrt(mean(x^2) + epsilon)
static inline void lmmc_rms_divide_row(int64_t n, float epsilon, const float *x, float *out) {
  const float inverse = lmmc_inverse_rms(n, epsilon, x);
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = x[i] * inverse;
}

// The angles of one position: `half` cosines, then `half` sines, of position * frequency[j], all in float as transformers has them.
static inline void lmmc_rotary_angles(int64_t half, const float *frequency, int64_t position, float *out) {
  for (int64_t j = 0; j < half; j++) {
    const float angle = (float)position * frequency[j];
    out[j] = cosf(angle);
    out[half + j] = sinf(angle);
  }
}

// Turns the pairs (x[j], x[j + half]) of each of `heads` heads of 2 * half floats by a row of angles.
static inline void lmmc_rotary_row(int64_t heads, int64_t half, const float *angles, const float *x, float *out) {
  for (int64_t h = 0; h < heads; h++, x += 2 * half, out += 2 * half) {
#pragma omp simd
    for (int64_t j = 0; j < half; j++) {
      const float a = x[j], b = x[half + j], c = angles[j], s = angles[half + j];
      out[j] = a * c - b * s;
      out[half + j] = b * c + a * s;
    }
  }
}

// Copies row `row` of `bytes` bytes from rows that are `stride` bytes apart.
static inline void lmmc_gather_row(int64_t bytes, const void *x, int64_t stride, int32_t row, void *out) {
  memcpy(out, (const char *)x + row * stride, (size_t)bytes);
}

// Row `token` of the table or, for a negative token, row -1 - token of `vision`.
static inline void lmmc_embed_row(int64_t n, int32_t token, const float *table, const float *vision, float *out) {
  const float *row = token < 0 ? vision + (-1 - (int64_t)token) * n : table + token * n;
  lmmc_copy_row(n, row, out);
}

#endif
