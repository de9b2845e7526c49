// Attention in f32 arithmetic on vectors of LANES floats. A file that includes this defines
//   ATTENTION_NAME    the lmmc_attention_variant that is made
//   ATTENTION_ISA     its name
//   ATTENTION_NEEDS   the features of a CPU that it needs
// Few rows and blocks take a panel of keys through the same functions, so that a row's result is the same.
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_BODY_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_BODY_H
#include <math.h>
#include <string.h>

#include "attention_variant.h"
#include "base/parallel.h"
#include "tile_product.h"
#include "kernels/common/vector_math.h"

enum {
  PANEL = 128,  // keys that are taken at a time
  MAX_ROWS = 192,
  MAX_HEAD = LMMC_ATTENTION_MAX_HEAD,
  FEW_STEP = 16,        // keys or values of a head that few rows read before those of the next head
  FEW_SCORES = 32,      // rows of all heads that are taken together
  TILE_FLOATS = 24576,  // most rows * head size of a task, which holds its rows on the stack
};

#define NOINLINE static __attribute__((noinline))

// The scales of the keys and values of a panel in int8.
typedef struct {
  float keys[PANEL], values[PANEL];
} scales;

NOINLINE void pack_keys(const lmmc_attention *a, int64_t head, int64_t key, int64_t count, int64_t width, head_rows next, float *out) {
  const char *keys = head_of_row(a, a->k, a->k_stride, key, head);
  const int64_t d = a->head_size, stride = a->k_stride * attention_element_bytes(a->kv_type);
  switch (a->kv_type) {
    case LMMC_KV_F32: turn_keys(LMMC_KV_F32, d, keys, stride, count, width, next, out); break;
    case LMMC_KV_BF16: turn_keys(LMMC_KV_BF16, d, keys, stride, count, width, next, out); break;
    case LMMC_KV_I8: turn_keys(LMMC_KV_I8, d, keys, stride, count, width, next, out); break;
  }
}

static void load_panel_scales(const lmmc_attention *a, int64_t head, int64_t key, int64_t count, scales *out) {
  if (a->kv_type != LMMC_KV_I8) return;
  load_scales(a, a->k, a->k_stride, key, head, count, out->keys);
  load_scales(a, a->v, a->v_stride, key, head, count, out->values);
}

// scores[rows][PANEL] = q[rows][d] . keys[d][width] of the first `seen` columns and some more.
NOINLINE void score_tile(int64_t rows, int64_t seen, int64_t d, const float *q, const float *keys, int64_t width, float *scores) {
  const int64_t columns = (seen + LANES - 1) / LANES * LANES;
  tile_product(LMMC_KV_F32, false, rows,
               &(tile){.columns = columns,
                       .depth = d,
                       .a = q,
                       .a_stride = d,
                       .b = (const char *)keys,
                       .b_stride = width * 4,
                       .c = scores,
                       .c_stride = PANEL});
}

// out[rows][d] += weights[rows][PANEL] . values of `depth` keys, `stride` bytes from one to the next.
NOINLINE void value_tile(lmmc_kv_type type, int64_t rows, int64_t depth, int64_t d, const float *weights, const char *values,
                         int64_t stride, head_rows next, float *out) {
  const tile t = {d, depth, weights, PANEL, values, stride, out, d, next};
  switch (type) {
    case LMMC_KV_F32: tile_product(LMMC_KV_F32, true, rows, &t); break;
    case LMMC_KV_BF16: tile_product(LMMC_KV_BF16, true, rows, &t); break;
    case LMMC_KV_I8: tile_product(LMMC_KV_I8, true, rows, &t); break;
  }
}

// Turns the scores of one row into weights e^(score + bias - max), zeros past the first `seen`. Where the maximum grows, `out` and `sum` are
// scaled to it. Weights of int8 values are multiplied by their scales. `bias` may be NULL.
NOINLINE void weigh(lmmc_kv_type type, int64_t seen, int64_t d, const scales *s, const float *bias, float *scores, float *out, float *max,
                    float *sum) {
  if (seen <= 0) {
    memset(scores, 0, PANEL * sizeof *scores);
    return;
  }
  for (int64_t i = 0; type == LMMC_KV_I8 && i < seen; i++) scores[i] *= s->keys[i];
  if (bias) {
#pragma omp simd
    for (int64_t i = 0; i < seen; i++) scores[i] += bias[i];
  }
  for (int64_t i = seen; i < PANEL; i++) scores[i] = -INFINITY;
  const float here = max_of_tile(PANEL, scores);
  if (here > *max) {
    const float shrink = *sum > 0 ? lmmc_exp(*max - here) : 0;
    *sum *= shrink;
#pragma omp simd
    for (int64_t e = 0; e < d; e++) out[e] *= shrink;
    *max = here;
  }
  const float top = *max;
#pragma omp simd
  for (int64_t i = 0; i < PANEL; i++) scores[i] = lmmc_exp(scores[i] - top);
  for (int64_t i = seen; i < PANEL; i++) scores[i] = 0;
  *sum += sum_of_tile(PANEL, scores);
  for (int64_t i = 0; type == LMMC_KV_I8 && i < seen; i++) scores[i] *= s->values[i];
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

static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p);

// Makes the part of one row in a cut that others went through up to `last_key` what it is alone. In products with them a key that the row
// does not see has the weight 0 for it, which an infinite value makes NaN: the row is then read again.
NOINLINE void mend(const lmmc_attention *a, int64_t head, int64_t row, int64_t first_key, int64_t last_key, lmmc_attention_partial p) {
  const int64_t d = a->head_size, size = attention_element_bytes(a->kv_type), visible = attention_visible(a, row);
  // Codes of int8 are finite, and their scales go into the weights that are not 0.
  if (visible <= first_key || visible >= last_key || a->kv_type == LMMC_KV_I8) return;
  int broken = 0;
  for (int64_t e = 0; e < d; e++) broken |= p.out[e] != p.out[e];
  if (!broken) return;
  const lmmc_attention one = {.queries = 1,
                              .keys = visible,
                              .heads = 1,
                              .kv_heads = 1,
                              .head_size = d,
                              .scale = a->scale,
                              .q = a->q + attention_offset(a, head, row, a->q_stride),
                              .kv_type = a->kv_type,
                              .k = (const char *)a->k + head * d * size,
                              .v = (const char *)a->v + head * d * size,
                              .k_stride = a->k_stride,
                              .v_stride = a->v_stride,
                              .bias = a->bias};
  few(&one, 0, 1, first_key, visible, p);
}

// ---- many rows

// Values of a head as floats: f32 where they stand, others converted into `room`.
static head_rows float_values(const lmmc_attention *a, int64_t key, int64_t head, int64_t count, float *room) {
  const int64_t d = a->head_size, size = attention_element_bytes(a->kv_type);
  const char *values = head_of_row(a, a->v, a->v_stride, key, head);
  if (a->kv_type == LMMC_KV_F32) return (head_rows){values, a->v_stride * size};
  for (int64_t i = 0; i < count; i++) {
    const char *row = values + i * a->v_stride * size;
    int64_t e = 0;
    for (; e + LANES <= d; e += LANES)
      *(lanes *)(room + i * d + e) =
          a->kv_type == LMMC_KV_BF16 ? load_lanes(LMMC_KV_BF16, row + e * size) : load_lanes(LMMC_KV_I8, row + e);
    for (; e < d; e++) room[i * d + e] = load_element(a->kv_type, row + e * size);
  }
  return (head_rows){(const char *)room, d * 4};
}

// Takes the rows first ... first + rows - 1, whose scaled queries are `q`, over the keys of a cut.
NOINLINE void take_cut(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows, int64_t first_key, int64_t last_key,
                       const float *q, lmmc_attention_partial p) {
  const int64_t d = a->head_size;
  float keys[MAX_HEAD * PANEL], room[MAX_HEAD * PANEL], scores[TILE_ROWS * PANEL];
  scales s;
  clear(rows, d, p);
  for (int64_t key = first_key; key < last_key; key += PANEL) {
    const int64_t count = attention_smaller(PANEL, last_key - key);
    pack_keys(a, head, key, count, PANEL, (head_rows){0}, keys);
    load_panel_scales(a, head, key, count, &s);
    const head_rows v = float_values(a, key, head, count, room);
    for (int64_t r = 0; r < rows; r += TILE_ROWS) {
      const int64_t some = attention_smaller(TILE_ROWS, rows - r),
                    depth = attention_smaller(count, attention_visible(a, first + r + some - 1) - key);
      if (depth <= 0) continue;
      score_tile(some, depth, d, q + r * d, keys, PANEL, scores);
      for (int64_t i = 0; i < some; i++)
        weigh(a->kv_type, attention_smaller(count, attention_visible(a, first + r + i) - key), d, &s, attention_bias(a, key),
              scores + i * PANEL, p.out + (r + i) * d, &p.max[r + i], &p.sum[r + i]);
      value_tile(LMMC_KV_F32, some, depth, d, scores, v.first, v.stride, (head_rows){0}, p.out + r * d);
    }
  }
}

static void block(const lmmc_attention *a, int64_t head, int64_t first, int64_t rows) {
  const int64_t d = a->head_size, last_key = attention_visible(a, first + rows - 1);
  float q[TILE_FLOATS], out[TILE_FLOATS], max[MAX_ROWS], sum[MAX_ROWS], joined_max[MAX_ROWS], joined_sum[MAX_ROWS];
  load_queries(a, head, first, rows, q);
  for (int64_t cut = 0; cut < last_key; cut += LMMC_ATTENTION_CUT) {
    const int64_t end = attention_smaller(cut + LMMC_ATTENTION_CUT, last_key);
    take_cut(a, head, first, rows, cut, end, q, (lmmc_attention_partial){out, max, sum});
    for (int64_t r = 0; r < rows; r++) {
      mend(a, head, first + r, cut, end, (lmmc_attention_partial){out + r * d, max + r, sum + r});
      float *to = a->out + attention_offset(a, head, first + r, a->out_stride);
      if (cut == 0) {
        memcpy(to, out + r * d, (size_t)d * sizeof *to);
        joined_max[r] = max[r], joined_sum[r] = sum[r];
      } else {
        lmmc_attention_join(d, out + r * d, max[r], sum[r], to, &joined_max[r], &joined_sum[r]);
      }
    }
  }
  for (int64_t r = 0; r < rows; r++) {
    float *to = a->out + attention_offset(a, head, first + r, a->out_stride);
    const float inverse = 1.0f / joined_sum[r];
    for (int64_t e = 0; e < d; e++) to[e] *= inverse;
  }
}

static int64_t max_rows(int64_t head_size) { return attention_smaller(MAX_ROWS, TILE_FLOATS / head_size / TILE_ROWS * TILE_ROWS); }

// ---- few rows

// The FEW_STEP rows that are read after those of a head: of the next one, or of the first one further on.
static head_rows following(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t last_key, int64_t head,
                           int64_t first_head, int64_t last_head) {
  const int64_t bytes = stride * attention_element_bytes(a->kv_type);
  if (head + 1 < last_head) return (head_rows){head_of_row(a, rows, stride, key, head + 1), bytes};
  if (key + 2 * FEW_STEP <= last_key) return (head_rows){head_of_row(a, rows, stride, key + FEW_STEP, first_head), bytes};
  return (head_rows){NULL, bytes};
}

// Takes FEW_STEP keys or values of all heads before the next, so that memory is read in long runs.
static void few_heads(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                      lmmc_attention_partial p) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a), size = attention_element_bytes(a->kv_type);
  float q[LMMC_ATTENTION_FEW_ROWS * MAX_HEAD], keys[MAX_HEAD * FEW_STEP], scores[FEW_SCORES * PANEL];
  scales s;
  clear((last_head - first_head) * rows, d, p);
  for (int64_t key = first_key; key < last_key; key += PANEL) {
    const int64_t end = attention_smaller(key + PANEL, last_key);
    for (int64_t at = key; at < end; at += FEW_STEP)
      for (int64_t head = first_head; head < last_head; head++) {
        const int64_t count = attention_smaller(FEW_STEP, end - at);
        load_queries(a, head, 0, rows, q);
        pack_keys(a, head, at, count, FEW_STEP, following(a, a->k, a->k_stride, at, end, head, first_head, last_head), keys);
        for (int64_t r = 0; r < rows; r += TILE_ROWS)
          score_tile(attention_smaller(TILE_ROWS, rows - r), count, d, q + r * d, keys, FEW_STEP,
                     scores + ((head - first_head) * rows + r) * PANEL + at - key);
      }
    for (int64_t head = first_head; head < last_head; head++) {
      load_panel_scales(a, head, key, end - key, &s);
      for (int64_t r = 0; r < rows; r++) {
        const int64_t i = (head - first_head) * rows + r;
        weigh(a->kv_type, attention_smaller(end, attention_visible(a, r)) - key, d, &s, attention_bias(a, key), scores + i * PANEL,
              p.out + i * d, &p.max[i], &p.sum[i]);
      }
    }
    for (int64_t at = key; at < end; at += FEW_STEP)
      for (int64_t head = first_head; head < last_head; head++) {
        const int64_t count = attention_smaller(FEW_STEP, end - at), first = (head - first_head) * rows;
        head_rows next = following(a, a->v, a->v_stride, at, end, head, first_head, last_head);
        for (int64_t r = 0; r < rows; r += TILE_ROWS, next.first = NULL)
          value_tile(a->kv_type, attention_smaller(TILE_ROWS, rows - r), count, d, scores + (first + r) * PANEL + at - key,
                     head_of_row(a, a->v, a->v_stride, at, head), a->v_stride * size, next, p.out + (first + r) * d);
      }
  }
}

static void few(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                lmmc_attention_partial p) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a), fit = FEW_SCORES / rows;
  for (int64_t head = first_head; head < last_head; head += fit) {
    const int64_t row = (head - first_head) * rows, end = attention_smaller(head + fit, last_head);
    few_heads(a, head, end, first_key, last_key, (lmmc_attention_partial){p.out + row * d, p.max + row, p.sum + row});
    for (int64_t i = row; i < row + (end - head) * rows; i++)
      mend(a, first_head + i / rows, i % rows, first_key, last_key, (lmmc_attention_partial){p.out + i * d, p.max + i, p.sum + i});
  }
}

const lmmc_attention_variant ATTENTION_NAME = {ATTENTION_ISA, ATTENTION_NEEDS, false, max_rows, block, few};

#endif
