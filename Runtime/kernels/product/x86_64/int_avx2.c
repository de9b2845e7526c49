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

// For many rows 8-bit weights become 16 bits once a piece. VPMADDWD then adds products to 32 bits without signs that are carried over and
// sums that are widened, for which Zen 4 took 1.4 times as long. `even` and `odd` hold the bytes of their names: of a group of four, 0 and 2
// stand side by side in both operands, and 1 and 3.
static inline ints even(ints bytes) { return _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8); }
static inline ints odd(ints bytes) { return _mm256_srai_epi16(bytes, 8); }

enum { WIDE_ROWS = 6, WIDE_BLOCKS = 4, GROUPS = LMMC_BLOCK / 4, WIDE_BYTES = 2 * LMMC_BLOCK * LMMC_PANEL };

// To [16 groups][even, odd][32 columns][2].
static void unpack_q8(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  (void)offsets;
  for (int64_t i = 0; i < blocks * GROUPS; i++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
    for (int v = 0; v < 4; v++) {
      const ints four = _mm256_xor_si256(load(codes + 32 * v), _mm256_set1_epi8((char)0x80));
      store_ints(out + 32 * v, even(four));
      store_ints(out + 4 * LMMC_PANEL + 32 * v, odd(four));
    }
}

static inline __attribute__((always_inline)) void tile_wide(const int rows, const lmmc_piece *p) {
  uint8_t x[WIDE_ROWS][WIDE_BLOCKS * GROUPS][2][4] __attribute__((aligned(32)));  // the pairs of a group
  for (int r = 0; r < rows; r++)
    for (int64_t g = 0; g < p->blocks * GROUPS; g += LANES) {
      const ints four = load(p->x + r * p->x_stride + 4 * g), lower = even(four), upper = odd(four);
      const ints first = _mm256_unpacklo_epi32(lower, upper), second = _mm256_unpackhi_epi32(lower, upper);
      store_ints(x[r][g], _mm256_permute2x128_si256(first, second, 0x20));
      store_ints(x[r][g + 4], _mm256_permute2x128_si256(first, second, 0x31));
    }
  for (int64_t b = 0; b < p->blocks; b++)
    for (int c = 0; c < LMMC_PANEL; c += 2 * LANES) {
      const uint8_t *w = p->codes + b * WIDE_BYTES + 4 * c;
      ints dots[WIDE_ROWS][2];
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) dots[r][0] = dots[r][1] = zero();
      for (int64_t g = b * GROUPS; g < (b + 1) * GROUPS; g++) {
        LMMC_UNROLL
        for (int half = 0; half < 2; half++, w += 4 * LMMC_PANEL) {
          const ints w0 = load(w), w1 = load(w + 4 * LANES);
          LMMC_UNROLL
          for (int r = 0; r < rows; r++) {
            const ints pair = four_codes(x[r][g][half]);
            dots[r][0] = in_order(add(dots[r][0], _mm256_madd_epi16(w0, pair)));
            dots[r][1] = in_order(add(dots[r][1], _mm256_madd_epi16(w1, pair)));
          }
        }
      }
      LMMC_UNROLL
      for (int v = 0; v < 2; v++) {
        const floats scale = scales_at(p->scales + b * LMMC_PANEL + c + LANES * v);
        LMMC_UNROLL
        for (int r = 0; r < rows; r++)
          add_scaled(p->sums + r * LMMC_PANEL + c + LANES * v, dots[r][v],
                     times(scale, four_codes((const uint8_t *)(p->x_scales + b) + r * p->x_stride)));
      }
    }
}

enum { VECTORS = 1, DOT_UNSIGNED = 0 };
#define TILE_Q4
#include "kernels/product/int_tile.h"

LMMC_UP_TO_6(tile_wide)
LMMC_UP_TO_6(tile_q4)
LMMC_UP_TO_4(stream_q8)
LMMC_UP_TO_4(stream_q4)

const lmmc_product lmmc_q8_avx2 = {.tile_rows = WIDE_ROWS,
                                   .tile_blocks = WIDE_BLOCKS,
                                   .tile = tile_wide_rows,
                                   .unpack = unpack_q8,
                                   .unpacked_bytes = WIDE_BYTES,
                                   .stream_tile_rows = 4,
                                   .stream_rows = 16,
                                   .stream = stream_q8_rows};
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
