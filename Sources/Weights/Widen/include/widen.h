// 16-bit floats to 32-bit floats, exactly, and whether they are numbers.
#ifndef LMMC_WIDEN_H
#define LMMC_WIDEN_H
#include <stddef.h>
#include <stdint.h>

// `source` holds `count` little-endian values at any address.
void lmmc_widen_f16(size_t count, const void *source, float *out);
void lmmc_widen_bf16(size_t count, const void *source, float *out);

// The index of the first NaN or infinity; `count` without one.
size_t lmmc_first_not_finite(size_t count, const float *x);

#endif
