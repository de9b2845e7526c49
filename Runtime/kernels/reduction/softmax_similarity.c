#include <math.h>

#include "base/parallel.h"
#include "dot.h"
#include "kernels/common/vector_math.h"
#include "reduction.h"

void lmmc_softmax_similarity(const lmmc_table *in, float temperature, float *shares) {
  const int64_t rows = in[0].rows, others = in[1].rows;
#pragma omp parallel for
  for (int64_t i = 0; i < rows; i++) {
    const float *a = lmmc_table_row(&in[0], i);
    float *out = shares + i * others, most = -INFINITY;
    for (int64_t j = 0; j < others; j++) {
      out[j] = lmmc_dot(a, lmmc_table_row(&in[1], j), in[0].columns) / temperature;
      most = out[j] > most ? out[j] : most;
    }
    double sum = 0;
    for (int64_t j = 0; j < others; j++) {
      out[j] = lmmc_exp(out[j] - most);
      sum += (double)out[j];
    }
    for (int64_t j = 0; j < others; j++) out[j] = out[j] / (float)sum / (float)rows;
  }
}
