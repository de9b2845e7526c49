#include "reduction.h"
#include "slot_runs.h"

typedef struct {
  const float *density, *scores;
  int64_t start, end;
} problem;

// Whether row i is before row j among the centres of clusters.
static int is_before(const problem *p, int64_t i, int64_t j) {
  const float a = p->density[2 * i + 1], b = p->density[2 * j + 1];
  return a > b || (a == b && lmmc_is_better(p->scores[i], i, p->scores[j], j));
}

// The best recycled row behind `last`, or behind none where that is -1.
static int64_t next_centre(const problem *p, int64_t last) {
  int64_t best = -1;
  for (int64_t i = p->start; i < p->end; i++) {
    if (p->density[2 * i] < 0 || (last >= 0 && !is_before(p, last, i))) continue;
    if (best < 0 || is_before(p, i, best)) best = i;
  }
  return best;
}

int64_t lmmc_recycle_rows(const lmmc_table *in, int64_t per_cluster, int32_t *rows) {
  const int32_t *tokens = in[2].data, *slots = in[3].data;
  problem p = {in[0].data, in[1].data, 0, 0};
  int64_t count = 0;
  for (; p.start < in[0].rows; p.start = p.end) {
    p.end = lmmc_run_end(slots, in[0].rows, p.start);
    int64_t i = p.start, recycled = 0;
    for (; i < p.end && tokens[i] >= 0; i++) rows[count++] = (int32_t)i;
    const int64_t vision = i;
    for (; i < p.end; i++) {
      if (tokens[i] < 0 && p.density[2 * i] == -1) rows[count++] = (int32_t)i;
      recycled += p.density[2 * i] >= 0;
    }
    int64_t centre = -1;
    for (int64_t left = recycled > 0 ? recycled / per_cluster + 1 : 0; left > 0; left--) {
      centre = next_centre(&p, centre);
      if (centre < 0) break;
      rows[count++] = (int32_t)centre;
    }
    for (i = vision; i < p.end; i++)
      if (tokens[i] >= 0) rows[count++] = (int32_t)i;
  }
  return count;
}
