#include "observer.h"

#include <time.h>

#include "kernels/common/measure.h"

static const lmmc_observer *current;

void lmmc_observe(const lmmc_observer *observer) { current = observer && (observer->profile || observer->tensors) ? observer : NULL; }

double lmmc_profile_clock(void) {
  if (!current) return 0;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void lmmc_profile_add(double begin, lmmc_profile_key key, double flops, double bytes) {
  const double seconds = lmmc_profile_clock() - begin;
  if (!current) return;
  if (current->tensors) lmmc_tensors_take(current->tensors, key.out, key.rows, key.width, key.stride);
  // A product of no rows is a result to name, and no work.
  if (current->profile && key.rows > 0) lmmc_profile_operation(current->profile, &key, seconds, flops, bytes);
}
