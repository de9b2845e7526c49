// Attention in f32 arithmetic on vectors of LANES floats. A file that includes this defines
//   ATTENTION_NAME    the lmmc_attention_variant that is made
//   ATTENTION_ISA     its name
//   ATTENTION_NEEDS   the features of a CPU that it needs
//   ATTENTION_FEW     its own function for few queries, or nothing
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_BODY_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_BODY_H
#include <math.h>
#include <string.h>

#include "attention_variant.h"
#include "kernels/rows/cache_rows.h"
#include "base/parallel.h"
#include "tile_product.h"
#include "kernels/common/vector_math.h"

// A task holds its rows on the stack and takes them against KEYS keys at a time.
enum {
  KEYS = 128,
  MAX_ROWS = 192,
  MAX_HEAD_SIZE = LMMC_ATTENTION_MAX_HEAD,
  TILE_FLOATS = 24576,  // most rows * head size of a task
  FEW_KEYS = 16,        // keys that few rows take at a time: converted to floats they stay in the L1 cache
};

// `count` elements of head `head` in row `row` of keys or values, as floats.
static void load_row(const lmmc_attention *a, const void *rows, int64_t stride, int64_t row, int64_t head, int64_t count, float *out) {
  const int64_t from = row * stride + head * a->head_size;
  switch (a->kv_type) {
    case LMMC_KV_F32: memcpy(out, (const float *)rows + from, (size_t)count * sizeof *out); break;
    case LMMC_KV_BF16: {
      const uint16_t *x = (const uint16_t *)rows + from;
#pragma omp simd
      for (int64_t i = 0; i < count; i++) out[i] = lmmc_float_of_bf16(x[i]);
      break;
    }
    case LMMC_KV_I8: {
      const int8_t *x = (const int8_t *)rows + from;
      float scale;
      memcpy(&scale, (const int8_t *)rows + row * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof scale, sizeof scale);
#pragma omp simd
      for (int64_t i = 0; i < count; i++) out[i] = scale * (float)x[i];
      break;
    }
  }
}

typedef struct {
  const float *first;
  int64_t stride;
} float_rows;

// Rows key ... key + count - 1 of a head as floats: f32 rows where they stand, others converted into `room`.
static float_rows as_floats(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t count,
                            float *room) {
  const int64_t d = a->head_size;
  if (a->kv_type == LMMC_KV_F32) return (float_rows){(const float *)rows + key * stride + head * d, stride};
  for (int64_t i = 0; i < count; i++) load_row(a, rows, stride, key + i, head, d, room + i * d);
  return (float_rows){room, d};
}

// Transposes `count` keys: out[e][key], zeros past the last key.
static void transpose_keys(int64_t count, int64_t d, const float *keys, int64_t stride, float *out) {
  if (count < KEYS) memset(out, 0, (size_t)(d * KEYS) * sizeof *out);
  int64_t e = 0;
  for (; e + 8 <= d; e += 8)
    for (int64_t key = 0; key < count; key++)
      for (int64_t i = 0; i < 8; i++) out[(e + i) * KEYS + key] = keys[key * stride + e + i];
  for (; e < d; e++)
    for (int64_t key = 0; key < count; key++) out[e * KEYS + key] = keys[key * stride + e];
}

// Turns the scores of one row into weights e^(score - max), zeros past `count`. Where the maximum grows, `out` and `sum` are scaled to it.
static inline __attribute__((always_inline)) void softmax_step(int64_t width, int64_t count, int64_t d, float *scores, float *out,
                                                               float *max, float *sum) {
  for (int64_t i = count; i < width; i++) scores[i] = -INFINITY;
  const float here = max_of_tile(width, scores), top = here > *max ? here : *max;
  if (top > *max) {
    const float shrink = *sum > 0 ? lmmc_exp(*max - top) : 0;
    *sum *= shrink;
#pragma omp simd
    for (int64_t e = 0; e < d; e++) out[e] *= shrink;
    *max = top;
  }
#pragma omp simd
  for (int64_t i = 0; i < width; i++) scores[i] = lmmc_exp(scores[i] - top);
  for (int64_t i = count; i < width; i++) scores[i] = 0;
  *sum += sum_of_tile(width, scores);
}

static void load_queries(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows, float *q) {
  for (int64_t r = 0; r < rows; r++) {
    const float *row = a->q + attention_offset(a, head, first + r, a->q_stride);
    for (int64_t e = 0; e < a->head_size; e++) q[r * a->head_size + e] = row[e] * a->scale;
  }
}

static void clear(int64_t rows, int64_t d, lmmc_attention_partial p) {
  memset(p.out, 0, (size_t)(rows * d) * sizeof *p.out);
  memset(p.sum, 0, (size_t)rows * sizeof *p.sum);
  for (int64_t r = 0; r < rows; r++) p.max[r] = -INFINITY;
}

// Takes rows, whose scaled queries are `q`, over all keys that they see.
static void stream(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows, const float *q, lmmc_attention_partial p) {
  const int64_t d = a->head_size, last_key = attention_visible(a, first + rows - 1);
  float turned[MAX_HEAD_SIZE * KEYS], room[MAX_HEAD_SIZE * KEYS], scores[TILE_ROWS * KEYS];
  clear(rows, d, p);
  for (int64_t key = 0; key < last_key; key += KEYS) {
    const int64_t count = attention_smaller(KEYS, last_key - key);
    const float_rows k = as_floats(a, a->k, a->k_stride, key, head, count, room);
    transpose_keys(count, d, k.first, k.stride, turned);
    const float_rows v = as_floats(a, a->v, a->v_stride, key, head, count, room);
    for (int64_t r = 0; r < rows; r += TILE_ROWS) {
      const int64_t some = attention_smaller(TILE_ROWS, rows - r);
      const int64_t depth = attention_smaller(count, attention_visible(a, first + r + some - 1) - key);
      if (depth <= 0) continue;
      memset(scores, 0, sizeof scores);
      tile_product(some, KEYS, d, q + r * d, d, turned, KEYS, scores, KEYS);
      for (int64_t i = 0; i < some; i++) {
        const int64_t seen = attention_smaller(count, attention_visible(a, first + r + i) - key);
        if (seen > 0) {
          softmax_step(KEYS, seen, d, scores + i * KEYS, p.out + (r + i) * d, &p.max[r + i], &p.sum[r + i]);
        } else {
          memset(scores + i * KEYS, 0, KEYS * sizeof *scores);
        }
      }
      tile_product(some, d, depth, scores, KEYS, v.first, v.stride, p.out + r * d, d);
    }
  }
}

static void block(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  const int64_t d = a->head_size;
  float q[TILE_FLOATS], sums[TILE_FLOATS], max[MAX_ROWS], sum[MAX_ROWS];
  load_queries(a, head, first, rows, q);
  stream(a, head, first, rows, q, (lmmc_attention_partial){sums, max, sum});
  for (int64_t r = 0; r < rows; r++) {
    float *out = a->out + attention_offset(a, head, first + r, a->out_stride);
    const float inverse = 1.0f / sum[r];
    for (int64_t e = 0; e < d; e++) out[e] = sums[r * d + e] * inverse;
  }
}

#if !defined(ATTENTION_FEW)
#define ATTENTION_FEW few
// scores[row][key] = q[row] . k[key], for so few rows that transposing the keys would not pay.
static void dot_scores(int64_t rows, int64_t count, int64_t d, const float *q, float_rows k, int64_t width, float *scores) {
  int64_t key = 0;
  for (; key + 4 <= count; key += 4)
    for (int64_t r = 0; r < rows; r++) dot_four(d, q + r * d, k.first + key * k.stride, k.stride, scores + r * width + key);
  for (; key < count; key++)
    for (int64_t r = 0; r < rows; r++) scores[r * width + key] = dot_one(d, q + r * d, k.first + key * k.stride);
}

// Takes a few keys of all heads at a time, so that memory is read in long runs.
static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a);
  float q[LMMC_ATTENTION_FEW_ROWS * MAX_HEAD_SIZE], room[FEW_KEYS * MAX_HEAD_SIZE], scores[LMMC_ATTENTION_FEW_ROWS * FEW_KEYS];
  clear((last_head - first_head) * rows, d, p);
  for (int64_t key = first_key; key < last_key; key += FEW_KEYS) {
    const int64_t count = attention_smaller(FEW_KEYS, last_key - key);
    for (int64_t head = first_head; head < last_head; head++) {
      const int64_t state = (head - first_head) * rows;
      load_queries(a, head, 0, rows, q);
      dot_scores(rows, count, d, q, as_floats(a, a->k, a->k_stride, key, head, count, room), FEW_KEYS, scores);
      for (int64_t r = 0; r < rows; r++) {
        const int64_t seen = attention_smaller(count, attention_visible(a, r) - key);
        if (seen > 0) {
          softmax_step(FEW_KEYS, seen, d, scores + r * FEW_KEYS, p.out + (state + r) * d, &p.max[state + r], &p.sum[state + r]);
        } else {
          memset(scores + r * FEW_KEYS, 0, FEW_KEYS * sizeof *scores);
        }
      }
      const float_rows v = as_floats(a, a->v, a->v_stride, key, head, count, room);
      for (int64_t r = 0; r < rows; r += TILE_ROWS)
        tile_product(attention_smaller(TILE_ROWS, rows - r), d, count, scores + r * FEW_KEYS, FEW_KEYS, v.first, v.stride,
                     p.out + (state + r) * d, d);
    }
  }
}
#endif

static int64_t max_rows(int64_t head_size) { return attention_smaller(MAX_ROWS, TILE_FLOATS / head_size / TILE_ROWS * TILE_ROWS); }

const lmmc_attention_variant ATTENTION_NAME = {ATTENTION_ISA, ATTENTION_NEEDS, false, max_rows, block, ATTENTION_FEW};

#endif
