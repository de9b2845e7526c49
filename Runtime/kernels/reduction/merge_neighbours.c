#include "base/parallel.h"
#include "dot.h"
#include "reduction.h"
#include "slot_runs.h"

// Rows with the greatest products so far, from the greatest on.
typedef struct {
  int64_t count;
  int32_t rows[LMMC_MAX_NEIGHBOURS];
  float products[LMMC_MAX_NEIGHBOURS];
} nearest;

static void insert(nearest *n, int64_t most, int32_t row, float product) {
  int64_t place = n->count;
  while (place > 0 && lmmc_is_better(product, row, n->products[place - 1], n->rows[place - 1])) place--;
  if (place == most) return;
  if (n->count < most) n->count++;
  for (int64_t i = n->count - 1; i > place; i--) {
    n->rows[i] = n->rows[i - 1];
    n->products[i] = n->products[i - 1];
  }
  n->rows[place] = row;
  n->products[place] = product;
}

// sum = x[row] + the weighted sum of `count` rows; row is -1 for none. A block of columns at a time, which stays in registers or the cache.
static void add(const lmmc_table *in, int64_t row, const int32_t *rows, int64_t count, float *sum) {
  enum { BLOCK = 64 };
  const float *weights = in[2].data;
  for (int64_t from = 0; from < in[0].columns; from += BLOCK) {
    const float *x = (const float *)in[0].data + from;
    const int64_t columns = in[0].columns - from < BLOCK ? in[0].columns - from : BLOCK;
    double totals[BLOCK];
    for (int64_t j = 0; j < columns; j++) totals[j] = row < 0 ? 0 : (double)x[row * in[0].stride + j];
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < columns; j++) totals[j] += (double)weights[rows[i]] * (double)x[rows[i] * in[0].stride + j];
    for (int64_t j = 0; j < columns; j++) sum[from + j] = (float)totals[j];
  }
}

void lmmc_merge_neighbours(const lmmc_table *in, int64_t neighbours, float *merged) {
  const int32_t *kept = in[3].data, *rest = in[4].data;
  const int64_t columns = in[1].columns;
#pragma omp parallel for
  for (int64_t k = 0; k < in[3].rows; k++) {
    nearest n;
    n.count = 0;
    const float *key = lmmc_table_row(&in[1], kept[k]);
    for (int64_t i = 0; i < in[3].rows; i++)
      if (i != k) insert(&n, neighbours, kept[i], lmmc_dot(key, lmmc_table_row(&in[1], kept[i]), columns));
    for (int64_t i = 0; i < in[4].rows; i++) insert(&n, neighbours, rest[i], lmmc_dot(key, lmmc_table_row(&in[1], rest[i]), columns));
    add(in, kept[k], n.rows, n.count, merged + k * in[0].columns);
  }
  add(in, -1, rest, in[4].rows, merged + in[3].rows * in[0].columns);
}
