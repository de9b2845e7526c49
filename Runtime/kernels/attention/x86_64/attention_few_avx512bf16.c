// Attention of few queries for AVX-512 BF16, over keys and values in bf16 or f32. Its time goes into reading these.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_few.h"

// The sum of the lanes of each of four vectors.
INLINE __m128 sum_four(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all =
      _mm512_add_ps((__m512)_mm512_unpacklo_pd((__m512d)ab, (__m512d)cd), (__m512)_mm512_unpackhi_pd((__m512d)ab, (__m512d)cd));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// bf16 rows, `stride` elements from one to the next.
typedef struct {
  const uint16_t *first;
  int64_t stride;
} bf16_rows;

// Scores of four keys, of which only the first `count` have a meaning.
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

// out[rows][d] += weights . values of `count` keys; the weights past them are 0.
INLINE void value_few(int rows, int64_t d, const uint16_t *weights, bf16_rows v, int64_t count, float *out) {
  // Unpacking interleaves the values of two keys within each 128 bits, so that sums are kept in the order which that leaves.
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

INLINE bf16_rows few_rows(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head,
                          int64_t count, uint16_t *room) {
  const int64_t d = a->head_size;
  if (type == LMMC_KV_BF16) return (bf16_rows){(const uint16_t *)rows + key * stride + head * d, stride};
  for (int64_t i = 0; i < count; i++)
    for (int64_t e = 0; e < d; e += 32) _mm512_store_si512(room + i * MAX_HEAD + e, load_32(type, a, rows, stride, key + i, head, e, 1));
  return (bf16_rows){room, MAX_HEAD};
}

// Turns `rows` rows of scores into rounded weights, and adds those to the sums.
INLINE void weigh_few(const lmmc_attention *a, int64_t rows, int64_t key, int64_t count, const float *scores, few_state at,
                      uint16_t *weights) {
  const __m512 units = _mm512_set1_ps(score_unit(a));
  for (int64_t r = 0; r < rows; r++) {
    const __m512 weight = few_weights(attention_smaller(count, attention_visible(a, r) - key), _mm512_load_ps(scores + r * FEW_KEYS), units,
                                      a->head_size, at.out + r * a->head_size, at.max + r, at.sum + r);
    const __m256bh rounded = _mm512_cvtneps_pbh(weight);
    const __m256 pairs = _mm256_dpbf16_ps(_mm256_setzero_ps(), rounded, (__m256bh)_mm256_set1_epi16(0x3f80));
    at.sum[r] += _mm512_reduce_add_ps(_mm512_zextps256_ps512(pairs));
    _mm256_store_si256((__m256i *)(weights + r * FEW_KEYS), (__m256i)rounded);
  }
}

INLINE void few_of(lmmc_kv_type type, int64_t d, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t first_key,
                   int64_t last_key, few_state state) {
  const int64_t rows = a->queries * attention_group(a);
  _Alignas(64) uint16_t q[FEW_QUERIES * MAX_HEAD], weights[FEW_QUERIES * FEW_KEYS], room[4 * MAX_HEAD];
  _Alignas(64) float scores[FEW_QUERIES * FEW_KEYS];
  for (int64_t i = 0; i < heads * rows; i++) load_query(a, first_head + i / rows, i % rows, q + i * MAX_HEAD);
  cursor ahead = start(type, 4, a, first_head, heads, first_key, last_key);
  for (int64_t key = first_key; key < last_key; key += FEW_KEYS) {
    const int64_t end = attention_smaller(key + FEW_KEYS, last_key);
    for (int64_t four = key; four < end; four += 4)
      for (int64_t i = 0; i < heads; i++) {
        ask(type, a, &ahead);
        const int64_t count = attention_smaller(4, end - four);
        const bf16_rows k = few_rows(type, a, a->k, a->k_stride, four, first_head + i, count, room);
        const uint16_t *mine = q + i * rows * MAX_HEAD;
        float *to = scores + i * rows * FEW_KEYS + four - key;
        int64_t r = 0;
        for (; r + 4 <= rows; r += 4) score_few(4, d, mine + r * MAX_HEAD, k, count, to + r * FEW_KEYS);
        if (r + 2 <= rows) score_few(2, d, mine + r * MAX_HEAD, k, count, to + r * FEW_KEYS), r += 2;
        if (r < rows) score_few(1, d, mine + r * MAX_HEAD, k, count, to + r * FEW_KEYS);
      }
    for (int64_t i = 0; i < heads; i++)
      weigh_few(a, rows, key, end - key, scores + i * rows * FEW_KEYS, few_at(state, i * rows, d), weights + i * rows * FEW_KEYS);
    for (int64_t four = key; four < end; four += 4)
      for (int64_t i = 0; i < heads; i++) {
        ask(type, a, &ahead);
        const int64_t count = attention_smaller(4, end - four);
        const bf16_rows v = few_rows(type, a, a->v, a->v_stride, four, first_head + i, count, room);
        const uint16_t *mine = weights + i * rows * FEW_KEYS + four - key;
        float *out = state.out + i * rows * d;
        int64_t r = 0;
        for (; r + 4 <= rows; r += 4) value_few(4, d, mine + r * FEW_KEYS, v, count, out + r * d);
        if (r + 2 <= rows) value_few(2, d, mine + r * FEW_KEYS, v, count, out + r * d), r += 2;
        if (r < rows) value_few(1, d, mine + r * FEW_KEYS, v, count, out + r * d);
      }
  }
}

void lmmc_attention_few_avx512bf16(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                                   lmmc_attention_partial p) {
  const int64_t rows = a->queries * attention_group(a), fit = FEW_QUERIES / rows;
  clear_few(a, last_head - first_head, p);
  for (int64_t head = first_head; head < last_head; head += fit) {
    const int64_t heads = attention_smaller(fit, last_head - head);
    const few_state state = few_at(p, (head - first_head) * rows, a->head_size);
    // The usual head sizes are constants, so that loops over a head are unrolled.
    if (a->kv_type == LMMC_KV_F32) {
      few_of(LMMC_KV_F32, a->head_size, a, head, heads, first_key, last_key, state);
    } else if (a->head_size == 64) {
      few_of(LMMC_KV_BF16, 64, a, head, heads, first_key, last_key, state);
    } else if (a->head_size == 128) {
      few_of(LMMC_KV_BF16, 128, a, head, heads, first_key, last_key, state);
    } else {
      few_of(LMMC_KV_BF16, a->head_size, a, head, heads, first_key, last_key, state);
    }
  }
  to_natural(a, last_head - first_head, p);
}

LMMC_END_TARGET
#endif
