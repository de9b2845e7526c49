// bf16 products in floats with SSE 4.2.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "sse42.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_SSE42)

enum { VECTORS = 2 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_4(tile)

const lmmc_product lmmc_bf16_sse42 = {
    .tile_rows = 4, .tile_blocks = FLOAT_BLOCKS, .tile = tile_rows, .unpack = unpack, .unpacked_bytes = 8192};

LMMC_END_TARGET
#endif
