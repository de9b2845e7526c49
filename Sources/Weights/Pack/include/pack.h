// Turns float32 weights into the panels that the products stream (packed_layout.h).
// The bytes depend on the weights alone, not on the CPU.
#ifndef LMMC_PACK_H
#define LMMC_PACK_H
#include "packed_layout.h"

// Bytes of an [n, k] matrix; 0 when a size is not positive or the product does not fit.
size_t lmmc_packed_bytes(lmmc_packed_type type, int64_t n, int64_t k);

// Packs one panel: `rows` is [count, k] floats, 1 <= count <= 32 (fewer than 32 in the last panel of a matrix); `out` gets
// lmmc_panel_bytes(type, k) bytes, of any alignment, and `exponents` the panel's (bf16 has none, and does not write there).
//
// Returns how many blocks of a row that are not zero have scales of less than 11 bits, for they lie too far below their row's greatest weight
// or that is below 2^-133; or -1, with nothing written, where a weight is a NaN, an infinity, or too great for the type: from 2^127 on for
// q8 and q4, for bf16 what would be rounded to infinity.
//
// Such a scale is off by at most 2^-25 of 2^e, a weight by 127 times that: 2^-38 of the row's greatest weight, which is 2^-30 of what the
// greatest one's own block is rounded by, and 2^-14 of what a product in floats is.
int64_t lmmc_pack_panel(lmmc_packed_type type, int64_t count, int64_t k, const float *rows, void *out, int8_t exponents[LMMC_PANEL]);
int64_t lmmc_pack_panel_bf16(int64_t count, int64_t k, const float *rows, void *out);
int64_t lmmc_pack_panel_q8(int64_t count, int64_t k, const float *rows, void *out, int8_t exponents[LMMC_PANEL]);
int64_t lmmc_pack_panel_q4(int64_t count, int64_t k, const float *rows, void *out, int8_t exponents[LMMC_PANEL]);

#endif
