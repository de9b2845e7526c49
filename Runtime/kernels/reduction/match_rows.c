#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "dot.h"
#include "reduction.h"
#include "slot_runs.h"

// The score of a candidate stands in the entry before its own until the targets get theirs: row 0, which has no entry before it, needs none.
static float score_of(const int32_t *rows, int64_t candidate) {
  float score;
  memcpy(&score, rows + candidate - 1, sizeof score);
  return score;
}

// Leaves a candidate's best target, counted among targets, and its score.
static void find_target(const lmmc_table *x, int64_t candidate, int32_t *rows) {
  float best = -INFINITY;
  rows[candidate] = 0;
  for (int64_t target = 1; target < x->rows; target += 2) {
    const float score = lmmc_dot(lmmc_table_row(x, candidate), lmmc_table_row(x, target), x->columns);
    if (score > best) best = score, rows[candidate] = (int32_t)(target / 2);
  }
  memcpy(rows + candidate - 1, &best, sizeof best);
}

// Whether fewer than `merges` candidates are better.
static int joins(const int32_t *rows, int64_t count, int64_t merges, int64_t candidate) {
  const float score = score_of(rows, candidate);
  int64_t better = 0;
  for (int64_t i = 2; i < count && better < merges; i += 2) better += lmmc_is_better(score_of(rows, i), i, score, candidate);
  return better < merges;
}

void lmmc_match_rows(const lmmc_table *in, int64_t merges, int32_t *rows) {
  const int64_t count = in[0].rows, stay = (count + 1) / 2 - merges;
#pragma omp parallel for
  for (int64_t i = 2; i < count; i += 2) find_target(&in[0], i, rows);
  // Candidates that stay have no target; scores are read until all are told apart.
  rows[0] = -1;
  for (int64_t i = 2; i < count; i += 2)
    if (!joins(rows, count, merges, i)) rows[i] = -1;
  int32_t next = 0;
  for (int64_t i = 0; i < count; i += 2) rows[i] = rows[i] < 0 ? next++ : (int32_t)stay + rows[i];
  for (int64_t i = 1; i < count; i += 2) rows[i] = (int32_t)(stay + i / 2);
}
