// What attention of many and of few rows with AVX-512 BF16 share. Included between LMMC_BEGIN_TARGET and LMMC_END_TARGET.
#ifndef LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_AVX512BF16_H
#define LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_AVX512BF16_H
#include "kernels/attention/attention_variant.h"

#define INLINE static inline __attribute__((always_inline))

enum { MAX_HEAD = LMMC_ATTENTION_MAX_HEAD };

// Weights are 2^(score - max), and the maximum is renewed only for a score more than SLACK above it, so that weights reach 2^8. Floats lose
// no precision by that, and the sums so far seldom need a new scale.
static const float SLACK = 8;

// Few rows over keys and values in bf16 or f32, and over those in int8.
void lmmc_attention_few_avx512bf16(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                                   lmmc_attention_partial p);
void lmmc_attention_few_i8_avx512(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                                  lmmc_attention_partial p);

// sum + the products of pairs of bf16.
INLINE __m512 dot_pairs(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// Rounds 32 floats.
INLINE __m512i to_bf16(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// 2^x with a relative error of 3e-6, which rounding to bf16 hides. It is 0 far below and infinity far above, and NaN for NaN. VREDUCEPS
// would save one instruction and take three times as long.
INLINE __m512 exp2_lanes(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-1000), x);  // minus infinity less its whole part would be NaN
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF), r = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(0.013534167f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05201146f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.24144275f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.69300383f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0000026f));
  return _mm512_scalef_ps(p, x);
}

// A product of query and key times this is the exponent of 2 that makes its weight. The sign of the scale goes to the query.
INLINE float score_unit(const lmmc_attention *a) { return fabsf(a->scale) * 1.44269504f; }

INLINE __mmask32 mask_of(int64_t left) { return left >= 32 ? 0xffffffff : (1u << left) - 1; }

INLINE float row_scale(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  float scale;
  memcpy(&scale, (const int8_t *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof scale, sizeof scale);
  return scale;
}

// 32 elements of a head's row, from `e` on, as bf16, zeros past the head. int8 codes are multiplied by `scale`.
INLINE __m512i load_32(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t e,
                       float scale) {
  const int64_t d = a->head_size, at = key * stride + head * d + e;
  const __mmask32 mask = mask_of(d - e);
  switch (type) {
    case LMMC_KV_F32: {
      const float *x = (const float *)rows + at;
      return to_bf16(_mm512_maskz_loadu_ps((__mmask16)mask, x), _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16));
    }
    case LMMC_KV_BF16: return _mm512_maskz_loadu_epi16(mask, (const uint16_t *)rows + at);
    case LMMC_KV_I8: {
      const __m256i x = _mm256_maskz_loadu_epi8(mask, (const int8_t *)rows + at);
      const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(x)));
      const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(x, 1)));
      return to_bf16(_mm512_mul_ps(low, _mm512_set1_ps(scale)), _mm512_mul_ps(high, _mm512_set1_ps(scale)));
    }
  }
  return _mm512_setzero_si512();
}

// A head's rows lie a page or more apart, where hardware prefetchers do not follow.
INLINE void prefetch(const void *from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

INLINE void prefetch_head(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  const int64_t size = type == LMMC_KV_F32 ? 4 : type == LMMC_KV_BF16 ? 2 : 1;
  prefetch((const char *)rows + (key * stride + head * a->head_size) * size, a->head_size * size);
}

// The query of a row as bf16, with the sign of the scale: [head_size up to 32].
INLINE void load_query(const lmmc_attention *a, int64_t head, int64_t row, uint16_t *out) {
  const float *q = a->q + attention_offset(a, head, row, a->q_stride);
  const __m512 sign = _mm512_set1_ps(a->scale < 0 ? -1 : 1);
  for (int64_t e = 0; e < a->head_size; e += 32) {
    const __mmask32 mask = mask_of(a->head_size - e);
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, q + e), high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), q + e + 16);
    _mm512_store_si512(out + e, to_bf16(_mm512_mul_ps(low, sign), _mm512_mul_ps(high, sign)));
  }
}

#endif
