#include <math.h>
#include <string.h>

#include "grid.h"
#include "reduction.h"
#include "slot_runs.h"

int64_t lmmc_prefusion_rows(const lmmc_table *in, int32_t *rows) {
  const int32_t *tokens = in[0].data, *slots = in[1].data;
  int64_t count = 0;
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    if (lmmc_vision_rows(tokens, start, end) == 0) continue;
    for (int64_t i = start; i < end; i++)
      if (tokens[i] < 0) rows[count++] = (int32_t)i;
    for (int64_t i = start; i < end; i++)
      if (tokens[i] > 0) rows[count++] = (int32_t)i;
  }
  return count;
}

int64_t lmmc_trim_rows(const lmmc_table *in, int64_t image, int64_t first, int32_t *rows) {
  const int32_t *tokens = in[0].data;
  int64_t count = 0;
  for (int64_t i = 0; i < in[0].rows; i++)
    if (tokens[i] >= 0 || (-1 - (int64_t)tokens[i]) % image >= first) rows[count++] = (int32_t)i;
  return count;
}

void lmmc_replace_rows(const lmmc_table *in, float *out) {
  const int64_t columns = in[0].columns;
  const int32_t *places = in[2].data;
  for (int64_t i = 0; i < in[0].rows; i++) memcpy(out + i * columns, lmmc_table_row(&in[0], i), (size_t)columns * sizeof *out);
  for (int64_t i = 0; i < in[1].rows; i++) memcpy(out + places[i] * columns, lmmc_table_row(&in[1], i), (size_t)columns * sizeof *out);
}

// Where place `index` of `to` reads a line of `from`, and how much of each.
static void bicubic_taps(int64_t index, int64_t from, int64_t to, int64_t places[4], double weights[4]) {
  const double place = ((double)index + 0.5) * (double)from / (double)to - 0.5, start = floor(place), a = -0.75;
  for (int64_t tap = 0; tap < 4; tap++) {
    const double d = fabs(place - start - (double)(tap - 1));
    const int64_t at = (int64_t)start + tap - 1;
    weights[tap] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    places[tap] = at < 0 ? 0 : at < from ? at : from - 1;
  }
}

void lmmc_resize_grid(const lmmc_table *in, int64_t to, float *out) {
  const int64_t columns = in[0].columns, from = lmmc_grid_edge(in[0].rows);
  for (int64_t y = 0; y < to; y++) {
    int64_t lines[4], places[4];
    double above[4], beside[4];
    bicubic_taps(y, from, to, lines, above);
    for (int64_t x = 0; x < to; x++) {
      bicubic_taps(x, from, to, places, beside);
      for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        for (int64_t i = 0; i < 4; i++)
          for (int64_t j = 0; j < 4; j++) sum += above[i] * beside[j] * (double)lmmc_table_row(&in[0], lines[i] * from + places[j])[c];
        out[(y * to + x) * columns + c] = (float)sum;
      }
    }
  }
}
