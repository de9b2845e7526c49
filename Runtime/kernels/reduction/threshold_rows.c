#include <math.h>

#include "ranks.h"
#include "reduction.h"
#include "slot_runs.h"

void lmmc_key_rows(const lmmc_table *in, int64_t part, int64_t of, int32_t *marks) {
  const int64_t rows = in[0].rows, best = (int64_t)ceil((double)part / (double)of * (double)rows);
  for (int64_t i = 0; i < rows; i++) marks[i] = lmmc_rank(in[0].data, rows, i, best) < best;
}

void lmmc_post_rows(const lmmc_table *in, int32_t *marks) {
  const int32_t *tokens = in[0].data, *slots = in[1].data;
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    int is_behind = lmmc_vision_rows(tokens, start, end) > 0;
    for (int64_t i = end - 1; i >= start; i--) {
      is_behind = is_behind && tokens[i] >= 0;
      marks[i] = is_behind;
    }
  }
}

int64_t lmmc_threshold_rows(const lmmc_table *in, float global, float individual, int32_t *kept) {
  const float *sums = in[0].data, *most = in[1].data;
  const int32_t *tokens = in[2].data, *slots = in[3].data, *is_protected = in[4].data;
  int64_t count = 0;
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    double total = 0;
    for (int64_t i = start; i < end; i++)
      if (tokens[i] < 0) total += (double)sums[i];
    const double least = (double)global * total;
    for (int64_t i = start; i < end; i++) {
      const int leaves = tokens[i] < 0 && (double)sums[i] < least && most[i] < individual && !is_protected[-1 - tokens[i]];
      if (!leaves || i == end - 1) kept[count++] = (int32_t)i;
    }
  }
  return count;
}
