// The levels that emitted code is compiled for, and which of them runs.
#ifndef LMMC_PROGRAM_LEVELS_H
#define LMMC_PROGRAM_LEVELS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "contract/program.h"

typedef struct {
  const char *name;
  uint32_t needs;         // of a CPU's features
  const lmmc_code *code;  // NULL in a program that was compiled without
} lmmc_level;

// Every level that a program for this architecture may have, better ones later.
const lmmc_level *lmmc_levels(int *count);

// The best of `levels` that runs on `usable`, the features that LMMC_ISA leaves; where it leaves too few for any, the lowest that runs on
// `all` of the CPU's. NULL when none does.
const lmmc_level *lmmc_choose_level(const lmmc_level *levels, int count, uint32_t usable, uint32_t all);

// Chooses the level and the kernels for this process, from what the environment variable LMMC_ISA leaves of this CPU. `*e` is filled where
// LMMC_ISA has an unknown name (code 2), or one that the CPU or the program lacks, and where the CPU lacks what every level needs (code 1).
bool lmmc_levels_start(lmmc_error *e);

// The level that was chosen.
const lmmc_level *lmmc_level_in_use(void);

// Its functions.
static inline const lmmc_code *lmmc_program_code(void) { return lmmc_level_in_use()->code; }

#endif
