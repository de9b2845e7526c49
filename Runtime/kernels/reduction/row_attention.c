#include "scored_rows.h"

void lmmc_row_attention(const lmmc_table *in, int64_t heads, float scale, float *scores) {
  // The one query is that of any row, and the last row sees all keys.
  const lmmc_table query = {in[0].data, in[1].rows, in[0].columns, 0};
  const lmmc_scored p = {&query, &in[1], heads, heads, in[0].columns / heads, scale};
  const int64_t last = in[1].rows - 1;
  lmmc_normalizer normalizers[LMMC_MAX_SCORED_HEADS];
  lmmc_normalize_heads(&p, last, 0, normalizers);
#pragma omp parallel for
  for (int64_t row = 0; row <= last; row++) scores[row] = (float)lmmc_paid_by_all(&p, normalizers, last, row);
}
