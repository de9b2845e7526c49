// 8-bit and 4-bit products for every 64-bit ARM CPU.
#include "kernels/product/product_variant.h"

#if defined(__aarch64__)
#include "neon.h"

typedef int8x16_t weights;
static inline weights weights_at(const uint8_t *p) { return signed_codes(load(p)); }
// Two products of at most 127 * 127 fit into 16 bits.
static inline ints dot(ints sum, weights w, ints x) {
  const int8x16_t codes = vreinterpretq_s8_s32(x);
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(codes)), high = vmull_high_s8(w, codes);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}

enum { VECTORS = 4, DOT_UNSIGNED = 0 };
#include "kernels/product/int_tile.h"

LMMC_UP_TO_4(tile_q8)
LMMC_UP_TO_4(stream_q8)

const lmmc_product lmmc_q8_neon = {
    .tile_rows = 4, .tile_blocks = 8, .tile = tile_q8_rows, .stream_tile_rows = 4, .stream_rows = 4, .stream = stream_q8_rows};
const lmmc_product lmmc_q4_neon = {.tile_rows = 4, .tile_blocks = 8, .tile = tile_q8_rows, .unpack = unpack_q4, .unpacked_bytes = 2048};
#endif
