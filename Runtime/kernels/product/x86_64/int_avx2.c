// 8-bit and 4-bit products with AVX2.
#include "kernels/product/product_variant.h"

#if defined(__x86_64__)
#include "avx2.h"

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX2)

// VPMADDUBSW adds two products of an unsigned and a signed byte in 16 bits, which 2 * 255 * 127 would overflow and 2 * 127 * 127 does not.
// So the unsigned operand is the magnitude of a weight, and the sign of the weight goes to the activation.
typedef struct {
  __m256i signs, magnitudes;
} weights;
static inline weights weights_at(const uint8_t *p) {
  const __m256i w = _mm256_xor_si256(load(p), _mm256_set1_epi8((char)0x80));
  return (weights){w, _mm256_abs_epi8(w)};
}
static inline __m256i dot(__m256i sum, weights w, __m256i x) {
  return in_order(add(sum, widen(_mm256_maddubs_epi16(w.magnitudes, _mm256_sign_epi8(x, w.signs)))));
}

static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  (void)offsets;
  const __m256i mask = _mm256_set1_epi8(15);
  for (int64_t i = 0; i < blocks * (LMMC_BLOCK / 8); i++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
    for (int v = 0; v < 4; v++) {
      const __m256i pair = load(codes + 32 * v);
      _mm256_store_si256((__m256i *)(out + 32 * v), _mm256_and_si256(pair, mask));
      _mm256_store_si256((__m256i *)(out + 4 * LMMC_PANEL + 32 * v), _mm256_and_si256(_mm256_srli_epi16(pair, 4), mask));
    }
}

static inline ints lower_codes(ints pairs) { return _mm256_and_si256(pairs, _mm256_set1_epi8(15)); }
static inline ints upper_codes(ints pairs) { return lower_codes(_mm256_srli_epi16(pairs, 4)); }

enum { VECTORS = 1, DOT_UNSIGNED = 0 };
#define TILE_Q4
#include "kernels/product/int_tile.h"

LMMC_UP_TO_8(tile_q8)
LMMC_UP_TO_6(tile_q4)
LMMC_UP_TO_4(stream_q8)
LMMC_UP_TO_4(stream_q4)

const lmmc_product lmmc_q8_avx2 = {
    .tile_rows = 8, .tile_blocks = 8, .tile = tile_q8_rows, .stream_tile_rows = 4, .stream_rows = 16, .stream = stream_q8_rows};
const lmmc_product lmmc_q4_avx2 = {.tile_rows = 6,
                                   .tile_blocks = 8,
                                   .tile = tile_q4_rows,
                                   .unpack = unpack,
                                   .unpacked_bytes = 2048,
                                   .stream_tile_rows = 4,
                                   .stream_rows = 16,
                                   .stream = stream_q4_rows};

LMMC_END_TARGET
#endif
