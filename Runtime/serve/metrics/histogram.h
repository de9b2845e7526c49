// Counts of values by size, as Prometheus has histograms.
#ifndef LMMC_SERVE_METRICS_HISTOGRAM_H
#define LMMC_SERVE_METRICS_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum { LMMC_MOST_BOUNDS = 26 };

// Start from {.bounds = ...}.
typedef struct {
  const double *bounds;  // [bound_count], ascending
  int bound_count;
  uint64_t counts[LMMC_MOST_BOUNDS + 1];  // values up to each bound and above the one before, and above the last
  double sum;
} lmmc_histogram;

// Values that are below 0 or no numbers count as 0.
void lmmc_histogram_add(lmmc_histogram *h, double value);

// Appends its samples. `labels` stand between the braces, without a comma at the end; "" for none.
bool lmmc_histogram_text(const lmmc_histogram *h, const char *name, const char *labels, lmmc_text *out, lmmc_error *e);

#endif
