// Attention for AVX-512 BF16: queries, keys, values and weights are rounded to bf16 and multiplied in pairs by VDPBF16PS, whose sums
// are f32. A block packs its keys and values once, as pairs:
//   keys:    panels of 64: [pairs of elements][64 keys][2]
//   values:  [pairs of keys][elements, up to a multiple of 16][2]
// and then goes over its rows, 24 at a time, with scores and sums in the first cache.
#include "packed_target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI ",avx512bf16")
#include "attention_variant.h"

#define INLINE static inline __attribute__((always_inline))

enum {
  PANEL = 64,                        // keys of a panel
  ROWS = 6,                          // of a tile: 6 x 4 vectors of sums, 4 of keys or values, one of a query or weight
  BLOCK_ROWS = 24,                  // that go over a panel while it is in the first cache
  MAX_ROWS = 1008,                   // of a task
  CHUNK = 65536,                     // elements of keys, or of values, that are packed at a time
  MAX_KEYS = CHUNK / 32,
  FEW_KEYS = 16,                     // that few rows take at a time
  FEW_QUERIES = 64,                  // that stand ready as bf16
  FEW_AHEAD = 8,
  AHEAD = 32,                        // keys, of what is packed
  MAX_HEAD = LMMC_ATTENTION_MAX_HEAD,
};

// Where a weight may grow beyond 1: the maximum that weights stand over is renewed only when a score lies 2^8 above it. Floats lose
// nothing by that, and the sums so far need no new scale most of the time.
static const float SLACK = 8;

static int64_t up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

INLINE __m512 dot_pairs(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

INLINE __m512i to_bf16(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// 2^x, 3e-6 off in proportion, which rounding to bf16 hides; 0 far below and infinity far above, NaN for NaN. VREDUCEPS would take one
// instruction for two, and three times as long.
INLINE __m512 exp2_lanes(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-1000), x);  // an infinity less itself is no fraction
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF), r = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(0.013534167f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05201146f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.24144275f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.69300383f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0000026f));
  return _mm512_scalef_ps(p, x);
}

// ---- packing

INLINE float row_scale(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  float scale;
  memcpy(&scale, (const int8_t *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof scale, sizeof scale);
  return scale;
}

// 32 elements from `e` on of a head's row as bf16, zeros past the head; an int8 code times `scale`.
INLINE __m512i load_32(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t e,
                       float scale) {
  const int64_t d = a->head_size, at = key * stride + head * d + e, left = d - e;
  const __mmask32 mask = left >= 32 ? 0xffffffff : (1u << left) - 1;
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

// A head's rows lie a page or more apart, where no hardware looks ahead.
INLINE void prefetch(const void *from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

INLINE void prefetch_head(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  const int64_t size = type == LMMC_KV_F32 ? 4 : type == LMMC_KV_BF16 ? 2 : 1;
  prefetch((const char *)rows + (key * stride + head * a->head_size) * size, a->head_size * size);
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

// A score times this is the exponent, of 2, of its weight.
INLINE float score_unit(const lmmc_attention *a) { return fabsf(a->scale) * 1.44269504f; }

// Keys in int8 are exact in bf16; their scales, times the unit of scores, are what all types have in `units`.
INLINE void pack_keys(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t first, int64_t count, uint16_t *out, float *units) {
  const int64_t wide = up(a->head_size, 32);
  const float unit = score_unit(a);
  for (int64_t key = 0; key < up(count, PANEL); key++) {
    units[key] = unit;
    if (type == LMMC_KV_I8 && key < count) units[key] *= row_scale(a, a->k, a->k_stride, first + key, head);
  }
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(type, a, a->k, a->k_stride, first + i, head);
  for (int64_t key = 0; key < up(count, PANEL); key += 16) {
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 16, count); i++) prefetch_head(type, a, a->k, a->k_stride, first + i, head);
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

// Words i of both, in turn: for the first 16 words and for the last.
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
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 2, count); i++) prefetch_head(type, a, a->v, a->v_stride, first + i, head);
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

// The query of a row as bf16, with the sign of the scale: [head_size up to 32].
static void load_query(const lmmc_attention *a, int64_t head, int64_t row, uint16_t *out) {
  const float *q = a->q + attention_offset(a, head, row, a->q_stride);
  const __m512 sign = _mm512_set1_ps(a->scale < 0 ? -1 : 1);
  for (int64_t e = 0; e < a->head_size; e += 32) {
    const int64_t left = a->head_size - e;
    const __mmask32 mask = left >= 32 ? 0xffffffff : (1u << left) - 1;
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, q + e), high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), q + e + 16);
    _mm512_store_si512(out + e, to_bf16(_mm512_mul_ps(low, sign), _mm512_mul_ps(high, sign)));
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
    // 80 and 96 elements are 48 + 32 and 48 + 48: a single vector would wait for its own sums.
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

// A new maximum for a row: what is there is brought to its scale.
static __attribute__((noinline)) float rescale(float top, float max, int64_t wide, float *out, float *sums) {
  const float shrink = max == -INFINITY ? 0 : _mm512_cvtss_f32(exp2_lanes(_mm512_set1_ps(max - top)));
  for (int64_t e = 0; e < wide; e += 16) _mm512_store_ps(out + e, _mm512_mul_ps(_mm512_load_ps(out + e), _mm512_set1_ps(shrink)));
  _mm512_store_ps(sums, _mm512_mul_ps(_mm512_load_ps(sums), _mm512_set1_ps(shrink)));
  return top;
}

// The weights of one row of scores, of which the first `seen` count; zeros for the rest of the panel. `sums` are 16 parts of the weights'
// sum, which is that of the rounded weights.
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

// What a block knows of its rows between chunks of keys; the sums of values are in the output.
typedef struct {
  float max[MAX_ROWS], sum[MAX_ROWS];
} row_state;

// Rows first ... first + count - 1 (at most BLOCK_ROWS) of the task that begins at `task_row`, over the packed keys first_key ...
// last_key - 1.
static void row_block(const lmmc_attention *a, int64_t head, int64_t task_row, int64_t task_end, int64_t first, int64_t count, int64_t first_key,
                      int64_t last_key, const packed *p, row_state *state) {
  const int64_t d = a->head_size, wide = up(d, 16), wider = up(d, 32), end = attention_visible(a, first + count - 1);
  if (first_key >= end) return;
  _Alignas(64) uint16_t q[BLOCK_ROWS * MAX_HEAD], weights[BLOCK_ROWS * PANEL];
  _Alignas(64) float scores[BLOCK_ROWS * PANEL], out[BLOCK_ROWS * MAX_HEAD], sums[BLOCK_ROWS * 16];
  const int64_t tiles = (count + ROWS - 1) / ROWS;
  for (int64_t r = 0; r < tiles * ROWS; r++) {
    float *sum_out = out + r * wide;
    if (r >= count) {
      // The rows that fill the last tile.
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
    // What the last row of each tile sees of the panel.
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

// ---- few rows

// The sums of four vectors.
INLINE __m128 sum_four(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all = _mm512_add_ps((__m512)_mm512_unpacklo_pd((__m512d)ab, (__m512d)cd), (__m512)_mm512_unpackhi_pd((__m512d)ab, (__m512d)cd));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

INLINE __mmask32 mask_of(int64_t left) { return left >= 32 ? 0xffffffff : (1u << left) - 1; }

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
static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
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

const lmmc_attention_variant lmmc_attention_avx512bf16 = {
    "avx512bf16", LMMC_CPU_AVX2 | LMMC_CPU_AVX512 | LMMC_CPU_AVX512VNNI | LMMC_CPU_AVX512BF16, true, max_rows, block, few};
LMMC_END_TARGET
#endif
