#include <string.h>

#include "base/parallel.h"
#include "dot.h"
#include "grid.h"
#include "reduction.h"
#include "slot_runs.h"

// The mean product of two rows of a window.
static float similarity_of(const lmmc_table *x, int64_t side, int64_t window, int64_t first) {
  const int64_t cells = window * window;
  double sum = 0;
  for (int64_t a = 0; a < cells; a++)
    for (int64_t b = a + 1; b < cells; b++) {
      const float *p = lmmc_table_row(x, first + a / window * side + a % window);
      const float *q = lmmc_table_row(x, first + b / window * side + b % window);
      sum += (double)lmmc_dot(p, q, x->columns);
    }
  return (float)(2 * sum / (double)(cells * (cells - 1)));
}

// The first patch of a window.
static int64_t first_of(int64_t w, int64_t side, int64_t window) {
  return w / (side / window) * window * side + w % (side / window) * window;
}

static float float_of(int32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

int64_t lmmc_similar_windows(const lmmc_table *in, int64_t window, float similarity, int32_t *list) {
  const int64_t patches = in[0].rows, side = lmmc_grid_edge(patches), windows = (side / window) * (side / window);
  // The bits of the similarities stand at the end of the list while the windows are ordered at its beginning. It has room for all patches, which are
  // four times as many as the windows, at least.
  int32_t *bits = list + patches - windows;
#pragma omp parallel for
  for (int64_t w = 0; w < windows; w++) {
    const float value = similarity_of(&in[0], side, window, first_of(w, side, window));
    memcpy(&bits[w], &value, sizeof value);
  }
  int64_t merged = 0;
  for (int64_t w = 0; w < windows; w++) {
    const float value = float_of(bits[w]);
    if (!(value >= similarity)) continue;
    merged++;
    int64_t before = 0;
    for (int64_t v = 0; v < windows; v++) before += lmmc_is_better(float_of(bits[v]), v, value, w);
    list[before] = (int32_t)first_of(w, side, window);
  }
  int64_t count = merged;
  for (int64_t i = 0; i < patches; i++) {
    const int64_t first = first_of(i / side / window * (side / window) + i % side / window, side, window);
    int is_merged = 0;
    for (int64_t m = 0; m < merged && !is_merged; m++) is_merged = list[m] == first;
    if (!is_merged) list[count++] = (int32_t)i;
  }
  return count;
}

void lmmc_window_means(const lmmc_table *in, int64_t window, float *means) {
  const int32_t *list = in[1].data;
  const int64_t columns = in[0].columns, side = lmmc_grid_edge(in[0].rows), cells = window * window;
  const int64_t merged = (in[0].rows - in[1].rows) / (cells - 1);
#pragma omp parallel for
  for (int64_t i = 0; i < in[1].rows; i++) {
    const int64_t count = i < merged ? cells : 1;
    for (int64_t j = 0; j < columns; j++) {
      double sum = 0;
      for (int64_t c = 0; c < count; c++) sum += (double)lmmc_table_row(&in[0], list[i] + c / window * side + c % window)[j];
      means[i * columns + j] = (float)(sum / (double)count);
    }
  }
}
