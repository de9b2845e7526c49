// What the tests of attention have in common: memory, threads and the names of caches' types.
#ifndef ATTENTION_OPERANDS_H
#define ATTENTION_OPERANDS_H
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../check.h"
#include "../random.h"
#include "kernels/attention/attention_variant.h"
#include "kernels/rows/cache_rows.h"
#ifdef _OPENMP
#include <omp.h>
#endif

static const char *const type_names[] = {"f32", "bf16", "int8"};

// By malloc, which aligns to 16 bytes, so that a load that trusts in whole vectors or lines shows.
static inline void *allocate(int64_t bytes) {
  void *result = malloc((size_t)bytes);
  if (!result) exit(1);
  return result;
}

static inline void set_threads(int threads) {
#ifdef _OPENMP
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

#endif
