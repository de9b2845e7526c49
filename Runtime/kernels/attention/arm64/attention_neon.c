// Attention in f32 for every 64-bit ARM CPU.
#include "kernels/attention/attention_variant.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define ATTENTION_NAME lmmc_attention_neon
#define ATTENTION_ISA "neon"
#define ATTENTION_NEEDS LMMC_CPU_NEON
#define ATTENTION_FEW lmmc_attention_few_neon
#include "kernels/attention/attention_body.h"

typedef float operand;
static inline float as_operand(float x) { return x; }
static inline float as_float(operand x) { return x; }
#include "attention_neon.h"

// Eight elements as floats, without the scale of an int8 row.
INLINE void load_8(lmmc_kv_type type, const char *p, float32x4_t out[2]) {
  switch (type) {
    case LMMC_KV_F32: out[0] = vld1q_f32((const float *)p), out[1] = vld1q_f32((const float *)p + 4); break;
    case LMMC_KV_BF16: {
      const uint16x8_t x = vld1q_u16((const uint16_t *)p);
      out[0] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(x), 16)), out[1] = vreinterpretq_f32_u32(vshll_high_n_u16(x, 16));
      break;
    }
    case LMMC_KV_I8: {
      const int16x8_t x = vmovl_s8(vld1_s8((const int8_t *)p));
      out[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), out[1] = vcvtq_f32_s32(vmovl_high_s16(x));
      break;
    }
  }
}

INLINE float load_1(lmmc_kv_type type, const char *p) {
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

INLINE void score_four(int rows, lmmc_kv_type type, int64_t d, const float *q, const void *const keys[4], float *scores) {
  float32x4_t sums[4][4];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[r][i] = vdupq_n_f32(0);
  int64_t e = 0;
  for (; e + 8 <= d; e += 8) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      float32x4_t k[2];
      load_8(type, (const char *)keys[i] + e * element_bytes(type), k);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++)
        sums[r][i] = vfmaq_f32(vfmaq_f32(sums[r][i], k[0], vld1q_f32(q + r * d + e)), k[1], vld1q_f32(q + r * d + e + 4));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
    vst1q_f32(scores + r * FEW_KEYS, vpaddq_f32(vpaddq_f32(sums[r][0], sums[r][1]), vpaddq_f32(sums[r][2], sums[r][3])));
  for (; e < d; e++)
    for (int i = 0; i < 4; i++)
      for (int r = 0; r < rows; r++)
        scores[r * FEW_KEYS + i] += q[r * d + e] * load_1(type, (const char *)keys[i] + e * element_bytes(type));
}

INLINE void add_values(int rows, lmmc_kv_type type, int64_t d, int64_t count, const float *weights, const char *values, int64_t stride,
                       float *out) {
  int64_t e = 0;
  for (; e + 8 <= d; e += 8) {
    float32x4_t sums[4][2];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) sums[r][0] = vld1q_f32(out + r * d + e), sums[r][1] = vld1q_f32(out + r * d + e + 4);
    for (int64_t key = 0; key < count; key++) {
      float32x4_t v[2];
      load_8(type, values + key * stride + e * element_bytes(type), v);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        const float weight = weights[r * FEW_KEYS + key];
        sums[r][0] = vfmaq_n_f32(sums[r][0], v[0], weight), sums[r][1] = vfmaq_n_f32(sums[r][1], v[1], weight);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) vst1q_f32(out + r * d + e, sums[r][0]), vst1q_f32(out + r * d + e + 4, sums[r][1]);
  }
  for (; e < d; e++)
    for (int64_t key = 0; key < count; key++)
      for (int r = 0; r < rows; r++)
        out[r * d + e] += weights[r * FEW_KEYS + key] * load_1(type, values + key * stride + e * element_bytes(type));
}

void lmmc_attention_few_neon(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                             lmmc_attention_partial p) {
  switch (a->kv_type) {
    case LMMC_KV_F32: few_of(LMMC_KV_F32, a, first_head, last_head, first_key, last_key, p); break;
    case LMMC_KV_BF16: few_of(LMMC_KV_BF16, a, first_head, last_head, first_key, last_key, p); break;
    case LMMC_KV_I8: few_of(LMMC_KV_I8, a, first_head, last_head, first_key, last_key, p); break;
  }
}
#endif
