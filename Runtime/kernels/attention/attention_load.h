// Keys and values in f32, bf16 or int8 as vectors of floats. Codes of int8 come without their scales, which multiply scores and weights.
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_LOAD_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_LOAD_H
#include <string.h>

#include "attention_variant.h"
#include "kernels/common/lanes.h"
#include "kernels/rows/cache_rows.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

// Instructions for vectors of 16 or 8 floats, where this file is compiled for them.
#if defined(__x86_64__)
#if defined(LMMC_LANES)
#define X86_LANES LMMC_LANES
#elif defined(__AVX512F__)
#define X86_LANES 16
#elif defined(__AVX2__)
#define X86_LANES 8
#endif
#endif
#if !defined(X86_LANES)
#define X86_LANES 0
#endif

INLINE float load_element(lmmc_kv_type type, const char *p) {
  float x = 0;
  switch (type) {
    case LMMC_KV_F32: memcpy(&x, p, sizeof x); break;
    case LMMC_KV_BF16: {
      uint16_t bits;
      memcpy(&bits, p, sizeof bits);
      x = lmmc_float_of_bf16(bits);
      break;
    }
    case LMMC_KV_I8: x = *(const int8_t *)p; break;
  }
  return x;
}

INLINE lanes load_lanes(lmmc_kv_type type, const char *p) {
  if (type == LMMC_KV_F32) return *(const lanes *)p;
#if X86_LANES == 16
  return type == LMMC_KV_BF16 ? (lanes)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16)
                              : (lanes)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif X86_LANES == 8
  return type == LMMC_KV_BF16 ? (lanes)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16)
                              : (lanes)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#elif defined(__aarch64__)
  if (type == LMMC_KV_BF16) return (lanes)vshll_n_u16(vld1_u16((const uint16_t *)p), 16);
  uint32_t four;
  memcpy(&four, p, sizeof four);
  return (lanes)vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four)))));
#else
  lanes result = {0};
  for (int i = 0; i < LANES; i++) result[i] = load_element(type, p + i * attention_element_bytes(type));
  return result;
#endif
}

// The address of a head's elements in a row.
INLINE const char *head_of_row(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  return (const char *)rows + (key * stride + head * a->head_size) * attention_element_bytes(a->kv_type);
}

// The scales of `count` int8 rows of a head.
INLINE void load_scales(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head, int64_t count, float *out) {
  const char *from = (const char *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof *out;
  for (int64_t i = 0; i < count; i++) memcpy(out + i, from + i * stride, sizeof *out);
}

// Rows of a head, `stride` bytes from one to the next.
typedef struct {
  const char *first;
  int64_t stride;
} head_rows;

// Rows of a head lie far apart, where hardware prefetchers do not follow: what reads rows asks for as many of those that come next.
INLINE void prefetch(const char *from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i);
}

// ---- keys turned so that each is a lane, TURN at a time: as many as the ways of a first cache, where rows a page apart share a set

enum { TURN = LANES < 8 ? LANES : 8 };
typedef int32_t quad __attribute__((vector_size(16), aligned(1), may_alias));
typedef int32_t units __attribute__((vector_size(TURN * 4), aligned(4), may_alias));
typedef float unit_floats __attribute__((vector_size(TURN * 4), aligned(4), may_alias));

// 16 bytes of each row as four vectors of 32 bits of each row.
INLINE void turn(const char *const rows[TURN], int64_t at, units out[4]) {
#define QUAD(i) (*(const quad *)(rows[i] + at))
#if X86_LANES >= 8
#define PAIR(i) ((units)_mm256_inserti128_si256(_mm256_castsi128_si256((__m128i)QUAD(i)), (__m128i)QUAD(i + 4), 1))
  const units a = PAIR(0), b = PAIR(1), c = PAIR(2), d = PAIR(3);
#define LOW_WORDS 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_WORDS 2, 10, 3, 11, 6, 14, 7, 15
#define LOW_HALVES 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_HALVES 2, 3, 10, 11, 6, 7, 14, 15
#else
  const quad a = QUAD(0), b = QUAD(1), c = QUAD(2), d = QUAD(3);
#define LOW_WORDS 0, 4, 1, 5
#define HIGH_WORDS 2, 6, 3, 7
#define LOW_HALVES 0, 1, 4, 5
#define HIGH_HALVES 2, 3, 6, 7
#endif
  const units ab = __builtin_shufflevector(a, b, LOW_WORDS), cd = __builtin_shufflevector(c, d, LOW_WORDS);
  const units ab2 = __builtin_shufflevector(a, b, HIGH_WORDS), cd2 = __builtin_shufflevector(c, d, HIGH_WORDS);
  out[0] = __builtin_shufflevector(ab, cd, LOW_HALVES), out[1] = __builtin_shufflevector(ab, cd, HIGH_HALVES);
  out[2] = __builtin_shufflevector(ab2, cd2, LOW_HALVES), out[3] = __builtin_shufflevector(ab2, cd2, HIGH_HALVES);
#undef QUAD
#undef PAIR
}

// `count` keys of a head -> out[head_size][width], a multiple of LANES of columns, of which those past `count` have no meaning.
INLINE void turn_keys(lmmc_kv_type type, int64_t d, const char *keys, int64_t stride, int64_t count, int64_t width, head_rows next,
                      float *out) {
  const int64_t size = attention_element_bytes(type), step = 16 / size;
  for (int64_t key = 0; key < (count + LANES - 1) / LANES * LANES; key += TURN) {
    const char *rows[TURN];
    for (int i = 0; i < TURN; i++) {
      const int64_t row = attention_smaller(key + i, count - 1);
      rows[i] = keys + row * stride;
      if (next.first && key + i < count) prefetch(next.first + row * next.stride, d * size);
    }
    int64_t e = 0;
    for (; e + step <= d; e += step) {
      units x[4];
      turn(rows, e * size, x);
      float *to = out + e * width + key;
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) switch (type) {
          case LMMC_KV_F32: *(units *)(to + i * width) = x[i]; break;
          case LMMC_KV_BF16:
            *(units *)(to + 2 * i * width) = x[i] << 16;
            *(units *)(to + (2 * i + 1) * width) = x[i] & -65536;
            break;
          case LMMC_KV_I8:
#pragma GCC unroll 4
            for (int byte = 0; byte < 4; byte++)
              *(unit_floats *)(to + (4 * i + byte) * width) = __builtin_convertvector((x[i] << (24 - 8 * byte)) >> 24, unit_floats);
            break;
        }
    }
    for (; e < d; e++)
      for (int i = 0; i < TURN; i++) out[e * width + key + i] = load_element(type, rows[i] + e * size);
  }
}

#endif
