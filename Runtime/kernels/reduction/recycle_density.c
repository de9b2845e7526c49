#include <string.h>

#include "reduction.h"
#include "scored_rows.h"
#include "slot_runs.h"

enum { STAYS = -1, LEAVES = -2 };

typedef struct {
  const lmmc_table *x;
  const float *scores;
  const int32_t *tokens;
  int64_t start, end;
} problem;

// How many of the vision rows that are marked so are better than row i.
static int64_t better_than(const problem *p, const float *out, float mark, int64_t i) {
  int64_t better = 0;
  for (int64_t j = p->start; j < p->end; j++)
    better += p->tokens[j] < 0 && out[2 * j + 1] == mark && lmmc_is_better(p->scores[j], j, p->scores[i], i);
  return better;
}

// Marks the rows of a run, of whose vision rows `kept` stay; 0 for those to recycle, whose number it gives.
static int64_t mark(const problem *p, int64_t kept, double share, float *out) {
  for (int64_t i = p->start; i < p->end; i++) out[2 * i] = out[2 * i + 1] = STAYS;
  int64_t dropped = 0;
  for (int64_t i = p->start; i < p->end - 1; i++) {
    if (p->tokens[i] >= 0) continue;
    // The second column is the same for all as yet.
    const int64_t better = better_than(p, out, STAYS, i);
    out[2 * i] = better < kept ? STAYS : LEAVES;
    dropped += better >= kept;
  }
  for (int64_t i = p->start; i < p->end; i++) out[2 * i + 1] = out[2 * i];
  if (dropped == 0) return 0;
  const int64_t recycled = (int64_t)(share * (double)dropped) + 1;
  for (int64_t i = p->start; i < p->end; i++)
    if (out[2 * i + 1] == LEAVES && better_than(p, out, LEAVES, i) < recycled) out[2 * i] = 0;
  return recycled;
}

static int is_recycled(const float *out, int64_t i) { return out[2 * i] >= 0; }

static double distance(const problem *p, int64_t i, int64_t j) {
  const float squares = lmmc_square_distance(lmmc_table_row(p->x, i), lmmc_table_row(p->x, j), p->x->columns);
  return sqrt((double)squares / (double)p->x->columns);
}

// The mean of the squares of the `count` smallest distances from row i.
static float mean_square(const problem *p, const float *out, int64_t i, int64_t count) {
  double nearest[LMMC_MAX_CLUSTERS];
  int64_t found = 0;
  for (int64_t j = p->start; j < p->end; j++) {
    if (!is_recycled(out, j)) continue;
    const double d = distance(p, i, j);
    if (found == count && !(d < nearest[count - 1])) continue;
    int64_t at = found < count ? found++ : count - 1;
    for (; at > 0 && d < nearest[at - 1]; at--) nearest[at] = nearest[at - 1];
    nearest[at] = d;
  }
  double sum = 0;
  for (int64_t n = 0; n < found; n++) sum += nearest[n] * nearest[n];
  return (float)(sum / (double)count);
}

static int is_denser(const problem *p, const float *means, int64_t j, int64_t i) {
  const float a = means[2 * j], b = means[2 * i];
  return a < b || (a == b && lmmc_is_better(p->scores[j], j, p->scores[i], i));
}

static void rate(const problem *p, int64_t clusters, float *out) {
  // The means stand in the second column until all are there, since the first says which rows are recycled.
#pragma omp parallel for
  for (int64_t i = p->start; i < p->end; i++)
    if (is_recycled(out, i)) out[2 * i + 1] = mean_square(p, out, i, clusters);
  for (int64_t i = p->start; i < p->end; i++)
    if (is_recycled(out, i)) out[2 * i] = out[2 * i + 1];
  double most = 0;
#pragma omp parallel for reduction(max : most)
  for (int64_t i = p->start; i < p->end; i++) {
    if (!is_recycled(out, i)) continue;
    double least = INFINITY;
    for (int64_t j = p->start; j < p->end; j++) {
      if (!is_recycled(out, j)) continue;
      const double d = distance(p, i, j);
      if (d > most) most = d;
      if (d < least && is_denser(p, out, j, i)) least = d;
    }
    out[2 * i + 1] = (float)(exp(-(double)out[2 * i]) * least);
  }
  for (int64_t i = p->start; i < p->end; i++) {
    if (!is_recycled(out, i)) continue;
    int64_t denser = 0;
    for (int64_t j = p->start; j < p->end; j++) denser += is_recycled(out, j) && is_denser(p, out, j, i);
    if (denser == 0) out[2 * i + 1] = (float)(exp(-(double)out[2 * i]) * most);
  }
}

void lmmc_recycle_density(const lmmc_table *in, int64_t top, float share, int64_t per_cluster, float *density) {
  const int32_t *slots = in[3].data;
  problem p = {&in[0], in[1].data, in[2].data, 0, 0};
  for (; p.start < in[0].rows; p.start = p.end) {
    p.end = lmmc_run_end(slots, in[0].rows, p.start);
    const int64_t vision = lmmc_vision_rows(p.tokens, p.start, p.end);
    int64_t kept = top < vision - 1 ? top : vision - 1;
    if (top == 0) kept = ((const int32_t *)in[4].data)[p.start];
    const int64_t recycled = mark(&p, kept, share, density);
    if (recycled > 0) rate(&p, recycled / per_cluster + 1, density);
  }
}
