#include <math.h>
#include <stddef.h>
#include <string.h>

#include "kernels/common/vector_math.h"
#include "reduction.h"
#include "slot_runs.h"

enum { LANES = 16, BLOCK = 512 };

// In LANES partial sums, so that the order is the same whatever the compiler makes of it.
static float dot(const float *a, const float *b, int64_t n) {
  float lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j];
  for (int j = 0; i < n; i++, j++) lanes[j] += a[i] * b[i];
  for (int step = LANES / 2; step > 0; step /= 2)
    for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
  return lanes[0];
}

typedef struct {
  const lmmc_table *query, *key;
  const int32_t *tokens;
  int64_t heads, key_heads, size;
  float scale;
} problem;

static const float *query_of(const problem *p, int64_t head, int64_t row) {
  return (const float *)p->query->data + row * p->query->stride + head * p->size;
}

static const float *key_of(const problem *p, int64_t head, int64_t row) {
  return (const float *)p->key->data + row * p->key->stride + head / (p->heads / p->key_heads) * p->size;
}

// Of a row's softmax in one head: the greatest score, and the sum of the exponentials over it.
typedef struct {
  float most, sum;
} normalizer;

static normalizer normalize(const problem *p, int64_t head, int64_t row, int64_t start) {
  normalizer n = {-INFINITY, 0};
  const float *q = query_of(p, head, row);
  for (int64_t from = start; from <= row; from += BLOCK) {
    float scores[BLOCK], top = n.most;
    const int64_t count = row + 1 - from < BLOCK ? row + 1 - from : BLOCK;
    for (int64_t i = 0; i < count; i++) {
      scores[i] = p->scale * dot(q, key_of(p, head, from + i), p->size);
      top = scores[i] > top ? scores[i] : top;
    }
    double part = 0;
    for (int64_t i = 0; i < count; i++) part += (double)lmmc_exp(scores[i] - top);
    n.sum = (float)(from == start ? part : (double)n.sum * (double)lmmc_exp(n.most - top) + part);
    n.most = top;
  }
  return n;
}

// The mean over the heads of what `row` pays to row j.
static float paid(const problem *p, const normalizer *heads, int64_t row, int64_t j) {
  double sum = 0;
  for (int64_t h = 0; h < p->heads; h++) {
    const float score = p->scale * dot(query_of(p, h, row), key_of(p, h, j), p->size);
    sum += (double)(lmmc_exp(score - heads[h].most) / heads[h].sum);
  }
  return (float)(sum / (double)p->heads);
}

static void rate(const problem *p, int64_t row, int64_t start, int64_t statistic, float *scores) {
  normalizer heads[LMMC_MAX_SCORED_HEADS];
#pragma omp parallel for
  for (int64_t h = 0; h < p->heads; h++) heads[h] = normalize(p, h, row, start);
#pragma omp parallel for
  for (int64_t j = start; j <= row; j++) {
    if (p->tokens[j] >= 0) continue;
    const float part = paid(p, heads, row, j);
    scores[j] = statistic != LMMC_SCORES_MAX ? scores[j] + part : part > scores[j] ? part : scores[j];
  }
}

void lmmc_attention_scores(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t statistic, int64_t has_raters,
                           float *scores) {
  const int64_t rows = in[0].rows;
  const problem p = {&in[0], &in[1], in[2].data, heads, key_heads, in[0].columns / heads, scale};
  const int32_t *slots = in[3].data, *raters = has_raters ? in[4].data : NULL;
  memset(scores, 0, (size_t)rows * sizeof *scores);
  for (int64_t start = 0, end; start < rows; start = end) {
    end = lmmc_run_end(slots, rows, start);
    if (lmmc_vision_rows(p.tokens, start, end) == 0) continue;
    int64_t count = 0;
    for (int64_t row = start; row < end; row++) {
      if (raters ? raters[row] == 0 : row != end - 1) continue;
      rate(&p, row, start, statistic, scores);
      count++;
    }
    for (int64_t row = start; statistic == LMMC_SCORES_MEAN && row < end; row++) scores[row] /= count > 0 ? (float)count : 1;
  }
}
