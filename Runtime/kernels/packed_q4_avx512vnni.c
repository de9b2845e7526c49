// 4-bit weights for VPDPBUSD on 512 bits: unpacked to 8-bit codes for many rows.
#include "packed_target.h"
#include "packed_variant.h"

#if defined(__x86_64__)
#include <immintrin.h>
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI)

// Offsets of 16 columns as 128 - z in each of a column's four bytes.
static inline __m512i bases(const uint8_t *offsets) {
  const __m512i z = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)offsets));
  return _mm512_sub_epi8(_mm512_set1_epi8((char)128), _mm512_mullo_epi32(z, _mm512_set1_epi32(0x01010101)));
}

static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  const __m512i mask = _mm512_set1_epi8(0x78);  // eight times a code of 4 bits
  for (int64_t b = 0; b < blocks; b++, offsets += LMMC_PANEL) {
    const __m512i base[2] = {bases(offsets), bases(offsets + 16)};
    for (int j = 0; j < LMMC_BLOCK / 8; j++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
LMMC_UNROLL
      for (int v = 0; v < 2; v++) {
        const __m512i pair = _mm512_loadu_si512(codes + 64 * v);
        const __m512i low = _mm512_and_si512(_mm512_slli_epi16(pair, 3), mask), high = _mm512_and_si512(_mm512_srli_epi16(pair, 1), mask);
        _mm512_store_si512(out + 64 * v, _mm512_add_epi8(low, base[v]));
        _mm512_store_si512(out + 4 * LMMC_PANEL + 64 * v, _mm512_add_epi8(high, base[v]));
      }
  }
}

const lmmc_product lmmc_q4_avx512vnni = {
    .tile_rows = 6, .tile_blocks = 8, .tile = lmmc_tile_q8_avx512vnni, .unpack = unpack, .unpacked_bytes = 2048};

LMMC_END_TARGET
#endif
