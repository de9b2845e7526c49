#include <string.h>

#include "base/parallel.h"
#include "reduction.h"

void lmmc_mask_heads(const lmmc_table *in, const int64_t *mask, int64_t heads, float *masked) {
  const int64_t columns = in->columns, size = columns / heads;
#pragma omp parallel for
  for (int64_t i = 0; i < in->rows; i++) {
    const float *row = lmmc_table_row(in, i);
    for (int64_t h = 0; h < heads; h++) {
      float *out = masked + i * columns + h * size;
      if (mask[h]) {
        memcpy(out, row + h * size, (size_t)size * sizeof *out);
      } else {
        memset(out, 0, (size_t)size * sizeof *out);
      }
    }
  }
}
