// bf16 products in floats with AVX2.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "avx2.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX2)

enum { VECTORS = 2 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_6(tile)

const lmmc_product lmmc_bf16_avx2 = {
    .tile_rows = 6, .tile_blocks = FLOAT_BLOCKS, .tile = tile_rows, .unpack = unpack, .unpacked_bytes = 8192};

LMMC_END_TARGET
#endif
