// 8-bit and 4-bit products with AVX-512 where VNNI is missing.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "avx512.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)

// As in int_avx2.c, dot takes the magnitudes of weights and gives their signs to the activations.
typedef struct {
  __mmask64 signs;
  __m512i magnitudes;
} weights;
static inline weights weights_at(const uint8_t *p) {
  const __m512i w = _mm512_xor_si512(load(p), _mm512_set1_epi8((char)0x80));
  return (weights){_mm512_movepi8_mask(w), _mm512_abs_epi8(w)};
}
static inline __m512i dot(__m512i sum, weights w, __m512i x) {
  return in_order(add(sum, widen(_mm512_maddubs_epi16(w.magnitudes, _mm512_mask_sub_epi8(x, w.signs, zero(), x)))));
}

static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  (void)offsets;
  const __m512i mask = _mm512_set1_epi8(15);
  for (int64_t i = 0; i < blocks * (LMMC_BLOCK / 8); i++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
    for (int v = 0; v < 2; v++) {
      const __m512i pair = load(codes + 64 * v);
      _mm512_store_si512(out + 64 * v, _mm512_and_si512(pair, mask));
      _mm512_store_si512(out + 4 * LMMC_PANEL + 64 * v, _mm512_and_si512(_mm512_srli_epi16(pair, 4), mask));
    }
}

static inline ints lower_codes(ints pairs) { return _mm512_and_si512(pairs, _mm512_set1_epi8(15)); }
static inline ints upper_codes(ints pairs) { return lower_codes(_mm512_srli_epi16(pairs, 4)); }

enum { VECTORS = 2, DOT_UNSIGNED = 0 };
#define TILE_Q4
#include "kernels/product/int_tile.h"

LMMC_UP_TO_8(tile_q8)
LMMC_UP_TO_6(tile_q4)
LMMC_UP_TO_4(stream_q8)
LMMC_UP_TO_4(stream_q4)

const lmmc_product lmmc_q8_avx512 = {
    .tile_rows = 8, .tile_blocks = 8, .tile = tile_q8_rows, .stream_tile_rows = 4, .stream_rows = 16, .stream = stream_q8_rows};
const lmmc_product lmmc_q4_avx512 = {.tile_rows = 6,
                                     .tile_blocks = 8,
                                     .tile = tile_q4_rows,
                                     .unpack = unpack,
                                     .unpacked_bytes = 2048,
                                     .stream_tile_rows = 4,
                                     .stream_rows = 16,
                                     .stream = stream_q4_rows};

LMMC_END_TARGET
#endif
