// Quantised activation rows and epilogues with AVX-512.
#include "kernels/product/piece.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "base/parallel.h"
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)
#include "kernels/product/finish.h"

// The floats first ... first + 15 of a row of k floats, zeros past its end.
static inline __m512 load_part(int64_t k, int64_t first, const float *x) {
  if (first + 16 <= k) return _mm512_loadu_ps(x + first);
  const int64_t left = k - first;
  return _mm512_maskz_loadu_ps((__mmask16)(left > 0 ? (1u << left) - 1 : 0), x + first);
}

void lmmc_quantize_q8_avx512(int64_t k, const float *x, void *out) {
  int8_t *codes = out;
  float *scales = (float *)((char *)out + lmmc_q8_scales(k));
  int32_t *sums = (int32_t *)((char *)out + lmmc_q8_sums(k));
  for (int64_t b = 0; b < lmmc_blocks(k); b++, codes += LMMC_BLOCK) {
    __m512 part[4];
    __m512i top = _mm512_setzero_si512(), sum = top;
    LMMC_UNROLL
    for (int i = 0; i < 4; i++) {
      part[i] = load_part(k, b * LMMC_BLOCK + 16 * i, x);
      // The bits of magnitudes compare as the magnitudes do, with infinity and NaN on top.
      top = _mm512_max_epi32(top, _mm512_and_si512(_mm512_castps_si512(part[i]), _mm512_set1_epi32(0x7fffffff)));
    }
    const int32_t bits = _mm512_reduce_max_epi32(top);
    float greatest;
    memcpy(&greatest, &bits, sizeof greatest);
    if (bits >= 0x7f800000 || greatest < 0x1p-100f) {
      memset(codes, 0, LMMC_BLOCK);
      scales[b] = bits >= 0x7f800000 ? NAN : 0;
      sums[b] = 0;
      continue;
    }
    const __m512 inverse = _mm512_set1_ps(127 / greatest);
    LMMC_UNROLL
    for (int i = 0; i < 4; i++) {
      const __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(part[i], inverse));
      sum = _mm512_add_epi32(sum, code);
      _mm_storeu_si128((__m128i *)(codes + 16 * i), _mm512_cvtepi32_epi8(code));
    }
    scales[b] = greatest / 127;
    sums[b] = _mm512_reduce_add_epi32(sum);
  }
}

// Rounds with integer instructions, since VCVTNEPS2BF16 turns subnormal numbers into zeros.
void lmmc_quantize_bf16_avx512(int64_t k, const float *x, void *out) {
  for (int64_t i = 0; i < lmmc_blocks(k) * LMMC_BLOCK; i += 16) {
    const __m512 part = load_part(k, i, x);
    const __m512i bits = _mm512_castps_si512(part);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
    const __m512i nan = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(part, part, _CMP_UNORD_Q);
    _mm256_storeu_si256((__m256i *)((uint16_t *)out + i), _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, is_nan, nan)));
  }
}

void lmmc_finish_avx512(int64_t rows, int64_t columns, float *sums, const lmmc_finish *f) { finish_tile(rows, columns, sums, f); }

LMMC_END_TARGET
#endif
