// Attention of many rows for AVX-512 VNNI, over keys and values in int8. A block packs a cut of its keys and values once, by fours:
//   keys:    panels of 64: [quads of elements][64 keys][4], with 128 added
//   values:  [quads of keys][elements, up to a multiple of 16][4]
// and then goes over its rows, 24 at a time, with scores and sums in the L1 cache.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_i8_avx512vnni.h"

enum {
  ROWS = 3,         // rows of a tile: 3 x 2 digits x 4 registers of sums, 4 of keys or values, one of a query or weight
  BLOCK_ROWS = 24,  // rows that go over a panel while it is in the L1 cache
  MAX_ROWS = 1008,  // most rows of a task
  AHEAD = 32,       // keys between prefetching and packing
};

// A cut of keys and values, with the factors of their scores and weights.
typedef struct {
  _Alignas(64) uint8_t keys[LMMC_ATTENTION_CUT * MAX_HEAD];
  _Alignas(64) int8_t values[LMMC_ATTENTION_CUT * MAX_HEAD];
  _Alignas(64) float units[LMMC_ATTENTION_CUT], value_scales[LMMC_ATTENTION_CUT];
} packed;

// 64 elements of a head's row, from `e` on, zeros past the head and where there is no row.
INLINE __m512i load_64(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t e, bool there) {
  const int64_t d = a->head_size;
  return there ? _mm512_maskz_loadu_epi8(mask_64(d - e), (const int8_t *)rows + key * stride + head * d + e) : _mm512_setzero_si512();
}

static void pack_keys(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, packed *p) {
  const int64_t wide = attention_up(a->head_size, 64);
  for (int64_t key = 0; key < count; key++) {
    p->units[key] = score_unit(a) * attention_head_scale(a, a->k, a->k_stride, first + key, head);
    p->value_scales[key] = attention_head_scale(a, a->v, a->v_stride, first + key, head);
  }
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(LMMC_KV_I8, a, a->k, a->k_stride, first + i, head);
  for (int64_t key = 0; key < count; key += 16) {
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 16, count); i++)
      prefetch_head(LMMC_KV_I8, a, a->k, a->k_stride, first + i, head);
    for (int64_t e = 0; e < wide; e += 64) {
      __m512i x[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++)
        x[i] = _mm512_xor_si512(load_64(a, a->k, a->k_stride, first + key + i, head, e, key + i < count), _mm512_set1_epi8(-128));
      transpose_16(x);
      uint8_t *panel = p->keys + key / PANEL * PANEL * wide + e * PANEL + key % PANEL * 4;
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++) _mm512_store_si512(panel + i * 4 * PANEL, x[i]);
    }
  }
}

static void pack_values(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, int8_t *out) {
  const int64_t wide = attention_up(a->head_size, 16);
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(LMMC_KV_I8, a, a->v, a->v_stride, first + i, head);
  for (int64_t key = 0; key < count; key += 4) {
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 4, count); i++)
      prefetch_head(LMMC_KV_I8, a, a->v, a->v_stride, first + i, head);
    for (int64_t e = 0; e < wide; e += 64) {
      __m512i x[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) x[i] = load_64(a, a->v, a->v_stride, first + key + i, head, e, key + i < count);
      quads_of_bytes(x);
      turn_quarters(x);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++)
        if (e + 16 * i < wide) _mm512_store_si512(out + key * wide + (e + 16 * i) * 4, x[i]);
    }
  }
}

// scores[ROWS][vectors * 16] = queries . keys, in units of the query's scale times the key's
INLINE void score_tile(int vectors, int64_t quads, const query *q, const uint8_t *keys, float *scores) {
  ints sums[2 * ROWS][4];
#pragma GCC unroll 6
  for (int r = 0; r < 2 * ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sums[r][v] = (ints){0};
  for (int64_t p = 0; p < quads; p++) {
    __m512i right[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) right[v] = _mm512_load_si512(keys + p * 4 * PANEL + v * 64);
#pragma GCC unroll 6
    for (int r = 0; r < 2 * ROWS; r++) {
      const __m512i left = quad_at(q[r / 2].digits[r % 2] + 4 * p);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[r][v] = dot_quads(sums[r][v], right[v], left);
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32((__m512i)sums[2 * r][v], 7), (__m512i)sums[2 * r + 1][v]);
      _mm512_store_ps(scores + r * PANEL + v * 16, _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(q[r].excess))));
    }
}

static void score_rows(int64_t seen, int64_t quads, const query *q, const uint8_t *keys, float *scores) {
  switch ((seen + 15) / 16) {
    case 4: score_tile(4, quads, q, keys, scores); break;
    case 3: score_tile(3, quads, q, keys, scores); break;
    case 2: score_tile(2, quads, q, keys, scores); break;
    default: score_tile(1, quads, q, keys, scores); break;
  }
}

// out[ROWS][vectors * 16] += weights . values
INLINE void value_tile(int vectors, int64_t quads, const weight_digits *weights, const int8_t *values, int64_t wide, float *out) {
  ints sums[2 * ROWS][4];
#pragma GCC unroll 6
  for (int r = 0; r < 2 * ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sums[r][v] = (ints){0};
  for (int64_t p = 0; p < quads; p++) {
    __m512i right[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) right[v] = _mm512_load_si512(values + p * 4 * wide + v * 64);
#pragma GCC unroll 6
    for (int r = 0; r < 2 * ROWS; r++) {
      const __m512i left = quad_at(weights[r / 2].digits[r % 2] + 4 * p);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[r][v] = dot_quads(sums[r][v], left, right[v]);
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      float *to = out + r * wide + v * 16;
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32((__m512i)sums[2 * r][v], 8), (__m512i)sums[2 * r + 1][v]));
      _mm512_store_ps(to, _mm512_fmadd_ps(sum, _mm512_set1_ps(weights[r].scale), _mm512_load_ps(to)));
    }
}

static void value_rows(int64_t quads, const weight_digits *weights, const int8_t *values, int64_t wide, float *out) {
  for (int64_t e = 0; e < wide;) {
    const int64_t take = vectors_taken(wide - e);
    switch (take) {
      case 4: value_tile(4, quads, weights, values + e * 4, wide, out + e); break;
      case 3: value_tile(3, quads, weights, values + e * 4, wide, out + e); break;
      case 2: value_tile(2, quads, weights, values + e * 4, wide, out + e); break;
      default: value_tile(1, quads, weights, values + e * 4, wide, out + e); break;
    }
    e += take * 16;
  }
}

// The maxima and sums of a task's rows over the cuts so far, whose sums of values are in the output.
typedef struct {
  float max[MAX_ROWS], sum[MAX_ROWS];
} row_state;

// Rows first ... first + count - 1 (at most BLOCK_ROWS) of the task that begins at `task_row`, over the packed keys from `cut` up to
// last_key - 1.
static void row_block(const lmmc_attention *a, int64_t head, int64_t task_row, int64_t task_end, int64_t first, int64_t count, int64_t cut,
                      int64_t last_key, const packed *p, row_state *state) {
  const int64_t d = a->head_size, wide = attention_up(d, 16), wider = attention_up(d, 64), end = attention_visible(a, first + count - 1);
  if (cut >= end) return;
  query q[BLOCK_ROWS];
  weight_digits weights[BLOCK_ROWS];
  _Alignas(64) float scores[BLOCK_ROWS * PANEL], out[BLOCK_ROWS * MAX_HEAD], sums[BLOCK_ROWS * 16], max[BLOCK_ROWS];
  const int64_t tiles = (count + ROWS - 1) / ROWS;
  memset(out, 0, (size_t)(tiles * ROWS * wide) * sizeof *out), memset(sums, 0, sizeof sums);
  for (int64_t r = 0; r < tiles * ROWS; r++) {
    if (r >= count) {
      // Rows of zeros fill the last tile.
      memset(&q[r], 0, sizeof q[r]), memset(&weights[r], 0, sizeof weights[r]);
      continue;
    }
    load_digits(a, head, first + r, &q[r]);
    max[r] = -INFINITY;
    if (first + r + BLOCK_ROWS < task_end) prefetch(a->q + attention_offset(a, head, first + r + BLOCK_ROWS, a->q_stride), d * 4);
    for (int64_t e = 0; e < d; e += 16) __builtin_prefetch(a->out + attention_offset(a, head, first + r, a->out_stride) + e, 1);
  }
  last_key = attention_smaller(last_key, end);
  for (int64_t key = cut; key < last_key; key += PANEL) {
    const int64_t here = attention_smaller(PANEL, last_key - key);
    const uint8_t *panel = p->keys + (key - cut) * wider;
    // Keys of the panel that the last row of each tile sees.
    int64_t seen[BLOCK_ROWS / ROWS];
    for (int64_t t = 0; t < tiles; t++) {
      seen[t] = attention_smaller(here, attention_visible(a, first + attention_smaller(t * ROWS + ROWS, count) - 1) - key);
      if (seen[t] > 0) score_rows(seen[t], (d + 3) / 4, q + t * ROWS, panel, scores + t * ROWS * PANEL);
    }
    for (int64_t r = 0; r < count; r++)
      weigh_digits_row(attention_smaller(here, attention_visible(a, first + r) - key), p->units + (key - cut),
                       p->value_scales + (key - cut), q[r].scale, scores + r * PANEL, d, out + r * wide, &max[r], sums + r * 16,
                       &weights[r]);
    for (int64_t t = 0; t < tiles; t++)
      if (seen[t] > 0) value_rows((seen[t] + 3) / 4, weights + t * ROWS, p->values + (key - cut) * wide, wide, out + t * ROWS * wide);
  }
  for (int64_t r = 0; r < count; r++) {
    if (attention_visible(a, first + r) <= cut) continue;
    join_row(a, head, first + r, cut, out + r * wide, natural(max[r]), _mm512_reduce_add_ps(_mm512_load_ps(sums + r * 16)),
             &state->max[first - task_row + r], &state->sum[first - task_row + r]);
  }
}

void lmmc_attention_block_i8_avx512(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  packed p;
  row_state state;
  const int64_t last_key = attention_visible(a, first + rows - 1);
  for (int64_t cut = 0; cut < last_key; cut += LMMC_ATTENTION_CUT) {
    const int64_t count = attention_smaller(LMMC_ATTENTION_CUT, last_key - cut);
    pack_keys(a, head, cut, count, &p), pack_values(a, head, cut, count, p.values);
    for (int64_t r = 0; r < rows; r += BLOCK_ROWS)
      row_block(a, head, first, first + rows, first + r, attention_smaller(BLOCK_ROWS, rows - r), cut, cut + count, &p, &state);
  }
}

LMMC_END_TARGET
#endif
