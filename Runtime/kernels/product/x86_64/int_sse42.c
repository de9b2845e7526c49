// 8-bit and 4-bit products with SSE 4.2, by the multiplications of bytes that came with SSSE3.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "sse42.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_SSE42)

// As in int_avx2.c, dot takes the magnitudes of weights and gives their signs to the activations.
typedef struct {
  __m128i signs, magnitudes;
} weights;
static inline weights weights_at(const uint8_t *p) {
  const __m128i w = _mm_xor_si128(load(p), _mm_set1_epi8((char)0x80));
  return (weights){w, _mm_abs_epi8(w)};
}
static inline __m128i dot(__m128i sum, weights w, __m128i x) {
  return in_order(add(sum, widen(_mm_maddubs_epi16(w.magnitudes, _mm_sign_epi8(x, w.signs)))));
}

static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  (void)offsets;
  const __m128i mask = _mm_set1_epi8(15);
  for (int64_t i = 0; i < blocks * (LMMC_BLOCK / 8); i++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
    for (int v = 0; v < 8; v++) {
      const __m128i pair = load(codes + 16 * v);
      _mm_store_si128((__m128i *)(out + 16 * v), _mm_and_si128(pair, mask));
      _mm_store_si128((__m128i *)(out + 4 * LMMC_PANEL + 16 * v), _mm_and_si128(_mm_srli_epi16(pair, 4), mask));
    }
}

static inline ints lower_codes(ints pairs) { return _mm_and_si128(pairs, _mm_set1_epi8(15)); }
static inline ints upper_codes(ints pairs) { return lower_codes(_mm_srli_epi16(pairs, 4)); }

enum { VECTORS = 1, DOT_UNSIGNED = 0 };
#define TILE_Q4
#include "kernels/product/int_tile.h"

LMMC_UP_TO_6(tile_q8)
LMMC_UP_TO_6(tile_q4)
LMMC_UP_TO_4(stream_q8)
LMMC_UP_TO_4(stream_q4)

const lmmc_product lmmc_q8_sse42 = {
    .tile_rows = 6, .tile_blocks = 8, .tile = tile_q8_rows, .stream_tile_rows = 4, .stream_rows = 16, .stream = stream_q8_rows};
const lmmc_product lmmc_q4_sse42 = {.tile_rows = 6,
                                    .tile_blocks = 8,
                                    .tile = tile_q4_rows,
                                    .unpack = unpack,
                                    .unpacked_bytes = 2048,
                                    .stream_tile_rows = 4,
                                    .stream_rows = 8,
                                    .stream = stream_q4_rows};

LMMC_END_TARGET
#endif
