// Turns float32 weights into the panels that the products stream (packed_layout.h).
// The bytes depend on the weights alone, not on the CPU. A NaN counts as zero, an infinity as the greatest weight that the type holds.
#ifndef LMMC_PACK_H
#define LMMC_PACK_H
#include "checksum.h"
#include "packed_layout.h"

// Bytes of an [n, k] matrix; 0 when a size is not positive or the product does not fit.
size_t lmmc_packed_bytes(lmmc_packed_type type, int64_t n, int64_t k);

// Packs one panel: `rows` is [count, k] floats, 1 <= count <= 32 (fewer than 32 in the last panel of a matrix); `out` gets
// lmmc_panel_bytes(type, k) bytes, of any alignment.
void lmmc_pack_panel(lmmc_packed_type type, int64_t count, int64_t k, const float *rows, void *out);
void lmmc_pack_panel_bf16(int64_t count, int64_t k, const float *rows, void *out);
void lmmc_pack_panel_q8(int64_t count, int64_t k, const float *rows, void *out);
void lmmc_pack_panel_q4(int64_t count, int64_t k, const float *rows, void *out);

#endif
