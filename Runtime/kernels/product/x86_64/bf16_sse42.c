// bf16 products in floats with SSE 4.2.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "sse42.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_SSE42)

enum { VECTORS = 2, STREAM_TILE = 1 };
#include "kernels/product/bf16_tile.h"

LMMC_UP_TO_4(tile)
LMMC_FIXED(stream, 1)
LMMC_BY_ROWS(stream, stream_1)

const lmmc_product lmmc_bf16_sse42 = {.tile_rows = 4,
                                      .tile_blocks = FLOAT_BLOCKS,
                                      .tile = tile_rows,
                                      .unpack = unpack,
                                      .unpacked_bytes = 8192,
                                      .stream_tile_rows = STREAM_TILE,
                                      .stream_rows = 8,
                                      .stream = stream_rows};

LMMC_END_TARGET
#endif
