// What every file with OpenMP pragmas needs. The code is right without OpenMP too; gcc need not warn of the pragmas then.
#ifndef LMMC_BASE_PARALLEL_H
#define LMMC_BASE_PARALLEL_H
#ifdef _OPENMP
#include <omp.h>
#else
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif

// Threads that a parallel region gets at most.
static inline int lmmc_thread_count(void) {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}
#endif
