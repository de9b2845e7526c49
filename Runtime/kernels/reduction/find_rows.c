#include "reduction.h"

void lmmc_find_rows(const lmmc_table *in, int32_t *places) {
  const int32_t *list = in[0].data, *rows = in[1].data;
  for (int64_t i = 0; i < in[1].rows; i++) {
    int32_t nearest = -1;
    places[i] = 0;
    for (int64_t k = 0; k < in[0].rows; k++) {
      if (list[k] > rows[i] || list[k] <= nearest) continue;
      nearest = list[k];
      places[i] = (int32_t)k;
    }
  }
}
