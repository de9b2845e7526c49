#include "base/parallel.h"
#include "reduction.h"
#include "slot_runs.h"

int64_t lmmc_stride_rows(const lmmc_table *in, int64_t stride, int64_t image, int32_t *kept) {
  const int32_t *tokens = in[0].data, *slots = in[1].data;
  int64_t count = 0;
  for (int64_t i = 0; i < in[0].rows; i++) {
    // Where a vision row stands in its image.
    const int64_t place = (-1 - (int64_t)tokens[i]) % image;
    const int is_middle = place % stride == (stride - 1) / 2 && place / stride < image / stride;
    const int is_last = i + 1 == in[0].rows || slots[i + 1] != slots[i];
    if (tokens[i] >= 0 || is_middle || is_last) kept[count++] = (int32_t)i;
  }
  return count;
}

void lmmc_stride_means(const lmmc_table *in, int64_t stride, float *out) {
  const int32_t *tokens = in[1].data, *list = in[2].data;
  const int64_t columns = in[0].columns;
#pragma omp parallel for
  for (int64_t i = 0; i < in[2].rows; i++) {
    const int64_t row = list[i], first = row - (stride - 1) / 2, last = first + stride - 1;
    // Consecutive rows of one image have consecutive tokens.
    const int is_whole = tokens[row] < 0 && first >= 0 && last < in[0].rows && tokens[first] - tokens[last] == stride - 1 &&
                         tokens[last] < 0 && tokens[first] < 0 && tokens[first] - tokens[row] == row - first;
    const float *x = lmmc_table_row(&in[0], is_whole ? first : row);
    for (int64_t j = 0; j < columns; j++) {
      double sum = 0;
      for (int64_t r = 0; r < (is_whole ? stride : 1); r++) sum += (double)x[r * in[0].stride + j];
      out[i * columns + j] = (float)(sum / (double)(is_whole ? stride : 1));
    }
  }
}
