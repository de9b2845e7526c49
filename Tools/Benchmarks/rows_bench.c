// How fast the row kernels go over rows that stand in the caches, as they do between two products: GB/s of what is read and written.
//   gcc -std=gnu11 -O3 -march=native -fopenmp -IRuntime Tools/Benchmarks/rows_bench.c -lm -o rows_bench && rows_bench
// One thread, in seconds on its CPU, so that neighbours disturb little.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/rows/cache_rows.h"
#include "kernels/rows/rows.h"

enum { RUNS = 15, FLOATS = 4 << 20 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static float *a, *b, *c, *d;

// `streams` rows are read or written in all.
#define MEASURE(rows, n, streams, call)                                                                                      \
  do {                                                                                                                       \
    double seconds[RUNS];                                                                                                    \
    for (int run = 0; run < RUNS; run++) {                                                                                   \
      const double begin = now();                                                                                            \
      for (int repeat = 0; repeat < 4; repeat++)                                                                             \
        for (int64_t i = 0; i < (rows); i++) {                                                                               \
          const float *x = a + i * (n), *y = b + i * (n);                                                                    \
          float *out = c + i * (n);                                                                                          \
          (void)x, (void)y, (void)out;                                                                                       \
          call;                                                                                                              \
        }                                                                                                                    \
      seconds[run] = (now() - begin) / 4;                                                                                    \
    }                                                                                                                        \
    qsort(seconds, RUNS, sizeof *seconds, by_size);                                                                          \
    printf("| %s | %d x %d | %.1f | %.3f |\n", #call, rows, n, (double)(rows) * (n)*4 * (streams) / seconds[RUNS / 2] / 1e9, \
           seconds[RUNS / 2] * 1e3);                                                                                         \
  } while (0)

int main(void) {
  float **all[] = {&a, &b, &c, &d};
  for (int i = 0; i < 4; i++) {
    *all[i] = aligned_alloc(64, FLOATS * sizeof(float));
    if (!*all[i]) return 1;
    for (int64_t j = 0; j < FLOATS; j++) (*all[i])[j] = (float)(rand() % 2001 - 1000) / 200;
  }
  printf("| rows | shape | GB/s | ms |\n|---|---|---|---|\n");
  MEASURE(577, 1024, 2, lmmc_copy_row(1024, x, out));
  MEASURE(577, 1024, 2, lmmc_layer_norm_row(1024, 1e-5f, x, b, d, out));
  MEASURE(205, 4096, 2, lmmc_rms_norm_row(4096, 1e-5f, x, b, out));
  MEASURE(577, 4096, 2, lmmc_quick_gelu_row(4096, x, out));
  MEASURE(577, 4096, 2, lmmc_gelu_row(4096, x, out));
  MEASURE(205, 11008, 3, lmmc_gate_silu_row(11008, x, y, out));
  MEASURE(205, 4096, 2, lmmc_rotary_row(32, 64, d, x, out));
  MEASURE(205, 4096, 1.5, lmmc_store_row_bf16(4096, x, (uint16_t *)out));
  MEASURE(205, 4096, 1.25, lmmc_store_row_i8(32, 128, x, out));
  return 0;
}
