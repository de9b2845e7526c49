#include <string.h>

#include "reduction.h"

void lmmc_segment_sizes(const lmmc_table *in, int64_t count, int64_t has_weights, float *sizes) {
  const int32_t *segments = in[0].data;
  const float *weights = has_weights ? in[1].data : NULL;
  memset(sizes, 0, (size_t)count * sizeof *sizes);
  for (int64_t i = 0; i < in[0].rows; i++)
    if (segments[i] >= 0) sizes[segments[i]] += weights ? weights[i] : 1;
}
