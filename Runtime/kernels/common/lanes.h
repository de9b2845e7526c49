// Vectors in the notation of GNU C, as wide as a register, and dot products that keep several of them.
#ifndef LMMC_KERNELS_COMMON_LANES_H
#define LMMC_KERNELS_COMMON_LANES_H
#include <stdint.h>

#if defined(LMMC_LANES)  // defined by a file that is compiled for one instruction set
enum { LANES = LMMC_LANES };
#elif defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
// They may be loaded from and stored to the address of any float.
typedef float lanes __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t masks __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

static inline float sum_of_lanes(const lanes *x) {
  float total = 0;
#pragma GCC unroll 8
  for (int i = 0; i < LANES / 2; i++) total += (*x)[i] + (*x)[LANES / 2 + i];
  return total;
}

// The sum of `count` floats, a multiple of LANES.
static inline float sum_of_tile(int64_t count, const float *x) {
  lanes sums = {0};
  for (int64_t i = 0; i < count; i += LANES) sums += *(const lanes *)(x + i);
  return sum_of_lanes(&sums);
}

// The greatest of `count` floats, a multiple of LANES, none of which may be a NaN.
static inline float max_of_tile(int64_t count, const float *x) {
  lanes top = *(const lanes *)x;
  for (int64_t i = LANES; i < count; i += LANES) {
    const lanes next = *(const lanes *)(x + i);
    const masks greater = next > top;
    top = (lanes)((greater & (masks)next) | (~greater & (masks)top));
  }
  float result = top[0];
  for (int i = 1; i < LANES; i++) result = top[i] > result ? top[i] : result;
  return result;
}

// out[i] = x . wi for four rows wi of k floats. x is read once, and eight independent sums hide the latency of additions.
static inline void dot_rows(int64_t k, const float *x, const float *w0, const float *w1, const float *w2, const float *w3, float out[4]) {
  lanes a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0};
  int64_t i = 0;
  for (; i + 2 * LANES <= k; i += 2 * LANES) {
    const lanes a = *(const lanes *)(x + i), b = *(const lanes *)(x + i + LANES);
    a0 += a * *(const lanes *)(w0 + i);
    a1 += a * *(const lanes *)(w1 + i);
    a2 += a * *(const lanes *)(w2 + i);
    a3 += a * *(const lanes *)(w3 + i);
    b0 += b * *(const lanes *)(w0 + i + LANES);
    b1 += b * *(const lanes *)(w1 + i + LANES);
    b2 += b * *(const lanes *)(w2 + i + LANES);
    b3 += b * *(const lanes *)(w3 + i + LANES);
  }
  a0 += b0, a1 += b1, a2 += b2, a3 += b3;
  out[0] = sum_of_lanes(&a0), out[1] = sum_of_lanes(&a1), out[2] = sum_of_lanes(&a2), out[3] = sum_of_lanes(&a3);
  for (; i < k; i++) {
    out[0] += x[i] * w0[i];
    out[1] += x[i] * w1[i];
    out[2] += x[i] * w2[i];
    out[3] += x[i] * w3[i];
  }
}

// The same for rows that lie `w_stride` floats from one another.
static inline void dot_four(int64_t k, const float *x, const float *w, int64_t w_stride, float out[4]) {
  dot_rows(k, x, w, w + w_stride, w + 2 * w_stride, w + 3 * w_stride, out);
}

// x . w for one row w of k floats.
static inline float dot_one(int64_t k, const float *x, const float *w) {
  lanes a = {0}, b = {0};
  int64_t i = 0;
  for (; i + 2 * LANES <= k; i += 2 * LANES) {
    a += *(const lanes *)(x + i) * *(const lanes *)(w + i);
    b += *(const lanes *)(x + i + LANES) * *(const lanes *)(w + i + LANES);
  }
  a += b;
  float sum = sum_of_lanes(&a);
  for (; i < k; i++) sum += x[i] * w[i];
  return sum;
}

#endif
