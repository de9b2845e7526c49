// How many threads, and where they run.
#ifndef LMMC_SYSTEM_THREADS_H
#define LMMC_SYSTEM_THREADS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct {
  int cpus;      // in the affinity mask that the process started with
  double quota;  // CPUs that the cgroup grants; 0 when it sets no limit
  int threads;   // in use
  bool pinned;   // one thread per CPU of the mask
} lmmc_threads;

// Sets up OpenMP (and OpenBLAS, when linked) for `wanted` threads; 0: as many as the mask and the cgroup allow. Threads
// are pinned when they are as many as the mask's CPUs and OMP_PROC_BIND does not already decide. Where fewer threads can be had (limits on
// processes or addresses), those are used, and a line on standard error says so.
lmmc_threads lmmc_threads_start(int wanted);

// What lmmc_threads_start gave.
lmmc_threads lmmc_threads_started(void);

// From here on `threads` of those that were started work; 0: all.
void lmmc_threads_use(int threads);

// From here on the calling thread, which is none of those, runs where any of the process might when it started, and its parallel regions have
// itself alone.
void lmmc_threads_aside(void);

// Whether `threads` threads find the memory that OpenBLAS, when linked, takes for them; `*e` is filled (code 1) if not.
bool lmmc_threads_room(int threads, lmmc_error *e);

// What lmmc_threads_start would use, changing nothing.
lmmc_threads lmmc_threads_plan(int wanted);

// CLOCK_MONOTONIC in seconds, and its value when the process started.
double lmmc_clock(void);
double lmmc_clock_start(void);

#endif
