#include "reduction.h"

int64_t lmmc_split_rows(const lmmc_table *in, int64_t is_vision, int32_t *rows) {
  const int32_t *tokens = in[0].data, *slots = in[1].data;
  int64_t count = 0;
  for (int64_t i = 0; i < in[0].rows; i++) {
    const int64_t is_last = i + 1 == in[0].rows || slots[i + 1] != slots[i];
    if ((tokens[i] < 0 && !is_last) == (is_vision != 0)) rows[count++] = (int32_t)i;
  }
  return count;
}
