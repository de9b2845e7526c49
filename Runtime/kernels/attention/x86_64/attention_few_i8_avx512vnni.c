// Attention of few queries for AVX-512 VNNI, over keys and values in int8. Converting these would take longer than reading them. So queries
// and weights become integers of 15 and 16 bits, more than bf16 has, each split into two digits of a byte, which VPDPBUSD multiplies four
// at a time.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_few.h"

// A query: scale * (128 * high + low).
typedef struct {
  _Alignas(64) int8_t high[MAX_HEAD], low[MAX_HEAD];
  int32_t excess;  // 128 times the sum of the integers: by so much its product with keys that are 128 too large is too large
  float scale;
} query;

// Weights of one row: scale * (256 * high + low).
typedef struct {
  uint8_t high[FEW_KEYS], low[FEW_KEYS];
  float scale;
} weight_digits;

static void load_digits(const lmmc_attention *a, int64_t head, int64_t row, query *out) {
  const float *q = a->q + attention_offset(a, head, row, a->q_stride);
  __m512i most = _mm512_setzero_si512(), total = most;
  // The bits of magnitudes, compared as integers, have the order of the magnitudes, with infinity and NaN on top.
  for (int64_t e = 0; e < a->head_size; e += 16) {
    const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps((__mmask16)mask_of(a->head_size - e), q + e));
    most = _mm512_max_epi32(most, _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)));
  }
  const int32_t bits = _mm512_reduce_max_epi32(most);
  float amax;
  memcpy(&amax, &bits, sizeof amax);
  const float limit = 127 * 128;
  out->scale = bits >= 0x7f800000 ? NAN : amax / limit;
  const float inverse = bits >= 0x7f800000 || amax < 1e-30f ? 0 : (a->scale < 0 ? -limit : limit) / amax;
  for (int64_t e = 0; e < MAX_HEAD; e += 16) {
    const __m512 x = e < a->head_size ? _mm512_maskz_loadu_ps((__mmask16)mask_of(a->head_size - e), q + e) : _mm512_setzero_ps();
    const __m512i whole = inverse == 0 ? _mm512_setzero_si512() : _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(inverse)));
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(64)), 7);
    _mm_store_si128((__m128i *)(out->high + e), _mm512_cvtepi32_epi8(high));
    _mm_store_si128((__m128i *)(out->low + e), _mm512_cvtepi32_epi8(_mm512_sub_epi32(whole, _mm512_slli_epi32(high, 7))));
    total = _mm512_add_epi32(total, whole);
  }
  out->excess = 128 * _mm512_reduce_add_epi32(total);
}

// The sum of the lanes of each of four vectors.
INLINE __m128i sum_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti32x8_epi32(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

INLINE __mmask64 mask_64(int64_t left) { return left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1; }

INLINE __m512i quad_at(const uint8_t *x) {
  int32_t quad;
  memcpy(&quad, x, sizeof quad);
  return _mm512_set1_epi32(quad);
}

// Scores of four keys, of which only the first `count` have a meaning, in units of the query's scale times the key's.
INLINE void score_few(int rows, int64_t d, const query *q, const int8_t *k, int64_t stride, int64_t count, float *scores) {
  const int8_t *x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) x[i] = k + attention_smaller(i, count - 1) * stride;
  __m512i high[2][4], low[2][4];
#pragma GCC unroll 2
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) high[r][i] = low[r][i] = _mm512_setzero_si512();
  for (int64_t e = 0; e < d; e += 64) {
    __m512i keys[4];
    // One factor of the instruction is unsigned, so that 128 is added to keys.
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) keys[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask_64(d - e), x[i] + e), _mm512_set1_epi8(-128));
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
      const __m512i above = _mm512_load_si512(q[r].high + e), below = _mm512_load_si512(q[r].low + e);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++)
        high[r][i] = _mm512_dpbusd_epi32(high[r][i], keys[i], above), low[r][i] = _mm512_dpbusd_epi32(low[r][i], keys[i], below);
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) low[r][i] = _mm512_add_epi32(_mm512_slli_epi32(high[r][i], 7), low[r][i]);
    const __m128i sum = sum_four(low[r][0], low[r][1], low[r][2], low[r][3]);
    _mm_store_ps(scores + r * FEW_KEYS, _mm_cvtepi32_ps(_mm_sub_epi32(sum, _mm_set1_epi32(q[r].excess))));
  }
}

// out[rows][d] += weights . values of up to FEW_KEYS keys.
INLINE void value_few(int rows, int64_t d, const weight_digits *weights, const int8_t *v, int64_t stride, int64_t count, float *out) {
  for (int64_t e = 0; e < d; e += 64) {
    const __mmask64 mask = mask_64(d - e);
    __m512i high[2][4], low[2][4];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) high[r][i] = low[r][i] = _mm512_setzero_si512();
    for (int64_t key = 0; key < count; key += 4) {
      __m512i x[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) x[i] = _mm512_maskz_loadu_epi8(mask, v + attention_smaller(key + i, count - 1) * stride + e);
      const __m512i a = _mm512_unpacklo_epi8(x[0], x[1]), b = _mm512_unpackhi_epi8(x[0], x[1]);
      const __m512i c = _mm512_unpacklo_epi8(x[2], x[3]), f = _mm512_unpackhi_epi8(x[2], x[3]);
      // Quarter q of quads[i] holds the elements 16 q + 4 i ... 16 q + 4 i + 3, of four keys each.
      const __m512i quads[4] = {_mm512_unpacklo_epi16(a, c), _mm512_unpackhi_epi16(a, c), _mm512_unpacklo_epi16(b, f),
                                _mm512_unpackhi_epi16(b, f)};
#pragma GCC unroll 2
      for (int r = 0; r < rows; r++) {
        const __m512i above = quad_at(weights[r].high + key), below = quad_at(weights[r].low + key);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
          high[r][i] = _mm512_dpbusd_epi32(high[r][i], above, quads[i]), low[r][i] = _mm512_dpbusd_epi32(low[r][i], below, quads[i]);
      }
    }
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
      __m512 part[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) part[i] = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high[r][i], 8), low[r][i]));
      const __m512 a = _mm512_shuffle_f32x4(part[0], part[1], 0x44), b = _mm512_shuffle_f32x4(part[0], part[1], 0xee);
      const __m512 c = _mm512_shuffle_f32x4(part[2], part[3], 0x44), f = _mm512_shuffle_f32x4(part[2], part[3], 0xee);
      const __m512 sums[4] = {_mm512_shuffle_f32x4(a, c, 0x88), _mm512_shuffle_f32x4(a, c, 0xdd), _mm512_shuffle_f32x4(b, f, 0x88),
                              _mm512_shuffle_f32x4(b, f, 0xdd)};
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const __mmask16 some = (__mmask16)(mask >> (16 * i));
        float *to = out + r * d + e + 16 * i;
        _mm512_mask_storeu_ps(to, some, _mm512_fmadd_ps(sums[i], _mm512_set1_ps(weights[r].scale), _mm512_maskz_loadu_ps(some, to)));
      }
    }
  }
}

// The scales of `count` consecutive rows of a head, 0 for the other lanes.
INLINE __m512 scales_of(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t count) {
  const char *at = (const char *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof(float);
  const __m512i step =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32((int32_t)stride));
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), (__mmask16)((1u << count) - 1), step, at, 1);
}

// The weights of `rows` rows of scores, times the scales of the values.
INLINE void weigh_few(const lmmc_attention *a, int64_t rows, int64_t head, int64_t key, int64_t count, const query *q, const float *scores,
                      few_state at, weight_digits *weights) {
  const __m512 units = _mm512_mul_ps(scales_of(a, a->k, a->k_stride, key, head, count), _mm512_set1_ps(score_unit(a)));
  const __m512 value_scales = scales_of(a, a->v, a->v_stride, key, head, count);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t seen = attention_smaller(count, attention_visible(a, r) - key);
    const __m512 weight = few_weights(seen, _mm512_load_ps(scores + r * FEW_KEYS), _mm512_mul_ps(units, _mm512_set1_ps(q[r].scale)),
                                      a->head_size, at.out + r * a->head_size, at.max + r, at.sum + r);
    at.sum[r] += _mm512_reduce_add_ps(weight);
    const __m512 scaled = _mm512_maskz_mul_ps((__mmask16)(seen <= 0 ? 0 : (1u << seen) - 1), weight, value_scales);
    const __m512i bits = _mm512_castps_si512(scaled);  // none is negative
    const int32_t most = _mm512_reduce_max_epi32(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)));
    float greatest;
    memcpy(&greatest, &most, sizeof greatest);
    const bool usual = most < 0x7f800000 && greatest > 1e-30f;
    weights[r].scale = most >= 0x7f800000 ? NAN : usual ? greatest / 65535 : 0;
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(scaled, _mm512_set1_ps(usual ? 65535 / greatest : 0)));
    _mm_storeu_si128((__m128i *)weights[r].high, _mm512_cvtepi32_epi8(_mm512_srli_epi32(whole, 8)));
    _mm_storeu_si128((__m128i *)weights[r].low, _mm512_cvtepi32_epi8(whole));
  }
}

INLINE void few_heads(int64_t d, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t first_key, int64_t last_key,
                      few_state state) {
  const int64_t rows = a->queries * attention_group(a);
  query q[FEW_QUERIES];
  weight_digits weights[FEW_QUERIES];
  _Alignas(64) float scores[FEW_QUERIES * FEW_KEYS];
  for (int64_t i = 0; i < heads * rows; i++) load_digits(a, first_head + i / rows, i % rows, &q[i]);
  cursor ahead = start(LMMC_KV_I8, FEW_KEYS, a, first_head, heads, first_key, last_key);
  for (int64_t key = first_key; key < last_key; key += FEW_KEYS) {
    const int64_t count = attention_smaller(FEW_KEYS, last_key - key);
    for (int64_t four = 0; four < count; four += 4)
      for (int64_t i = 0; i < heads; i++) {
        ask(LMMC_KV_I8, a, &ahead);
        const int8_t *k = (const int8_t *)a->k + (key + four) * a->k_stride + (first_head + i) * d;
        const query *mine = q + i * rows;
        float *to = scores + i * rows * FEW_KEYS + four;
        int64_t r = 0;
        for (; r + 2 <= rows; r += 2) score_few(2, d, mine + r, k, a->k_stride, attention_smaller(4, count - four), to + r * FEW_KEYS);
        if (r < rows) score_few(1, d, mine + r, k, a->k_stride, attention_smaller(4, count - four), to + r * FEW_KEYS);
      }
    for (int64_t i = 0; i < heads; i++) {
      ask(LMMC_KV_I8, a, &ahead);
      const few_state at = few_at(state, i * rows, d);
      weigh_few(a, rows, first_head + i, key, count, q + i * rows, scores + i * rows * FEW_KEYS, at, weights + i * rows);
      const int8_t *v = (const int8_t *)a->v + key * a->v_stride + (first_head + i) * d;
      int64_t r = 0;
      for (; r + 2 <= rows; r += 2) value_few(2, d, weights + i * rows + r, v, a->v_stride, count, at.out + r * d);
      if (r < rows) value_few(1, d, weights + i * rows + r, v, a->v_stride, count, at.out + r * d);
    }
  }
}

void lmmc_attention_few_i8_avx512(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                                  lmmc_attention_partial p) {
  const int64_t rows = a->queries * attention_group(a), fit = FEW_QUERIES / rows;
  clear_few(a, last_head - first_head, p);
  for (int64_t head = first_head; head < last_head; head += fit) {
    const int64_t heads = attention_smaller(fit, last_head - head);
    const few_state state = few_at(p, (head - first_head) * rows, a->head_size);
    // The usual head sizes are constants, so that loops over a head are unrolled.
    switch (a->head_size) {
      case 64: few_heads(64, a, head, heads, first_key, last_key, state); break;
      case 128: few_heads(128, a, head, heads, first_key, last_key, state); break;
      default: few_heads(a->head_size, a, head, heads, first_key, last_key, state); break;
    }
  }
  to_natural(a, last_head - first_head, p);
}

LMMC_END_TARGET
#endif
