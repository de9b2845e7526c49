// Vectors of 512 bits as int_tile.h and bf16_tile.h use them.
#ifndef LMMC_KERNELS_PRODUCT_X86_64_AVX512_H
#define LMMC_KERNELS_PRODUCT_X86_64_AVX512_H
#include <immintrin.h>

#include "kernels/product/piece.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)

enum { LANES = 16 };
typedef __m512i ints;
typedef __m512 floats;

static inline ints zero(void) { return _mm512_setzero_si512(); }
static inline ints load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline ints four_codes(const uint8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm512_set1_epi32(four);
}
#define shift_left(x, n) _mm512_slli_epi32(x, n)
static inline ints add(ints a, ints b) { return _mm512_add_epi32(a, b); }
static inline ints subtract(ints a, ints b) { return _mm512_sub_epi32(a, b); }
static inline ints multiply(ints a, ints b) { return _mm512_mullo_epi32(a, b); }
static inline ints offsets_at(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline floats scales_at(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline floats times(floats scale, ints x) { return _mm512_mul_ps(scale, _mm512_castsi512_ps(x)); }
static inline void add_scaled(float *sums, ints dots, floats scale) {
  _mm512_storeu_ps(sums, _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), scale, _mm512_loadu_ps(sums)));
}
// Keeps gcc from adding terms in pairs instead of one after another, for which it would run out of registers.
static inline ints in_order(ints sum) {
  __asm__("" : "+v"(sum));
  return sum;
}
static inline ints pairs(ints sum, ints w, ints x) { return in_order(_mm512_add_epi16(sum, _mm512_maddubs_epi16(w, x))); }
static inline ints widen(ints sum) { return _mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }

static inline void store_ints(void *p, ints x) { _mm512_storeu_si512(p, x); }
static inline ints upper_halves(ints x) { return _mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)); }
static inline floats as_floats(ints x) { return _mm512_castsi512_ps(x); }
static inline ints widen_bf16(const uint8_t *p) { return shift_left(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16); }
static inline floats load_floats(const float *p) { return _mm512_loadu_ps(p); }
static inline void store_floats(float *p, floats x) { _mm512_storeu_ps(p, x); }
static inline floats spread(const float *p) { return _mm512_set1_ps(*p); }
static inline floats fused(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }

LMMC_END_TARGET
#endif
