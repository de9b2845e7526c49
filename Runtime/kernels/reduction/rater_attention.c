#include <string.h>

#include "reduction.h"
#include "scored_rows.h"
#include "slot_runs.h"

void lmmc_rater_attention(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t columns, float *out) {
  const lmmc_scored p = {&in[0], &in[1], heads, key_heads, in[0].columns / heads, scale};
  const int32_t *tokens = in[2].data, *slots = in[3].data, *raters = in[4].data;
  memset(out, 0, (size_t)(in[0].rows * columns) * sizeof *out);
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    for (int64_t row = start; row < end; row++) {
      if (raters[row] == 0) continue;
      lmmc_normalizer normalizers[LMMC_MAX_SCORED_HEADS];
      lmmc_normalize_heads(&p, row, start, normalizers);
#pragma omp parallel for
      for (int64_t j = start; j <= row; j++) {
        const int64_t column = lmmc_vision_rows(tokens, start, j);
        if (tokens[j] >= 0 || column >= columns) continue;
        out[row * columns + column] = (float)(lmmc_paid_by_all(&p, normalizers, row, j) / (double)heads);
      }
    }
  }
}
