// Attention of few queries for AVX-512 VNNI, over keys and values in int8. Converting these would take longer than reading them.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_few.h"
#include "attention_i8_avx512vnni.h"

enum { PART = 16 };  // keys whose values are taken at a time

// The sum of the lanes of each of four vectors.
INLINE __m128i sum_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti32x8_epi32(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Scores of four keys, of which only the first `count` have a meaning, in units of the query's scale times the key's.
INLINE void score_few(int rows, int64_t d, const query *q, const int8_t *k, int64_t stride, int64_t count, float *scores) {
  const int8_t *x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) x[i] = k + attention_smaller(i, count - 1) * stride;
  ints high[2][4], low[2][4];
#pragma GCC unroll 2
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) high[r][i] = low[r][i] = (ints){0};
  for (int64_t e = 0; e < d; e += 64) {
    __m512i keys[4];
    // One factor of the instruction is unsigned, so that 128 is added to keys.
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) keys[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask_64(d - e), x[i] + e), _mm512_set1_epi8(-128));
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
      const __m512i above = _mm512_load_si512(q[r].digits[0] + e), below = _mm512_load_si512(q[r].digits[1] + e);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) high[r][i] = dot_quads(high[r][i], keys[i], above), low[r][i] = dot_quads(low[r][i], keys[i], below);
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < rows; r++) {
    __m512i sums[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[i] = _mm512_add_epi32(_mm512_slli_epi32((__m512i)high[r][i], 7), (__m512i)low[r][i]);
    const __m128i sum = sum_four(sums[0], sums[1], sums[2], sums[3]);
    _mm_store_ps(scores + r * PANEL, _mm_cvtepi32_ps(_mm_sub_epi32(sum, _mm_set1_epi32(q[r].excess))));
  }
}

// sums[rows][d up to 64] += weights . values of up to PART keys, from `part` in their panel on; the first part of a panel begins the sums.
// They stand in the order of quads_of_bytes().
INLINE void value_few(int rows, int64_t d, int64_t part, const weight_digits *weights, const int8_t *v, int64_t stride, int64_t count,
                      int32_t *sums, const lmmc_attention *a, cursor *ahead) {
  for (int64_t e = 0; e < d; e += 64) {
    const __mmask64 mask = mask_64(d - e);
    ints high[2][4], low[2][4];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) high[r][i] = low[r][i] = (ints){0};
    for (int64_t key = 0; key < count; key += 4) {
      __m512i x[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) x[i] = _mm512_maskz_loadu_epi8(mask, v + attention_smaller(key + i, count - 1) * stride + e);
      quads_of_bytes(x);
      if (ahead && e == 0) ask(LMMC_KV_I8, a, ahead);
#pragma GCC unroll 2
      for (int r = 0; r < rows; r++) {
        const __m512i above = quad_at(weights[r].digits[0] + part + key), below = quad_at(weights[r].digits[1] + part + key);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) high[r][i] = dot_quads(high[r][i], above, x[i]), low[r][i] = dot_quads(low[r][i], below, x[i]);
      }
    }
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        int32_t *to = sums + r * MAX_HEAD + e + 16 * i;
        const __m512i here = _mm512_add_epi32(_mm512_slli_epi32((__m512i)high[r][i], 8), (__m512i)low[r][i]);
        _mm512_store_si512(to, part == 0 ? here : _mm512_add_epi32(here, _mm512_load_si512(to)));
      }
  }
}

// out[d] += scale * sums
INLINE void add_values(int64_t d, float scale, const int32_t *sums, float *out) {
  for (int64_t e = 0; e < d; e += 64) {
    __m512i part[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) part[i] = _mm512_load_si512(sums + e + 16 * i);
    turn_quarters(part);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const __mmask16 some = (__mmask16)(mask_64(d - e) >> (16 * i));
      float *to = out + e + 16 * i;
      _mm512_mask_storeu_ps(to, some, _mm512_fmadd_ps(_mm512_cvtepi32_ps(part[i]), _mm512_set1_ps(scale), _mm512_maskz_loadu_ps(some, to)));
    }
  }
}

// The scales of `count` rows from `key` on, times `unit`: out[heads][PANEL].
INLINE void load_scales(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t count, int64_t first_head,
                        int64_t heads, float unit, float *out) {
  for (int64_t i = 0; i < heads; i += 16)
    for (int64_t r = 0; r < count; r += 16) {
      const char *at = (const char *)rows + key * stride + a->kv_heads * a->head_size + (first_head + i) * (int64_t)sizeof(float);
      __m512i x[16];
#pragma GCC unroll 16
      for (int j = 0; j < 16; j++)
        x[j] = _mm512_maskz_loadu_epi32((__mmask16)mask_of(heads - i), at + attention_smaller(r + j, count - 1) * stride);
      transpose_16(x);
#pragma GCC unroll 16
      for (int j = 0; j < 16; j++)
        if (i + j < heads) _mm512_store_ps(out + (i + j) * PANEL + r, _mm512_mul_ps(_mm512_castsi512_ps(x[j]), _mm512_set1_ps(unit)));
    }
}

INLINE void few_heads(int64_t d, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t first_key, int64_t last_key,
                      few_state state) {
  const int64_t rows = a->queries * attention_group(a);
  query q[FEW_QUERIES];
  weight_digits weights[FEW_QUERIES];
  _Alignas(64) float scores[FEW_QUERIES * PANEL], sums[FEW_QUERIES * 16], units[FEW_QUERIES * PANEL], value_scales[FEW_QUERIES * PANEL];
  _Alignas(64) int32_t values[FEW_QUERIES * MAX_HEAD];
  for (int64_t i = 0; i < heads * rows; i++) load_digits(a, first_head + i / rows, i % rows, &q[i]);
  memset(sums, 0, (size_t)(heads * rows * 16) * sizeof *sums);
  cursor ahead = start(LMMC_KV_I8, 4, PART, a, first_head, heads, first_key, last_key);
  for (int64_t panel = first_key; panel < last_key; panel += PANEL) {
    const int64_t count = attention_smaller(PANEL, last_key - panel);
    for (int64_t four = 0; four < count; four += 4)
      for (int64_t i = 0; i < heads; i++) {
        ask(LMMC_KV_I8, a, &ahead);
        const int8_t *k = (const int8_t *)a->k + (panel + four) * a->k_stride + (first_head + i) * d;
        const query *mine = q + i * rows;
        float *to = scores + i * rows * PANEL + four;
        int64_t r = 0;
        for (; r + 2 <= rows; r += 2) score_few(2, d, mine + r, k, a->k_stride, attention_smaller(4, count - four), to + r * PANEL);
        if (r < rows) score_few(1, d, mine + r, k, a->k_stride, attention_smaller(4, count - four), to + r * PANEL);
      }
    load_scales(a, a->k, a->k_stride, panel, count, first_head, heads, score_unit(a), units);
    load_scales(a, a->v, a->v_stride, panel, count, first_head, heads, 1, value_scales);
    for (int64_t r = 0; r < heads * rows; r++)
      weigh_digits_row(attention_smaller(count, attention_visible(a, r % rows) - panel), units + r / rows * PANEL,
                       value_scales + r / rows * PANEL, q[r].scale, scores + r * PANEL, d, state.out + r * d, state.max + r, sums + r * 16,
                       weights + r);
    for (int64_t part = 0; part < count; part += PART)
      for (int64_t i = 0; i < heads; i++) {
        const int64_t some = attention_smaller(PART, count - part);
        const int8_t *v = (const int8_t *)a->v + (panel + part) * a->v_stride + (first_head + i) * d;
        int64_t r = i * rows;
        cursor *once = &ahead;
        for (; r + 2 <= (i + 1) * rows; r += 2, once = NULL)
          value_few(2, d, part, weights + r, v, a->v_stride, some, values + r * MAX_HEAD, a, once);
        if (r < (i + 1) * rows) value_few(1, d, part, weights + r, v, a->v_stride, some, values + r * MAX_HEAD, a, once);
      }
    for (int64_t r = 0; r < heads * rows; r++) add_values(d, weights[r].scale, values + r * MAX_HEAD, state.out + r * d);
  }
  for (int64_t r = 0; r < heads * rows; r++)
    state.max[r] = natural(state.max[r]), state.sum[r] = _mm512_reduce_add_ps(_mm512_load_ps(sums + r * 16));
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
}

LMMC_END_TARGET
#endif
