// 4-bit products with VPDPBUSD on 512 bits. For many rows weights are unpacked to 8-bit codes.
#include "kernels/product/piece.h"

#if defined(__x86_64__)
#include "avx512vnni.h"
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI)

// 128 - z for the offsets z of 16 columns, in each of a column's four bytes.
static inline __m512i bases(const uint8_t *offsets) {
  const __m512i z = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)offsets));
  return _mm512_sub_epi8(_mm512_set1_epi8((char)128), _mm512_mullo_epi32(z, _mm512_set1_epi32(0x01010101)));
}

static void unpack(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  const __m512i mask = _mm512_set1_epi8(0x78);  // eight times a code of 4 bits
  for (int64_t b = 0; b < blocks; b++, offsets += LMMC_PANEL) {
    const __m512i base[2] = {bases(offsets), bases(offsets + 16)};
    for (int j = 0; j < LMMC_BLOCK / 8; j++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL) LMMC_UNROLL
    for (int v = 0; v < 2; v++) {
      const __m512i pair = _mm512_loadu_si512(codes + 64 * v);
      const __m512i low = _mm512_and_si512(_mm512_slli_epi16(pair, 3), mask), high = _mm512_and_si512(_mm512_srli_epi16(pair, 1), mask);
      _mm512_store_si512(out + 64 * v, _mm512_add_epi8(low, base[v]));
      _mm512_store_si512(out + 4 * LMMC_PANEL + 64 * v, _mm512_add_epi8(high, base[v]));
    }
  }
}

// For few rows the codes q are multiplied as they are: the sum over a block is 8 times the sum with q, less the offset times the sum of the
// activations.
static inline __attribute__((always_inline)) void stream(const int rows, const lmmc_piece *p) {
  const __m512i mask = _mm512_set1_epi8(15);
  __m512 sums[6][2];
  const uint8_t *x = p->x, *w = p->codes;
  const int64_t stride = p->x_stride;
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    sums[r][0] = _mm512_loadu_ps(p->sums + r * LMMC_PANEL);
    sums[r][1] = _mm512_loadu_ps(p->sums + r * LMMC_PANEL + 16);
  }
  for (int64_t b = 0; b < p->blocks; b++) {
    __m512i dots[6][2];
    const lmmc_ahead next = lmmc_look_ahead(LMMC_Q4, p, b);
    LMMC_ASK_FOR(next.scales);
    LMMC_ASK_FOR(next.offsets);
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) dots[r][0] = dots[r][1] = _mm512_setzero_si512();
    LMMC_UNROLL
    for (int j = 0; j < LMMC_BLOCK / 8; j++, x += 8, w += 4 * LMMC_PANEL) {
      const __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
      const __m512i low0 = _mm512_and_si512(w0, mask), high0 = _mm512_and_si512(_mm512_srli_epi16(w0, 4), mask);
      const __m512i low1 = _mm512_and_si512(w1, mask), high1 = _mm512_and_si512(_mm512_srli_epi16(w1, 4), mask);
      LMMC_ASK(next, 2 * j, LMMC_BLOCK / 4);
      LMMC_ASK(next, 2 * j + 1, LMMC_BLOCK / 4);
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const __m512i first = four_codes(x + r * stride), second = four_codes(x + r * stride + 4);
        dots[r][0] = _mm512_dpbusd_epi32(dots[r][0], low0, first);
        dots[r][1] = _mm512_dpbusd_epi32(dots[r][1], low1, first);
        dots[r][0] = _mm512_dpbusd_epi32(dots[r][0], high0, second);
        dots[r][1] = _mm512_dpbusd_epi32(dots[r][1], high1, second);
      }
    }
    const __m512 s0 = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p->scales + b * LMMC_PANEL)));
    const __m512 s1 = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p->scales + b * LMMC_PANEL + 16)));
    const __m512i z0 = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p->offsets + b * LMMC_PANEL)));
    const __m512i z1 = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p->offsets + b * LMMC_PANEL + 16)));
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      const __m512i sum = four_codes((const uint8_t *)(p->x_sums + b) + r * stride);
      const __m512 scale = _mm512_castsi512_ps(four_codes((const uint8_t *)(p->x_scales + b) + r * stride));
      const __m512i d0 = _mm512_sub_epi32(_mm512_slli_epi32(dots[r][0], 3), _mm512_mullo_epi32(z0, sum));
      const __m512i d1 = _mm512_sub_epi32(_mm512_slli_epi32(dots[r][1], 3), _mm512_mullo_epi32(z1, sum));
      sums[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(d0), _mm512_mul_ps(scale, s0), sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(d1), _mm512_mul_ps(scale, s1), sums[r][1]);
    }
  }
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL, sums[r][0]);
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL + 16, sums[r][1]);
  }
}

LMMC_UP_TO_6(stream)

const lmmc_product lmmc_q4_avx512vnni = {.tile_rows = 6,
                                         .tile_blocks = 8,
                                         .tile = lmmc_tile_q8_avx512vnni,
                                         .unpack = unpack,
                                         .unpacked_bytes = 2048,
                                         .stream_tile_rows = 6,
                                         .stream_rows = 48,
                                         .stream = stream_rows};

LMMC_END_TARGET
#endif
