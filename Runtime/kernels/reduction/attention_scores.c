#include <stddef.h>
#include <string.h>

#include "reduction.h"
#include "scored_rows.h"
#include "slot_runs.h"

static void rate(const lmmc_scored *p, const int32_t *tokens, int64_t row, int64_t start, int64_t statistic, float *scores) {
  lmmc_normalizer heads[LMMC_MAX_SCORED_HEADS];
  lmmc_normalize_heads(p, row, start, heads);
#pragma omp parallel for
  for (int64_t j = start; j <= row; j++) {
    if (tokens[j] >= 0) continue;
    const float part = (float)(lmmc_paid_by_all(p, heads, row, j) / (double)p->heads);
    scores[j] = statistic != LMMC_SCORES_MAX ? scores[j] + part : part > scores[j] ? part : scores[j];
  }
}

void lmmc_attention_scores(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t statistic, int64_t has_raters,
                           float *scores) {
  const int64_t rows = in[0].rows;
  const lmmc_scored p = {&in[0], &in[1], heads, key_heads, in[0].columns / heads, scale};
  const int32_t *tokens = in[2].data, *slots = in[3].data, *raters = has_raters ? in[4].data : NULL;
  memset(scores, 0, (size_t)rows * sizeof *scores);
  for (int64_t start = 0, end; start < rows; start = end) {
    end = lmmc_run_end(slots, rows, start);
    if (lmmc_vision_rows(tokens, start, end) == 0) continue;
    int64_t count = 0;
    for (int64_t row = start; row < end; row++) {
      if (raters ? raters[row] == 0 : row != end - 1) continue;
      rate(&p, tokens, row, start, statistic, scores);
      count++;
    }
    for (int64_t row = start; statistic == LMMC_SCORES_MEAN && row < end; row++) scores[row] /= count > 0 ? (float)count : 1;
  }
}
