// What attention of many and of few rows with AVX-512 BF16 share. Both do the same operations in the same order for a row: scores by one
// chain of products over the pairs of a head, one maximum for each PANEL keys, and values by one chain over the pairs of keys. A row may go
// through more products by weights of 0 after its own, which finish() makes up for. Included between LMMC_BEGIN_TARGET and LMMC_END_TARGET.
#ifndef LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_AVX512BF16_H
#define LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_AVX512BF16_H
#include "kernels/attention/attention_variant.h"

#define INLINE static inline __attribute__((always_inline))

enum {
  MAX_HEAD = LMMC_ATTENTION_MAX_HEAD,
  PANEL = 64,  // keys whose weights have one maximum
};

// Weights are 2^(score - max), and the maximum is renewed only for a score more than SLACK above it, so that weights reach 2^8. Floats lose
// no precision by that, and the sums so far seldom need a new scale.
static const float SLACK = 8;

// A block of rows over keys and values in int8.
void lmmc_attention_block_i8_avx512(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows);
// Few rows over those in bf16 or f32.
void lmmc_attention_few_avx512bf16(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                                   lmmc_attention_partial p);
// Few rows over those in int8.
void lmmc_attention_few_i8_avx512(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                                  lmmc_attention_partial p);
// The part that the cut from `first_key` on has in one row over bf16 or f32, read without any key that the row does not see: for a row
// that shared products with others, when a value of a later row, which has the weight 0 here, was infinite or NaN.
void lmmc_attention_alone_avx512bf16(const lmmc_attention *a, int64_t head, int64_t row, int64_t first_key, lmmc_attention_partial p);

// The vectors that the next tile has, of the columns of values that are left, a multiple of 16. 80 columns are taken as 48 + 32, and 96 as
// 48 + 48: a single vector has too few sums to hide the latency.
INLINE int64_t vectors_taken(int64_t columns) {
  const int64_t left = columns / 16;
  return left == 5 || left == 6 ? 3 : left < 4 ? left : 4;
}

// sum + the products of pairs of bf16.
INLINE __m512 dot_pairs(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// Two neighbouring bf16, in all lanes.
INLINE __m512i pair_at(const uint16_t *x) {
  int32_t pair;
  memcpy(&pair, x, sizeof pair);
  return _mm512_set1_epi32(pair);
}

// What a sum of products becomes that takes one more product of zeros, whatever zeros it took before: those flush denormal floats and
// make -0 to 0.
INLINE __m512 finish(__m512 sum) { return dot_pairs(sum, _mm512_setzero_si512(), _mm512_setzero_si512()); }

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

// Weights are powers of 2 here and of e outside.
INLINE float natural(float max) { return max * 0.693147181f; }

// A product of query and key times this is the exponent of 2 that makes its weight. The sign of the scale goes to the query.
INLINE float score_unit(const lmmc_attention *a) { return fabsf(a->scale) * 1.44269504f; }

INLINE __mmask32 mask_of(int64_t left) { return left >= 32 ? 0xffffffff : (1u << left) - 1; }

// 32 elements from element `at` on, of which `left` are a head's, as bf16, zeros past them.
INLINE __m512i load_32(lmmc_kv_type type, const void *rows, int64_t at, int64_t left) {
  const __mmask32 mask = mask_of(left);
  if (type == LMMC_KV_BF16) return _mm512_maskz_loadu_epi16(mask, (const uint16_t *)rows + at);
  const float *x = (const float *)rows + at;
  return to_bf16(_mm512_maskz_loadu_ps((__mmask16)mask, x), _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16));
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

// rows[i][j] -> rows[j][i]
INLINE void transpose_16(__m512i x[16]) {
  __m512i y[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    y[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
    y[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    x[4 * i] = _mm512_unpacklo_epi64(y[4 * i], y[4 * i + 2]);
    x[4 * i + 1] = _mm512_unpackhi_epi64(y[4 * i], y[4 * i + 2]);
    x[4 * i + 2] = _mm512_unpacklo_epi64(y[4 * i + 1], y[4 * i + 3]);
    x[4 * i + 3] = _mm512_unpackhi_epi64(y[4 * i + 1], y[4 * i + 3]);
  }
  // Now x[4 i + j] holds, in its quarter q, column 4 q + j of the rows 4 i ... 4 i + 3.
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    const __m512i a = _mm512_shuffle_i32x4(x[j], x[4 + j], 0x88), b = _mm512_shuffle_i32x4(x[j], x[4 + j], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0x88), d = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0xdd);
    y[j] = _mm512_shuffle_i32x4(a, c, 0x88), y[8 + j] = _mm512_shuffle_i32x4(a, c, 0xdd);
    y[4 + j] = _mm512_shuffle_i32x4(b, d, 0x88), y[12 + j] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) x[i] = y[i];
}

// Scales what a row has so far, out[d] and 16 partial sums, from the maximum `max` to the new maximum `top`, which it returns.
static __attribute__((noinline)) float rescale(float top, float max, int64_t d, float *out, float *sums) {
  if (max == -INFINITY) return top;  // all is zero still
  const __m512 shrink = exp2_lanes(_mm512_set1_ps(max - top));
  for (int64_t e = 0; e < d; e += 16) {
    const __mmask16 some = (__mmask16)mask_of(d - e);
    _mm512_mask_storeu_ps(out + e, some, _mm512_mul_ps(_mm512_maskz_loadu_ps(some, out + e), shrink));
  }
  _mm512_store_ps(sums, _mm512_mul_ps(_mm512_load_ps(sums), shrink));
  return top;
}

// Adds the biases of `count` keys from `key` on to the scores of `rows` rows, in their unit: products of query and key.
static inline void add_bias(const lmmc_attention *a, int64_t key, int64_t count, int64_t rows, float *scores) {
  const __m512 factor = _mm512_set1_ps(1 / fabsf(a->scale));
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 bias = _mm512_mul_ps(_mm512_maskz_loadu_ps((__mmask16)mask_of(count - i), a->bias + key + i), factor);
    for (float *row = scores + i; row < scores + rows * PANEL; row += PANEL) _mm512_store_ps(row, _mm512_add_ps(_mm512_load_ps(row), bias));
  }
}

// Turns one row of scores, of which the first `seen` count, into rounded weights, zeros for the rest of the panel. `sums` are 16 partial
// sums of the rounded weights.
INLINE void weigh(int vectors, int64_t seen, float unit, const float *scores, int64_t d, float *out, float *max, float *sums,
                  uint16_t *weights) {
  __m512 s[4], most = _mm512_set1_ps(-INFINITY);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    s[v] = _mm512_mul_ps(_mm512_load_ps(scores + v * 16), _mm512_set1_ps(unit));
    if (v == vectors - 1 && seen < vectors * 16)
      s[v] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), (__mmask16)((1u << (seen - v * 16)) - 1), s[v]);
    most = _mm512_max_ps(most, s[v]);
  }
  if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(*max + SLACK), _CMP_GT_OQ)) *max = rescale(_mm512_reduce_max_ps(most), *max, d, out, sums);
  const __m512 top = _mm512_set1_ps(*max);
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++) s[v] = v < vectors ? exp2_lanes(_mm512_sub_ps(s[v], top)) : _mm512_setzero_ps();
  const __m512i low = to_bf16(s[0], s[1]), high = to_bf16(s[2], s[3]), ones = _mm512_set1_epi16(0x3f80);
  __m512 sum = dot_pairs(_mm512_load_ps(sums), low, ones);
  if (vectors > 2) sum = dot_pairs(sum, high, ones);
  _mm512_store_ps(sums, sum);
  _mm512_store_si512(weights, low), _mm512_store_si512(weights + 32, high);
}

INLINE void weigh_row(int64_t seen, float unit, const float *scores, int64_t d, float *out, float *max, float *sums, uint16_t *weights) {
  switch (seen > 0 ? (seen + 15) / 16 : 0) {
    case 4: weigh(4, seen, unit, scores, d, out, max, sums, weights); break;
    case 3: weigh(3, seen, unit, scores, d, out, max, sums, weights); break;
    case 2: weigh(2, seen, unit, scores, d, out, max, sums, weights); break;
    case 1: weigh(1, seen, unit, scores, d, out, max, sums, weights); break;
    default: memset(weights, 0, PANEL * sizeof *weights); break;
  }
}

// Joins what a cut has in a row, out[d], max and sum, to the row's output, which becomes the result after its last cut.
static inline void join_row(const lmmc_attention *a, int64_t head, int64_t row, int64_t cut, float *out, float max, float sum,
                            float *row_max, float *row_sum) {
  const int64_t d = a->head_size;
  float *row_out = a->out + attention_offset(a, head, row, a->out_stride);
  if (cut == 0) {
    *row_max = max, *row_sum = sum;
  } else {
    lmmc_attention_join(d, out, max, sum, row_out, row_max, row_sum);
    out = row_out;
  }
  const __m512 factor = _mm512_set1_ps(cut + LMMC_ATTENTION_CUT >= attention_visible(a, row) ? 1.0f / *row_sum : 1);
  for (int64_t e = 0; e < d; e += 16) {
    const __mmask16 some = (__mmask16)mask_of(d - e);
    _mm512_mask_storeu_ps(row_out + e, some, _mm512_mul_ps(_mm512_maskz_loadu_ps(some, out + e), factor));
  }
}

#endif
