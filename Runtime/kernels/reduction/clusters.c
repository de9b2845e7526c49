#include "dot.h"
#include "reduction.h"
#include "slot_runs.h"

void lmmc_cluster_rows(const lmmc_table *in, int64_t step, int64_t count, int32_t *clusters) {
  const float *x = in[0].data;
#pragma omp parallel for
  for (int64_t i = 0; i < in[0].rows; i++) {
    clusters[i] = -1;
    if (i % step == 0 && i / step < count) continue;
    float best = 0;
    for (int64_t c = 0; c < count; c++) {
      const float product = lmmc_dot(x + i * in[0].stride, x + c * step * in[0].stride, in[0].columns);
      if (c > 0 && !lmmc_is_better(product, c, best, clusters[i])) continue;
      best = product;
      clusters[i] = (int32_t)c;
    }
  }
}

void lmmc_segment_means(const lmmc_table *in, int64_t count, float *means) {
  enum { BLOCK = 64 };
  const int32_t *segments = in[1].data;
#pragma omp parallel for
  for (int64_t s = 0; s < count; s++) {
    int64_t members = 0;
    for (int64_t i = 0; i < in[0].rows; i++) members += segments[i] == s;
    // A block of columns at a time, whose sums stay in registers or the cache.
    for (int64_t from = 0; from < in[0].columns; from += BLOCK) {
      const int64_t columns = in[0].columns - from < BLOCK ? in[0].columns - from : BLOCK;
      double sums[BLOCK] = {0};
      for (int64_t i = 0; i < in[0].rows; i++) {
        if (segments[i] != s) continue;
        const float *x = (const float *)in[0].data + i * in[0].stride + from;
        for (int64_t j = 0; j < columns; j++) sums[j] += (double)x[j];
      }
      for (int64_t j = 0; j < columns; j++) means[s * in[0].columns + from + j] = members > 0 ? (float)(sums[j] / (double)members) : 0;
    }
  }
}
