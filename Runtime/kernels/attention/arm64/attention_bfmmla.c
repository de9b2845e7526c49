// Attention for 64-bit ARM with BF16. Queries, keys, values and weights are rounded to bf16 and multiplied by BFMMLA, which takes two rows
// by two columns over a depth of four and has sums in f32. A block packs its keys and values once, as pairs of rows and of columns:
//   keys, queries:  [pairs of rows][elements / 4][2][4]
//   weights:        [pairs of rows][keys / 4][2][4]
//   values:         [keys / 4][pairs of elements][2][4]
//   sums:           [pairs of rows][pairs of elements][2][2]
// and then goes over its rows, 24 at a time. Few queries take the same steps with BFDOT, two of which in a row are what BFMMLA does to a
// sum, and read keys and values in bf16 as they are stored.
#include "kernels/common/target.h"

#if defined(LMMC_ARM_EXTENSIONS)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_BF16)
#define LMMC_LANES 4
#include "kernels/attention/attention_load.h"
#include "kernels/common/lanes.h"
#include "kernels/common/vector_math.h"

enum {
  PANEL = 64,       // keys of a panel, which rows go over at a time
  TILE = 8,         // rows and columns of a tile: 16 registers of sums, 4 of each operand
  BLOCK_ROWS = 24,  // rows that go over a panel
  MAX_ROWS = 480,   // most rows of a task
  MAX_HEAD = LMMC_ATTENTION_MAX_HEAD,
};

#define NOINLINE static __attribute__((noinline))

// ---- packing

static void round_row(int64_t n, float factor, const float *x, bfloat16_t *out) {
  int64_t e = 0;
  for (; e + 4 <= n; e += 4) vst1_bf16(out + e, vcvt_bf16_f32(vmulq_n_f32(vld1q_f32(x + e), factor)));
  for (; e < n; e++) out[e] = vcvth_bf16_f32(x[e] * factor);
}

// The elements of a head's row as bf16, with zeros up to a multiple of 8. Codes of int8 are multiplied by their scale where `scaled`;
// without it they are exact.
static void load_row(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, bool scaled, bfloat16_t *out) {
  const int64_t d = a->head_size;
  const void *from = head_of_row(a, rows, stride, key, head);
  switch (a->kv_type) {
    case LMMC_KV_F32: round_row(d, 1, from, out); break;
    case LMMC_KV_BF16: memcpy(out, from, (size_t)d * sizeof *out); break;
    case LMMC_KV_I8: {
      float codes[MAX_HEAD];
      for (int64_t e = 0; e < d; e++) codes[e] = ((const int8_t *)from)[e];
      round_row(d, scaled ? attention_head_scale(a, rows, stride, key, head) : 1, codes, out);
      break;
    }
  }
  memset(out + d, 0, (size_t)(attention_up(d, 8) - d) * sizeof *out);
}

// Stores a row of `depth` elements, a multiple of 4, as row `row` of [pairs of rows][depth / 4][2][4].
static void store_in_pairs(int64_t row, int64_t depth, const bfloat16_t *x, bfloat16_t *pairs) {
  bfloat16_t *out = pairs + row / 2 * 2 * depth + row % 2 * 4;
  for (int64_t e = 0; e < depth; e += 4) vst1_bf16(out + 2 * e, vld1_bf16(x + e));
}

// The keys and values of a cut, and what the scores of each key are multiplied by.
typedef struct {
  bfloat16_t keys[LMMC_ATTENTION_CUT * MAX_HEAD], values[LMMC_ATTENTION_CUT * MAX_HEAD];
  float units[LMMC_ATTENTION_CUT];
} packed;

static void pack(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, packed *p) {
  const int64_t wide = attention_up(a->head_size, 8);
  bfloat16_t four[4][MAX_HEAD];
  for (int64_t key = 0; key < attention_up(count, TILE); key++) {
    if (key < count) {
      load_row(a, a->k, a->k_stride, first + key, head, false, four[0]);
      p->units[key] = a->scale * attention_head_scale(a, a->k, a->k_stride, first + key, head);
    } else {
      memset(four[0], 0, (size_t)wide * sizeof **four);
      p->units[key] = 0;
    }
    store_in_pairs(key, wide, four[0], p->keys);
  }
  for (int64_t key = 0; key < count; key += 4) {
    for (int64_t i = 0; i < 4; i++) {
      if (key + i < count) {
        load_row(a, a->v, a->v_stride, first + key + i, head, true, four[i]);
      } else {
        memset(four[i], 0, (size_t)wide * sizeof **four);
      }
    }
    for (int64_t e = 0; e < wide; e += 8)
      vst4q_bf16(p->values + key * wide + 4 * e,
                 (bfloat16x8x4_t){{vld1q_bf16(four[0] + e), vld1q_bf16(four[1] + e), vld1q_bf16(four[2] + e), vld1q_bf16(four[3] + e)}});
  }
}

// ---- many rows

typedef float32x4_t tile_sums[TILE / 2][TILE / 2];

// sums += a . b over `depth` steps of four. Row pair i of a is at a + i * a_stride and column pair j of b at b + j * b_stride; from step to
// step they are 8 elements apart in a, and b_step in b.
INLINE void multiply_tile(int64_t depth, const bfloat16_t *a, int64_t a_stride, const bfloat16_t *b, int64_t b_stride, int64_t b_step,
                          tile_sums sums) {
  for (int64_t p = 0; p < depth; p++, a += 8, b += b_step) {
    bfloat16x8_t left[4], right[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) left[i] = vld1q_bf16(a + i * a_stride), right[i] = vld1q_bf16(b + i * b_stride);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sums[i][j] = vbfmmlaq_f32(sums[i][j], left[i], right[j]);
  }
}

// scores[TILE][PANEL] of the first `seen` keys, rounded up to whole tiles.
static void score_rows(int64_t seen, int64_t wide, const bfloat16_t *q, const bfloat16_t *keys, float *scores) {
  for (int64_t key = 0; key < seen; key += TILE) {
    tile_sums sums = {0};
    multiply_tile(wide / 4, q, 2 * wide, keys + key * wide, 2 * wide, 8, sums);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 2
      for (int j = 0; j < 4; j += 2) {
        float *out = scores + 2 * i * PANEL + key + 2 * j;
        vst1q_f32(out, vcombine_f32(vget_low_f32(sums[i][j]), vget_low_f32(sums[i][j + 1])));
        vst1q_f32(out + PANEL, vcombine_f32(vget_high_f32(sums[i][j]), vget_high_f32(sums[i][j + 1])));
      }
  }
}

// out[TILE / 2][wide / 2][2][2] += weights . values of `seen` keys
static void value_rows(int64_t seen, int64_t wide, const bfloat16_t *weights, const bfloat16_t *values, float *out) {
  for (int64_t e = 0; e < wide; e += TILE) {
    tile_sums sums;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sums[i][j] = vld1q_f32(out + 2 * i * wide + 2 * e + 4 * j);
    multiply_tile((seen + 3) / 4, weights, 2 * PANEL, values + 4 * e, 8, 4 * wide, sums);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) vst1q_f32(out + 2 * i * wide + 2 * e + 4 * j, sums[i][j]);
  }
}

// Turns one row of scores, of which the first `seen` count, into rounded weights, zeros for the rest of the panel, and returns what the sums
// of values so far are to be multiplied by for the new maximum.
NOINLINE float weigh(int64_t seen, const float *units, const float *bias, float *scores, float *max, float *sum, bfloat16_t *weights) {
  if (seen <= 0) {
    memset(weights, 0, PANEL * sizeof *weights);
    return 1;
  }
  float shrink = 1;
  for (int64_t i = 0; i < seen; i++) scores[i] *= units[i];
  if (bias) {
#pragma omp simd
    for (int64_t i = 0; i < seen; i++) scores[i] += bias[i];
  }
  for (int64_t i = seen; i < PANEL; i++) scores[i] = -INFINITY;
  const float top = max_of_tile(PANEL, scores);
  if (top > *max) {
    shrink = *sum > 0 ? lmmc_exp(*max - top) : 0;
    *sum *= shrink, *max = top;
  }
#pragma omp simd
  for (int64_t i = 0; i < PANEL; i++) scores[i] = lmmc_exp(scores[i] - *max);
  for (int64_t i = seen; i < PANEL; i++) scores[i] = 0;
  float32x4_t total = vdupq_n_f32(0);
  for (int64_t i = 0; i < PANEL; i += 4) {
    const bfloat16x4_t rounded = vcvt_bf16_f32(vld1q_f32(scores + i));
    total = vaddq_f32(total, vcvt_f32_bf16(rounded));
    vst1_bf16(weights + i, rounded);
  }
  *sum += vaddvq_f32(total);
  return shrink;
}

// Rows first ... first + count - 1, at most BLOCK_ROWS, over the packed keys of the cut that begins at first_key. Results are joined to those
// of the cuts before, which are in the output.
static void row_block(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, int64_t first_key, int64_t last_key,
                      const packed *p, float *joined_max, float *joined_sum) {
  const int64_t d = a->head_size, wide = attention_up(d, 8);
  last_key = attention_smaller(last_key, attention_visible(a, first + count - 1));
  if (first_key >= last_key) return;
  bfloat16_t q[BLOCK_ROWS * MAX_HEAD], weights[BLOCK_ROWS * PANEL], row[MAX_HEAD], row_weights[PANEL];
  float scores[BLOCK_ROWS * PANEL], out[BLOCK_ROWS * MAX_HEAD], max[BLOCK_ROWS], sum[BLOCK_ROWS], natural[MAX_HEAD];
  memset(out, 0, sizeof out), memset(weights, 0, sizeof weights), memset(row, 0, sizeof row);
  for (int64_t r = 0; r < attention_up(count, TILE); r++) {
    if (r < count) round_row(d, 1, a->q + attention_offset(a, head, first + r, a->q_stride), row);
    store_in_pairs(r, wide, row, q);
    max[r] = -INFINITY, sum[r] = 0;
  }
  for (int64_t key = first_key; key < last_key; key += PANEL) {
    const int64_t here = attention_smaller(PANEL, last_key - key);
    const bfloat16_t *keys = p->keys + (key - first_key) * wide, *values = p->values + (key - first_key) * wide;
    for (int64_t t = 0; t < count; t += TILE) {
      const int64_t some = attention_smaller(TILE, count - t),
                    seen = attention_smaller(here, attention_visible(a, first + t + some - 1) - key);
      if (seen <= 0) continue;
      score_rows(seen, wide, q + t * wide, keys, scores);
      for (int64_t r = t; r < t + some; r++) {
        const int64_t mine = attention_smaller(here, attention_visible(a, first + r) - key);
        const float shrink =
            weigh(mine, p->units + (key - first_key), attention_bias(a, key), scores + (r - t) * PANEL, max + r, sum + r, row_weights);
        store_in_pairs(r, PANEL, row_weights, weights);
        float *half = out + r / 2 * 2 * wide + r % 2 * 2;
        for (int64_t e = 0; shrink != 1 && e < wide / 2; e++) vst1_f32(half + 4 * e, vmul_n_f32(vld1_f32(half + 4 * e), shrink));
      }
      value_rows(seen, wide, weights + t * PANEL, values, out + t * wide);
    }
  }
  for (int64_t r = 0; r < count; r++) {
    float *to = a->out + attention_offset(a, head, first + r, a->out_stride);
    for (int64_t e = 0; e < d; e++) natural[e] = out[r / 2 * 2 * wide + e / 2 * 4 + r % 2 * 2 + e % 2];
    if (first_key == 0) {
      memcpy(to, natural, (size_t)d * sizeof *to);
      joined_max[r] = max[r], joined_sum[r] = sum[r];
    } else {
      lmmc_attention_join(d, natural, max[r], sum[r], to, joined_max + r, joined_sum + r);
    }
  }
}

static void block(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  packed p;
  float max[MAX_ROWS], sum[MAX_ROWS];
  const int64_t last_key = attention_visible(a, first + rows - 1);
  for (int64_t key = 0; key < last_key; key += LMMC_ATTENTION_CUT) {
    const int64_t count = attention_smaller(LMMC_ATTENTION_CUT, last_key - key);
    pack(a, head, key, count, &p);
    for (int64_t r = 0; r < rows; r += BLOCK_ROWS)
      row_block(a, head, first + r, attention_smaller(BLOCK_ROWS, rows - r), key, key + count, &p, max + r, sum + r);
  }
  for (int64_t r = 0; r < rows; r++) {
    float *out = a->out + attention_offset(a, head, first + r, a->out_stride);
    const float inverse = 1.0f / sum[r];
    for (int64_t e = 0; e < a->head_size; e++) out[e] *= inverse;
  }
}

static int64_t max_rows(int64_t head_size) {
  (void)head_size;
  return MAX_ROWS;
}

// ---- few rows

// `count` rows in bf16, `stride` elements apart, with zeros up to a multiple of 8 elements.
typedef struct {
  const bfloat16_t *first;
  int64_t stride;
} bf16_rows;

// Rows as they stand where they can be read so, others converted into `room`.
static bf16_rows few_rows(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t count, bool scaled,
                          bfloat16_t *room) {
  const int64_t wide = attention_up(a->head_size, 8);
  if (a->kv_type == LMMC_KV_BF16 && wide == a->head_size)
    return (bf16_rows){(const bfloat16_t *)(const void *)head_of_row(a, rows, stride, key, head), stride};
  for (int64_t i = 0; i < count; i++) load_row(a, rows, stride, key + i, head, scaled, room + i * wide);
  return (bf16_rows){room, wide};
}

INLINE bfloat16x8_t pair_at(const bfloat16_t *x) { return vreinterpretq_bf16_u32(vld1q_dup_u32((const uint32_t *)(const void *)x)); }

// scores[rows][PANEL] of four keys, of which only the first `count` have a meaning: BFDOT over the pairs of elements in their order.
INLINE void score_four(int rows, int64_t wide, const bfloat16_t *q, bf16_rows k, int64_t count, float *scores) {
  const char *keys[TURN];
  float32x4_t sums[4];
  for (int64_t i = 0; i < TURN; i++) keys[i] = (const char *)(k.first + attention_smaller(i, count - 1) * k.stride);
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) sums[r] = vdupq_n_f32(0);
  for (int64_t e = 0; e < wide; e += 8) {
    units pairs[4];
    turn(keys, e * 2, pairs);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) sums[r] = vbfdotq_f32(sums[r], (bfloat16x8_t)pairs[i], pair_at(q + r * wide + e + 2 * i));
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) vst1q_f32(scores + r * PANEL, sums[r]);
}

// out[rows][d] += weights[rows][PANEL] . values: BFDOT over the pairs of keys in their order. Weights past the last key are 0.
INLINE void add_values(int rows, int64_t d, int64_t count, const bfloat16_t *weights, bf16_rows v, float *out) {
  for (int64_t e = 0; e < d; e += 8) {
    float32x4_t sums[4][2];
    float room[4][8];
    const bool part = e + 8 > d;
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      float *from = out + r * d + e;
      if (part)
        memcpy(room[r], from, (size_t)(d - e) * sizeof *from), memset(room[r] + (d - e), 0, (size_t)(e + 8 - d) * sizeof *from),
            from = room[r];
      sums[r][0] = vld1q_f32(from), sums[r][1] = vld1q_f32(from + 4);
    }
    for (int64_t key = 0; key < count; key += 2) {
      const bfloat16_t *x = v.first + key * v.stride + e, *y = v.first + attention_smaller(key + 1, count - 1) * v.stride + e;
      const uint16x8_t a = vld1q_u16((const uint16_t *)(const void *)x), b = vld1q_u16((const uint16_t *)(const void *)y);
      const bfloat16x8_t low = vreinterpretq_bf16_u16(vzip1q_u16(a, b)), high = vreinterpretq_bf16_u16(vzip2q_u16(a, b));
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        const bfloat16x8_t weight = pair_at(weights + r * PANEL + key);
        sums[r][0] = vbfdotq_f32(sums[r][0], low, weight), sums[r][1] = vbfdotq_f32(sums[r][1], high, weight);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      float *to = part ? room[r] : out + r * d + e;
      vst1q_f32(to, sums[r][0]), vst1q_f32(to + 4, sums[r][1]);
      if (part) memcpy(out + r * d + e, to, (size_t)(d - e) * sizeof *to);
    }
  }
}

// Covers `count` rows by calls with the constants 4, 2 and 1; `at` is the first row of each call.
#define BY_ROWS(count, call)                    \
  do {                                          \
    int64_t at = 0;                             \
    for (; at + 4 <= (count); at += 4) call(4); \
    if (at + 2 <= (count)) {                    \
      call(2);                                  \
      at += 2;                                  \
    }                                           \
    if (at < (count)) call(1);                  \
  } while (0)

static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p) {
  const int64_t d = a->head_size, wide = attention_up(d, 8), rows = a->queries * attention_group(a), all = (last_head - first_head) * rows;
  bfloat16_t q[LMMC_ATTENTION_FEW_ROWS * MAX_HEAD], weights[LMMC_ATTENTION_FEW_ROWS * PANEL], room[PANEL * MAX_HEAD];
  float scores[LMMC_ATTENTION_FEW_ROWS * PANEL], units[PANEL];
  memset(p.out, 0, (size_t)(all * d) * sizeof *p.out), memset(p.sum, 0, (size_t)all * sizeof *p.sum), memset(q, 0, sizeof q);
  for (int64_t i = 0; i < all; i++) p.max[i] = -INFINITY;
  for (int64_t key = first_key; key < last_key; key += PANEL) {
    const int64_t count = attention_smaller(PANEL, last_key - key);
    for (int64_t head = first_head; head < last_head; head++) {
      const int64_t state = (head - first_head) * rows;
      for (int64_t r = 0; r < rows; r++) round_row(d, 1, a->q + attention_offset(a, head, r, a->q_stride), q + r * wide);
      const bf16_rows k = few_rows(a, a->k, a->k_stride, key, head, count, false, room);
      for (int64_t i = 0; i < count; i++) units[i] = a->scale * attention_head_scale(a, a->k, a->k_stride, key + i, head);
      for (int64_t four = 0; four < count; four += 4) {
        const bf16_rows here = {k.first + four * k.stride, k.stride};
#define SCORE(n) score_four(n, wide, q + at * wide, here, count - four, scores + at * PANEL + four)
        BY_ROWS(rows, SCORE);
#undef SCORE
      }
      for (int64_t r = 0; r < rows; r++) {
        float *out = p.out + (state + r) * d;
        const float shrink = weigh(attention_smaller(count, attention_visible(a, r) - key), units, attention_bias(a, key),
                                   scores + r * PANEL, p.max + state + r, p.sum + state + r, weights + r * PANEL);
        for (int64_t e = 0; shrink != 1 && e < d; e++) out[e] *= shrink;
      }
      const bf16_rows v = few_rows(a, a->v, a->v_stride, key, head, count, true, room);
#define ADD(n) add_values(n, d, count, weights + at * PANEL, v, p.out + (state + at) * d)
      BY_ROWS(rows, ADD);
#undef ADD
    }
  }
}

const lmmc_attention_variant lmmc_attention_bfmmla = {"bf16", LMMC_CPU_NEON | LMMC_CPU_BF16, true, max_rows, block, few};
LMMC_END_TARGET
#endif
