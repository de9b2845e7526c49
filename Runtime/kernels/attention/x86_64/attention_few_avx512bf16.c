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

enum {
  SCORE_KEYS = 16,  // keys that are taken at a time
  VALUE_KEYS = 4,
};

// bf16 rows, `stride` elements from one to the next.
typedef struct {
  const uint16_t *first;
  int64_t stride;
} bf16_rows;

// Scores of SCORE_KEYS keys, of which only the first `count` have a meaning. Turned, the keys are lanes, and a key's sum is one chain.
INLINE void score_few(lmmc_kv_type type, int rows, int64_t d, const uint16_t *q, const lmmc_attention *a, int64_t key, int64_t head,
                      int64_t count, float *scores, cursor *ahead) {
  int64_t asked = 0, at[SCORE_KEYS];
#pragma GCC unroll 16
  for (int i = 0; i < SCORE_KEYS; i++) at[i] = (key + attention_smaller(i, count - 1)) * a->k_stride + head * d;
  __m512 sums[4];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) sums[r] = _mm512_setzero_ps();
  for (int64_t e = 0; e < d; e += 32) {
    __m512i pairs[SCORE_KEYS];
#pragma GCC unroll 16
    for (int i = 0; i < SCORE_KEYS; i++) pairs[i] = load_32(type, a->k, at[i] + e, d - e);
    transpose_16(pairs);
    // Spread out, since the CPU waits where there are too many at a time.
    if (ahead)
      for (; asked * d < (e + 32) * count; asked += FEW_PIECE) ask(type, a, ahead);
#pragma GCC unroll 16
    for (int i = 0; i < SCORE_KEYS; i++)
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) sums[r] = dot_pairs(sums[r], pair_at(q + r * MAX_HEAD + e + 2 * i), pairs[i]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) _mm512_store_ps(scores + r * PANEL, sums[r]);
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
      const __m512i y = key + 1 < count ? _mm512_maskz_loadu_epi16(mask, v.first + (key + 1) * v.stride + e) : _mm512_setzero_si512();
      const __m512i right_low = _mm512_unpacklo_epi16(x, y), right_high = _mm512_unpackhi_epi16(x, y);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        const __m512i left = pair_at(weights + r * PANEL + key);
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

void lmmc_attention_alone_avx512bf16(const lmmc_attention *a, int64_t head, int64_t row, int64_t first_key, lmmc_attention_partial p) {
  const int64_t size = a->kv_type == LMMC_KV_F32 ? 4 : 2, visible = attention_visible(a, row);
  const lmmc_attention one = {.queries = 1,
                              .keys = visible,
                              .heads = 1,
                              .kv_heads = 1,
                              .head_size = a->head_size,
                              .scale = a->scale,
                              .q = a->q + attention_offset(a, head, row, a->q_stride),
                              .kv_type = a->kv_type,
                              .k = (const char *)a->k + head * a->head_size * size,
                              .v = (const char *)a->v + head * a->head_size * size,
                              .k_stride = a->k_stride,
                              .v_stride = a->v_stride,
                              .bias = a->bias};
  lmmc_attention_few_avx512bf16(&one, 0, 1, first_key, attention_smaller(first_key + LMMC_ATTENTION_CUT, visible), p);
}

INLINE bf16_rows few_values(lmmc_kv_type type, const lmmc_attention *a, int64_t key, int64_t head, int64_t count, uint16_t *room) {
  const int64_t d = a->head_size, at = key * a->v_stride + head * d;
  if (type == LMMC_KV_BF16) return (bf16_rows){(const uint16_t *)a->v + at, a->v_stride};
  for (int64_t i = 0; i < count; i++)
    for (int64_t e = 0; e < d; e += 32) _mm512_store_si512(room + i * MAX_HEAD + e, load_32(type, a->v, at + i * a->v_stride + e, d - e));
  return (bf16_rows){room, MAX_HEAD};
}

INLINE void few_of(lmmc_kv_type type, int64_t d, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t first_key,
                   int64_t last_key, few_state state) {
  const int64_t rows = a->queries * attention_group(a);
  _Alignas(64) uint16_t q[FEW_QUERIES * MAX_HEAD], weights[FEW_QUERIES * PANEL], room[VALUE_KEYS * MAX_HEAD];
  _Alignas(64) float scores[FEW_QUERIES * PANEL], sums[FEW_QUERIES * 16];
  for (int64_t i = 0; i < heads * rows; i++) load_query(a, first_head + i / rows, i % rows, q + i * MAX_HEAD);
  const float unit = score_unit(a);
  memset(sums, 0, (size_t)(heads * rows * 16) * sizeof *sums);
  cursor ahead = start(type, SCORE_KEYS, VALUE_KEYS, a, first_head, heads, first_key, last_key);
  for (int64_t panel = first_key; panel < last_key; panel += PANEL) {
    const int64_t end = attention_smaller(panel + PANEL, last_key);
    for (int64_t key = panel; key < end; key += SCORE_KEYS)
      for (int64_t i = 0; i < heads; i++) {
        const int64_t count = attention_smaller(SCORE_KEYS, end - key);
        const uint16_t *mine = q + i * rows * MAX_HEAD;
        float *to = scores + i * rows * PANEL + key - panel;
        for (int64_t r = 0; r < rows;) {
          const int64_t some = rows - r >= 4 ? 4 : rows - r >= 2 ? 2 : 1;
          cursor *once = r == 0 ? &ahead : NULL;
          switch (some) {
            case 4: score_few(type, 4, d, mine + r * MAX_HEAD, a, key, first_head + i, count, to + r * PANEL, once); break;
            case 2: score_few(type, 2, d, mine + r * MAX_HEAD, a, key, first_head + i, count, to + r * PANEL, once); break;
            default: score_few(type, 1, d, mine + r * MAX_HEAD, a, key, first_head + i, count, to + r * PANEL, once); break;
          }
          r += some;
        }
      }
    if (a->bias) add_bias(a, panel, end - panel, heads * rows, scores);
    for (int64_t i = 0; i < heads * rows; i++)
      weigh_row(attention_smaller(end - panel, attention_visible(a, i % rows) - panel), unit, scores + i * PANEL, d, state.out + i * d,
                state.max + i, sums + i * 16, weights + i * PANEL);
    for (int64_t key = panel; key < end; key += VALUE_KEYS)
      for (int64_t i = 0; i < heads; i++) {
        ask(type, a, &ahead);
        const int64_t count = attention_smaller(VALUE_KEYS, end - key);
        const bf16_rows v = few_values(type, a, key, first_head + i, count, room);
        const uint16_t *mine = weights + i * rows * PANEL + key - panel;
        float *out = state.out + i * rows * d;
        int64_t r = 0;
        for (; r + 4 <= rows; r += 4) value_few(4, d, mine + r * PANEL, v, count, out + r * d);
        if (r + 2 <= rows) value_few(2, d, mine + r * PANEL, v, count, out + r * d), r += 2;
        if (r < rows) value_few(1, d, mine + r * PANEL, v, count, out + r * d);
      }
  }
  for (int64_t i = 0; i < heads * rows; i++) {
    state.max[i] = natural(state.max[i]), state.sum[i] = _mm512_reduce_add_ps(_mm512_load_ps(sums + i * 16));
    bool whole = true;
    for (int64_t e = 0; e < d; e += 16) {
      const __mmask16 some = (__mmask16)mask_of(d - e);
      const __m512 x = finish(_mm512_maskz_loadu_ps(some, state.out + i * d + e));
      whole = whole && !_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
      _mm512_mask_storeu_ps(state.out + i * d + e, some, x);
    }
    if (!whole && attention_visible(a, i % rows) < last_key)
      lmmc_attention_alone_avx512bf16(a, first_head + i / rows, i % rows, first_key, few_at(state, i, d));
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
}

LMMC_END_TARGET
#endif
