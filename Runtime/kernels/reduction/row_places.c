#include <stddef.h>

#include "reduction.h"

void lmmc_row_places(const lmmc_table *in, int64_t has_places, int32_t *out) {
  const int32_t *rows = in[0].data, *places = has_places ? in[1].data : NULL;
  // Candidates first, so that a target comes behind those which joined it.
  for (int64_t odd = 0; odd < 2; odd++)
    for (int64_t i = odd; i < in[0].rows; i += 2) out[rows[i]] = places ? places[i] : (int32_t)(i - 1);
}
