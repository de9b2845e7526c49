#include "attention.h"

#include <math.h>
#include <string.h>

#include "parallel.h"
#include "tile_product.h"
#include "vector_math.h"

// A tile is what one task holds on its stack: rows of queries (one for each query head of a key head), against KEYS keys at a time.
enum {
  KEYS = 128,
  MAX_ROWS = 192,
  MAX_HEAD_SIZE = 256,
  TILE_FLOATS = 24576,   // rows * head size, at most
  FEW_ROWS = 4,          // up to here dot products beat turning the keys around
  SPLIT_KEYS = 512,      // keys that are worth a task of their own
  SPLIT_FLOATS = 32768,  // of partial results, at most
};

// The part of a row's softmax that is known so far: out = sum of weights * values, over the maximum seen.
typedef struct {
  float *out;  // [rows, head_size]
  float *max;  // [rows]
  float *sum;  // [rows]
} partial;

// Rows first ... first + rows - 1 of key head `head`; row r is query r / group of query head head * group + r % group.
typedef struct {
  int64_t head, first, rows;
} block;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t group_size(const lmmc_attention *a) { return a->heads / a->kv_heads; }

// Keys that a row sees.
static int64_t visible(const lmmc_attention *a, int64_t row) {
  return a->causal ? a->keys - a->queries + row / group_size(a) + 1 : a->keys;
}

// Element offset of a row's head in q or out.
static int64_t row_offset(const lmmc_attention *a, const block *b, int64_t row, int64_t stride) {
  const int64_t group = group_size(a);
  return (b->first + row) / group * stride + (b->head * group + (b->first + row) % group) * a->head_size;
}

// Turns `count` keys around: out[e][key], zeros past the last.
static void transpose_keys(int64_t count, int64_t d, const float *keys, int64_t stride, float *out) {
  if (count < KEYS) memset(out, 0, (size_t)(d * KEYS) * sizeof *out);
  int64_t e = 0;
  for (; e + 8 <= d; e += 8)
    for (int64_t key = 0; key < count; key++)
      for (int64_t i = 0; i < 8; i++) out[(e + i) * KEYS + key] = keys[key * stride + e + i];
  for (; e < d; e++)
    for (int64_t key = 0; key < count; key++) out[e * KEYS + key] = keys[key * stride + e];
}

// scores[row][key] = q[row] . k[key], where few rows are not worth a transposition.
static void dot_scores(int64_t rows, int64_t count, int64_t d, const float *q, const float *keys, int64_t stride, float *scores) {
  int64_t key = 0;
  for (; key + 4 <= count; key += 4)
    for (int64_t r = 0; r < rows; r++) dot_four(d, q + r * d, keys + key * stride, stride, scores + r * KEYS + key);
  for (; key < count; key++)
    for (int64_t r = 0; r < rows; r++) scores[r * KEYS + key] = dot_one(d, q + r * d, keys + key * stride);
}

// Turns the scores of one row into weights over the new maximum, zeros past `count`, and brings what is there to the same scale.
static void softmax_step(int64_t count, int64_t d, float *scores, float *out, float *max, float *sum) {
  for (int64_t i = count; i < KEYS; i++) scores[i] = -INFINITY;
  const float here = max_of_tile(KEYS, scores), top = here > *max ? here : *max;
  if (top > *max) {
    const float shrink = *sum > 0 ? lmmc_exp(*max - top) : 0;
    *sum *= shrink;
#pragma omp simd
    for (int64_t e = 0; e < d; e++) out[e] *= shrink;
    *max = top;
  }
#pragma omp simd
  for (int64_t i = 0; i < KEYS; i++) scores[i] = lmmc_exp(scores[i] - top);
  for (int64_t i = count; i < KEYS; i++) scores[i] = 0;
  *sum += sum_of_tile(KEYS, scores);
}

// One pass of a block of rows over the keys first_key ... last_key - 1. `q` are its queries, scaled: [rows, head_size].
static void stream(const lmmc_attention *a, const block *b, const float *q, int64_t first_key, int64_t last_key, partial p) {
  const int64_t d = a->head_size;
  float turned[MAX_HEAD_SIZE * KEYS], scores[TILE_ROWS * KEYS];
  memset(p.out, 0, (size_t)(b->rows * d) * sizeof *p.out);
  memset(p.sum, 0, (size_t)b->rows * sizeof *p.sum);
  for (int64_t r = 0; r < b->rows; r++) p.max[r] = -INFINITY;
  last_key = smaller(last_key, visible(a, b->first + b->rows - 1));
  for (int64_t key = first_key; key < last_key; key += KEYS) {
    const int64_t count = smaller(KEYS, last_key - key);
    const float *k = a->k + key * a->k_stride + b->head * d, *v = a->v + key * a->v_stride + b->head * d;
    if (b->rows > FEW_ROWS) transpose_keys(count, d, k, a->k_stride, turned);
    for (int64_t r = 0; r < b->rows; r += TILE_ROWS) {
      const int64_t rows = smaller(TILE_ROWS, b->rows - r);
      const int64_t depth = smaller(count, visible(a, b->first + r + rows - 1) - key);
      if (depth <= 0) continue;
      if (b->rows > FEW_ROWS) {
        memset(scores, 0, sizeof scores);
        tile_product(rows, KEYS, d, q + r * d, d, turned, KEYS, scores, KEYS);
      } else {
        dot_scores(rows, count, d, q + r * d, k, a->k_stride, scores);
      }
      for (int64_t i = 0; i < rows; i++) {
        const int64_t seen = smaller(count, visible(a, b->first + r + i) - key);
        if (seen > 0) {
          softmax_step(seen, d, scores + i * KEYS, p.out + (r + i) * d, &p.max[r + i], &p.sum[r + i]);
        } else {
          memset(scores + i * KEYS, 0, KEYS * sizeof *scores);
        }
      }
      tile_product(rows, d, depth, scores, KEYS, v, a->v_stride, p.out + r * d, d);
    }
  }
}

static void load_queries(const lmmc_attention *a, const block *b, float *q) {
  for (int64_t r = 0; r < b->rows; r++) {
    const float *row = a->q + row_offset(a, b, r, a->q_stride);
    for (int64_t e = 0; e < a->head_size; e++) q[r * a->head_size + e] = row[e] * a->scale;
  }
}

static void store(const lmmc_attention *a, const block *b, partial p) {
  for (int64_t r = 0; r < b->rows; r++) {
    float *out = a->out + row_offset(a, b, r, a->out_stride);
    const float inverse = 1.0f / p.sum[r];
    for (int64_t e = 0; e < a->head_size; e++) out[e] = p.out[r * a->head_size + e] * inverse;
  }
}

// Rows of a task: as many as fit, or fewer where the threads would otherwise not all have work.
static int64_t block_rows(const lmmc_attention *a, int64_t total) {
  const int64_t fit = smaller(MAX_ROWS, TILE_FLOATS / a->head_size / TILE_ROWS * TILE_ROWS);
  int64_t blocks = (total + fit - 1) / fit;
  const int64_t wanted = (4 * lmmc_thread_count() + a->kv_heads - 1) / a->kv_heads, useful = (total + 4 * TILE_ROWS - 1) / (4 * TILE_ROWS);
  if (blocks < wanted) blocks = wanted < useful ? wanted : blocks > useful ? blocks : useful;
  const int64_t even = (total + blocks - 1) / blocks;
  return smaller(fit, (even + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS);
}

static void by_blocks(const lmmc_attention *a) {
  const int64_t total = a->queries * group_size(a), rows = block_rows(a, total), blocks = (total + rows - 1) / rows;
  // The longest tasks first: causal blocks see more keys towards the end.
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < blocks * a->kv_heads; task++) {
    float q[TILE_FLOATS], out[TILE_FLOATS], max[MAX_ROWS], sum[MAX_ROWS];
    const int64_t first = (blocks - 1 - task / a->kv_heads) * rows;
    const block b = {task % a->kv_heads, first, smaller(rows, total - first)};
    const partial p = {out, max, sum};
    load_queries(a, &b, q);
    stream(a, &b, q, 0, a->keys, p);
    store(a, &b, p);
  }
}

// One query with fewer key heads than threads: each head's keys are split among tasks, whose partial results are then joined.
static void by_keys(const lmmc_attention *a, int64_t splits) {
  const int64_t d = a->head_size, group = group_size(a), part = group * (d + 2);
  const int64_t keys = (a->keys / splits + KEYS) / KEYS * KEYS;
  float parts[SPLIT_FLOATS];
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < splits * a->kv_heads; task++) {
    float q[TILE_FLOATS];
    const block b = {task / splits, 0, group};
    float *out = parts + task * part;
    load_queries(a, &b, q);
    stream(a, &b, q, task % splits * keys, smaller(a->keys, (task % splits + 1) * keys),
           (partial){out, out + group * d, out + group * d + group});
  }
  for (int64_t head = 0; head < a->kv_heads; head++)
    for (int64_t r = 0; r < group; r++) {
      float *out = a->out + (head * group + r) * d, max = -INFINITY, sum = 0;
      const float *first = parts + head * splits * part;
      for (int64_t s = 0; s < splits; s++) max = fmaxf(max, first[s * part + group * d + r]);
      memset(out, 0, (size_t)d * sizeof *out);
      for (int64_t s = 0; s < splits; s++) {
        const float *p = first + s * part;
        if (!(p[group * d + group + r] > 0)) continue;
        const float weight = lmmc_exp(p[group * d + r] - max);
        sum += p[group * d + group + r] * weight;
        for (int64_t e = 0; e < d; e++) out[e] += p[r * d + e] * weight;
      }
      for (int64_t e = 0; e < d; e++) out[e] /= sum;
    }
}

// A row at a time, with the sums in `out`: for heads that no tile holds.
static void by_rows(const lmmc_attention *a) {
  const int64_t d = a->head_size, total = a->queries * group_size(a);
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < total * a->kv_heads; task++) {
    const block b = {task % a->kv_heads, task / a->kv_heads, 1};
    const float *q = a->q + row_offset(a, &b, 0, a->q_stride);
    float *out = a->out + row_offset(a, &b, 0, a->out_stride);
    float scores[KEYS], max = -INFINITY, sum = 0;
    memset(out, 0, (size_t)d * sizeof *out);
    const int64_t keys = visible(a, b.first);
    for (int64_t key = 0; key < keys; key += KEYS) {
      const int64_t count = smaller(KEYS, keys - key);
      dot_scores(1, count, d, q, a->k + key * a->k_stride + b.head * d, a->k_stride, scores);
      for (int64_t i = 0; i < count; i++) scores[i] *= a->scale;
      softmax_step(count, d, scores, out, &max, &sum);
      for (int64_t i = 0; i < count; i++) {
        const float *v = a->v + (key + i) * a->v_stride + b.head * d;
        for (int64_t e = 0; e < d; e++) out[e] += scores[i] * v[e];
      }
    }
    for (int64_t e = 0; e < d; e++) out[e] /= sum;
  }
}

void lmmc_attention_f32(lmmc_attention a) {
  const int64_t group = group_size(&a), threads = lmmc_thread_count();
  if (a.head_size > MAX_HEAD_SIZE || group > MAX_ROWS) {
    by_rows(&a);
    return;
  }
  int64_t splits = smaller((threads + a.kv_heads - 1) / a.kv_heads, a.keys / SPLIT_KEYS);
  splits = smaller(splits, SPLIT_FLOATS / (a.heads * (a.head_size + 2)));
  if (a.queries == 1 && splits > 1 && group * a.head_size <= TILE_FLOATS) {
    by_keys(&a, splits);
  } else {
    by_blocks(&a);
  }
}
