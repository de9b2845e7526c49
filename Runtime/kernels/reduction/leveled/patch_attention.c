#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/common/lanes.h"
#include "kernels/common/measure.h"
#include "kernels/common/vector_math.h"
#include "kernels/reduction/reduction.h"
#include "kernels/reduction/slot_runs.h"

// Keys that are scored at once, and patches side by side that share the rows of text. A row of keys is read whole, head by head: rows of
// one head lie so far apart that they would take one another's places in a cache.
enum { TILE = 32, SHARED = 4 };

typedef struct {
  const lmmc_table *in;
  float *out;
  int64_t columns, size, heads, group;
  float scale;
  int64_t reach, side;
  const int64_t *mask;
  int64_t start, end;            // the slot's vision rows
  int64_t text_start, text_end;  // and its rows of text
} image;

// A patch's sums over the keys so far, as if the greatest score of each head were `max`.
typedef struct {
  const float *query;
  float *out;
  float max[LMMC_MAX_PATCH_HEADS], sum[LMMC_MAX_PATCH_HEADS];
} mixture;

typedef struct {
  int64_t count;
  const float *keys[TILE], *values[TILE];
} tile;

static void score(const image *a, const tile *t, const mixture *m, float scores[TILE][LMMC_MAX_PATCH_HEADS]) {
  const int64_t d = a->size;
  for (int64_t j = 0; j < t->count; j += 4) {
    const float *const *k = t->keys + j;
    for (int64_t h = 0; h < a->heads; h++) {
      const int64_t at = h / a->group * d;
      const float *q = m->query + h * d;
      float dots[4];
      if (!a->mask[h]) continue;
      if (t->count - j >= 4) {
        dot_rows(d, q, k[0] + at, k[1] + at, k[2] + at, k[3] + at, dots);
      } else {
        for (int64_t i = 0; i < t->count - j; i++) dots[i] = dot_one(d, q, k[i] + at);
      }
      for (int64_t i = 0; i < 4 && j + i < t->count; i++) scores[j + i][h] = dots[i] * a->scale;
    }
  }
}

// Turns scores into weights, and takes what was summed before to the new greatest ones.
static void weigh(const image *a, const tile *t, mixture *m, float scores[TILE][LMMC_MAX_PATCH_HEADS]) {
  for (int64_t h = 0; h < a->heads; h++) {
    if (!a->mask[h]) continue;
    float max = m->max[h];
    for (int64_t j = 0; j < t->count; j++) max = scores[j][h] > max ? scores[j][h] : max;
    if (max > m->max[h]) {
      // There is nothing to shrink before the first tile.
      const float shrink = m->sum[h] > 0 ? lmmc_exp(m->max[h] - max) : 0;
      float *out = m->out + h * a->size;
      m->max[h] = max;
      m->sum[h] *= shrink;
      for (int64_t e = 0; e < a->size; e++) out[e] *= shrink;
    }
  }
  for (int64_t j = 0; j < t->count; j++) {
#pragma omp simd
    for (int64_t h = 0; h < a->heads; h++) scores[j][h] = lmmc_exp(scores[j][h] - m->max[h]);
    for (int64_t h = 0; h < a->heads; h++) m->sum[h] += scores[j][h];
  }
}

static void mix(const image *a, const tile *t, mixture *m, float scores[TILE][LMMC_MAX_PATCH_HEADS]) {
  const int64_t d = a->size;
  for (int64_t j = 0; j < t->count; j += 4) {
    // The last of fewer than four counts once more, with the weight 0.
    const int64_t last = t->count - 1, j1 = j + 1 < last ? j + 1 : last, j2 = j + 2 < last ? j + 2 : last, j3 = j + 3 < last ? j + 3 : last;
    for (int64_t h = 0; h < a->heads; h++) {
      if (!a->mask[h]) continue;
      const int64_t at = h / a->group * d;
      const float *v0 = t->values[j] + at, *v1 = t->values[j1] + at, *v2 = t->values[j2] + at, *v3 = t->values[j3] + at;
      const float w0 = scores[j][h], w1 = j + 1 <= last ? scores[j1][h] : 0, w2 = j + 2 <= last ? scores[j2][h] : 0,
                  w3 = j + 3 <= last ? scores[j3][h] : 0;
      float *out = m->out + h * d;
      int64_t e = 0;
      for (; e + LANES <= d; e += LANES)
        *(lanes *)(out + e) +=
            w0 * *(const lanes *)(v0 + e) + w1 * *(const lanes *)(v1 + e) + (w2 * *(const lanes *)(v2 + e) + w3 * *(const lanes *)(v3 + e));
      for (; e < d; e++) out[e] += w0 * v0[e] + w1 * v1[e] + (w2 * v2[e] + w3 * v3[e]);
    }
  }
}

// Adds the keys of a tile to what each of `count` patches sees, and empties it.
static void add_tile(const image *a, tile *t, mixture *m, int64_t count) {
  float scores[TILE][LMMC_MAX_PATCH_HEADS];
  // Heads that are masked have some score too, which nobody reads.
  memset(scores, 0, (size_t)t->count * sizeof *scores);
  for (int64_t i = 0; i < count && t->count > 0; i++) {
    score(a, t, m + i, scores);
    weigh(a, t, m + i, scores);
    mix(a, t, m + i, scores);
  }
  t->count = 0;
}

static inline void add_key(const image *a, tile *t, mixture *m, int64_t count, const lmmc_table *keys, int64_t row) {
  t->keys[t->count] = lmmc_table_row(keys, row);
  t->values[t->count++] = lmmc_table_row(keys + 1, row);
  if (t->count == TILE) add_tile(a, t, m, count);
}

// Behind the last row of text that stands in front of a vision row.
static int64_t text_end(const image *a, int64_t row) {
  const int32_t *rows = a->in[3].data, *text = a->in[7].data;
  int64_t end = a->text_start;
  while (end < a->text_end && text[end] < rows[row]) end++;
  return end;
}

static void add_window(const image *a, tile *t, mixture *m, int64_t row) {
  const int64_t own = (row - a->start) % (a->side * a->side), first = row - own, y = own / a->side, x = own % a->side;
  const int64_t top = y > a->reach ? y - a->reach : 0, bottom = a->side - 1 - y > a->reach ? y + a->reach : a->side - 1;
  const int64_t left = x > a->reach ? x - a->reach : 0, right = a->side - 1 - x > a->reach ? x + a->reach : a->side - 1;
  for (int64_t down = top; down <= bottom; down++) {
    for (int64_t across = left; across <= right; across++) {
      const int64_t other = first + down * a->side + across;
      if (other < a->end) add_key(a, t, m, 1, &a->in[1], other);
    }
  }
  add_tile(a, t, m, 1);
}

// `count` patches side by side, at most SHARED, that see the same text.
static void attend(const image *a, int64_t row, int64_t count, int64_t texts) {
  mixture m[SHARED];
  tile t = {.count = 0};
  for (int64_t i = 0; i < count; i++) {
    m[i].query = lmmc_table_row(&a->in[0], row + i);
    m[i].out = a->out + (row + i) * a->columns;
    memset(m[i].out, 0, (size_t)a->columns * sizeof *m[i].out);
    for (int64_t h = 0; h < a->heads; h++) m[i].max[h] = a->mask[h] ? -INFINITY : 0, m[i].sum[h] = 0;
  }
  for (int64_t j = a->text_start; j < texts; j++) add_key(a, &t, m, count, &a->in[5], j);
  add_tile(a, &t, m, count);
  for (int64_t i = 0; i < count; i++) {
    add_window(a, &t, m + i, row + i);
    for (int64_t h = 0; h < a->heads; h++) {
      float *out = m[i].out + h * a->size;
      for (int64_t e = 0; a->mask[h] && e < a->size; e++) out[e] /= m[i].sum[h];
    }
  }
}

void lmmc_patch_attention(const lmmc_table *in, const int64_t *mask, int64_t heads, int64_t key_heads, float scale, int64_t window,
                          int64_t side, float *out) {
  const double begin = lmmc_profile_begin();
  const int64_t columns = in[0].columns, total = in[0].rows, texts = in[5].rows, edge = window < side ? window : side;
  const int32_t *slots = in[4].data, *text_slots = in[8].data;
  double pairs = 0;
  image a = {.in = in, .out = out, .columns = columns, .size = columns / heads, .heads = heads, .group = heads / key_heads};
  a.scale = scale, a.reach = (window - 1) / 2, a.side = side, a.mask = mask;
  for (a.start = 0; a.start < total; a.start = a.end) {
    a.end = lmmc_run_end(slots, total, a.start);
    a.text_start = 0;
    while (a.text_start < texts && text_slots[a.text_start] != slots[a.start]) a.text_start++;
    a.text_end = a.text_start < texts ? lmmc_run_end(text_slots, texts, a.text_start) : a.text_start;
#pragma omp parallel for schedule(static)
    for (int64_t row = a.start; row < a.end; row += SHARED) {
      const int64_t count = a.end - row < SHARED ? a.end - row : SHARED, end = text_end(&a, row);
      if (text_end(&a, row + count - 1) == end) {
        attend(&a, row, count, end);
      } else {
        for (int64_t i = row; i < row + count; i++) attend(&a, i, 1, text_end(&a, i));
      }
    }
    pairs += (double)(a.end - a.start) * (double)(text_end(&a, a.start) - a.text_start + edge * edge);
  }
  // About as many, in all heads; each key and value is read from memory once.
  lmmc_profile_end(begin, (lmmc_profile_key){"attention patches", "own", total, 0, 0, out, columns, columns}, 4.0 * pairs * (double)columns,
                   8.0 * (double)((total + texts) * in[1].columns + total * columns));
}
