// Square grids of patches, row by row.
#ifndef LMMC_KERNELS_REDUCTION_GRID_H
#define LMMC_KERNELS_REDUCTION_GRID_H
#include <stdint.h>

// The edge of a grid of as many cells, which are a square.
static inline int64_t lmmc_grid_edge(int64_t cells) {
  int64_t edge = 1;
  while (edge * edge < cells) edge++;
  return edge;
}

#endif
