#include <stddef.h>

#include "reduction.h"
#include "scored_rows.h"
#include "slot_runs.h"

// The logarithm of the sum of exp(x_row . x_p) over the rows p of start ... end - 1.
static float log_sum(const lmmc_table *x, int64_t row, int64_t start, int64_t end) {
  float most = -INFINITY;
  double sum = 0;
  for (int64_t p = start; p < end; p++) {
    const float score = lmmc_dot(lmmc_table_row(x, row), lmmc_table_row(x, p), x->columns);
    if (score > most) {
      sum *= exp((double)most - (double)score);
      most = score;
    }
    sum += exp((double)score - (double)most);
  }
  return (float)((double)most + log(sum));
}

// Rates the rows of the run start ... end - 1 from `words` on by the vision rows before them. While it runs, `shares` holds a number for each row.
static void rate(const lmmc_table *x, const int32_t *tokens, int64_t start, int64_t words, int64_t end, float *shares, int32_t *raters) {
#pragma omp parallel for
  for (int64_t v = start; v < words; v++)
    if (tokens[v] < 0) shares[v] = log_sum(x, v, words, end);
  const int64_t count = lmmc_vision_rows(tokens, start, words);
#pragma omp parallel for
  for (int64_t p = words; p < end; p++) {
    double sum = 0;
    for (int64_t v = start; v < words; v++) {
      if (tokens[v] >= 0) continue;
      sum += exp((double)lmmc_dot(lmmc_table_row(x, v), lmmc_table_row(x, p), x->columns) - (double)shares[v]);
    }
    shares[p] = (float)(sum / (double)count);
  }
  double mean = 0;
  int64_t found = 0;
  for (int64_t p = words; p < end; p++) mean += (double)shares[p] / (double)(end - words);
  for (int64_t p = words; p < end; p++) {
    raters[p] = shares[p] > (float)mean;
    found += raters[p];
  }
  for (int64_t p = words; p < end && found == 0; p++) raters[p] = 1;
  for (int64_t v = start; v < words; v++) raters[v] = 0;
}

// The result's memory first holds a float for each row, as wide as the number that stays.
void lmmc_rater_rows(const lmmc_table *in, void *raters) {
  const int32_t *tokens = in[1].data, *slots = in[2].data;
  int32_t *out = raters;
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    int64_t words = end;
    while (words > start && tokens[words - 1] >= 0) words--;
    if (words == start || words == end)
      for (int64_t row = start; row < end; row++) out[row] = 0;
    else
      rate(&in[0], tokens, start, words, end, raters, out);
  }
}
