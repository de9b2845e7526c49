// Scores of a row's attention, one head of one row at a time, in float32 and in one order whatever the instruction sets and threads.
#ifndef LMMC_KERNELS_REDUCTION_SCORED_ROWS_H
#define LMMC_KERNELS_REDUCTION_SCORED_ROWS_H
#include <math.h>
#include <stdint.h>

#include "base/parallel.h"
#include "dot.h"
#include "kernels/common/vector_math.h"
#include "reduction.h"

enum { LMMC_SCORE_BLOCK = 512 };

typedef struct {
  const lmmc_table *query, *key;
  int64_t heads, key_heads, size;
  float scale;
} lmmc_scored;

static inline float lmmc_score(const lmmc_scored *p, int64_t head, int64_t row, int64_t other) {
  const float *query = lmmc_table_row(p->query, row) + head * p->size;
  const float *key = lmmc_table_row(p->key, other) + head / (p->heads / p->key_heads) * p->size;
  return p->scale * lmmc_dot(query, key, p->size);
}

// A row's softmax in one head: the greatest score, and the sum of the exponentials over it.
typedef struct {
  float most, sum;
} lmmc_normalizer;

static inline lmmc_normalizer lmmc_normalize(const lmmc_scored *p, int64_t head, int64_t row, int64_t start) {
  lmmc_normalizer n = {-INFINITY, 0};
  for (int64_t from = start; from <= row; from += LMMC_SCORE_BLOCK) {
    float scores[LMMC_SCORE_BLOCK], top = n.most;
    const int64_t count = row + 1 - from < LMMC_SCORE_BLOCK ? row + 1 - from : LMMC_SCORE_BLOCK;
    for (int64_t i = 0; i < count; i++) {
      scores[i] = lmmc_score(p, head, row, from + i);
      top = scores[i] > top ? scores[i] : top;
    }
    double part = 0;
    for (int64_t i = 0; i < count; i++) part += (double)lmmc_exp(scores[i] - top);
    n.sum = (float)(from == start ? part : (double)n.sum * (double)lmmc_exp(n.most - top) + part);
    n.most = top;
  }
  return n;
}

// The same of each head, as many as LMMC_MAX_SCORED_HEADS.
static inline void lmmc_normalize_heads(const lmmc_scored *p, int64_t row, int64_t start, lmmc_normalizer *heads) {
#pragma omp parallel for
  for (int64_t h = 0; h < p->heads; h++) heads[h] = lmmc_normalize(p, h, row, start);
}

// What `row` pays to row j in one head.
static inline float lmmc_paid(const lmmc_scored *p, lmmc_normalizer n, int64_t head, int64_t row, int64_t j) {
  return lmmc_exp(lmmc_score(p, head, row, j) - n.most) / n.sum;
}

// The sum over the heads.
static inline double lmmc_paid_by_all(const lmmc_scored *p, const lmmc_normalizer *heads, int64_t row, int64_t j) {
  double sum = 0;
  for (int64_t h = 0; h < p->heads; h++) sum += (double)lmmc_paid(p, heads[h], h, row, j);
  return sum;
}

#endif
