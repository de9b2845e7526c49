// Floats of 16 bits: f16 with 5 bits of exponent, and bf16, the upper half of a float.
#ifndef LMMC_KERNELS_COMMON_HALF_FLOATS_H
#define LMMC_KERNELS_COMMON_HALF_FLOATS_H
#include <stdint.h>
#include <string.h>

// The value of a finite f16.
static inline float lmmc_f16(uint16_t bits) {
  const uint32_t magnitude = (bits & 0x7fffu) << 13, sign = (uint32_t)(bits & 0x8000u) << 16;
  float x;
  memcpy(&x, &magnitude, sizeof x);
  x *= 0x1p112f;  // from the exponent's bias 15 to 127, subnormal numbers too
  uint32_t wide;
  memcpy(&wide, &x, sizeof wide);
  wide |= sign;
  memcpy(&x, &wide, sizeof x);
  return x;
}

// The nearest bf16, ties to even; a NaN stays one.
static inline uint16_t lmmc_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, quiet = (bits >> 16) | 0x40;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

static inline float lmmc_float_of_bf16(uint16_t x) {
  const uint32_t bits = (uint32_t)x << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

#endif
