// Vectors of 128 bits as int_tile.h and bf16_tile.h use them, for 64-bit ARM.
#ifndef LMMC_KERNELS_PRODUCT_ARM64_NEON_H
#define LMMC_KERNELS_PRODUCT_ARM64_NEON_H
#include <arm_neon.h>

#include "kernels/product/piece.h"

enum { LANES = 4 };
typedef int32x4_t ints;
typedef float32x4_t floats;

static inline ints zero(void) { return vdupq_n_s32(0); }
static inline ints load(const uint8_t *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
static inline ints four_codes(const uint8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return vdupq_n_s32(four);
}
#define shift_left(x, n) vshlq_n_s32(x, n)
static inline ints subtract(ints a, ints b) { return vsubq_s32(a, b); }
static inline floats scales_at(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline floats times(floats scale, ints x) { return vmulq_f32(scale, vreinterpretq_f32_s32(x)); }
static inline void add_scaled(float *sums, ints dots, floats scale) {
  vst1q_f32(sums, vfmaq_f32(vld1q_f32(sums), vcvtq_f32_s32(dots), scale));
}
static inline int8x16_t signed_codes(ints w) { return vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(w), vdupq_n_u8(0x80))); }

static inline void store_ints(void *p, ints x) { vst1q_s32(p, x); }
static inline ints upper_halves(ints x) { return vandq_s32(x, vdupq_n_s32((int)0xffff0000)); }
static inline floats as_floats(ints x) { return vreinterpretq_f32_s32(x); }
static inline ints widen_bf16(const uint8_t *p) { return vreinterpretq_s32_u32(vshll_n_u16(vld1_u16((const uint16_t *)p), 16)); }
static inline floats load_floats(const float *p) { return vld1q_f32(p); }
static inline void store_floats(float *p, floats x) { vst1q_f32(p, x); }
static inline floats spread(const float *p) { return vld1q_dup_f32(p); }
static inline floats fused(floats a, floats b, floats c) { return vfmaq_f32(c, a, b); }

// Turns 4-bit weights into 8-bit codes.
static inline void unpack_q4(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  const uint8x16_t mask = vdupq_n_u8(0x78);  // eight times a code of 4 bits
  for (int64_t b = 0; b < blocks; b++, offsets += LMMC_PANEL) {
    uint8x16_t base[8];
    for (int v = 0; v < 8; v++) {
      uint32_t z[4] = {offsets[4 * v], offsets[4 * v + 1], offsets[4 * v + 2], offsets[4 * v + 3]};
      base[v] = vsubq_u8(vdupq_n_u8(128), vreinterpretq_u8_u32(vmulq_n_u32(vld1q_u32(z), 0x01010101)));
    }
    for (int j = 0; j < LMMC_BLOCK / 8; j++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
      for (int v = 0; v < 8; v++) {
        const uint8x16_t pair = vld1q_u8(codes + 16 * v);
        vst1q_u8(out + 16 * v, vaddq_u8(vandq_u8(vshlq_n_u8(pair, 3), mask), base[v]));
        vst1q_u8(out + 4 * LMMC_PANEL + 16 * v, vaddq_u8(vandq_u8(vshrq_n_u8(pair, 1), mask), base[v]));
      }
  }
}

#endif
