#include <stdbool.h>
#include <string.h>

#include "base/parallel.h"
#include "reduction.h"

// The values and what is known of them: of each row the best so far, of each column what it would add.
typedef struct {
  const lmmc_table *in;
  float weight;
  float best[LMMC_MAX_COVER], gains[LMMC_MAX_COVER];
  bool taken[LMMC_MAX_COVER];
} cover;

static const float *row(const cover *c, int64_t r, float *weight) {
  const int64_t first = c->in[0].rows;
  *weight = r < first ? 1 : c->weight;
  return r < first ? lmmc_table_row(&c->in[0], r) : lmmc_table_row(&c->in[1], r - first);
}

static void sum_gains(cover *c, int64_t rows, int64_t columns) {
  enum { BLOCK = 32 };
#pragma omp parallel for
  for (int64_t from = 0; from < columns; from += BLOCK) {
    const int64_t count = columns - from < BLOCK ? columns - from : BLOCK;
    double sums[BLOCK] = {0};
    for (int64_t r = 0; r < rows; r++) {
      float weight;
      const float *values = row(c, r, &weight) + from;
      const float best = c->best[r];
      for (int64_t j = 0; j < count; j++) {
        const float gain = weight * values[j] - best;
        sums[j] += gain > 0 ? (double)gain : 0;
      }
    }
    for (int64_t j = 0; j < count; j++) c->gains[from + j] = (float)sums[j];
  }
}

// Patches of a square picture that lie wholly in its bars.
static void bar(cover *c, int64_t columns, int64_t patch, const int32_t *bars) {
  int64_t side = 1;
  while (side * side < columns) side++;
  for (int64_t j = 0; j < columns; j++) {
    const int64_t y = j / side, x = j % side;
    c->taken[j] = y < bars[0] / patch || side - 1 - y < bars[1] / patch || x < bars[2] / patch || side - 1 - x < bars[3] / patch;
  }
}

void lmmc_greedy_cover(const lmmc_table *in, int64_t keep, float weight, int64_t patch, int64_t has_bars, int32_t *list) {
  cover c;
  const int64_t rows = in[0].rows + in[1].rows, columns = in[0].columns;
  c.in = in, c.weight = weight;
  memset(c.best, 0, (size_t)rows * sizeof *c.best);
  memset(c.taken, 0, (size_t)columns * sizeof *c.taken);
  if (has_bars) bar(&c, columns, patch, in[2].data);
  bool is_chosen[LMMC_MAX_COVER] = {false};
  int64_t left = keep;
  for (; left > 0; left--) {
    sum_gains(&c, rows, columns);
    int64_t chosen = -1;
    for (int64_t j = 0; j < columns; j++)
      if (!c.taken[j] && (chosen < 0 || c.gains[j] > c.gains[chosen])) chosen = j;
    if (chosen < 0) break;
    c.taken[chosen] = is_chosen[chosen] = true;
    for (int64_t r = 0; r < rows; r++) {
      float of;
      const float value = row(&c, r, &of)[chosen] * of;
      if (value > c.best[r]) c.best[r] = value;
    }
  }
  // Column 0 once more for each that could not be taken.
  while (left-- > 0) *list++ = 0;
  for (int64_t j = 0; j < columns; j++)
    if (is_chosen[j]) *list++ = (int32_t)j;
}
