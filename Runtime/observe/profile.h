// The table of `--profile`.
#ifndef LMMC_OBSERVE_PROFILE_H
#define LMMC_OBSERVE_PROFILE_H
#include <stdint.h>
#include <stdio.h>

// From here on operations are measured.
void lmmc_profile_start(void);

// From here on it hears of the result of every product and attention, f32 [rows, columns]; NULL ends that.
typedef void lmmc_profile_observer(const float *out, int64_t rows, int64_t columns, int64_t stride);
void lmmc_profile_observe(lmmc_profile_observer *observer);

// A stage of the program ("vision") has taken `seconds`: what was added since the stage before belongs to it.
void lmmc_profile_stage(const char *stage, double seconds);

// Per stage: each operation with calls, time, its share of the stage, work and bytes, both per second, the share of the ceiling that it reached,
// and the instruction set; then the rest, and the ceilings, which are measured now. The ceiling of an operation is the slower of its
// arithmetic in that instruction set and of reading its bytes as `weights` [count] are read in order.
void lmmc_profile_print(FILE *to, const uint8_t *weights, uint64_t count);

#endif
