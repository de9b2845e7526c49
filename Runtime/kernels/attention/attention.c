// How attention is shared among the threads, and which variant computes it.
#include <math.h>
#include <string.h>

#include "attention_variant.h"
#include "kernels/rows/cache_rows.h"
#include "base/parallel.h"
#include "kernels/common/measure.h"
#include "kernels/common/vector_math.h"

enum {
  SPLIT_KEYS = 64,       // least keys of a task of its own
  SPLIT_FLOATS = 65536,  // most floats of partial results
  ENOUGH_ROWS = 96,      // so many rows of a block repay packing its keys before the products
};

#define VARIANT(symbol) &lmmc_attention_##symbol,
static const lmmc_attention_variant *const variants[] = {LMMC_ATTENTION_SETS(VARIANT)};
enum { VARIANTS = sizeof variants / sizeof *variants };

const lmmc_attention_variant *const *lmmc_attention_variants(int *count) {
  *count = VARIANTS;
  return variants;
}

// Rows of a block: as many as fit, or fewer where otherwise some threads would have no work.
static int64_t block_rows(const lmmc_attention *a, int64_t total, int64_t fit) {
  const int64_t wanted = (8 * lmmc_thread_count() + a->kv_heads - 1) / a->kv_heads, useful = (total + ENOUGH_ROWS - 1) / ENOUGH_ROWS;
  int64_t blocks = (total + fit - 1) / fit;
  if (blocks < wanted) blocks = wanted < useful ? wanted : blocks > useful ? blocks : useful;
  // Rounded up to a multiple of 6, the rows of most variants' tiles.
  const int64_t even = (total + blocks - 1) / blocks;
  return attention_smaller(fit, (even + 5) / 6 * 6);
}

static void by_blocks(const lmmc_attention_variant *variant, const lmmc_attention *a) {
  const int64_t total = a->queries * attention_group(a), rows = block_rows(a, total, variant->max_rows(a->head_size));
  const int64_t blocks = (total + rows - 1) / rows;
  // The last blocks come first: causal ones see the most keys, and long tasks at the end would leave threads idle.
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < blocks * a->kv_heads; task++) {
    const int64_t first = (blocks - 1 - task / a->kv_heads) * rows;
    variant->block(a, task % a->kv_heads, first, attention_smaller(rows, total - first));
  }
}

// Joins the partial results of `splits` tasks for the rows of some heads, `part` floats from task to task, and writes out / sum.
static void join(const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t splits, int64_t part, const float *parts) {
  const int64_t d = a->head_size, rows = a->queries * attention_group(a), count = heads * rows;
  for (int64_t i = 0; i < count; i++) {
    float *out = a->out + attention_offset(a, first_head + i / rows, i % rows, a->out_stride), max = -INFINITY, sum = 0;
    for (int64_t s = 0; s < splits; s++) max = fmaxf(max, parts[s * part + count * d + i]);
    memset(out, 0, (size_t)d * sizeof *out);
    for (int64_t s = 0; s < splits; s++) {
      const float *p = parts + s * part, here = p[count * d + count + i];
      if (here == 0) continue;
      const float weight = splits == 1 ? 1 : lmmc_exp(p[count * d + i] - max);
      sum += here * weight;
      for (int64_t e = 0; e < d; e++) out[e] += p[i * d + e] * weight;
    }
    const float inverse = 1.0f / sum;
    for (int64_t e = 0; e < d; e++) out[e] *= inverse;
  }
}

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

// Few queries: each task takes some of the key heads and, where the heads do not divide evenly among the threads, some of the keys.
static void by_keys(const lmmc_attention_variant *variant, const lmmc_attention *a) {
  const int64_t threads = lmmc_thread_count(), rows = a->queries * attention_group(a), whole = a->kv_heads * rows * (a->head_size + 2);
  int64_t shares = common_divisor(a->kv_heads, threads), splits = threads / shares;
  splits = attention_smaller(splits, attention_smaller(a->keys / SPLIT_KEYS, SPLIT_FLOATS / whole));
  if (splits < threads / shares) shares = attention_smaller(threads, a->kv_heads);
  if (splits < 1) splits = 1;
  const int64_t keys = (a->keys + splits - 1) / splits;
  float parts[SPLIT_FLOATS];
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t task = 0; task < shares * splits; task++) {
      const int64_t share = task / splits, split = task % splits;
      const int64_t first = a->kv_heads * share / shares, last = a->kv_heads * (share + 1) / shares, count = (last - first) * rows;
      float *part = parts + first * rows * (a->head_size + 2) * splits + split * count * (a->head_size + 2);
      variant->few(a, first, last, split * keys, attention_smaller(a->keys, (split + 1) * keys),
                   (lmmc_attention_partial){part, part + count * a->head_size, part + count * (a->head_size + 1)});
    }
#pragma omp for schedule(static)
    for (int64_t share = 0; share < shares; share++) {
      const int64_t first = a->kv_heads * share / shares, last = a->kv_heads * (share + 1) / shares;
      join(a, first, last - first, splits, (last - first) * rows * (a->head_size + 2), parts + first * rows * (a->head_size + 2) * splits);
    }
  }
}

// ---- a row at a time, with the sums in `out`, for heads that are too large for a tile

static float element(const lmmc_attention *a, const void *rows, int64_t at) {
  switch (a->kv_type) {
    case LMMC_KV_F32: return ((const float *)rows)[at];
    case LMMC_KV_BF16: return lmmc_float_of_bf16(((const uint16_t *)rows)[at]);
    case LMMC_KV_I8: return ((const int8_t *)rows)[at];
  }
  return 0;
}

static float row_scale(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  float scale = 1;
  if (a->kv_type == LMMC_KV_I8)
    memcpy(&scale, (const int8_t *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof scale, sizeof scale);
  return scale;
}

static void one_row(const lmmc_attention *a, int64_t head, int64_t row) {
  const int64_t d = a->head_size, keys = attention_visible(a, row);
  const float *q = a->q + attention_offset(a, head, row, a->q_stride);
  float *out = a->out + attention_offset(a, head, row, a->out_stride);
  float max = -INFINITY, sum = 0;
  memset(out, 0, (size_t)d * sizeof *out);
  for (int64_t key = 0; key < keys; key++) {
    const int64_t k = key * a->k_stride + head * d, v = key * a->v_stride + head * d;
    double dot = 0;
    for (int64_t e = 0; e < d; e++) dot += (double)q[e] * element(a, a->k, k + e);
    const float score = (float)dot * a->scale * row_scale(a, a->k, a->k_stride, key, head);
    if (score > max) {
      const float shrink = sum > 0 ? lmmc_exp(max - score) : 0;
      sum *= shrink;
      for (int64_t e = 0; e < d; e++) out[e] *= shrink;
      max = score;
    }
    const float weight = lmmc_exp(score - max), scaled = weight * row_scale(a, a->v, a->v_stride, key, head);
    sum += weight;
    for (int64_t e = 0; e < d; e++) out[e] += scaled * element(a, a->v, v + e);
  }
  for (int64_t e = 0; e < d; e++) out[e] /= sum;
}

static void by_rows(const lmmc_attention *a) {
  const int64_t total = a->queries * attention_group(a);
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < total * a->kv_heads; task++) one_row(a, task % a->kv_heads, task / a->kv_heads);
}

void lmmc_attention_run(const lmmc_attention_variant *variant, const lmmc_attention *a) {
  const int64_t group = attention_group(a), rows = a->queries * group;
  if (a->head_size > LMMC_ATTENTION_MAX_HEAD || group > variant->max_rows(a->head_size)) {
    by_rows(a);
  } else if (rows <= LMMC_ATTENTION_FEW_ROWS && a->kv_heads * rows * (a->head_size + 2) <= SPLIT_FLOATS) {
    by_keys(variant, a);
  } else {
    by_blocks(variant, a);
  }
}

const lmmc_attention_variant *lmmc_attention_choose(lmmc_cpu cpu, bool may_round) {
  const lmmc_attention_variant *best = variants[0];
  for (int i = 1; i < VARIANTS; i++)
    if (variants[i] && !(variants[i]->needs & ~cpu.features) && (may_round || !variants[i]->rounds)) best = variants[i];
  return best;
}

// ---- the choice of this process, plain C until lmmc_attention_start()
static const lmmc_attention_variant *exact = &lmmc_attention_plain, *rounding = &lmmc_attention_plain;

void lmmc_attention_start(lmmc_cpu usable) { exact = lmmc_attention_choose(usable, false), rounding = lmmc_attention_choose(usable, true); }

static void attend(const lmmc_attention_variant *variant, const lmmc_attention *a, const char *operation) {
  const double begin = lmmc_profile_begin();
  lmmc_attention_run(variant, a);
  if (begin > 0) {
    // Query i of causal attention sees keys - queries + i + 1 of the keys.
    const double n = (double)a->queries, seen = a->causal ? (double)a->keys - (n - 1) / 2 : (double)a->keys;
    const double element = a->kv_type == LMMC_KV_F32 ? 4 : a->kv_type == LMMC_KV_BF16 ? 2 : 1;
    lmmc_profile_end(begin, (lmmc_profile_key){operation, variant->name, a->queries, 0, 0, a->out, a->heads * a->head_size, a->out_stride},
                     4.0 * n * seen * (double)(a->heads * a->head_size),
                     2.0 * (double)a->keys * (double)(a->kv_heads * a->head_size) * element + 8.0 * n * (double)(a->heads * a->head_size));
  }
}

void lmmc_attention_f32(lmmc_attention a) { attend(exact, &a, "attention f32"); }
void lmmc_attention_bf16(lmmc_attention a) { attend(rounding, &a, "attention bf16"); }
const char *lmmc_attention_f32_variant(void) { return exact->name; }
const char *lmmc_attention_bf16_variant(void) { return rounding->name; }
