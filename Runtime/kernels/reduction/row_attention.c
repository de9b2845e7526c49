#include "rater.h"
#include "reduction.h"

void lmmc_row_attention(const lmmc_table *in, int64_t heads, float scale, float *scores) {
  const lmmc_rater rater = {in[0].data, in[1].data, in[1].stride, heads, in[0].columns / heads, scale};
  lmmc_normalizer normalizers[LMMC_MAX_SCORED_HEADS];
#pragma omp parallel for
  for (int64_t h = 0; h < heads; h++) normalizers[h] = lmmc_normalize(&rater, h, 0, in[1].rows);
#pragma omp parallel for
  for (int64_t row = 0; row < in[1].rows; row++) scores[row] = (float)lmmc_paid(&rater, normalizers, row);
}
