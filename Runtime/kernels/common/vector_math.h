// Elementary functions of one float without branches or tables, so that a compiler turns a loop over them into vector code.
#ifndef LMMC_KERNELS_COMMON_VECTOR_MATH_H
#define LMMC_KERNELS_COMMON_VECTOR_MATH_H
#include <stdint.h>
#include <string.h>

// e^x, at most 2 ulp off for |x| <= 87.33, where the result is a normal float. For a greater |x| the result is that at the end of this
// range, 1.2e-38 or 8.4e37: never zero or infinity. NaN and the infinities give NaN.
static inline float lmmc_exp(float value) {
  // The magnitude is limited as an integer: a comparison of floats would become a branch around everything below.
  uint32_t bits;
  float x, scale;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t magnitude = bits & 0x7fffffff, limit = 0x42aea8f6;  // 87.33
  bits = (bits & 0x80000000) | (magnitude < limit ? magnitude : limit);
  memcpy(&x, &bits, sizeof x);
  // x = n ln 2 + r; the sum with 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = x - n * 0.693359375f;  // exact: nine bits of ln 2
  r = r - n * -2.12194440e-4f;
  float p = 0.0013814467f;
  p = p * r + 0.0083687808f;
  p = p * r + 0.041668393f;
  p = p * r + 0.16666520f;
  p = p * r + 0.49999994f;
  p = p * (r * r) + r + 1.0f;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;
  memcpy(&scale, &bits, sizeof scale);
  return p * scale + (value - value);
}

// erf(x), at most 1.5e-7 off: erfc(t) = e^(-t Q(t)) on 0 <= t <= 4, with a polynomial Q that was fitted to the least absolute error.
static inline float lmmc_erf(float x) {
  // The magnitude is limited as an integer, as in lmmc_exp. NaN gives 1 here; every caller multiplies by x, which brings the NaN back.
  uint32_t bits;
  float t, erf;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t magnitude = bits & 0x7fffffff, limit = 0x40800000, limited = magnitude < limit ? magnitude : limit;  // 4
  memcpy(&t, &limited, sizeof t);
  float q = -8.0436484e-6f;
  q = q * t + 1.0602512e-4f;
  q = q * t + -5.8794528e-4f;
  q = q * t + 0.0015767502f;
  q = q * t + -5.8771158e-5f;
  q = q * t + -0.019217148f;
  q = q * t + 0.10279921f;
  q = q * t + 0.63661611f;
  q = q * t + 1.1283793f;
  const float size = 1.0f - lmmc_exp(-t * q);
  uint32_t signed_bits;
  memcpy(&signed_bits, &size, sizeof size);
  signed_bits |= bits & 0x80000000;
  memcpy(&erf, &signed_bits, sizeof erf);
  return erf;
}

static inline float lmmc_gelu(float x) { return 0.5f * x * (1.0f + lmmc_erf(x * 0.70710678f)); }

// x / (1 + 2^(factor * x)). The exponent is off by up to |factor * x| / 2^24, which lmmc_exp avoids by splitting ln 2; here a large power
// makes the result nearly 0, so that only its order of magnitude counts. NaN and the infinities come back through the numerator x.
static inline float lmmc_sigmoid_weighted(float x, float factor) {
  const float value = factor * x;
  uint32_t bits;
  float y, scale;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t magnitude = bits & 0x7fffffff, limit = 0x42fc0000;  // 126
  bits = (bits & 0x80000000) | (magnitude < limit ? magnitude : limit);
  memcpy(&y, &bits, sizeof y);
  const float shifted = y + 12582912.0f;
  const float r = y - (shifted - 12582912.0f);
  // 2^r for |r| <= 1/2, at most 1.1e-7 off.
  float p = 0.0013224463f;
  p = p * r + 0.0096719256f;
  p = p * r + 0.055508852f;
  p = p * r + 0.24022235f;
  p = p * r + 0.69314682f;
  p = p * r + 1.0f;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;
  memcpy(&scale, &bits, sizeof scale);
  return x / (1.0f + p * scale);
}

static inline float lmmc_quick_gelu(float x) { return lmmc_sigmoid_weighted(x, -2.4554670f); }  // 1.702 / ln 2

static inline float lmmc_silu(float x) { return lmmc_sigmoid_weighted(x, -1.4426950f); }

#endif
