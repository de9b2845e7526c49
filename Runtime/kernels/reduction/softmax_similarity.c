#include <math.h>

#include "base/parallel.h"
#include "dot.h"
#include "kernels/common/vector_math.h"
#include "reduction.h"

void lmmc_softmax_similarity(const lmmc_table *in, float temperature, float *shares) {
  const int64_t rows = in[0].rows, others = in[1].rows;
#pragma omp parallel for
  for (int64_t i = 0; i < rows; i++) {
    const float *a = (const float *)in[0].data + i * in[0].stride;
    float *out = shares + i * others, most = -INFINITY;
    for (int64_t j = 0; j < others; j++) {
      out[j] = lmmc_dot(a, (const float *)in[1].data + j * in[1].stride, in[0].columns) / temperature;
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
