#include "reduction.h"

void lmmc_find_rows(const lmmc_table *in, int32_t *places) {
  const int32_t *list = in[0].data, *rows = in[1].data;
  for (int64_t i = 0; i < in[1].rows; i++) {
    // The first entry above the row, by halves.
    int64_t low = 0, high = in[0].rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (list[middle] <= rows[i])
        low = middle + 1;
      else
        high = middle;
    }
    places[i] = (int32_t)(low > 0 ? low - 1 : 0);
  }
}
