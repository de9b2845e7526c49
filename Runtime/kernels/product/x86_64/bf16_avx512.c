// bf16 products in floats with AVX-512.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "avx512.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)

enum { VECTORS = 2, STREAM_TILE = 4 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_12(tile)
LMMC_UP_TO_4(stream)

const lmmc_product lmmc_bf16_avx512 = {.tile_rows = 12,
                                       .tile_blocks = FLOAT_BLOCKS,
                                       .tile = tile_rows,
                                       .unpack = unpack,
                                       .unpacked_bytes = 8192,
                                       .stream_tile_rows = STREAM_TILE,
                                       .stream_rows = 48,
                                       .stream = stream_rows};

LMMC_END_TARGET
#endif
