// How far a batch is, on standard error: a line that changes on a terminal, a line now and then elsewhere.
#ifndef LMMC_BATCH_PROGRESS_H
#define LMMC_BATCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t total;  // lines; 0 where nobody knows
  int64_t skipped, done, refused;
  double began, shown;  // lmmc_clock
  bool is_terminal;
} lmmc_progress;

// `fd`: of the lines, which are counted ahead where it is a file that stays.
void lmmc_progress_start(lmmc_progress *p, int fd);

// Shows it if it is time to.
void lmmc_progress_show(lmmc_progress *p);

// The last of it.
void lmmc_progress_end(lmmc_progress *p);

#endif
