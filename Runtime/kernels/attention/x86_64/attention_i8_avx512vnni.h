// What attention of many and of few rows over keys and values in int8 share. Queries and weights become integers of 15 and 16 bits, more than
// bf16 has, each split into two digits of a byte, which VPDPBUSD multiplies four at a time. Their sums over a head and over a panel are
// exact, so that the order of keys and elements within those is free. Included between LMMC_BEGIN_TARGET and LMMC_END_TARGET.
#ifndef LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_I8_AVX512VNNI_H
#define LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_I8_AVX512VNNI_H
#include "attention_avx512bf16.h"

// A query: scale * (128 * digits[0] + digits[1]).
typedef struct {
  _Alignas(64) int8_t digits[2][MAX_HEAD];
  int32_t excess;  // 128 times the sum of the integers: by so much its product with keys that are 128 too large is too large
  float scale;
} query;

// Weights of one row for a panel: scale * (256 * digits[0] + digits[1]).
typedef struct {
  _Alignas(64) uint8_t digits[2][PANEL];
  float scale;
} weight_digits;

INLINE __mmask64 mask_64(int64_t left) { return left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1; }

// Packing four vectors of 16 integers to bytes takes four of each in turn. This puts them into their order.
INLINE __m512i unmixed(__m512i bytes) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
}

// Digits are zeros from the head up to a multiple of 64.
INLINE void load_digits(const lmmc_attention *a, int64_t head, int64_t row, query *out) {
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
  for (int64_t e = 0; e < a->head_size; e += 64) {
    __m512i whole[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const __m512 x = _mm512_maskz_loadu_ps((__mmask16)(mask_64(a->head_size - e) >> (16 * i)), q + e + 16 * i);
      whole[i] = inverse == 0 ? _mm512_setzero_si512() : _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(inverse)));
      total = _mm512_add_epi32(total, whole[i]);
    }
    const __m512i low = _mm512_packs_epi32(whole[0], whole[1]), high = _mm512_packs_epi32(whole[2], whole[3]);
    const __m512i half = _mm512_set1_epi16(64);
    const __m512i low_above = _mm512_srai_epi16(_mm512_add_epi16(low, half), 7),
                  high_above = _mm512_srai_epi16(_mm512_add_epi16(high, half), 7);
    const __m512i low_below = _mm512_sub_epi16(low, _mm512_slli_epi16(low_above, 7));
    const __m512i high_below = _mm512_sub_epi16(high, _mm512_slli_epi16(high_above, 7));
    _mm512_store_si512(out->digits[0] + e, unmixed(_mm512_packs_epi16(low_above, high_above)));
    _mm512_store_si512(out->digits[1] + e, unmixed(_mm512_packs_epi16(low_below, high_below)));
  }
  out->excess = 128 * _mm512_reduce_add_epi32(total);
}

// Sums of products. As __m512i, which has lanes of 64 bits, gcc copies them at each turn of a loop.
typedef int32_t ints __attribute__((vector_size(64)));

// sum + the products of four unsigned and four signed bytes.
INLINE ints dot_quads(ints sum, __m512i a, __m512i b) { return (ints)_mm512_dpbusd_epi32((__m512i)sum, a, b); }

// Four neighbouring digits, in all lanes.
INLINE __m512i quad_at(const void *x) {
  int32_t quad;
  memcpy(&quad, x, sizeof quad);
  return _mm512_set1_epi32(quad);
}

// 64 elements of four keys -> quads of keys: quarter q of x[i] holds those of the elements 16 q + 4 i ... 16 q + 4 i + 3.
INLINE void quads_of_bytes(__m512i x[4]) {
  const __m512i a = _mm512_unpacklo_epi8(x[0], x[1]), b = _mm512_unpackhi_epi8(x[0], x[1]);
  const __m512i c = _mm512_unpacklo_epi8(x[2], x[3]), d = _mm512_unpackhi_epi8(x[2], x[3]);
  x[0] = _mm512_unpacklo_epi16(a, c), x[1] = _mm512_unpackhi_epi16(a, c);
  x[2] = _mm512_unpacklo_epi16(b, d), x[3] = _mm512_unpackhi_epi16(b, d);
}

// x[i] gets the quarters i of all four, which brings elements back into their order.
INLINE void turn_quarters(__m512i x[4]) {
  const __m512i a = _mm512_shuffle_i32x4(x[0], x[1], 0x44), b = _mm512_shuffle_i32x4(x[0], x[1], 0xee);
  const __m512i c = _mm512_shuffle_i32x4(x[2], x[3], 0x44), d = _mm512_shuffle_i32x4(x[2], x[3], 0xee);
  x[0] = _mm512_shuffle_i32x4(a, c, 0x88), x[1] = _mm512_shuffle_i32x4(a, c, 0xdd);
  x[2] = _mm512_shuffle_i32x4(b, d, 0x88), x[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

// Turns one row of scores, in units of the query's scale times `units`, into the digits of its weights times the scales of the values, zeros
// from `seen` on. `sums` are 16 partial sums of the weights.
INLINE void weigh_digits(int vectors, int64_t seen, const float *units, const float *value_scales, float query_scale, const float *scores,
                         int64_t d, float *out, float *max, float *sums, weight_digits *weights) {
  __m512 s[4], most = _mm512_set1_ps(-INFINITY);
  __m512i whole[4], greatest = _mm512_setzero_si512();
  const __mmask16 last = (__mmask16)((1u << (seen - (vectors - 1) * 16)) - 1);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    const __m512 unit = _mm512_mul_ps(_mm512_load_ps(units + v * 16), _mm512_set1_ps(query_scale));
    s[v] = _mm512_mul_ps(_mm512_load_ps(scores + v * 16), unit);
    if (v == vectors - 1) s[v] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), last, s[v]);
    most = _mm512_max_ps(most, s[v]);
  }
  if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(*max + SLACK), _CMP_GT_OQ)) *max = rescale(_mm512_reduce_max_ps(most), *max, d, out, sums);
  __m512 sum = _mm512_load_ps(sums);
  const __m512 top = _mm512_set1_ps(*max);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    s[v] = exp2_lanes(_mm512_sub_ps(s[v], top)), sum = _mm512_add_ps(sum, s[v]);
    s[v] = _mm512_maskz_mul_ps(v == vectors - 1 ? last : 0xffff, s[v], _mm512_load_ps(value_scales + v * 16));
    // None is negative. Compared as integers, NaN of either sign is above all.
    greatest = _mm512_max_epu32(greatest, _mm512_castps_si512(s[v]));
  }
  _mm512_store_ps(sums, sum);
  const uint32_t bits = _mm512_reduce_max_epu32(greatest);
  float limit;
  memcpy(&limit, &bits, sizeof limit);
  const bool usual = bits < 0x7f800000 && limit > 1e-30f;
  weights->scale = bits >= 0x7f800000 ? NAN : usual ? limit * (1.0f / 65535) : 0;
  const __m512 inverse = _mm512_set1_ps(usual ? 65535 / limit : 0);
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++) whole[v] = v < vectors ? _mm512_cvtps_epi32(_mm512_mul_ps(s[v], inverse)) : _mm512_setzero_si512();
  const __m512i low = _mm512_packus_epi32(whole[0], whole[1]), high = _mm512_packus_epi32(whole[2], whole[3]);
  const __m512i byte = _mm512_set1_epi16(0xff);
  const __m512i above = _mm512_packus_epi16(_mm512_srli_epi16(low, 8), _mm512_srli_epi16(high, 8));
  const __m512i below = _mm512_packus_epi16(_mm512_and_si512(low, byte), _mm512_and_si512(high, byte));
  _mm512_store_si512(weights->digits[0], unmixed(above)), _mm512_store_si512(weights->digits[1], unmixed(below));
}

INLINE void weigh_digits_row(int64_t seen, const float *units, const float *value_scales, float query_scale, const float *scores, int64_t d,
                             float *out, float *max, float *sums, weight_digits *weights) {
  switch (seen > 0 ? (seen + 15) / 16 : 0) {
    case 4: weigh_digits(4, seen, units, value_scales, query_scale, scores, d, out, max, sums, weights); break;
    case 3: weigh_digits(3, seen, units, value_scales, query_scale, scores, d, out, max, sums, weights); break;
    case 2: weigh_digits(2, seen, units, value_scales, query_scale, scores, d, out, max, sums, weights); break;
    case 1: weigh_digits(1, seen, units, value_scales, query_scale, scores, d, out, max, sums, weights); break;
    default: memset(weights, 0, sizeof *weights); break;
  }
}

#endif
