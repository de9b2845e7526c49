#include "reduction.h"
#include "slot_runs.h"

// Whether fewer than `top` vision rows of start ... end - 1 are better than row i.
static int is_among_best(const float *scores, const int32_t *tokens, int64_t start, int64_t end, int64_t top, int64_t i) {
  int64_t better = 0;
  for (int64_t j = start; j < end && better < top; j++) better += tokens[j] < 0 && lmmc_is_better(scores[j], j, scores[i], i);
  return better < top;
}

int64_t lmmc_keep_rows(const lmmc_table *in, int64_t top, int64_t drop, int32_t *kept) {
  const float *scores = in[0].data;
  const int32_t *tokens = in[1].data, *slots = in[2].data;
  int64_t count = 0;
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    const int64_t vision = lmmc_vision_rows(tokens, start, end), best = top < vision - drop ? top : vision - drop;
    for (int64_t i = start; i < end; i++)
      if (tokens[i] >= 0 || i == end - 1 || is_among_best(scores, tokens, start, end, best, i)) kept[count++] = (int32_t)i;
  }
  return count;
}
