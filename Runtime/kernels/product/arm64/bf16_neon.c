// bf16 products in floats for every 64-bit ARM CPU.
#include "kernels/product/product_variant.h"

#if defined(__aarch64__)
#include "neon.h"

enum { VECTORS = 4 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_4(tile)

const lmmc_product lmmc_bf16_neon = {
    .tile_rows = 4, .tile_blocks = FLOAT_BLOCKS, .tile = tile_rows, .unpack = unpack, .unpacked_bytes = 8192};
#endif
