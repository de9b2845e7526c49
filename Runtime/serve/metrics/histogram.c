#include "histogram.h"

#include <inttypes.h>

void lmmc_histogram_add(lmmc_histogram *h, double value) {
  if (!(value > 0)) value = 0;
  int i = 0;
  while (i < h->bound_count && value > h->bounds[i]) i++;
  h->counts[i]++;
  h->sum += value;
}

bool lmmc_histogram_text(const lmmc_histogram *h, const char *name, const char *labels, lmmc_text *out, lmmc_error *e) {
  const char *comma = *labels ? "," : "";
  uint64_t count = 0;
  for (int i = 0; i < h->bound_count; i++) {
    count += h->counts[i];
    if (!lmmc_text_format(out, e, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma, h->bounds[i], count)) return false;
  }
  count += h->counts[h->bound_count];
  return lmmc_text_format(out, e, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, count) &&
         lmmc_text_format(out, e, "%s_sum{%s} %.12g\n%s_count{%s} %" PRIu64 "\n", name, labels, h->sum, name, labels, count);
}
