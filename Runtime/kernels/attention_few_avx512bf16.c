// Attention of few queries for AVX-512 BF16 and VNNI: reading the keys and values is the work.
#include "packed_target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_avx512bf16.h"

enum {
  FEW_KEYS = 16,      // at a time
  FEW_QUERIES = 64,   // that stand ready
  FEW_AHEAD = 8,      // steps between asking memory and reading
};

// The sums of four vectors.
INLINE __m128 sum_four(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all = _mm512_add_ps((__m512)_mm512_unpacklo_pd((__m512d)ab, (__m512d)cd), (__m512)_mm512_unpackhi_pd((__m512d)ab, (__m512d)cd));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// bf16 rows, `stride` elements from one to the next.
typedef struct {
  const uint16_t *first;
  int64_t stride;
} bf16_rows;

// Scores of four keys, of which those from `count` on are any.
INLINE void score_few(int rows, int64_t d, const uint16_t *q, bf16_rows k, int64_t count, float *scores) {
  const uint16_t *x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) x[i] = k.first + attention_smaller(i, count - 1) * k.stride;
  __m512 sums[4][4];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[r][i] = _mm512_setzero_ps();
  for (int64_t e = 0; e < d; e += 32) {
    __m512i right[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) right[i] = _mm512_maskz_loadu_epi16(mask_of(d - e), x[i] + e);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      const __m512i left = _mm512_load_si512(q + r * MAX_HEAD + e);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) sums[r][i] = dot_pairs(sums[r][i], left, right[i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) _mm_store_ps(scores + r * FEW_KEYS, sum_four(sums[r][0], sums[r][1], sums[r][2], sums[r][3]));
}

// out[rows][d] += weights . values, where the weights past `count` are 0.
INLINE void value_few(int rows, int64_t d, const uint16_t *weights, bf16_rows v, int64_t count, float *out) {
  // The quarters of sums stand in the order in which unpacking leaves the values.
  const __m512i to_low = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13), to_high = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
  const __m512i to_first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), to_last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  for (int64_t e = 0; e < d; e += 32) {
    const __mmask32 mask = mask_of(d - e);
    __m512 low[4], high[4];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      const __m512d first = (__m512d)_mm512_maskz_loadu_ps((__mmask16)mask, out + r * d + e);
      const __m512d last = (__m512d)_mm512_maskz_loadu_ps((__mmask16)(mask >> 16), out + r * d + e + 16);
      low[r] = (__m512)_mm512_permutex2var_pd(first, to_low, last), high[r] = (__m512)_mm512_permutex2var_pd(first, to_high, last);
    }
    for (int64_t key = 0; key < count; key += 2) {
      const __m512i x = _mm512_maskz_loadu_epi16(mask, v.first + key * v.stride + e);
      const __m512i y = _mm512_maskz_loadu_epi16(mask, v.first + attention_smaller(key + 1, count - 1) * v.stride + e);
      const __m512i right_low = _mm512_unpacklo_epi16(x, y), right_high = _mm512_unpackhi_epi16(x, y);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        int32_t pair;
        memcpy(&pair, weights + r * FEW_KEYS + key, sizeof pair);
        const __m512i left = _mm512_set1_epi32(pair);
        low[r] = dot_pairs(low[r], left, right_low), high[r] = dot_pairs(high[r], left, right_high);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      const __m512d a = (__m512d)low[r], b = (__m512d)high[r];
      _mm512_mask_storeu_ps(out + r * d + e, (__mmask16)mask, (__m512)_mm512_permutex2var_pd(a, to_first, b));
      _mm512_mask_storeu_ps(out + r * d + e + 16, (__mmask16)(mask >> 16), (__m512)_mm512_permutex2var_pd(a, to_last, b));
    }
  }
}

// The weights of one row, times the scales of its values.
INLINE void weigh_few(lmmc_kv_type type, int64_t seen, __m512 units, __m512 value_scales, const float *scores, int64_t d, float *out, float *max, float *sum,
                      uint16_t *weights) {
  const __mmask16 mask = seen >= 16 ? 0xffff : (__mmask16)((1u << seen) - 1);
  const __m512 s = _mm512_mask_mul_ps(_mm512_set1_ps(-INFINITY), mask, _mm512_load_ps(scores), units);
  if (_mm512_cmp_ps_mask(s, _mm512_set1_ps(*max + SLACK), _CMP_GT_OQ)) {
    const float top = _mm512_reduce_max_ps(s), shrink = *max == -INFINITY ? 0 : _mm512_cvtss_f32(exp2_lanes(_mm512_set1_ps(*max - top)));
    for (int64_t e = 0; e < d; e += 16) {
      const __mmask16 some = (__mmask16)mask_of(d - e);
      _mm512_mask_storeu_ps(out + e, some, _mm512_mul_ps(_mm512_maskz_loadu_ps(some, out + e), _mm512_set1_ps(shrink)));
    }
    *sum *= shrink, *max = top;
  }
  const __m512 weight = exp2_lanes(_mm512_sub_ps(s, _mm512_set1_ps(*max)));
  __m256bh rounded = _mm512_cvtneps_pbh(weight);
  if (type == LMMC_KV_I8) {
    *sum += _mm512_reduce_add_ps(weight);
    rounded = _mm512_cvtneps_pbh(_mm512_mul_ps(weight, value_scales));
  } else {
    const __m256 pairs = _mm256_dpbf16_ps(_mm256_setzero_ps(), rounded, (__m256bh)_mm256_set1_epi16(0x3f80));
    *sum += _mm512_reduce_add_ps(_mm512_zextps256_ps512(pairs));
  }
  _mm256_store_si256((__m256i *)weights, (__m256i)rounded);
}

INLINE bf16_rows few_rows(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head,
                          int64_t count, uint16_t *room) {
  const int64_t d = a->head_size;
  if (type == LMMC_KV_BF16) return (bf16_rows){(const uint16_t *)rows + key * stride + head * d, stride};
  for (int64_t i = 0; i < count; i++)
    for (int64_t e = 0; e < d; e += 32) _mm512_store_si512(room + i * MAX_HEAD + e, load_32(type, a, rows, stride, key + i, head, e, 1));
  return (bf16_rows){room, MAX_HEAD};
}

INLINE __m512 few_scales(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head,
                         int64_t count) {
  if (type != LMMC_KV_I8) return _mm512_set1_ps(1);
  _Alignas(64) float scales[FEW_KEYS];
  for (int64_t i = 0; i < FEW_KEYS; i++) scales[i] = i < count ? row_scale(a, rows, stride, key + i, head) : 0;
  return _mm512_load_ps(scales);
}

INLINE void few_scores(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t key, int64_t count, const uint16_t *q, float *scores) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a);
  _Alignas(64) uint16_t room[4 * MAX_HEAD];
  const bf16_rows k = few_rows(type, a, a->k, a->k_stride, key, head, count, room);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) score_few(4, d, q + r * MAX_HEAD, k, count, scores + r * FEW_KEYS);
  if (r + 2 <= rows) score_few(2, d, q + r * MAX_HEAD, k, count, scores + r * FEW_KEYS), r += 2;
  if (r < rows) score_few(1, d, q + r * MAX_HEAD, k, count, scores + r * FEW_KEYS);
}

INLINE void few_weights(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t key, int64_t count, const float *scores, float *out,
                        float *max, float *sum, uint16_t *weights) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a);
  const __m512 units = _mm512_mul_ps(few_scales(type, a, a->k, a->k_stride, key, head, count), _mm512_set1_ps(score_unit(a)));
  const __m512 value_scales = few_scales(type, a, a->v, a->v_stride, key, head, count);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t seen = attention_smaller(count, attention_visible(a, r) - key);
    if (seen > 0) {
      weigh_few(type, seen, units, value_scales, scores + r * FEW_KEYS, d, out + r * d, max + r, sum + r, weights + r * FEW_KEYS);
    } else {
      memset(weights + r * FEW_KEYS, 0, FEW_KEYS * sizeof *weights);
    }
  }
}

INLINE void few_values(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t key, int64_t count, const uint16_t *weights, float *out) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a);
  _Alignas(64) uint16_t room[4 * MAX_HEAD];
  const bf16_rows v = few_rows(type, a, a->v, a->v_stride, key, head, count, room);
  int64_t r = 0;
  for (r = 0; r + 4 <= rows; r += 4) value_few(4, d, weights + r * FEW_KEYS, v, count, out + r * d);
  if (r + 2 <= rows) value_few(2, d, weights + r * FEW_KEYS, v, count, out + r * d), r += 2;
  if (r < rows) value_few(1, d, weights + r * FEW_KEYS, v, count, out + r * d);
}

// Runs ahead over what few rows read: of each FEW_KEYS keys first the keys, then the values, four rows at a time, head after head.
typedef struct {
  int64_t block, key, head;
  bool values;
} cursor;

INLINE void ask(lmmc_kv_type type, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t last_key, cursor *c) {
  if (c->block >= last_key) return;
  const int64_t end = attention_smaller(c->block + FEW_KEYS, last_key);
  for (int64_t i = c->key; i < attention_smaller(c->key + 4, end); i++)
    prefetch_head(type, a, c->values ? a->v : a->k, c->values ? a->v_stride : a->k_stride, i, first_head + c->head);
  if (++c->head < heads) return;
  c->head = 0, c->key += 4;
  if (c->key < end) return;
  if (c->values) c->block += FEW_KEYS;
  c->key = c->block, c->values = !c->values;
}

INLINE void few_of(lmmc_kv_type type, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t first_key, int64_t last_key,
                      float *out, float *max, float *sum) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a);
  _Alignas(64) uint16_t q[FEW_QUERIES * MAX_HEAD], weights[FEW_QUERIES * FEW_KEYS];
  _Alignas(64) float scores[FEW_QUERIES * FEW_KEYS];
  for (int64_t i = 0; i < heads * rows; i++) load_query(a, first_head + i / rows, i % rows, q + i * MAX_HEAD);
  cursor ahead = {first_key, first_key, 0, false};
  for (int i = 0; i < FEW_AHEAD; i++) ask(type, a, first_head, heads, last_key, &ahead);
  for (int64_t key = first_key; key < last_key; key += FEW_KEYS) {
    const int64_t count = attention_smaller(FEW_KEYS, last_key - key);
    for (int64_t four = 0; four < count; four += 4)
      for (int64_t i = 0; i < heads; i++) {
        ask(type, a, first_head, heads, last_key, &ahead);
        few_scores(type, a, first_head + i, key + four, attention_smaller(4, count - four), q + i * rows * MAX_HEAD, scores + i * rows * FEW_KEYS + four);
      }
    for (int64_t i = 0; i < heads; i++)
      few_weights(type, a, first_head + i, key, count, scores + i * rows * FEW_KEYS, out + i * rows * d, max + i * rows, sum + i * rows, weights + i * rows * FEW_KEYS);
    for (int64_t four = 0; four < count; four += 4)
      for (int64_t i = 0; i < heads; i++) {
        ask(type, a, first_head, heads, last_key, &ahead);
        few_values(type, a, first_head + i, key + four, attention_smaller(4, count - four), weights + i * rows * FEW_KEYS + four, out + i * rows * d);
      }
  }
}

// A few keys of some heads at a time, so that memory is read in long runs.
void lmmc_attention_few_avx512bf16(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a), state = (last_head - first_head) * rows;
  memset(p.out, 0, (size_t)(state * d) * sizeof *p.out), memset(p.sum, 0, (size_t)state * sizeof *p.sum);
  for (int64_t i = 0; i < state; i++) p.max[i] = -INFINITY;
  const int64_t fit = FEW_QUERIES / rows;
  for (int64_t some = first_head; some < last_head; some += fit) {
    const int64_t heads = attention_smaller(fit, last_head - some), at = (some - first_head) * rows;
    switch (a->kv_type) {
      case LMMC_KV_F32: few_of(LMMC_KV_F32, a, some, heads, first_key, last_key, p.out + at * d, p.max + at, p.sum + at); break;
      case LMMC_KV_BF16: few_of(LMMC_KV_BF16, a, some, heads, first_key, last_key, p.out + at * d, p.max + at, p.sum + at); break;
      case LMMC_KV_I8: few_of(LMMC_KV_I8, a, some, heads, first_key, last_key, p.out + at * d, p.max + at, p.sum + at); break;
    }
  }
  // From powers of 2 to those of e.
  for (int64_t i = 0; i < state; i++) p.max[i] *= 0.693147181f;
}

LMMC_END_TARGET
#endif
