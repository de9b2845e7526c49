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
  ROWS = 6,         // rows of a tile: 6 x 4 registers of sums, 4 of keys or values, one of a query or weight
  BLOCK_ROWS = 24,  // rows that go over a panel while it is in the L1 cache
  MAX_ROWS = 1008,  // most rows of a task
  CHUNK = 65536,    // most elements of keys, and of values, that are packed at a time: cuts of keys, or half of one
  HALF_ROWS = 48,   // most rows of a task for larger heads
  AHEAD = 32,       // keys between prefetching and packing
};

// ---- packing

INLINE void pack_keys(lmmc_kv_type type, const lmmc_attention *a, int64_t head, int64_t first, int64_t count, uint16_t *out) {
  const int64_t d = a->head_size, wide = attention_up(d, 32);
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(type, a, a->k, a->k_stride, first + i, head);
  for (int64_t key = 0; key < attention_up(count, PANEL); key += 16) {
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 16, count); i++)
      prefetch_head(type, a, a->k, a->k_stride, first + i, head);
    for (int64_t e = 0; e < wide; e += 32) {
      __m512i x[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++)
        x[i] = key + i < count ? load_32(type, a->k, (first + key + i) * a->k_stride + head * d + e, d - e) : _mm512_setzero_si512();
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
  const int64_t d = a->head_size, wide = attention_up(d, 16);
  for (int64_t i = 0; i < attention_smaller(AHEAD, count); i++) prefetch_head(type, a, a->v, a->v_stride, first + i, head);
  for (int64_t key = 0; key < count; key += 2) {
    for (int64_t i = key + AHEAD; i < attention_smaller(key + AHEAD + 2, count); i++)
      prefetch_head(type, a, a->v, a->v_stride, first + i, head);
    for (int64_t e = 0; e < wide; e += 32) {
      const int64_t at = (first + key) * a->v_stride + head * d + e;
      const __m512i x = load_32(type, a->v, at, d - e);
      const __m512i y = key + 1 < count ? load_32(type, a->v, at + a->v_stride, d - e) : _mm512_setzero_si512();
      __m512i low, high;
      interleave(x, y, &low, &high);
      _mm512_store_si512(out + key * wide + e * 2, low);
      if (e + 16 < wide) _mm512_store_si512(out + key * wide + e * 2 + 32, high);
    }
  }
}

typedef struct {
  _Alignas(64) uint16_t keys[CHUNK], values[CHUNK];
} packed;

static __attribute__((noinline)) void pack(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, packed *p) {
  if (a->kv_type == LMMC_KV_F32) {
    pack_keys(LMMC_KV_F32, a, head, first, count, p->keys), pack_values(LMMC_KV_F32, a, head, first, count, p->values);
  } else {
    pack_keys(LMMC_KV_BF16, a, head, first, count, p->keys), pack_values(LMMC_KV_BF16, a, head, first, count, p->values);
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
      const __m512i left = pair_at(q + r * MAX_HEAD + p * 2);
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
      const __m512i left = pair_at(weights + r * PANEL + p * 2);
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
    const int64_t take = vectors_taken(wide - e);
    switch (take) {
      case 4: value_tile(4, pairs, weights, values + e * 2, wide, out + e); break;
      case 3: value_tile(3, pairs, weights, values + e * 2, wide, out + e); break;
      case 2: value_tile(2, pairs, weights, values + e * 2, wide, out + e); break;
      default: value_tile(1, pairs, weights, values + e * 2, wide, out + e); break;
    }
    e += take * 16;
  }
}

// The state of a task's rows: the maxima and sums of the cuts so far, whose sums of values are in the output, and where a cut is packed by
// halves, what the first half made.
typedef struct {
  float max[MAX_ROWS], sum[MAX_ROWS];
  _Alignas(64) float half_max[HALF_ROWS], half_sums[HALF_ROWS * 16], half_out[HALF_ROWS * MAX_HEAD];
} row_state;

// Rows first ... first + count - 1 (at most BLOCK_ROWS) of the task that begins at `task_row`.
typedef struct {
  int64_t head, task_row, first, count;
  _Alignas(64) uint16_t q[BLOCK_ROWS * MAX_HEAD], weights[BLOCK_ROWS * PANEL];
  _Alignas(64) float scores[BLOCK_ROWS * PANEL], out[BLOCK_ROWS * MAX_HEAD], sums[BLOCK_ROWS * 16], max[BLOCK_ROWS];
} row_block;

static void load_rows(const lmmc_attention *a, int64_t task_end, row_block *b) {
  const int64_t d = a->head_size;
  for (int64_t r = 0; r < attention_up(b->count, ROWS); r++) {
    const int64_t row = b->first + r;
    if (r >= b->count) {
      // Rows of zeros fill the last tile.
      memset(b->q + r * MAX_HEAD, 0, MAX_HEAD * sizeof *b->q), memset(b->weights + r * PANEL, 0, PANEL * sizeof *b->weights);
      continue;
    }
    load_query(a, b->head, row, b->q + r * MAX_HEAD);
    if (row + BLOCK_ROWS < task_end) prefetch(a->q + attention_offset(a, b->head, row + BLOCK_ROWS, a->q_stride), d * 4);
    for (int64_t e = 0; e < d; e += 16) __builtin_prefetch(a->out + attention_offset(a, b->head, row, a->out_stride) + e, 1);
  }
}

// Takes the rows over the keys first_key ... last_key - 1, a cut or half of one, as `keys` and `values` have them packed.
static void panels(const lmmc_attention *a, int64_t first_key, int64_t last_key, const uint16_t *keys, const uint16_t *values,
                   row_block *b) {
  const int64_t d = a->head_size, wide = attention_up(d, 16), tiles = attention_up(b->count, ROWS) / ROWS;
  for (int64_t key = first_key; key < last_key; key += PANEL, keys += PANEL * attention_up(d, 32), values += PANEL * wide) {
    const int64_t here = attention_smaller(PANEL, last_key - key);
    // Keys of the panel that the last row of each tile sees.
    int64_t seen[BLOCK_ROWS / ROWS];
    for (int64_t t = 0; t < tiles; t++) {
      seen[t] = attention_smaller(here, attention_visible(a, b->first + attention_smaller(t * ROWS + ROWS, b->count) - 1) - key);
      if (seen[t] > 0) score_rows(seen[t], (d + 1) / 2, b->q + t * ROWS * MAX_HEAD, keys, b->scores + t * ROWS * PANEL);
    }
    if (a->bias) add_bias(a, key, here, b->count, b->scores);
    for (int64_t r = 0; r < b->count; r++)
      weigh_row(attention_smaller(here, attention_visible(a, b->first + r) - key), score_unit(a), b->scores + r * PANEL, d,
                b->out + r * wide, &b->max[r], b->sums + r * 16, b->weights + r * PANEL);
    for (int64_t t = 0; t < tiles; t++)
      if (seen[t] > 0) value_rows((seen[t] + 1) / 2, b->weights + t * ROWS * PANEL, values, wide, b->out + t * ROWS * wide);
  }
}

static void begin_cut(int64_t wide, row_block *b) {
  memset(b->out, 0, (size_t)(attention_up(b->count, ROWS) * wide) * sizeof *b->out), memset(b->sums, 0, sizeof b->sums);
  for (int64_t r = 0; r < b->count; r++) b->max[r] = -INFINITY;
}

// Joins what the keys of a cut have in the rows to the output.
static void end_cut(const lmmc_attention *a, int64_t cut, row_block *b, row_state *state) {
  const int64_t d = a->head_size, wide = attention_up(d, 16);
  for (int64_t r = 0; r < b->count; r++) {
    const int64_t row = b->first + r, visible = attention_visible(a, row), at = row - b->task_row;
    if (visible <= cut) continue;
    float *out = b->out + r * wide, max = natural(b->max[r]), sum = _mm512_reduce_add_ps(_mm512_load_ps(b->sums + r * 16));
    // The first cut goes straight to the output.
    float *to = cut == 0 ? a->out + attention_offset(a, b->head, row, a->out_stride) : out;
    const __m512 factor = _mm512_set1_ps(cut == 0 && visible <= LMMC_ATTENTION_CUT ? 1.0f / sum : 1);
    __mmask16 broken = 0;
    for (int64_t e = 0; e < d; e += 16) {
      const __m512 x = finish(_mm512_load_ps(out + e));
      broken |= _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
      _mm512_mask_storeu_ps(to + e, (__mmask16)mask_of(d - e), _mm512_mul_ps(x, factor));
    }
    state->max[at] = cut == 0 ? max : state->max[at], state->sum[at] = cut == 0 ? sum : state->sum[at];
    // A key that the row does not see: one that others of the block do, or the one that makes a pair with the last of all.
    const bool alone = broken && visible < cut + LMMC_ATTENTION_CUT;
    if (alone) lmmc_attention_alone_avx512bf16(a, b->head, row, cut, (lmmc_attention_partial){out, &max, &sum});
    if (alone || cut > 0) join_row(a, b->head, row, cut, out, max, sum, &state->max[at], &state->sum[at]);
  }
}

// Puts what the first half of a cut has in the rows aside for the second half, or fetches it.
static void keep_half(int64_t wide, bool fetch, row_block *b, row_state *state) {
  for (int64_t r = 0; r < b->count; r++) {
    const int64_t at = b->first - b->task_row + r;
    float *out = b->out + r * wide, *sums = b->sums + r * 16, *half_out = state->half_out + at * MAX_HEAD,
          *half_sums = state->half_sums + at * 16;
    memcpy(fetch ? out : half_out, fetch ? half_out : out, (size_t)wide * sizeof *out);
    memcpy(fetch ? sums : half_sums, fetch ? half_sums : sums, 16 * sizeof *sums);
    *(fetch ? &b->max[r] : &state->half_max[at]) = fetch ? state->half_max[at] : b->max[r];
  }
}

// Takes the rows over the packed keys first_key ... last_key - 1: whole cuts, or half of one.
static void take_rows(const lmmc_attention *a, int64_t task_end, int64_t first_key, int64_t last_key, const packed *p, row_block *b,
                      row_state *state) {
  const int64_t d = a->head_size, wide = attention_up(d, 16), end = attention_visible(a, b->first + b->count - 1);
  last_key = attention_smaller(last_key, end);
  if (first_key >= last_key) return;
  load_rows(a, task_end, b);
  for (int64_t key = first_key; key < last_key;) {
    const int64_t cut = key / LMMC_ATTENTION_CUT * LMMC_ATTENTION_CUT, stop = attention_smaller(cut + LMMC_ATTENTION_CUT, last_key);
    begin_cut(wide, b);
    if (key > cut) keep_half(wide, true, b, state);
    panels(a, key, stop, p->keys + (key - first_key) * attention_up(d, 32), p->values + (key - first_key) * wide, b);
    if (stop < attention_smaller(cut + LMMC_ATTENTION_CUT, end)) {
      keep_half(wide, false, b, state);
    } else {
      end_cut(a, cut, b, state);
    }
    key = stop;
  }
}

static __attribute__((noinline)) void block_bf16(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  packed p;
  row_state state;
  row_block b;
  b.head = head, b.task_row = first;
  const int64_t last_key = attention_visible(a, first + rows - 1), cuts = CHUNK / attention_up(a->head_size, 32) / LMMC_ATTENTION_CUT;
  const int64_t fit = cuts > 0 ? cuts * LMMC_ATTENTION_CUT : LMMC_ATTENTION_CUT / 2;
  for (int64_t key = 0; key < last_key; key += fit) {
    const int64_t count = attention_smaller(fit, last_key - key);
    pack(a, head, key, count, &p);
    for (int64_t r = 0; r < rows; r += BLOCK_ROWS) {
      b.first = first + r, b.count = attention_smaller(BLOCK_ROWS, rows - r);
      take_rows(a, first + rows, key, key + count, &p, &b, &state);
    }
  }
}

// Holds none of what the two have on the stack.
static void block(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  if (a->kv_type == LMMC_KV_I8) {
    lmmc_attention_block_i8_avx512(a, head, first, rows);
  } else {
    block_bf16(a, head, first, rows);
  }
}

static int64_t max_rows(int64_t head_size) { return head_size <= CHUNK / LMMC_ATTENTION_CUT ? MAX_ROWS : HALF_ROWS; }

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
