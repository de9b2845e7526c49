// The table of `--profile`.
#ifndef LMMC_OBSERVE_PROFILE_H
#define LMMC_OBSERVE_PROFILE_H

#include <stdint.h>
#include <stdio.h>

#include "kernels/common/measure.h"

enum { LMMC_PROFILE_ROWS = 256, LMMC_PROFILE_STAGES = 4 };

typedef struct {
  lmmc_profile_key key;
  const char *stage;  // NULL: of the one that runs
  int64_t calls;
  double seconds, flops, bytes;
} lmmc_profile_row;

// What was measured; start from {0}.
typedef struct {
  lmmc_profile_row rows[LMMC_PROFILE_ROWS];
  int row_count;
  struct {
    const char *name;
    double seconds;
    int64_t calls;
  } stages[LMMC_PROFILE_STAGES];
  int stage_count;
} lmmc_profile;

// An operation of the stage that runs has taken `seconds`.
void lmmc_profile_operation(lmmc_profile *p, const lmmc_profile_key *key, double seconds, double flops, double bytes);

// A stage of the program ("vision") has taken `seconds`: what was added since the stage before belongs to it.
void lmmc_profile_stage(lmmc_profile *p, const char *stage, double seconds);

// Per stage: each operation with calls, time, its share of the stage, work and bytes, both per second, the share of the ceiling that it reached,
// and the instruction set; then the rest, and the ceilings, which are measured now. The ceiling of an operation is the slower of its
// arithmetic in that instruction set and of reading its bytes as `weights` [count] are read in order.
void lmmc_profile_print(const lmmc_profile *p, FILE *to, const uint8_t *weights, uint64_t count);

#endif
