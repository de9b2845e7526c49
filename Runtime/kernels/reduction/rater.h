// One row that looks at others: its softmax in each head.
#ifndef LMMC_KERNELS_REDUCTION_RATER_H
#define LMMC_KERNELS_REDUCTION_RATER_H
#include <math.h>
#include <stdint.h>

#include "dot.h"
#include "kernels/common/vector_math.h"

typedef struct {
  const float *query, *keys;  // a row of `heads` heads; row r of the keys at keys + r * stride
  int64_t stride, heads, size;
  float scale;
} lmmc_rater;

// Of a row's softmax in one head: the greatest score, and the sum of the exponentials over it.
typedef struct {
  float most, sum;
} lmmc_normalizer;

static inline float lmmc_score(const lmmc_rater *p, int64_t head, int64_t row) {
  const float *key = p->keys + row * p->stride + head * p->size;
  return p->scale * lmmc_dot(p->query + head * p->size, key, p->size);
}

// Over the rows first ... end - 1.
static inline lmmc_normalizer lmmc_normalize(const lmmc_rater *p, int64_t head, int64_t first, int64_t end) {
  enum { BLOCK = 512 };
  lmmc_normalizer n = {-INFINITY, 0};
  for (int64_t from = first; from < end; from += BLOCK) {
    float scores[BLOCK], top = n.most;
    const int64_t count = end - from < BLOCK ? end - from : BLOCK;
    for (int64_t i = 0; i < count; i++) {
      scores[i] = lmmc_score(p, head, from + i);
      top = scores[i] > top ? scores[i] : top;
    }
    double part = 0;
    for (int64_t i = 0; i < count; i++) part += (double)lmmc_exp(scores[i] - top);
    n.sum = (float)(from == first ? part : (double)n.sum * (double)lmmc_exp(n.most - top) + part);
    n.most = top;
  }
  return n;
}

// What it pays to a row, the sum over its heads.
static inline double lmmc_paid(const lmmc_rater *p, const lmmc_normalizer *heads, int64_t row) {
  double sum = 0;
  for (int64_t h = 0; h < p->heads; h++) sum += (double)(lmmc_exp(lmmc_score(p, h, row) - heads[h].most) / heads[h].sum);
  return sum;
}

#endif
