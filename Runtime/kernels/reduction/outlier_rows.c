#include "ranks.h"
#include "reduction.h"

// The entry with `index` others below it, by their order.
static double ascending(const float *values, int64_t count, int64_t index) {
  for (int64_t i = 0; i < count; i++)
    if (lmmc_rank(values, count, i, count) == count - 1 - index) return (double)values[i];
  return 0;
}

// At quarters/4 of the way through the ascending entries, between two of them by their distance.
static double quartile(const float *values, int64_t count, int64_t quarters) {
  const double place = (double)quarters / 4 * (double)(count - 1);
  const int64_t low = (int64_t)place, high = low + 1 < count ? low + 1 : count - 1;
  const double below = ascending(values, count, low);
  return below + (ascending(values, count, high) - below) * (place - (double)low);
}

int64_t lmmc_outlier_rows(const lmmc_table *in, float factor, int64_t is_sampled, int32_t *list) {
  const float *values = in[0].data;
  const int64_t count = in[0].rows;
  const double third = quartile(values, count, 3), bound = third + (double)factor * (third - quartile(values, count, 1));
  int64_t outliers = 0;
  for (int64_t i = 0; i < count; i++) outliers += (double)values[i] > bound;
  if (outliers == 0) return 0;
  // In the arithmetic of the method's code, which loses an outlier for some counts.
  const double share = (double)outliers / (double)count;
  const int64_t best = (int64_t)((double)count * share);
  lmmc_best(values, count, best, list);
  int64_t rows = best;
  const int64_t step = (int64_t)(1 / share) / 3 > 1 ? (int64_t)(1 / share) / 3 : 1;
  for (int64_t i = 0; is_sampled && i < count - 1; i += step)
    if (!lmmc_holds(list, best, i)) list[rows++] = (int32_t)i;
  return rows;
}
