#include <stddef.h>
#include <string.h>

#include "reduction.h"
#include "scored_rows.h"
#include "slot_runs.h"

enum { MOST_PAIRS = 512, COLUMNS = 512 };

// What rows of ones would pay to each other under the rotary turn, by the difference of their positions.
typedef struct {
  double frequencies[MOST_PAIRS];
  int64_t pairs;
} rotary_kernel;

static rotary_kernel kernel_of(int64_t size, double theta, double factor, double low, double high, int64_t original) {
  rotary_kernel k = {.pairs = size / 2};
  for (int64_t i = 0; i < k.pairs; i++) {
    double f = pow(theta, -(double)(2 * i) / (double)size);
    if (original > 0) {
      const double turns = (double)original * f / (2 * 3.14159265358979323846);
      const double smooth = turns < low ? 0 : turns > high ? 1 : (turns - low) / (high - low);
      f = (1 - smooth) * (f / factor) + smooth * f;
    }
    k.frequencies[i] = f;
  }
  return k;
}

static double kernel_at(const rotary_kernel *k, int64_t difference) {
  double sum = 0;
  for (int64_t i = 0; i < k->pairs; i++) sum += cos(k->frequencies[i] * (double)difference);
  return 2 / sqrt((double)(2 * k->pairs)) * sum;
}

typedef struct {
  lmmc_scored scored;
  rotary_kernel kernel;
  const int32_t *tokens, *raters, *positions;
  int64_t start, end;
} problem;

// Adds to the sums of the columns that begin at `from` what `row` pays to each by the heads that count, or to `totals` what it pays by each head.
static void rate(const problem *p, int64_t row, int64_t from, int64_t to, const char *counts, double *sums, double *totals) {
  const lmmc_scored *s = &p->scored;
  lmmc_normalizer heads[LMMC_MAX_SCORED_HEADS];
  double divisors[COLUMNS];
#pragma omp parallel for
  for (int64_t h = 0; h < s->heads; h++)
    if (totals || counts[h]) heads[h] = lmmc_normalize(s, h, row, p->start);
  if (row + 1 < to) to = row + 1;
#pragma omp parallel for
  for (int64_t j = from; j < to; j++) {
    if (p->tokens[j] >= 0) continue;
    divisors[j - from] = kernel_at(&p->kernel, (int64_t)p->positions[row] - p->positions[j]);
    for (int64_t h = 0; !totals && h < s->heads; h++)
      if (counts[h]) sums[j - from] += (double)lmmc_paid(s, heads[h], h, row, j) / divisors[j - from];
  }
  if (!totals) return;
#pragma omp parallel for
  for (int64_t h = 0; h < s->heads; h++)
    for (int64_t j = from; j < to; j++)
      if (p->tokens[j] < 0) totals[h] += (double)lmmc_paid(s, heads[h], h, row, j) / divisors[j - from];
}

static void choose(const double *totals, int64_t heads, int64_t best, char *counts) {
  for (int64_t h = 0; h < heads; h++) {
    int64_t better = 0;
    for (int64_t other = 0; other < heads; other++) better += lmmc_is_better((float)totals[other], other, (float)totals[h], h);
    counts[h] = better < best;
  }
}

void lmmc_rotary_scores(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t best, float theta, float factor,
                        float low, float high, int64_t original, float *scores) {
  const int64_t rows = in[0].rows, size = in[0].columns / heads;
  const int32_t *slots = in[3].data;
  problem p = {{&in[0], &in[1], heads, key_heads, size, scale},
               kernel_of(size, theta, factor, low, high, original),
               in[2].data,
               in[4].data,
               in[5].data,
               0,
               0};
  memset(scores, 0, (size_t)rows * sizeof *scores);
  for (; p.start < rows; p.start = p.end) {
    p.end = lmmc_run_end(slots, rows, p.start);
    if (lmmc_vision_rows(p.tokens, p.start, p.end) == 0) continue;
    double totals[LMMC_MAX_SCORED_HEADS] = {0};
    char counts[LMMC_MAX_SCORED_HEADS];
    int64_t count = 0;
    for (int64_t row = p.start; row < p.end; row++) {
      if (p.raters[row] == 0) continue;
      count++;
      for (int64_t from = p.start; from <= row; from += COLUMNS) rate(&p, row, from, from + COLUMNS, NULL, NULL, totals);
    }
    choose(totals, heads, best, counts);
    for (int64_t from = p.start; from < p.end && count > 0; from += COLUMNS) {
      double sums[COLUMNS] = {0};
      for (int64_t row = from; row < p.end; row++)
        if (p.raters[row] != 0) rate(&p, row, from, from + COLUMNS, counts, sums, NULL);
      for (int64_t j = from; j < from + COLUMNS && j < p.end; j++) scores[j] = (float)(sums[j - from] / (double)(count * best));
    }
  }
}
