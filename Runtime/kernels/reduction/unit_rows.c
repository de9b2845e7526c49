#include <math.h>

#include "reduction.h"

void lmmc_mean_heads(const lmmc_table *in, int64_t heads, float *means) {
  const int64_t size = in[0].columns / heads;
  for (int64_t i = 0; i < in[0].rows; i++) {
    const float *x = lmmc_table_row(&in[0], i);
    for (int64_t j = 0; j < size; j++) {
      double sum = 0;
      for (int64_t h = 0; h < heads; h++) sum += (double)x[h * size + j];
      means[i * size + j] = (float)(sum / (double)heads);
    }
  }
}

void lmmc_unit_rows(const lmmc_table *in, float epsilon, float *out) {
  const int64_t columns = in[0].columns;
  for (int64_t i = 0; i < in[0].rows; i++) {
    const float *x = lmmc_table_row(&in[0], i);
    double sum = 0;
    for (int64_t j = 0; j < columns; j++) sum += (double)x[j] * (double)x[j];
    const float norm = (float)sqrt(sum) > epsilon ? (float)sqrt(sum) : epsilon;
    for (int64_t j = 0; j < columns; j++) out[i * columns + j] = x[j] / norm;
  }
}
