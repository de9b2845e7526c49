// Sums over the columns of two rows, in partial sums, so that the order is the same whatever the compiler makes of it.
#ifndef LMMC_KERNELS_REDUCTION_DOT_H
#define LMMC_KERNELS_REDUCTION_DOT_H
#include <stdint.h>

enum { LMMC_DOT_LANES = 16 };

static inline float lmmc_lane_sum(float *lanes) {
  for (int step = LMMC_DOT_LANES / 2; step > 0; step /= 2)
    for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
  return lanes[0];
}

static inline float lmmc_dot(const float *a, const float *b, int64_t n) {
  float lanes[LMMC_DOT_LANES] = {0};
  int64_t i = 0;
  for (; i + LMMC_DOT_LANES <= n; i += LMMC_DOT_LANES)
    for (int j = 0; j < LMMC_DOT_LANES; j++) lanes[j] += a[i + j] * b[i + j];
  for (int j = 0; i < n; i++, j++) lanes[j] += a[i] * b[i];
  return lmmc_lane_sum(lanes);
}

// The sum of the squares of a - b.
static inline float lmmc_square_distance(const float *a, const float *b, int64_t n) {
  float lanes[LMMC_DOT_LANES] = {0};
  int64_t i = 0;
  for (; i + LMMC_DOT_LANES <= n; i += LMMC_DOT_LANES)
    for (int j = 0; j < LMMC_DOT_LANES; j++) lanes[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
  for (int j = 0; i < n; i++, j++) lanes[j] += (a[i] - b[i]) * (a[i] - b[i]);
  return lmmc_lane_sum(lanes);
}

#endif
