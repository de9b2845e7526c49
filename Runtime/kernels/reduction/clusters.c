#include <stddef.h>

#include "base/parallel.h"
#include "dot.h"
#include "reduction.h"
#include "slot_runs.h"

void lmmc_cluster_rows(const lmmc_table *in, int64_t step, int64_t count, int32_t *clusters) {
#pragma omp parallel for
  for (int64_t i = 0; i < in[0].rows; i++) {
    clusters[i] = -1;
    if (i % step == 0 && i / step < count) continue;
    float best = 0;
    for (int64_t c = 0; c < count; c++) {
      const float product = lmmc_dot(lmmc_table_row(&in[0], i), lmmc_table_row(&in[0], c * step), in[0].columns);
      if (c > 0 && !lmmc_is_better(product, c, best, clusters[i])) continue;
      best = product;
      clusters[i] = (int32_t)c;
    }
  }
}

enum { COLUMNS = 256 };  // columns whose sums are taken together

// `count` columns of a segment's mean, from `first` on.
static void segment_mean(const lmmc_table *x, const int32_t *segments, const float *weights, int64_t segment, int64_t first, int64_t count,
                         float *means) {
  double sums[COLUMNS] = {0}, total = 0;
  for (int64_t i = 0; i < x->rows; i++) {
    if (segments[i] != segment) continue;
    const float *row = lmmc_table_row(x, i) + first;
    const double weight = weights ? (double)weights[i] : 1;
    total += weight;
    for (int64_t j = 0; j < count; j++) sums[j] += weight * (double)row[j];
  }
  for (int64_t j = 0; j < count; j++) means[j] = total != 0 ? (float)(sums[j] / total) : 0;
}

void lmmc_segment_means(const lmmc_table *in, int64_t count, int64_t has_weights, float *means) {
  const int64_t columns = in[0].columns;
#pragma omp parallel for
  for (int64_t s = 0; s < count; s++)
    for (int64_t j = 0; j < columns; j += COLUMNS)
      segment_mean(&in[0], in[1].data, has_weights ? in[2].data : NULL, s, j, columns - j < COLUMNS ? columns - j : COLUMNS,
                   means + s * columns + j);
}
