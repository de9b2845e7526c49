// 8-bit products with VPDPBUSD on 512 bits, which multiplies four consecutive k of 16 columns, as unsigned codes, by the four signed
// activations.
#include "kernels/product/piece.h"

#if defined(__x86_64__)
#include "avx512vnni.h"
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512VNNI)

// Up to 6 rows by 32 columns: 12 registers of integer sums and as many of float sums, two of weights, one of activations.
static inline __attribute__((always_inline)) void product(const int rows, const bool ahead, const lmmc_piece *p) {
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
    lmmc_ahead next = {0};
    if (ahead) next = lmmc_look_ahead(LMMC_Q8, p, b), LMMC_ASK_FOR(next.scales);
    // Weight codes are 128 too great, so that sums start at minus 128 times the sum of the activations.
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      const __m512i sum = four_codes((const uint8_t *)(p->x_sums + b) + r * stride);
      dots[r][0] = dots[r][1] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, 7));
    }
    LMMC_UNROLL
    for (int g = 0; g < LMMC_BLOCK / 4; g++, x += 4, w += 4 * LMMC_PANEL) {
      if (ahead) LMMC_ASK(next, g, LMMC_BLOCK / 4);
      const __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
      LMMC_UNROLL
      for (int r = 0; r < rows; r++) {
        const __m512i four = four_codes(x + r * stride);
        dots[r][0] = _mm512_dpbusd_epi32(dots[r][0], w0, four);
        dots[r][1] = _mm512_dpbusd_epi32(dots[r][1], w1, four);
      }
    }
    const __m512 s0 = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p->scales + b * LMMC_PANEL)));
    const __m512 s1 = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p->scales + b * LMMC_PANEL + 16)));
    LMMC_UNROLL
    for (int r = 0; r < rows; r++) {
      const __m512 scale = _mm512_castsi512_ps(four_codes((const uint8_t *)(p->x_scales + b) + r * stride));
      sums[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][0]), _mm512_mul_ps(scale, s0), sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][1]), _mm512_mul_ps(scale, s1), sums[r][1]);
    }
  }
  LMMC_UNROLL
  for (int r = 0; r < rows; r++) {
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL, sums[r][0]);
    _mm512_storeu_ps(p->sums + r * LMMC_PANEL + 16, sums[r][1]);
  }
}

static inline __attribute__((always_inline)) void tile(const int rows, const lmmc_piece *p) { product(rows, false, p); }
LMMC_UP_TO_6(tile)
void lmmc_tile_q8_avx512vnni(int64_t rows, const lmmc_piece *p) { tile_rows(rows, p); }

static inline __attribute__((always_inline)) void stream(const int rows, const lmmc_piece *p) { product(rows, true, p); }
LMMC_UP_TO_6(stream)

const lmmc_product lmmc_q8_avx512vnni = {
    .tile_rows = 6, .tile_blocks = 8, .tile = lmmc_tile_q8_avx512vnni, .stream_tile_rows = 6, .stream_rows = 48, .stream = stream_rows};

LMMC_END_TARGET
#endif
