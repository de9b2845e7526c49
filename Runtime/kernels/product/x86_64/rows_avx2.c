// Quantised activation rows and epilogues with AVX2.
#include "kernels/product/piece.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "base/parallel.h"
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX2)
#include "kernels/product/finish.h"

// The 64 floats of block b. A block that x does not fill is copied to `room`, with zeros behind.
static inline const float *block_at(int64_t k, int64_t b, const float *x, float room[LMMC_BLOCK]) {
  const int64_t left = k - b * LMMC_BLOCK;
  if (left >= LMMC_BLOCK) return x + b * LMMC_BLOCK;
  memset(room, 0, LMMC_BLOCK * sizeof *room);
  memcpy(room, x + b * LMMC_BLOCK, (size_t)left * sizeof *room);
  return room;
}

void lmmc_quantize_q8_avx2(int64_t k, const float *x, void *out) {
  int8_t *codes = out;
  float *scales = (float *)((char *)out + lmmc_q8_scales(k));
  int32_t *sums = (int32_t *)((char *)out + lmmc_q8_sums(k));
  for (int64_t b = 0; b < lmmc_blocks(k); b++, codes += LMMC_BLOCK) {
    float room[LMMC_BLOCK];
    const float *block = block_at(k, b, x, room);
    int32_t lanes[8], bits = 0;
    __m256i top = _mm256_setzero_si256(), sum = top;
    for (int i = 0; i < LMMC_BLOCK; i += 8)
      // The bits of magnitudes compare as the magnitudes do, with infinity and NaN on top.
      top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(block + i)), _mm256_set1_epi32(0x7fffffff)));
    _mm256_storeu_si256((__m256i *)lanes, top);
    for (int i = 0; i < 8; i++) bits = lanes[i] > bits ? lanes[i] : bits;
    float greatest;
    memcpy(&greatest, &bits, sizeof greatest);
    sums[b] = 0;
    if (bits >= 0x7f800000 || greatest < 0x1p-100f) {
      memset(codes, 0, LMMC_BLOCK);
      scales[b] = bits >= 0x7f800000 ? NAN : 0;
      continue;
    }
    const __m256 inverse = _mm256_set1_ps(127 / greatest);
    for (int i = 0; i < LMMC_BLOCK; i += 32) {
      __m256i part[4];
      for (int j = 0; j < 4; j++) {
        part[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(block + i + 8 * j), inverse));
        sum = _mm256_add_epi32(sum, part[j]);
      }
      const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(part[0], part[1]), _mm256_packs_epi32(part[2], part[3]));
      // The instructions above pack each half of 128 bits by itself, so that groups of four bytes must be put in order.
      const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
      _mm256_storeu_si256((__m256i *)(codes + i), _mm256_permutevar8x32_epi32(bytes, order));
    }
    _mm256_storeu_si256((__m256i *)lanes, sum);
    for (int i = 0; i < 8; i++) sums[b] += lanes[i];
    scales[b] = greatest / 127;
  }
}

void lmmc_quantize_bf16_avx2(int64_t k, const float *x, void *out) {
  for (int64_t b = 0; b < lmmc_blocks(k); b++) {
    float room[LMMC_BLOCK];
    const float *block = block_at(k, b, x, room);
    for (int i = 0; i < LMMC_BLOCK; i += 16) {
      __m256i half[2];
      for (int j = 0; j < 2; j++) {
        const __m256 part = _mm256_loadu_ps(block + i + 8 * j);
        const __m256i bits = _mm256_castps_si256(part), upper = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
        const __m256i nan = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
        half[j] = _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(_mm256_cmp_ps(part, part, _CMP_UNORD_Q)));
      }
      const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(half[0], half[1]), 0xd8);
      _mm256_storeu_si256((__m256i *)((uint16_t *)out + b * LMMC_BLOCK + i), words);
    }
  }
}

void lmmc_finish_avx2(int64_t rows, int64_t columns, float *sums, const lmmc_finish *f) { finish_tile(rows, columns, sums, f); }

LMMC_END_TARGET
#endif
