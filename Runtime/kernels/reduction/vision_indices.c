#include "reduction.h"

void lmmc_vision_indices(const lmmc_table *in, int64_t lists, int64_t bound, int32_t *indices) {
  for (int64_t list = 0; list < lists; list++, indices += bound) {
    const int32_t *tokens = in[list].data;
    int64_t count = 0;
    for (int64_t i = 0; i < in[list].rows && count < bound; i++)
      if (tokens[i] < 0) indices[count++] = -1 - tokens[i];
    while (count < bound) indices[count++] = -1;
  }
}
