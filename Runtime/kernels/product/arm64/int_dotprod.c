// 8-bit and 4-bit products with SDOT.
#include "kernels/product/piece.h"

#if defined(LMMC_ARM_EXTENSIONS)
#include "neon.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_DOTPROD)

typedef int8x16_t weights;
static inline weights weights_at(const uint8_t *p) { return signed_codes(load(p)); }
static inline ints dot(ints sum, weights w, ints x) { return vdotq_s32(sum, w, vreinterpretq_s8_s32(x)); }

enum { VECTORS = 4, DOT_UNSIGNED = 0 };
#include "kernels/product/int_tile.h"

LMMC_UP_TO_4(tile_q8)
LMMC_UP_TO_4(stream_q8)

const lmmc_product lmmc_q8_dotprod = {
    .tile_rows = 4, .tile_blocks = 8, .tile = tile_q8_rows, .stream_tile_rows = 4, .stream_rows = 4, .stream = stream_q8_rows};
const lmmc_product lmmc_q4_dotprod = {.tile_rows = 4, .tile_blocks = 8, .tile = tile_q8_rows, .unpack = unpack_q4, .unpacked_bytes = 2048};

LMMC_END_TARGET
#endif
