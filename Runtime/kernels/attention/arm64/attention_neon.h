// Attention of few queries on 64-bit ARM. Each FEW_KEYS keys are taken for all heads before the next keys, so that memory is read in long
// runs. Keys and values are read as they are stored; the scale of an int8 row multiplies its score or its weight. A file that includes this
// defines before it
//   FEW_KEYS      keys that are taken at a time
//   operand       what queries and weights are rounded to: operand as_operand(float), float as_float(operand)
// and after it, with `rows`, which is 1, 2 or 4, and the type as constants once inlined,
//   score_four    scores[r * FEW_KEYS + i] = q[r * d ...] . keys[i]
//   add_values    out[r * d ...] += weights[r * FEW_KEYS + key] * value of each of `count` keys, `stride` bytes from one to the next
#ifndef LMMC_KERNELS_ATTENTION_ARM64_ATTENTION_NEON_H
#define LMMC_KERNELS_ATTENTION_ARM64_ATTENTION_NEON_H
#include <math.h>
#include <string.h>

#include "kernels/attention/attention_variant.h"
#include "kernels/rows/cache_rows.h"
#include "kernels/common/vector_math.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void score_four(int rows, lmmc_kv_type type, int64_t d, const operand *q, const void *const keys[4], float *scores);
INLINE void add_values(int rows, lmmc_kv_type type, int64_t d, int64_t count, const operand *weights, const char *values, int64_t stride,
                       float *out);

INLINE int64_t element_bytes(lmmc_kv_type type) { return type == LMMC_KV_F32 ? 4 : type == LMMC_KV_BF16 ? 2 : 1; }

INLINE float head_scale(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  float scale = 1;
  if (type == LMMC_KV_I8)
    memcpy(&scale, (const char *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof scale, sizeof scale);
  return scale;
}

// The address of a head's elements in a row.
INLINE const char *head_of_row(lmmc_kv_type type, const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  return (const char *)rows + (key * stride + head * a->head_size) * element_bytes(type);
}

// Turns a row's scores of FEW_KEYS keys, of which the first `seen` count, into rounded weights, and adds those to `sum`.
INLINE void few_weights(int64_t seen, int64_t d, float *scores, operand *weights, float *out, float *max, float *sum) {
  if (seen <= 0) {
    memset(weights, 0, FEW_KEYS * sizeof *weights);
    return;
  }
  for (int64_t i = seen; i < FEW_KEYS; i++) scores[i] = -INFINITY;
  float top = scores[0], total = 0;
  for (int64_t i = 1; i < FEW_KEYS; i++) top = scores[i] > top ? scores[i] : top;
  if (top > *max) {
    const float shrink = *sum > 0 ? lmmc_exp(*max - top) : 0;
    *sum *= shrink, *max = top;
    for (int64_t e = 0; e < d; e++) out[e] *= shrink;
  }
  for (int64_t i = 0; i < FEW_KEYS; i++) scores[i] = lmmc_exp(scores[i] - *max);
  for (int64_t i = 0; i < FEW_KEYS; i++) {
    weights[i] = as_operand(i < seen ? scores[i] : 0);
    total += as_float(weights[i]);
  }
  *sum += total;
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

INLINE void few_of(lmmc_kv_type type, const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                   lmmc_attention_partial p) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a), bytes = a->v_stride * element_bytes(type);
  operand q[LMMC_ATTENTION_FEW_ROWS * LMMC_ATTENTION_MAX_HEAD], weights[LMMC_ATTENTION_FEW_ROWS * FEW_KEYS];
  float scores[LMMC_ATTENTION_FEW_ROWS * FEW_KEYS];
  const int64_t all = (last_head - first_head) * rows;
  memset(p.out, 0, (size_t)(all * d) * sizeof *p.out), memset(p.sum, 0, (size_t)all * sizeof *p.sum);
  for (int64_t i = 0; i < all; i++) p.max[i] = -INFINITY;
  for (int64_t key = first_key; key < last_key; key += FEW_KEYS) {
    const int64_t count = attention_smaller(FEW_KEYS, last_key - key);
    for (int64_t head = first_head; head < last_head; head++) {
      const int64_t state = (head - first_head) * rows;
      for (int64_t r = 0; r < rows; r++) {
        const float *row = a->q + attention_offset(a, head, r, a->q_stride);
        for (int64_t e = 0; e < d; e++) q[r * d + e] = as_operand(row[e]);
      }
      for (int64_t four = 0; four < count; four += 4) {
        const void *keys[4];
        for (int64_t i = 0; i < 4; i++)
          keys[i] = head_of_row(type, a, a->k, a->k_stride, key + attention_smaller(four + i, count - 1), head);
#define SCORE(n) score_four(n, type, d, q + at * d, keys, scores + at * FEW_KEYS + four)
        BY_ROWS(rows, SCORE);
#undef SCORE
      }
      for (int64_t i = 0; i < count; i++) {
        const float scale = a->scale * head_scale(type, a, a->k, a->k_stride, key + i, head);
        for (int64_t r = 0; r < rows; r++) scores[r * FEW_KEYS + i] *= scale;
      }
      for (int64_t r = 0; r < rows; r++)
        few_weights(attention_smaller(count, attention_visible(a, r) - key), d, scores + r * FEW_KEYS, weights + r * FEW_KEYS,
                    p.out + (state + r) * d, p.max + state + r, p.sum + state + r);
      for (int64_t i = 0; type == LMMC_KV_I8 && i < count; i++) {
        const float scale = head_scale(type, a, a->v, a->v_stride, key + i, head);
        for (int64_t r = 0; r < rows; r++) weights[r * FEW_KEYS + i] = as_operand(as_float(weights[r * FEW_KEYS + i]) * scale);
      }
      const char *values = head_of_row(type, a, a->v, a->v_stride, key, head);
#define ADD(n) add_values(n, type, d, count, weights + at * FEW_KEYS, values, bytes, p.out + (state + at) * d)
      BY_ROWS(rows, ADD);
#undef ADD
    }
  }
}

#endif
