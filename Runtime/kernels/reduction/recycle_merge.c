#include <string.h>

#include "reduction.h"
#include "scored_rows.h"

// Merges the recycled rows of a slot into those of `count` centres.
static void merge(const lmmc_table *in, const int32_t *centres, int64_t count, float *out) {
  const lmmc_table *x = &in[0];
  const float *density = in[1].data;
  const int32_t *slots = in[2].data;
  const int64_t columns = x->columns;
  int64_t start = centres[0], members[LMMC_MAX_CLUSTERS] = {0};
  while (start > 0 && slots[start - 1] == slots[centres[0]]) start--;
  memset(out, 0, (size_t)(count * columns) * sizeof *out);
  for (int64_t i = start; i < x->rows && slots[i] == slots[start]; i++) {
    if (density[2 * i] < 0) continue;
    int64_t nearest = 0;
    float least = INFINITY;
    for (int64_t c = 0; c < count; c++) {
      const float d = centres[c] == i ? -1 : lmmc_square_distance(lmmc_table_row(x, i), lmmc_table_row(x, centres[c]), columns);
      if (d < least) least = d, nearest = c;
    }
    const float *row = lmmc_table_row(x, i);
    for (int64_t j = 0; j < columns; j++) out[nearest * columns + j] += row[j];
    members[nearest]++;
  }
  for (int64_t c = 0; c < count; c++)
    for (int64_t j = 0; j < columns; j++) out[c * columns + j] = (float)((double)out[c * columns + j] / ((double)members[c] + 1e-6));
}

void lmmc_recycle_merge(const lmmc_table *in, float *out) {
  const float *density = in[1].data;
  const int32_t *slots = in[2].data, *list = in[3].data;
  const int64_t columns = in[0].columns;
  for (int64_t i = 0; i < in[3].rows;) {
    if (density[2 * list[i]] < 0) {
      memcpy(out + i * columns, lmmc_table_row(&in[0], list[i]), (size_t)columns * sizeof *out);
      i++;
      continue;
    }
    int64_t end = i;
    while (end < in[3].rows && density[2 * list[end]] >= 0 && slots[list[end]] == slots[list[i]]) end++;
    merge(in, list + i, end - i, out + i * columns);
    i = end;
  }
}
