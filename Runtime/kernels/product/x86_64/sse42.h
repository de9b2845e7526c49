// Vectors of 128 bits as int_tile.h and bf16_tile.h use them.
#ifndef LMMC_KERNELS_PRODUCT_X86_64_SSE42_H
#define LMMC_KERNELS_PRODUCT_X86_64_SSE42_H
#include <immintrin.h>

#include "kernels/product/piece.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_SSE42)

enum { LANES = 4 };
typedef __m128i ints;
typedef __m128 floats;

static inline ints zero(void) { return _mm_setzero_si128(); }
static inline ints load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline ints four_codes(const uint8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm_set1_epi32(four);
}
#define shift_left(x, n) _mm_slli_epi32(x, n)
static inline ints add(ints a, ints b) { return _mm_add_epi32(a, b); }
static inline ints subtract(ints a, ints b) { return _mm_sub_epi32(a, b); }
static inline ints multiply(ints a, ints b) { return _mm_mullo_epi32(a, b); }
static inline ints offsets_at(const uint8_t *p) { return _mm_cvtepu8_epi32(four_codes(p)); }
static inline floats scales_at(const uint16_t *p) { return _mm_setr_ps(lmmc_f16(p[0]), lmmc_f16(p[1]), lmmc_f16(p[2]), lmmc_f16(p[3])); }
static inline floats times(floats scale, ints x) { return _mm_mul_ps(scale, _mm_castsi128_ps(x)); }
static inline void add_scaled(float *sums, ints dots, floats scale) {
  _mm_storeu_ps(sums, _mm_add_ps(_mm_mul_ps(_mm_cvtepi32_ps(dots), scale), _mm_loadu_ps(sums)));
}
// As in avx2.h.
static inline ints in_order(ints sum) {
  __asm__("" : "+x"(sum));
  return sum;
}
static inline ints pairs(ints sum, ints w, ints x) { return in_order(_mm_add_epi16(sum, _mm_maddubs_epi16(w, x))); }
static inline ints widen(ints sum) { return _mm_madd_epi16(sum, _mm_set1_epi16(1)); }

static inline void store_ints(void *p, ints x) { _mm_storeu_si128((__m128i *)p, x); }
static inline ints upper_halves(ints x) { return _mm_and_si128(x, _mm_set1_epi32((int)0xffff0000)); }
static inline floats as_floats(ints x) { return _mm_castsi128_ps(x); }
static inline ints widen_bf16(const uint8_t *p) { return shift_left(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16); }
static inline floats load_floats(const float *p) { return _mm_loadu_ps(p); }
static inline void store_floats(float *p, floats x) { _mm_storeu_ps(p, x); }
static inline floats spread(const float *p) { return _mm_set1_ps(*p); }
static inline floats fused(floats a, floats b, floats c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }

LMMC_END_TARGET
#endif
