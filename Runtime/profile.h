// The table of `--profile`.
#ifndef LMMC_PROFILE_TABLE_H
#define LMMC_PROFILE_TABLE_H
#include <stdio.h>

// From here on operations are measured.
void lmmc_profile_start(void);

// A stage of the program ("vision") has taken `seconds`: what was added since the stage before belongs to it.
void lmmc_profile_stage(const char *stage, double seconds);

// Per stage: each operation with calls, time, its share of the stage, work and bytes per second, and the instruction set; then the rest.
void lmmc_profile_print(FILE *to);

#endif
