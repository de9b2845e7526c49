// What this machine can do at most, measured now on all threads: short loops of the instructions that the kernels are made of.
#ifndef LMMC_OBSERVE_CEILING_H
#define LMMC_OBSERVE_CEILING_H

#include <stddef.h>
#include <stdint.h>

enum { LMMC_CEILING_LOOPS = 12 };

// What was measured; start from {0}.
typedef struct {
  double rates[LMMC_CEILING_LOOPS];  // operations a second of each loop; 0: not yet
} lmmc_ceilings;

// Operations a second (a multiply-add is two) of the products of an operation ("matmul q8", "attention bf16", "matmul f32") in the code of an
// instruction set ("avx512vnni"); measured once each. 0 where there is no loop for it.
double lmmc_ceiling_arithmetic(lmmc_ceilings *known, const char *operation, const char *variant);

// Bytes a second that are read in order from these; the best of three. 0 for none.
double lmmc_ceiling_read(const uint8_t *bytes, uint64_t count);

#endif
