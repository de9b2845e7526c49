// bf16 products in floats for every 64-bit ARM CPU.
#include "kernels/product/product_variant.h"

#if defined(__aarch64__)
#include "neon.h"

enum { VECTORS = 4, STREAM_TILE = 2 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_4(tile)
LMMC_FIXED(stream, 1)
LMMC_FIXED(stream, 2)
LMMC_BY_ROWS(stream, stream_1, stream_2)

const lmmc_product lmmc_bf16_neon = {.tile_rows = 4,
                                     .tile_blocks = FLOAT_BLOCKS,
                                     .tile = tile_rows,
                                     .unpack = unpack,
                                     .unpacked_bytes = 8192,
                                     .stream_tile_rows = STREAM_TILE,
                                     .stream_rows = STREAM_TILE,
                                     .stream = stream_rows};
#endif
