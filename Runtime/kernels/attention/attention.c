// How attention is shared among the threads, and which variant computes it.
#include <math.h>
#include <string.h>

#include "attention_variant.h"
#include "kernels/rows/cache_rows.h"
#include "base/parallel.h"
#include "kernels/common/measure.h"
#include "kernels/common/vector_math.h"

enum {
  PART_FLOATS = 66560,  // most floats of partial results: those of one cut for 16 rows of 32 heads of 128
  SEGMENTS = 64,        // most segments that are shared out together
  ENOUGH_ROWS = 96,     // so many rows of a block repay packing its keys before the products
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

// ---- many rows: a task is a block of rows of a key head

static int64_t rows_of(const lmmc_attention *a) { return a->queries * attention_group(a); }

static int64_t block_tasks(const lmmc_attention *a, int64_t rows) { return (rows_of(a) + rows - 1) / rows * a->kv_heads; }

// The last blocks come first: causal ones see the most keys, and long tasks at the end would leave threads idle.
static void run_block(const lmmc_attention_variant *variant, const lmmc_attention *a, int64_t rows, int64_t task) {
  const int64_t first = (block_tasks(a, rows) - 1 - task) / a->kv_heads * rows;
  variant->block(a, task % a->kv_heads, first, attention_smaller(rows, rows_of(a) - first));
}

// ---- few rows: threads share the cuts of keys, and write each cut's part of the result for joining

static int64_t cuts_of(const lmmc_attention *a) { return (a->keys + LMMC_ATTENTION_CUT - 1) / LMMC_ATTENTION_CUT; }

// Floats of a cut's part: out, max and sum of all rows.
static int64_t part_of(const lmmc_attention *a) { return a->kv_heads * rows_of(a) * (a->head_size + 2); }

static bool is_few(const lmmc_attention *a) { return rows_of(a) <= LMMC_ATTENTION_FEW_ROWS && 2 * part_of(a) <= PART_FLOATS; }

static lmmc_attention_partial part_at(const lmmc_attention *a, float *part, int64_t head) {
  const int64_t row = head * rows_of(a), all = a->kv_heads * rows_of(a), d = a->head_size;
  return (lmmc_attention_partial){part + row * d, part + all * d + row, part + all * (d + 1) + row};
}

// Cuts whose parts are in memory together: all of some segments, or some of one segment, with what the cuts before came to in front.
typedef struct {
  int first, last;              // segments
  int64_t first_cut, last_cut;  // from this cut of the first segment to before that of the last
} wave;

// Begin with {0}.
static bool next_wave(int count, const lmmc_attention *few, wave *w) {
  if (w->last > 0 && w->last_cut < cuts_of(&few[w->last - 1])) {
    w->first_cut = w->last_cut;
  } else {
    if (w->last == count) return false;
    w->first = w->last++, w->first_cut = 0;
  }
  const int64_t cuts = cuts_of(&few[w->first]), part = part_of(&few[w->first]);
  w->last_cut = attention_smaller(cuts, w->first_cut + PART_FLOATS / part - (w->first_cut > 0));
  int64_t room = PART_FLOATS - cuts * part;
  while (w->last < count && room >= cuts_of(&few[w->last]) * part_of(&few[w->last])) {
    w->last_cut = cuts_of(&few[w->last]);
    room -= w->last_cut * part_of(&few[w->last++]);
  }
  return true;
}

static int64_t first_cut(const wave *w, int segment) { return segment == w->first ? w->first_cut : 0; }
static int64_t last_cut(const lmmc_attention *few, const wave *w, int segment) {
  return segment == w->last - 1 ? w->last_cut : cuts_of(&few[segment]);
}

static int64_t keys_of(const lmmc_attention *a, int64_t cut) {
  return attention_smaller(LMMC_ATTENTION_CUT, a->keys - cut * LMMC_ATTENTION_CUT);
}

// The work of a head in a cut: reading a key takes about as long as the arithmetic of two rows.
static int64_t length_of(const lmmc_attention *a, int64_t cut) { return keys_of(a, cut) * (2 + rows_of(a)); }

static int64_t wave_length(const lmmc_attention *few, const wave *w) {
  int64_t length = 0;
  for (int s = w->first; s < w->last; s++)
    for (int64_t cut = first_cut(w, s); cut < last_cut(few, w, s); cut++) length += length_of(&few[s], cut) * few[s].kv_heads;
  return length;
}

// The first head of a cut that begins at `at` which lies behind `border`, to the nearest head.
static int64_t head_after(const lmmc_attention *a, int64_t border, int64_t at, int64_t length) {
  const int64_t head = (border - at + length / 2) / length;
  return head < 0 ? 0 : attention_smaller(head, a->kv_heads);
}

// With the heads of all cuts of a wave in a row, each as long as its work, computes those from `from` to `to`.
static void run_share(const lmmc_attention_variant *variant, const lmmc_attention *few, const wave *w, int64_t from, int64_t to,
                      float *parts) {
  int64_t at = 0;
  for (int s = w->first; s < w->last; s++) {
    const lmmc_attention *a = &few[s];
    if (first_cut(w, s) > 0) parts += part_of(a);
    for (int64_t cut = first_cut(w, s); cut < last_cut(few, w, s); cut++, parts += part_of(a)) {
      const int64_t key = cut * LMMC_ATTENTION_CUT, length = length_of(a, cut);
      const int64_t first = head_after(a, from, at, length), last = head_after(a, to, at, length);
      if (first < last) variant->few(a, first, last, key, key + keys_of(a, cut), part_at(a, parts, first));
      at += length * a->kv_heads;
    }
  }
}

// Joins the cuts of a head in all segments of a wave, in their order, and writes the results of those that are complete.
static void join_wave(const lmmc_attention *few, const wave *w, int64_t head, float *parts) {
  for (int s = w->first; s < w->last; s++) {
    const lmmc_attention *a = &few[s];
    const int64_t d = a->head_size, count = last_cut(few, w, s) - first_cut(w, s) + (first_cut(w, s) > 0);
    const lmmc_attention_partial p = part_at(a, parts, head);
    for (int64_t r = 0; r < rows_of(a); r++) {
      for (int64_t i = 1; i < count; i++) {
        const int64_t next = i * part_of(a);
        lmmc_attention_join(d, p.out + r * d + next, p.max[r + next], p.sum[r + next], p.out + r * d, p.max + r, p.sum + r);
      }
      if (last_cut(few, w, s) < cuts_of(a)) continue;
      float *out = a->out + attention_offset(a, head, r, a->out_stride);
      const float inverse = 1.0f / p.sum[r];
      for (int64_t e = 0; e < d; e++) out[e] = p.out[r * d + e] * inverse;
    }
    parts += count * part_of(a);
  }
}

// ---- segments: queries of one sequence that follow each other, each one lmmc_attention; they differ in queries and keys only

typedef struct {
  int many_count, few_count;
  lmmc_attention many[SEGMENTS], few[SEGMENTS];
} segments;

// `parts` has PART_FLOATS where there are segments of few rows.
static __attribute__((noinline)) void share_out(const lmmc_attention_variant *variant, const segments *g, float *parts) {
  const int64_t threads = lmmc_thread_count();
  int64_t rows[SEGMENTS], tasks = 0;  // of a block
  for (int s = 0; s < g->many_count; s++) {
    rows[s] = block_rows(&g->many[s], rows_of(&g->many[s]), variant->max_rows(g->many[s].head_size));
    tasks += block_tasks(&g->many[s], rows[s]);
  }
  // Behind blocks, whose threads end at different times, shares are smaller.
  const int64_t shares = tasks > 0 ? 4 * threads : threads;
#pragma omp parallel
  {
#pragma omp for schedule(dynamic) nowait
    for (int64_t task = 0; task < tasks; task++) {
      int64_t rest = task, here;
      int s = 0;
      for (; rest >= (here = block_tasks(&g->many[s], rows[s])); s++) rest -= here;
      run_block(variant, &g->many[s], rows[s], rest);
    }
    for (wave w = {0}; next_wave(g->few_count, g->few, &w);) {
      const int64_t length = wave_length(g->few, &w);
#pragma omp for schedule(dynamic)
      for (int64_t share = 0; share < shares; share++)
        run_share(variant, g->few, &w, length * share / shares, length * (share + 1) / shares, parts);
#pragma omp for schedule(static)
      for (int64_t head = 0; head < g->few[0].kv_heads; head++) join_wave(g->few, &w, head, parts);
    }
  }
}

// Blocks have much on the stack already, and need no parts.
static __attribute__((noinline)) void share_out_few(const lmmc_attention_variant *variant, const segments *g) {
  float parts[PART_FLOATS];
  share_out(variant, g, parts);
}

static void run_segments(const lmmc_attention_variant *variant, const segments *g) {
  if (g->few_count > 0) {
    share_out_few(variant, g);
  } else if (g->many_count > 0) {
    share_out(variant, g, NULL);
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
    const float score = (float)dot * a->scale * attention_head_scale(a, a->k, a->k_stride, key, head) + (a->bias ? a->bias[key] : 0);
    if (score > max) {
      const float shrink = sum > 0 ? lmmc_exp(max - score) : 0;
      sum *= shrink;
      for (int64_t e = 0; e < d; e++) out[e] *= shrink;
      max = score;
    }
    const float weight = lmmc_exp(score - max), scaled = weight * attention_head_scale(a, a->v, a->v_stride, key, head);
    sum += weight;
    for (int64_t e = 0; e < d; e++) out[e] += scaled * element(a, a->v, v + e);
  }
  for (int64_t e = 0; e < d; e++) out[e] /= sum;
}

static void by_rows(const lmmc_attention *a) {
  const int64_t total = rows_of(a);
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < total * a->kv_heads; task++) one_row(a, task % a->kv_heads, task / a->kv_heads);
}

// ----

// Computes a segment, or leaves it for run_segments().
static void add_segment(const lmmc_attention_variant *variant, const lmmc_attention *a, segments *g) {
  if (a->head_size > LMMC_ATTENTION_MAX_HEAD || attention_group(a) > variant->max_rows(a->head_size)) {
    by_rows(a);
  } else if (is_few(a)) {
    g->few[g->few_count++] = *a;
  } else {
    g->many[g->many_count++] = *a;
  }
}

void lmmc_attention_run(const lmmc_attention_variant *variant, const lmmc_attention *a) {
  segments g;
  g.few_count = g.many_count = 0;
  add_segment(variant, a, &g);
  run_segments(variant, &g);
}

// The segment that begins at `row`; returns the row behind it.
static int64_t next_segment(const lmmc_cached_attention *c, int64_t row, lmmc_attention *out) {
  int64_t end = row + 1;
  while (end < c->rows.queries && c->slots[end] == c->slots[row] && c->places[end] == c->places[end - 1] + 1) end++;
  const int64_t slot = c->slots[row] * c->slot_stride * attention_element_bytes(c->rows.kv_type);
  *out = c->rows;
  out->queries = end - row, out->keys = c->places[end - 1] + 1, out->causal = true;
  out->q += row * out->q_stride, out->out += row * out->out_stride;
  out->k = (const char *)out->k + slot, out->v = (const char *)out->v + slot;
  return end;
}

void lmmc_attention_run_cached(const lmmc_attention_variant *variant, const lmmc_cached_attention *c) {
  segments g;
  g.few_count = g.many_count = 0;
  for (int64_t row = 0; row < c->rows.queries;) {
    lmmc_attention a;
    row = next_segment(c, row, &a);
    add_segment(variant, &a, &g);
    if (g.few_count < SEGMENTS && g.many_count < SEGMENTS && row < c->rows.queries) continue;
    run_segments(variant, &g);
    g.few_count = g.many_count = 0;
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

static void profile(double begin, const char *operation, const lmmc_attention_variant *variant, const lmmc_attention *a, double pairs,
                    double keys) {
  const double width = (double)(a->heads * a->head_size);
  lmmc_profile_end(
      begin, (lmmc_profile_key){operation, variant->name, a->queries, 0, 0, a->out, a->heads * a->head_size, a->out_stride},
      4.0 * pairs * width,
      2.0 * keys * (double)(a->kv_heads * a->head_size * attention_element_bytes(a->kv_type)) + 8.0 * (double)a->queries * width);
}

static void attend(const lmmc_attention_variant *variant, const lmmc_attention *a, const char *operation) {
  const double begin = lmmc_profile_begin();
  lmmc_attention_run(variant, a);
  // Query i of causal attention sees keys - queries + i + 1 of the keys.
  const double n = (double)a->queries, keys = (double)a->keys;
  if (begin > 0) profile(begin, operation, variant, a, n * (a->causal ? keys - (n - 1) / 2 : keys), keys);
}

static void attend_cached(const lmmc_attention_variant *variant, const lmmc_cached_attention *c, const char *operation) {
  const double begin = lmmc_profile_begin();
  lmmc_attention_run_cached(variant, c);
  if (begin <= 0) return;
  double pairs = 0, keys = 0;
  for (int64_t row = 0; row < c->rows.queries;) {
    lmmc_attention a;
    row = next_segment(c, row, &a);
    keys += (double)a.keys, pairs += (double)a.queries * ((double)a.keys - (double)(a.queries - 1) / 2);
  }
  profile(begin, operation, variant, &c->rows, pairs, keys);
}

void lmmc_attention_f32(lmmc_attention a) { attend(exact, &a, "attention f32"); }
void lmmc_attention_bf16(lmmc_attention a) { attend(rounding, &a, "attention bf16"); }
void lmmc_attention_cached_f32(lmmc_cached_attention a) { attend_cached(exact, &a, "attention f32"); }
void lmmc_attention_cached_bf16(lmmc_cached_attention a) { attend_cached(rounding, &a, "attention bf16"); }
const char *lmmc_attention_f32_variant(void) { return exact->name; }
const char *lmmc_attention_bf16_variant(void) { return rounding->name; }
