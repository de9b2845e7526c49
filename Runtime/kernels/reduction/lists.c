#include <string.h>

#include "ranks.h"
#include "reduction.h"

void lmmc_top_rows(const lmmc_table *in, int64_t rows, int64_t by_score, int32_t *list) {
  const float *values = in[0].data;
  if (by_score) {
    lmmc_best(values, in[0].rows, rows, list);
    return;
  }
  for (int64_t i = 0, count = 0; i < in[0].rows; i++)
    if (lmmc_rank(values, in[0].rows, i, rows) < rows) list[count++] = (int32_t)i;
}

void lmmc_complement_rows(const lmmc_table *in, int64_t total, int32_t *list) {
  const int32_t *held = in[0].data;
  int64_t others = 0;
  for (int64_t i = 0; i < total; i++) others += !lmmc_holds(held, in[0].rows, i);
  // As many too many as the list holds numbers again.
  int64_t left_out = others - (total - in[0].rows);
  for (int64_t i = 0; i < total; i++)
    if (!lmmc_holds(held, in[0].rows, i) && left_out-- <= 0) *list++ = (int32_t)i;
}

void lmmc_append_samples(const lmmc_table *in, int64_t start, int64_t step, int64_t rows, int32_t *list) {
  memcpy(list, in[0].data, (size_t)in[0].rows * sizeof *list);
  for (int64_t i = 0; i < rows; i++) list[in[0].rows + i] = (int32_t)(start + i * step);
}

void lmmc_pad_list(const lmmc_table *in, int64_t length, int32_t *padded) {
  memcpy(padded, in[0].data, (size_t)in[0].rows * sizeof *padded);
  for (int64_t i = in[0].rows; i < length; i++) padded[i] = -1;
}
