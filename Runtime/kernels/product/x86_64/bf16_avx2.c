// bf16 products in floats with AVX2.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "avx2.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX2)

enum { VECTORS = 2, STREAM_TILE = 2 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_6(tile)
LMMC_FIXED(stream, 1)
LMMC_FIXED(stream, 2)
LMMC_BY_ROWS(stream, stream_1, stream_2)

const lmmc_product lmmc_bf16_avx2 = {.tile_rows = 6,
                                     .tile_blocks = FLOAT_BLOCKS,
                                     .tile = tile_rows,
                                     .unpack = unpack,
                                     .unpacked_bytes = 8192,
                                     .stream_tile_rows = STREAM_TILE,
                                     .stream_rows = 16,
                                     .stream = stream_rows};

LMMC_END_TARGET
#endif
