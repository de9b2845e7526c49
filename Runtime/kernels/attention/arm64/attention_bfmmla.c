// Attention for 64-bit ARM with BF16. Queries, keys, values and weights are rounded to bf16 and multiplied by BFMMLA, which takes two rows
// by two columns over a depth of four and has sums in f32. A block packs its keys and values once, as pairs of rows and of columns:
//   keys, queries:  [pairs of rows][elements / 4][2][4]
//   weights:        [pairs of rows][keys / 4][2][4]
//   values:         [keys / 4][pairs of elements][2][4]
//   sums:           [pairs of rows][pairs of elements][2][2]
// and then goes over its rows, 24 at a time. Few queries read keys and values in bf16 as they are stored.
#include "kernels/common/target.h"

#if defined(LMMC_ARM_EXTENSIONS)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_BF16)
#define LMMC_LANES 4
enum { FEW_KEYS = 16 };
typedef bfloat16_t operand;
static inline operand as_operand(float x) { return vcvth_bf16_f32(x); }
static inline float as_float(operand x) { return vcvtah_f32_bf16(x); }
#include "attention_neon.h"
#include "kernels/common/lanes.h"

enum {
  PANEL = 64,       // keys of a panel, which rows go over at a time
  TILE = 8,         // rows and columns of a tile: 16 registers of sums, 4 of each operand
  BLOCK_ROWS = 24,  // rows that go over a panel
  MAX_ROWS = 480,   // most rows of a task
  CHUNK = 65536,    // most elements of keys, and of values, that are packed at a time
  MAX_HEAD = LMMC_ATTENTION_MAX_HEAD,
};

static int64_t up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

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
  const void *from = head_of_row(a->kv_type, a, rows, stride, key, head);
  switch (a->kv_type) {
    case LMMC_KV_F32: round_row(d, 1, from, out); break;
    case LMMC_KV_BF16: memcpy(out, from, (size_t)d * sizeof *out); break;
    case LMMC_KV_I8: {
      float codes[MAX_HEAD];
      for (int64_t e = 0; e < d; e++) codes[e] = ((const int8_t *)from)[e];
      round_row(d, scaled ? head_scale(LMMC_KV_I8, a, rows, stride, key, head) : 1, codes, out);
      break;
    }
  }
  memset(out + d, 0, (size_t)(up(d, 8) - d) * sizeof *out);
}

// Stores a row of `depth` elements, a multiple of 4, as row `row` of [pairs of rows][depth / 4][2][4].
static void store_in_pairs(int64_t row, int64_t depth, const bfloat16_t *x, bfloat16_t *pairs) {
  bfloat16_t *out = pairs + row / 2 * 2 * depth + row % 2 * 4;
  for (int64_t e = 0; e < depth; e += 4) vst1_bf16(out + 2 * e, vld1_bf16(x + e));
}

// The keys and values of a chunk, and what the scores of each key are multiplied by.
typedef struct {
  bfloat16_t keys[CHUNK], values[CHUNK];
  float units[CHUNK / 8];
} packed;

static void pack(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, packed *p) {
  const int64_t wide = up(a->head_size, 8);
  bfloat16_t four[4][MAX_HEAD];
  for (int64_t key = 0; key < up(count, TILE); key++) {
    if (key < count) {
      load_row(a, a->k, a->k_stride, first + key, head, false, four[0]);
      p->units[key] = a->scale * head_scale(a->kv_type, a, a->k, a->k_stride, first + key, head);
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

// Turns one row of scores, of which the first `seen` count, into rounded weights, zeros for the rest of the panel. `out` and `weights` are
// the row's half of its pair.
static void weigh(int64_t seen, const float *units, float *scores, int64_t wide, float *out, float *max, float *sum, bfloat16_t *weights) {
  const int64_t width = up(seen, 4);
  for (int64_t i = 0; i < width; i++) scores[i] *= units[i];
  for (int64_t i = seen; i < width; i++) scores[i] = -INFINITY;
  const float top = max_of_tile(width, scores);
  if (top > *max) {
    const float shrink = *sum > 0 ? lmmc_exp(*max - top) : 0;
    for (int64_t e = 0; e < wide / 2; e++) vst1_f32(out + 4 * e, vmul_n_f32(vld1_f32(out + 4 * e), shrink));
    *sum *= shrink, *max = top;
  }
#pragma omp simd
  for (int64_t i = 0; i < width; i++) scores[i] = lmmc_exp(scores[i] - *max);
  for (int64_t i = seen; i < width; i++) scores[i] = 0;
  float32x4_t total = vdupq_n_f32(0);
  for (int64_t i = 0; i < width; i += 4) {
    const bfloat16x4_t rounded = vcvt_bf16_f32(vld1q_f32(scores + i));
    total = vaddq_f32(total, vcvt_f32_bf16(rounded));
    vst1_bf16(weights + 2 * i, rounded);
  }
  for (int64_t i = width; i < PANEL; i += 4) vst1_bf16(weights + 2 * i, vcreate_bf16(0));
  *sum += vaddvq_f32(total);
}

// The state of a task's rows between chunks of keys; their sums of values are in the output.
typedef struct {
  float max[MAX_ROWS], sum[MAX_ROWS];
} row_state;

// Rows first ... first + count - 1, at most BLOCK_ROWS, over the packed keys first_key ... last_key - 1.
static void row_block(const lmmc_attention *a, int64_t head, int64_t first, int64_t count, int64_t first_key, int64_t last_key,
                      const packed *p, float *max, float *sum) {
  const int64_t d = a->head_size, wide = up(d, 8), end = attention_visible(a, first + count - 1);
  if (first_key >= end) return;
  bfloat16_t q[BLOCK_ROWS * MAX_HEAD], weights[BLOCK_ROWS * PANEL], row[MAX_HEAD];
  float scores[BLOCK_ROWS * PANEL], out[BLOCK_ROWS * MAX_HEAD];
  memset(out, 0, sizeof out), memset(weights, 0, sizeof weights), memset(row, 0, sizeof row);
  for (int64_t r = 0; r < up(count, TILE); r++) {
    if (r < count) round_row(d, 1, a->q + attention_offset(a, head, first + r, a->q_stride), row);
    store_in_pairs(r, wide, row, q);
    if (r >= count) continue;
    const float *so_far = a->out + attention_offset(a, head, first + r, a->out_stride);
    if (first_key == 0) {
      max[r] = -INFINITY, sum[r] = 0;
    } else {
      for (int64_t e = 0; e < d; e++) out[r / 2 * 2 * wide + e / 2 * 4 + r % 2 * 2 + e % 2] = so_far[e];
    }
  }
  last_key = attention_smaller(last_key, end);
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
        bfloat16_t *half = weights + r / 2 * 2 * PANEL + r % 2 * 4;
        if (mine > 0) {
          weigh(mine, p->units + (key - first_key), scores + (r - t) * PANEL, wide, out + r / 2 * 2 * wide + r % 2 * 2, max + r, sum + r,
                half);
        } else {
          for (int64_t i = 0; i < PANEL; i += 4) vst1_bf16(half + 2 * i, vcreate_bf16(0));
        }
      }
      value_rows(seen, wide, weights + t * PANEL, values, out + t * wide);
    }
  }
  for (int64_t r = 0; r < count; r++) {
    float *to = a->out + attention_offset(a, head, first + r, a->out_stride);
    const float factor = last_key == end ? 1.0f / sum[r] : 1;
    for (int64_t e = 0; e < d; e++) to[e] = out[r / 2 * 2 * wide + e / 2 * 4 + r % 2 * 2 + e % 2] * factor;
  }
}

static void block(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  packed p;
  row_state state;
  const int64_t last_key = attention_visible(a, first + rows - 1), fit = CHUNK / up(a->head_size, 8) / PANEL * PANEL;
  const int64_t chunks = (last_key + fit - 1) / fit, even = up((last_key + chunks - 1) / chunks, PANEL);
  for (int64_t key = 0; key < last_key; key += even) {
    const int64_t count = attention_smaller(even, last_key - key);
    pack(a, head, key, count, &p);
    for (int64_t r = 0; r < rows; r += BLOCK_ROWS)
      row_block(a, head, first + r, attention_smaller(BLOCK_ROWS, rows - r), key, key + count, &p, state.max + r, state.sum + r);
  }
}

static int64_t max_rows(int64_t head_size) {
  (void)head_size;
  return MAX_ROWS;
}

// ---- few rows

INLINE void score_four(int rows, lmmc_kv_type type, int64_t d, const bfloat16_t *q, const void *const keys[4], float *scores) {
  (void)type;
  float32x4_t sums[4][4];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[r][i] = vdupq_n_f32(0);
  int64_t e = 0;
  for (; e + 8 <= d; e += 8) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const bfloat16x8_t k = vld1q_bf16((const bfloat16_t *)keys[i] + e);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) sums[r][i] = vbfdotq_f32(sums[r][i], k, vld1q_bf16(q + r * d + e));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
    vst1q_f32(scores + r * FEW_KEYS, vpaddq_f32(vpaddq_f32(sums[r][0], sums[r][1]), vpaddq_f32(sums[r][2], sums[r][3])));
  for (; e < d; e++)
    for (int i = 0; i < 4; i++)
      for (int r = 0; r < rows; r++) scores[r * FEW_KEYS + i] += as_float(q[r * d + e]) * as_float(((const bfloat16_t *)keys[i])[e]);
}

// BFMLALB and BFMLALT multiply the even and the odd elements.
INLINE void add_values(int rows, lmmc_kv_type type, int64_t d, int64_t count, const bfloat16_t *weights, const char *values, int64_t stride,
                       float *out) {
  (void)type;
  int64_t e = 0;
  for (; e + 8 <= d; e += 8) {
    float32x4x2_t sums[4];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) sums[r] = vld2q_f32(out + r * d + e);
    for (int64_t key = 0; key < count; key++) {
      const bfloat16x8_t v = vld1q_bf16((const bfloat16_t *)(values + key * stride) + e);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        const bfloat16x8_t weight = vld1q_dup_bf16(weights + r * FEW_KEYS + key);
        sums[r].val[0] = vbfmlalbq_f32(sums[r].val[0], v, weight), sums[r].val[1] = vbfmlaltq_f32(sums[r].val[1], v, weight);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) vst2q_f32(out + r * d + e, sums[r]);
  }
  for (; e < d; e++)
    for (int64_t key = 0; key < count; key++)
      for (int r = 0; r < rows; r++)
        out[r * d + e] += as_float(weights[r * FEW_KEYS + key]) * as_float(((const bfloat16_t *)(values + key * stride))[e]);
}

static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p) {
  if (a->kv_type == LMMC_KV_BF16) {
    few_of(LMMC_KV_BF16, a, first_head, last_head, first_key, last_key, p);
  } else {
    lmmc_attention_few_neon(a, first_head, last_head, first_key, last_key, p);
  }
}

const lmmc_attention_variant lmmc_attention_bfmmla = {"bf16", LMMC_CPU_NEON | LMMC_CPU_BF16, true, max_rows, block, few};
LMMC_END_TARGET
#endif
