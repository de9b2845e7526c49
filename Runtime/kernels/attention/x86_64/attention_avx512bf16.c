// Attention for AVX-512 BF16: queries, keys, values and weights are rounded to bf16 and multiplied in pairs by VDPBF16PS, whose sums
// are f32. A block packs its keys and values once, as pairs:
//   keys:    panels of 64: [pairs of elements][64 keys][2]
//   values:  [pairs of keys][elements, up to a multiple of 16][2]
// and then goes over its rows, 24 at a time, with scores and sums in the L1 cache.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_avx512bf16.h"

enum {
  PANEL = 64,       // keys of a panel
  ROWS = 6,         // rows of a tile: 6 x 4 registers of sums, 4 of keys or values, one of a query or weight
  BLOCK_ROWS = 24,  // rows that go over a panel while it is in the L1 cache
  MAX_ROWS = 1008,  // most rows of a task
  CHUNK = 65536,    // most elements of keys, and of values, that are packed at a time
  MAX_KEYS = CHUNK / 32,
  AHEAD = 32,  // keys between prefetching and packing
};

static int64_t up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

// ---- packing

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

// Keys become bf16, in which int8 codes are exact. `units` gets what each key's scores are multiplied by: score_unit(), times the scale of
// an int8 key.
INLINE void pack_keys(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t first, int64_t count, uint16_t *out, float *units) {
  const int64_t wide = up(a->head_size, 32);
  const float unit = score_unit(a);
  for (int64_t key = 0; key < up(count, PANEL); key++) {
    units[key] = unit;
    if (type == LMMC_KV_I8 && key < count) units[key] *= row_scale(a, a->k, a->k_stride, first + key, head);
  }
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(type, a, a->k, a->k_stride, first + i, head);
  for (int64_t key = 0; key < up(count, PANEL); key += 16) {
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 16, count); i++)
      prefetch_head(type, a, a->k, a->k_stride, first + i, head);
    for (int64_t e = 0; e < wide; e += 32) {
      __m512i x[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++)
        x[i] = key + i < count ? load_32(type, a, a->k, a->k_stride, first + key + i, head, e, 1) : _mm512_setzero_si512();
      transpose_16(x);
      uint16_t *panel = out + key / PANEL * PANEL * wide + e * PANEL + key % PANEL * 2;
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++) _mm512_store_si512(panel + i * 2 * PANEL, x[i]);
    }
  }
}

// Interleaves words: word i of a, then word i of b, for the first 16 words and for the last.
INLINE void interleave(__m512i a, __m512i b, __m512i *first, __m512i *last) {
  const __m512i low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b);
  const __m512i from_first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), from_last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  *first = _mm512_permutex2var_epi64(low, from_first, high), *last = _mm512_permutex2var_epi64(low, from_last, high);
}

INLINE void pack_values(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t first, int64_t count, uint16_t *out) {
  const int64_t wide = up(a->head_size, 16);
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(type, a, a->v, a->v_stride, first + i, head);
  for (int64_t key = 0; key < count; key += 2) {
    const bool two = key + 1 < count;
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 2, count); i++)
      prefetch_head(type, a, a->v, a->v_stride, first + i, head);
    const float scale = type == LMMC_KV_I8 ? row_scale(a, a->v, a->v_stride, first + key, head) : 1;
    const float next = type == LMMC_KV_I8 && two ? row_scale(a, a->v, a->v_stride, first + key + 1, head) : 1;
    for (int64_t e = 0; e < wide; e += 32) {
      const __m512i x = load_32(type, a, a->v, a->v_stride, first + key, head, e, scale);
      const __m512i y = two ? load_32(type, a, a->v, a->v_stride, first + key + 1, head, e, next) : _mm512_setzero_si512();
      __m512i low, high;
      interleave(x, y, &low, &high);
      _mm512_store_si512(out + key * wide + e * 2, low);
      if (e + 16 < wide) _mm512_store_si512(out + key * wide + e * 2 + 32, high);
    }
  }
}

// The keys and values of a chunk: weight = 2^(score * unit - max).
typedef struct {
  _Alignas(64) uint16_t keys[CHUNK], values[CHUNK];
  _Alignas(64) float units[MAX_KEYS];
} packed;

static __attribute__((noinline)) void pack(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, packed *p) {
  switch (a->kv_type) {
    case LMMC_KV_F32:
      pack_keys(LMMC_KV_F32, a, head, first, count, p->keys, p->units), pack_values(LMMC_KV_F32, a, head, first, count, p->values);
      break;
    case LMMC_KV_BF16:
      pack_keys(LMMC_KV_BF16, a, head, first, count, p->keys, p->units), pack_values(LMMC_KV_BF16, a, head, first, count, p->values);
      break;
    case LMMC_KV_I8:
      pack_keys(LMMC_KV_I8, a, head, first, count, p->keys, p->units), pack_values(LMMC_KV_I8, a, head, first, count, p->values);
      break;
  }
}

// ---- many rows

// scores[ROWS][vectors * 16] = queries . keys
INLINE void score_tile(int vectors, int64_t pairs, const uint16_t *q, const uint16_t *keys, float *scores) {
  __m512 sums[ROWS][4];
#pragma GCC unroll 6
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_setzero_ps();
  for (int64_t p = 0; p < pairs; p++) {
    __m512i right[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) right[v] = _mm512_load_si512(keys + p * 2 * PANEL + v * 32);
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
      int32_t pair;
      memcpy(&pair, q + r * MAX_HEAD + p * 2, sizeof pair);
      const __m512i left = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[r][v] = dot_pairs(sums[r][v], left, right[v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) _mm512_store_ps(scores + r * PANEL + v * 16, sums[r][v]);
}

static void score_rows(int64_t seen, int64_t pairs, const uint16_t *q, const uint16_t *keys, float *scores) {
  switch ((seen + 15) / 16) {
    case 4: score_tile(4, pairs, q, keys, scores); break;
    case 3: score_tile(3, pairs, q, keys, scores); break;
    case 2: score_tile(2, pairs, q, keys, scores); break;
    default: score_tile(1, pairs, q, keys, scores); break;
  }
}

// out[ROWS][vectors * 16] += weights . values
INLINE void value_tile(int vectors, int64_t pairs, const uint16_t *weights, const uint16_t *values, int64_t wide, float *out) {
  __m512 sums[ROWS][4];
#pragma GCC unroll 6
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_load_ps(out + r * wide + v * 16);
  for (int64_t p = 0; p < pairs; p++) {
    __m512i right[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) right[v] = _mm512_load_si512(values + p * 2 * wide + v * 32);
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
      int32_t pair;
      memcpy(&pair, weights + r * PANEL + p * 2, sizeof pair);
      const __m512i left = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[r][v] = dot_pairs(sums[r][v], left, right[v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) _mm512_store_ps(out + r * wide + v * 16, sums[r][v]);
}

static void value_rows(int64_t pairs, const uint16_t *weights, const uint16_t *values, int64_t wide, float *out) {
  for (int64_t e = 0; e < wide;) {
    // 80 elements are taken as 48 + 32, and 96 as 48 + 48: a single vector of columns has too few sums to hide the latency.
    const int64_t left = (wide - e) / 16, take = left == 5 || left == 6 ? 3 : left < 4 ? left : 4;
    switch (take) {
      case 4: value_tile(4, pairs, weights, values + e * 2, wide, out + e); break;
      case 3: value_tile(3, pairs, weights, values + e * 2, wide, out + e); break;
      case 2: value_tile(2, pairs, weights, values + e * 2, wide, out + e); break;
      default: value_tile(1, pairs, weights, values + e * 2, wide, out + e); break;
    }
    e += take * 16;
  }
}

// Scales what a row has so far from the maximum `max` to the new maximum `top`, which it returns.
static __attribute__((noinline)) float rescale(float top, float max, int64_t wide, float *out, float *sums) {
  const float shrink = max == -INFINITY ? 0 : _mm512_cvtss_f32(exp2_lanes(_mm512_set1_ps(max - top)));
  for (int64_t e = 0; e < wide; e += 16) _mm512_store_ps(out + e, _mm512_mul_ps(_mm512_load_ps(out + e), _mm512_set1_ps(shrink)));
  _mm512_store_ps(sums, _mm512_mul_ps(_mm512_load_ps(sums), _mm512_set1_ps(shrink)));
  return top;
}

// Turns one row of scores, of which the first `seen` count, into rounded weights, zeros for the rest of the panel. `sums` are 16 partial
// sums of the rounded weights.
INLINE void weigh(int vectors, int64_t seen, const float *units, const float *scores, int64_t wide, float *out, float *max, float *sums,
                  uint16_t *weights) {
  __m512 s[4], most = _mm512_set1_ps(-INFINITY);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    s[v] = _mm512_mul_ps(_mm512_load_ps(scores + v * 16), _mm512_load_ps(units + v * 16));
    if (v == vectors - 1 && seen < vectors * 16)
      s[v] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), (__mmask16)((1u << (seen - v * 16)) - 1), s[v]);
    most = _mm512_max_ps(most, s[v]);
  }
  if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(*max + SLACK), _CMP_GT_OQ)) *max = rescale(_mm512_reduce_max_ps(most), *max, wide, out, sums);
  const __m512 top = _mm512_set1_ps(*max);
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++) s[v] = v < vectors ? exp2_lanes(_mm512_sub_ps(s[v], top)) : _mm512_setzero_ps();
  const __m512i low = to_bf16(s[0], s[1]), high = to_bf16(s[2], s[3]), ones = _mm512_set1_epi16(0x3f80);
  __m512 sum = dot_pairs(_mm512_load_ps(sums), low, ones);
  if (vectors > 2) sum = dot_pairs(sum, high, ones);
  _mm512_store_ps(sums, sum);
  _mm512_store_si512(weights, low), _mm512_store_si512(weights + 32, high);
}

INLINE void weigh_row(int64_t seen, const float *units, const float *scores, int64_t wide, float *out, float *max, float *sums,
                      uint16_t *weights) {
  switch (seen > 0 ? (seen + 15) / 16 : 0) {
    case 4: weigh(4, seen, units, scores, wide, out, max, sums, weights); break;
    case 3: weigh(3, seen, units, scores, wide, out, max, sums, weights); break;
    case 2: weigh(2, seen, units, scores, wide, out, max, sums, weights); break;
    case 1: weigh(1, seen, units, scores, wide, out, max, sums, weights); break;
    default: memset(weights, 0, PANEL * sizeof *weights); break;
  }
}

// The state of a task's rows between chunks of keys; their sums of values are in the output.
typedef struct {
  float max[MAX_ROWS], sum[MAX_ROWS];
} row_state;

// Rows first ... first + count - 1 (at most BLOCK_ROWS) of the task that begins at `task_row`, over the packed keys first_key ...
// last_key - 1.
static void row_block(const lmmc_attention *a, int64_t head, int64_t task_row, int64_t task_end, int64_t first, int64_t count,
                      int64_t first_key, int64_t last_key, const packed *p, row_state *state) {
  const int64_t d = a->head_size, wide = up(d, 16), wider = up(d, 32), end = attention_visible(a, first + count - 1);
  if (first_key >= end) return;
  _Alignas(64) uint16_t q[BLOCK_ROWS * MAX_HEAD], weights[BLOCK_ROWS * PANEL];
  _Alignas(64) float scores[BLOCK_ROWS * PANEL], out[BLOCK_ROWS * MAX_HEAD], sums[BLOCK_ROWS * 16];
  const int64_t tiles = (count + ROWS - 1) / ROWS;
  for (int64_t r = 0; r < tiles * ROWS; r++) {
    float *sum_out = out + r * wide;
    if (r >= count) {
      // Rows of zeros fill the last tile.
      memset(q + r * MAX_HEAD, 0, (size_t)wider * sizeof *q), memset(sum_out, 0, (size_t)wide * sizeof *out);
      memset(weights + r * PANEL, 0, PANEL * sizeof *weights);
      continue;
    }
    load_query(a, head, first + r, q + r * MAX_HEAD);
    if (first + r + BLOCK_ROWS < task_end) prefetch(a->q + attention_offset(a, head, first + r + BLOCK_ROWS, a->q_stride), d * 4);
    for (int64_t e = 0; e < d; e += 16) __builtin_prefetch(a->out + attention_offset(a, head, first + r, a->out_stride) + e, 1);
    memset(sums + r * 16, 0, 16 * sizeof *sums);
    float *max = &state->max[first - task_row + r], *sum = &state->sum[first - task_row + r];
    if (first_key == 0) {
      memset(sum_out, 0, (size_t)wide * sizeof *out);
      *max = -INFINITY, *sum = 0;
    } else {
      memcpy(sum_out, a->out + attention_offset(a, head, first + r, a->out_stride), (size_t)d * sizeof *out);
      memset(sum_out + d, 0, (size_t)(wide - d) * sizeof *out);
      sums[r * 16] = *sum;
    }
  }
  last_key = attention_smaller(last_key, end);
  for (int64_t key = first_key; key < last_key; key += PANEL) {
    const int64_t here = attention_smaller(PANEL, last_key - key);
    const uint16_t *panel = p->keys + (key - first_key) * wider, *rows = p->values + (key - first_key) * wide;
    // Keys of the panel that the last row of each tile sees.
    int64_t seen[BLOCK_ROWS / ROWS];
    for (int64_t t = 0; t < tiles; t++) {
      seen[t] = attention_smaller(here, attention_visible(a, first + attention_smaller(t * ROWS + ROWS, count) - 1) - key);
      if (seen[t] > 0) score_rows(seen[t], (d + 1) / 2, q + t * ROWS * MAX_HEAD, panel, scores + t * ROWS * PANEL);
    }
    for (int64_t r = 0; r < count; r++) {
      const int64_t mine = attention_smaller(here, attention_visible(a, first + r) - key);
      weigh_row(mine, p->units + (key - first_key), scores + r * PANEL, wide, out + r * wide, &state->max[first - task_row + r],
                sums + r * 16, weights + r * PANEL);
    }
    for (int64_t t = 0; t < tiles; t++)
      if (seen[t] > 0) value_rows((seen[t] + 1) / 2, weights + t * ROWS * PANEL, rows, wide, out + t * ROWS * wide);
  }
  for (int64_t r = 0; r < count; r++) {
    float *row = a->out + attention_offset(a, head, first + r, a->out_stride);
    const float sum = _mm512_reduce_add_ps(_mm512_load_ps(sums + r * 16)), factor = last_key == end ? 1.0f / sum : 1;
    state->sum[first - task_row + r] = sum;
    for (int64_t e = 0; e < d; e += 16) {
      const __mmask16 mask = d - e >= 16 ? 0xffff : (__mmask16)((1u << (d - e)) - 1);
      _mm512_mask_storeu_ps(row + e, mask, _mm512_mul_ps(_mm512_load_ps(out + r * wide + e), _mm512_set1_ps(factor)));
    }
  }
}

static void block(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  packed p;
  row_state state;
  const int64_t last_key = attention_visible(a, first + rows - 1), fit = CHUNK / up(a->head_size, 32) / PANEL * PANEL;
  const int64_t chunks = (last_key + fit - 1) / fit, even = up((last_key + chunks - 1) / chunks, PANEL);
  for (int64_t key = 0; key < last_key; key += even) {
    const int64_t count = attention_smaller(even, last_key - key);
    pack(a, head, key, count, &p);
    for (int64_t r = 0; r < rows; r += BLOCK_ROWS)
      row_block(a, head, first, first + rows, first + r, attention_smaller(BLOCK_ROWS, rows - r), key, key + count, &p, &state);
  }
}

static int64_t max_rows(int64_t head_size) {
  (void)head_size;
  return MAX_ROWS;
}

static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p) {
  if (a->kv_type == LMMC_KV_I8) {
    lmmc_attention_few_i8_avx512(a, first_head, last_head, first_key, last_key, p);
  } else {
    lmmc_attention_few_avx512bf16(a, first_head, last_head, first_key, last_key, p);
  }
}

const lmmc_attention_variant lmmc_attention_avx512bf16 = {
    "avx512bf16", LMMC_CPU_AVX2 | LMMC_CPU_AVX512 | LMMC_CPU_AVX512VNNI | LMMC_CPU_AVX512BF16, true, max_rows, block, few};
LMMC_END_TARGET
#endif
