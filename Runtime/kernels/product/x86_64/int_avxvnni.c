// 8-bit and 4-bit products with VPDPBUSD on 256 bits, for CPUs that have it without AVX-512.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "avx2.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVXVNNI)

typedef __m256i weights;
static inline weights weights_at(const uint8_t *p) { return load(p); }
static inline __m256i dot(__m256i sum, weights w, __m256i x) { return _mm256_dpbusd_avx_epi32(sum, w, x); }

static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  const __m256i mask = _mm256_set1_epi8(0x78);  // eight times a code of 4 bits
  for (int64_t b = 0; b < blocks; b++, offsets += LMMC_PANEL) {
    __m256i base[4];
    for (int v = 0; v < 4; v++)
      base[v] = _mm256_sub_epi8(_mm256_set1_epi8((char)128), multiply(offsets_at(offsets + 8 * v), _mm256_set1_epi32(0x01010101)));
    for (int j = 0; j < LMMC_BLOCK / 8; j++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
      for (int v = 0; v < 4; v++) {
        const __m256i pair = load(codes + 32 * v);
        const __m256i low = _mm256_and_si256(_mm256_slli_epi16(pair, 3), mask), high = _mm256_and_si256(_mm256_srli_epi16(pair, 1), mask);
        _mm256_store_si256((__m256i *)(out + 32 * v), _mm256_add_epi8(low, base[v]));
        _mm256_store_si256((__m256i *)(out + 4 * LMMC_PANEL + 32 * v), _mm256_add_epi8(high, base[v]));
      }
  }
}

enum { VECTORS = 2, DOT_UNSIGNED = 1 };
#include "kernels/product/int_tile.h"

LMMC_UP_TO_6(tile_q8)
LMMC_UP_TO_4(stream_q8)

const lmmc_product lmmc_q8_avxvnni = {
    .tile_rows = 6, .tile_blocks = 8, .tile = tile_q8_rows, .stream_tile_rows = 4, .stream_rows = 4, .stream = stream_q8_rows};
const lmmc_product lmmc_q4_avxvnni = {.tile_rows = 6, .tile_blocks = 8, .tile = tile_q8_rows, .unpack = unpack, .unpacked_bytes = 2048};

LMMC_END_TARGET
#endif
