#include "widen.h"

#include <string.h>

// C, since the compiler must choose among instruction sets when it runs, and Swift code is made for the oldest.

static inline uint16_t half_at(const uint8_t *source, size_t i) {
  uint16_t half;
  memcpy(&half, source + 2 * i, sizeof half);
  return half;
}

static inline float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline float widened_f16(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu, sign = (uint32_t)(half & 0x8000u) << 16;
  // Read as a float, the shifted bits are the value times 2^-112, subnormal or not.
  const float scaled = float_of_bits(magnitude << 13) * 0x1p112f;
  uint32_t bits;
  memcpy(&bits, &scaled, sizeof bits);
  const uint32_t special = magnitude << 13 | 0x7f800000u;
  return float_of_bits((magnitude >= 0x7c00u ? special : bits) | sign);
}

static void plain_f16(size_t count, const uint8_t *source, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = widened_f16(half_at(source, i));
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx,f16c"))) static void f16c_f16(size_t count, const uint8_t *source, float *out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + 2 * i))));
  plain_f16(count - i, source + 2 * i, out + i);
}

void lmmc_widen_f16(size_t count, const void *source, float *out) {
  // The instruction makes a signalling NaN quiet, which no weight should be; all else is exact on both ways.
  if (__builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c")) {
    f16c_f16(count, source, out);
  } else {
    plain_f16(count, source, out);
  }
}
#else
void lmmc_widen_f16(size_t count, const void *source, float *out) { plain_f16(count, source, out); }
#endif

static inline uint32_t is_not_finite(const float *x) {
  uint32_t bits;
  memcpy(&bits, x, sizeof bits);
  return (bits & 0x7f800000u) == 0x7f800000u;
}

// A part without a way out of its loop, which is vector code, then its elements where it has one.
size_t lmmc_first_not_finite(size_t count, const float *x) {
  enum { PART = 256 };
  for (size_t first = 0; first < count; first += PART) {
    const size_t end = count - first < PART ? count : first + PART;
    uint32_t any = 0;
    if (end - first == PART) {
      for (size_t i = 0; i < PART; i++) any |= is_not_finite(x + first + i);
    } else {
      for (size_t i = first; i < end; i++) any |= is_not_finite(x + i);
    }
    if (!any) continue;
    for (size_t i = first; i < end; i++)
      if (is_not_finite(x + i)) return i;
  }
  return count;
}

void lmmc_widen_bf16(size_t count, const void *source, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = float_of_bits((uint32_t)half_at(source, i) << 16);
}
