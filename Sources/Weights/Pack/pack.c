#include "pack.h"

#include <stdbool.h>
#include <string.h>

// Every CPU must choose the same codes, so a multiplication and an addition stay two roundings.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "O3")
#endif

// The blocks below are loops over the 32 columns inside loops over K, which every compiler turns into vector code; one copy per
// instruction set is made by inlining them into functions for it.
#define BODY static inline __attribute__((always_inline))
#define COLUMNS(c) for (int c = 0; c < LMMC_PANEL; c++)

typedef float block[LMMC_BLOCK][LMMC_PANEL];
typedef float columns[LMMC_PANEL];

// To the nearest integer, ties to even, for |x| < 2^22.
BODY float nearest(float x) { return x + 12582912.0f - 12582912.0f; }
BODY float smaller(float a, float b) { return a < b ? a : b; }
BODY float greater(float a, float b) { return a > b ? a : b; }
BODY float clamp(float x, float low, float high) { return smaller(greater(x, low), high); }

BODY uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static const float f16_max = 65504, f16_least_normal = 0x1p-14f;

// The nearest float that an f16 holds, for x >= 0.
BODY float round_to_f16(float x) {
  const float split = x * 8193.0f, normal = split - (split - x);  // to 11 bits
  const float subnormal = x + 0.75f - 0.75f;                      // to multiples of 2^-24
  return smaller(x < f16_least_normal ? subnormal : normal, f16_max);
}

// For what round_to_f16 returns.
BODY uint16_t f16_bits(float x) { return (uint16_t)(x < f16_least_normal ? (uint32_t)(x * 16777216.0f) : (bits_of(x) - 0x38000000) >> 13); }

// ---- the range of a row

// Bits of the greatest magnitude; magnitudes compare as integers do, with infinity and NaN above all.
BODY uint32_t greatest_bits(int64_t count, const float *x) {
  uint32_t most = 0;
  for (int64_t i = 0; i < count; i++) {
    const uint32_t bits = bits_of(x[i]) & 0x7fffffff;
    most = bits > most ? bits : most;
  }
  return most;
}

// A weight of 2^127 or more may come back as an infinity, for a block's scale may be rounded up.
// In bf16 what lies half a step above the greatest number is rounded to infinity.
enum { GREATEST = 20, BLOCKS_END = 0x7f000000, BF16_END = 0x7f7f8000 };

// The exponents of the columns: 0 where every block that is not zero has a greatest magnitude of at least `least`, which makes its scale a
// normal f16, and none is 2^(GREATEST + 1) or more; else that which brings the greatest of the row to 2^GREATEST ... 2^(GREATEST + 1), of
// which a scale is less than f16_max. False where a weight is too great, infinite or a NaN.
BODY bool choose_exponents(int64_t count, int64_t k, const float *rows, float least, int8_t exponents[LMMC_PANEL]) {
  memset(exponents, 0, LMMC_PANEL);
  for (int64_t c = 0; c < count; c++) {
    uint32_t most = 0, fewest = BLOCKS_END;
    for (int64_t first = 0; first < k; first += LMMC_BLOCK) {
      const float *x = rows + c * k + first;
      const uint32_t top = k - first < LMMC_BLOCK ? greatest_bits(k - first, x) : greatest_bits(LMMC_BLOCK, x);
      most = top > most ? top : most;
      fewest = top > 0 && top < fewest ? top : fewest;
    }
    if (most >= BLOCKS_END) return false;
    if (most == 0 || (fewest >= bits_of(least) && most < bits_of(2 << GREATEST))) continue;
    // 2^126 is the most that a row is multiplied by: one whose greatest weight is below 2^-133 has scales that are subnormal still.
    const int exponent = (int)(most >> 23) - 127 - GREATEST;
    exponents[c] = (int8_t)(exponent < -126 ? -126 : exponent);
  }
  return true;
}

// Block b of the panel, divided by 2^exponent (NULL: by 1), with K running down and columns across, zeros around it.
BODY void load_block(int64_t count, int64_t k, int64_t b, const int8_t *exponents, const float *rows, block w) {
  const int64_t first = b * LMMC_BLOCK, depth = k - first < LMMC_BLOCK ? k - first : LMMC_BLOCK;
  if (count < LMMC_PANEL || depth < LMMC_BLOCK) memset(w, 0, sizeof(block));
  if (depth == LMMC_BLOCK) {
    for (int64_t c = 0; c < count; c++)
      for (int i = 0; i < LMMC_BLOCK; i++) w[i][c] = rows[c * k + first + i];
  } else {
    for (int64_t c = 0; c < count; c++)
      for (int64_t i = 0; i < depth; i++) w[i][c] = rows[c * k + first + i];
  }
  if (!exponents) return;
  columns factors;
  COLUMNS(c) factors[c] = lmmc_power_of_2(-exponents[c]);
  for (int i = 0; i < LMMC_BLOCK; i++) COLUMNS(c) w[i][c] *= factors[c];
}

// How many blocks that are not zero have a scale of less than 11 bits.
BODY int count_subnormal(const columns top, const columns scale) {
  int count = 0;
  COLUMNS(c) count += top[c] > 0 && scale[c] < f16_least_normal;
  return count;
}

BODY void store_scales(const columns scale, uint8_t *out) {
  uint16_t bits[LMMC_PANEL];
  COLUMNS(c) bits[c] = f16_bits(scale[c]);
  memcpy(out, bits, sizeof bits);
}

// ---- bf16

BODY uint32_t bf16_bits(float x) {
  const uint32_t bits = bits_of(x);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

BODY int64_t panel_bf16(int64_t count, int64_t k, const float *rows, uint8_t *out) {
  if (greatest_bits(count * k, rows) >= BF16_END) return -1;
  for (int64_t b = 0; b < lmmc_blocks(k); b++, out += lmmc_code_bytes(LMMC_BF16)) {
    block w;
    uint32_t pairs[LMMC_BLOCK / 2][LMMC_PANEL];
    load_block(count, k, b, NULL, rows, w);
    for (int j = 0; j < LMMC_BLOCK / 2; j++) COLUMNS(c) pairs[j][c] = bf16_bits(w[2 * j][c]) | bf16_bits(w[2 * j + 1][c]) << 16;
    memcpy(out, pairs, sizeof pairs);
  }
  return 0;
}

// ---- q8

BODY int64_t panel_q8(int64_t count, int64_t k, const float *rows, uint8_t *out, int8_t *exponents) {
  const int64_t blocks = lmmc_blocks(k);
  uint8_t *scales = out + blocks * lmmc_code_bytes(LMMC_Q8), *end = out + lmmc_panel_bytes(LMMC_Q8, k);
  int64_t subnormal = 0;
  if (!choose_exponents(count, k, rows, 127 * f16_least_normal, exponents)) return -1;
  for (int64_t b = 0; b < blocks; b++, out += lmmc_code_bytes(LMMC_Q8), scales += lmmc_scale_bytes(LMMC_Q8)) {
    block w;
    columns scale, inverse, top = {0};
    uint32_t groups[LMMC_BLOCK / 4][LMMC_PANEL];
    load_block(count, k, b, exponents, rows, w);
    for (int i = 0; i < LMMC_BLOCK; i++) COLUMNS(c) top[c] = greater(top[c], greater(w[i][c], -w[i][c]));
    COLUMNS(c) scale[c] = round_to_f16(top[c] / 127);
    COLUMNS(c) inverse[c] = scale[c] > 0 ? 1 / scale[c] : 0;
    for (int g = 0; g < LMMC_BLOCK / 4; g++) {
      COLUMNS(c) groups[g][c] = 0;
      for (int i = 0; i < 4; i++) COLUMNS(c) {
          const float code = nearest(clamp(w[4 * g + i][c] * inverse[c], -127, 127));
          groups[g][c] |= (uint32_t)(int32_t)(code + 128) << 8 * i;
        }
    }
    memcpy(out, groups, sizeof groups);
    store_scales(scale, scales);
    subnormal += count_subnormal(top, scale);
  }
  memset(scales, 0, (size_t)(end - scales));
  return subnormal;
}

// ---- q4: the scale and offset of each block of a column are those with the least sum of squared errors among several ranges

typedef struct {
  columns scale, offset, error, range;
} fit;

BODY float code_q4(float w, float inverse, float shift) { return nearest(clamp(w * inverse + shift, 0, 15)); }

BODY float inverse_step(float scale) { return scale > 0 ? 0.125f / scale : 0; }

// Keeps in `best` the better of it and these scales and offsets, column by column.
BODY void try_fit(const block w, int depth, const columns scale, const columns offset, fit *best) {
  columns inverse, shift, error = {0};
  COLUMNS(c) inverse[c] = inverse_step(scale[c]), shift[c] = offset[c] * 0.125f;
  for (int i = 0; i < depth; i++) COLUMNS(c) {
      const float d = w[i][c] - scale[c] * (8 * code_q4(w[i][c], inverse[c], shift[c]) - offset[c]);
      error[c] += d * d;
    }
  COLUMNS(c) {
    const bool better = error[c] < best->error[c];
    best->scale[c] = better ? scale[c] : best->scale[c];
    best->offset[c] = better ? offset[c] : best->offset[c];
    best->error[c] = better ? error[c] : best->error[c];
  }
}

// The codes of w on the range low ... high, then the scale and offset that fit these codes best: the line by least squares, its offset
// rounded to an integer, and again the scale by least squares for that offset.
BODY void refit(const block w, int depth, const columns sum_w, const columns low, const columns high, fit *best) {
  columns inverse, shift, sum = {0}, squares = {0}, products = {0}, scale, offset;
  const float n = (float)depth;
  COLUMNS(c) {
    const float width = high[c] - low[c];
    inverse[c] = width > 0 ? 15 / width : 0;
    shift[c] = -low[c] * inverse[c];
  }
  for (int i = 0; i < depth; i++) COLUMNS(c) {
      const float q = code_q4(w[i][c], inverse[c], shift[c]);
      sum[c] += q;
      squares[c] += q * q;
      products[c] += q * w[i][c];
    }
  COLUMNS(c) {
    const float spread = n * squares[c] - sum[c] * sum[c];  // exact: integers below 2^24
    const float rise = n * products[c] - sum[c] * sum_w[c];
    const bool line = spread > 0 && rise > 0;
    const float step = line ? rise / spread : (high[c] - low[c]) / 15;
    const float start = line ? (sum_w[c] - step * sum[c]) / n : low[c];
    offset[c] = nearest(clamp(step > 0 ? -8 * start / step : 0, 0, 127));
    const float across = 8 * products[c] - offset[c] * sum_w[c];
    const float length = 64 * squares[c] - 16 * offset[c] * sum[c] + n * offset[c] * offset[c];
    scale[c] = round_to_f16(length > 0 && across > 0 ? across / length : step / 8);
  }
  try_fit(w, depth, scale, offset, best);
}

BODY void fit_q4(const block w, int depth, fit *best) {
  // The ends of a range as fractions of the least and the greatest weight.
  static const float ends[][2] = {{1, 1},    {0.95f, 0.95f}, {0.9f, 0.9f}, {0.85f, 0.85f}, {0.79f, 0.79f}, {1, 0.9f},
                                  {0.9f, 1}, {1, 0.8f},      {0.8f, 1},    {0.93f, 0.8f},  {0.8f, 0.93f},  {1.04f, 1.04f}};
  columns low, high, sum = {0}, scale, offset;
  COLUMNS(c) low[c] = high[c] = 0;  // an offset is not negative: zero lies in every range
  for (int i = 0; i < depth; i++) COLUMNS(c) {
      low[c] = smaller(low[c], w[i][c]);
      high[c] = greater(high[c], w[i][c]);
      sum[c] += w[i][c];
    }
  COLUMNS(c) {
    best->error[c] = 3.4028235e38f;
    best->range[c] = high[c] - low[c];
    scale[c] = round_to_f16(best->range[c] / 120);
    offset[c] = nearest(clamp(scale[c] > 0 ? -low[c] / scale[c] : 0, 0, 127));
    best->scale[c] = scale[c], best->offset[c] = offset[c];
  }
  try_fit(w, depth, scale, offset, best);
  for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
    columns a, b;
    COLUMNS(c) a[c] = low[c] * ends[e][0], b[c] = high[c] * ends[e][1];
    refit(w, depth, sum, a, b, best);
  }
  // The range of the best so far again, with its own codes.
  for (int again = 0; again < 2; again++) {
    columns a, b;
    COLUMNS(c) a[c] = -best->offset[c] * best->scale[c], b[c] = a[c] + 120 * best->scale[c];
    refit(w, depth, sum, a, b, best);
  }
}

BODY int64_t panel_q4(int64_t count, int64_t k, const float *rows, uint8_t *out, int8_t *exponents) {
  const int64_t blocks = lmmc_blocks(k);
  uint8_t *scales = out + blocks * lmmc_code_bytes(LMMC_Q4), *offsets = scales + blocks * lmmc_scale_bytes(LMMC_Q4);
  uint8_t *end = out + lmmc_panel_bytes(LMMC_Q4, k);
  int64_t subnormal = 0;
  // A scale is a 120th of the block's range, and that of the least error may be a little less.
  if (!choose_exponents(count, k, rows, 240 * f16_least_normal, exponents)) return -1;
  for (int64_t b = 0; b < blocks; b++) {
    block w;
    columns inverse, shift;
    fit best;
    uint32_t pairs[LMMC_BLOCK / 8][LMMC_PANEL];
    const int64_t left = k - b * LMMC_BLOCK;
    // Errors are squared: the exponents keep their sum finite.
    load_block(count, k, b, exponents, rows, w);
    fit_q4((const float(*)[LMMC_PANEL])w, left < LMMC_BLOCK ? (int)left : LMMC_BLOCK, &best);
    COLUMNS(c) inverse[c] = inverse_step(best.scale[c]), shift[c] = best.offset[c] * 0.125f;
    for (int j = 0; j < LMMC_BLOCK / 8; j++) {
      COLUMNS(c) pairs[j][c] = 0;
      for (int i = 0; i < 8; i++) COLUMNS(c) {
          const int32_t q = (int32_t)code_q4(w[8 * j + i][c], inverse[c], shift[c]);
          pairs[j][c] |= (uint32_t)q << (i < 4 ? 8 * i : 8 * (i - 4) + 4);
        }
    }
    memcpy(out + b * lmmc_code_bytes(LMMC_Q4), pairs, sizeof pairs);
    store_scales(best.scale, scales + b * lmmc_scale_bytes(LMMC_Q4));
    for (int c = 0; c < LMMC_PANEL; c++) offsets[b * LMMC_PANEL + c] = (uint8_t)best.offset[c];
    subnormal += count_subnormal(best.range, best.scale);
  }
  memset(offsets + blocks * LMMC_PANEL, 0, (size_t)(end - offsets) - (size_t)(blocks * LMMC_PANEL));
  return subnormal;
}

// ---- one copy per instruction set, the best that this CPU has

#define COPIES(suffix, target)                                                                                      \
  target static int64_t bf16_##suffix(int64_t count, int64_t k, const float *rows, uint8_t *out) {                  \
    return panel_bf16(count, k, rows, out);                                                                         \
  }                                                                                                                 \
  target static int64_t q8_##suffix(int64_t count, int64_t k, const float *rows, uint8_t *out, int8_t *exponents) { \
    return panel_q8(count, k, rows, out, exponents);                                                                \
  }                                                                                                                 \
  target static int64_t q4_##suffix(int64_t count, int64_t k, const float *rows, uint8_t *out, int8_t *exponents) { \
    return panel_q4(count, k, rows, out, exponents);                                                                \
  }

COPIES(plain, )

#if defined(__x86_64__)
COPIES(avx2, __attribute__((target("avx2"))))
#if defined(__clang__)
COPIES(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512))))
#else
COPIES(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))))
#endif
#define CHOOSE(name)                                                                                                              \
  (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") ? name##_avx512 \
   : __builtin_cpu_supports("avx2")                                                                               ? name##_avx2   \
                                                                                                                  : name##_plain)
#else
#define CHOOSE(name) name##_plain
#endif

int64_t lmmc_pack_panel_bf16(int64_t count, int64_t k, const float *rows, void *out) { return CHOOSE(bf16)(count, k, rows, out); }
int64_t lmmc_pack_panel_q8(int64_t count, int64_t k, const float *rows, void *out, int8_t exponents[LMMC_PANEL]) {
  return CHOOSE(q8)(count, k, rows, out, exponents);
}
int64_t lmmc_pack_panel_q4(int64_t count, int64_t k, const float *rows, void *out, int8_t exponents[LMMC_PANEL]) {
  return CHOOSE(q4)(count, k, rows, out, exponents);
}

int64_t lmmc_pack_panel(lmmc_packed_type type, int64_t count, int64_t k, const float *rows, void *out, int8_t exponents[LMMC_PANEL]) {
  switch (type) {
    case LMMC_BF16: return lmmc_pack_panel_bf16(count, k, rows, out);
    case LMMC_Q8: return lmmc_pack_panel_q8(count, k, rows, out, exponents);
    case LMMC_Q4: return lmmc_pack_panel_q4(count, k, rows, out, exponents);
  }
  return -1;
}

size_t lmmc_packed_bytes(lmmc_packed_type type, int64_t n, int64_t k) {
  // At most 64 bytes of panel per k, so that its size is no overflow; nor are its exponents, which take less.
  if (n <= 0 || k <= 0 || k > INT64_MAX / 256) return 0;
  return lmmc_panels(n) > INT64_MAX / 2 / lmmc_panel_bytes(type, k) ? 0 : (size_t)lmmc_matrix_bytes(type, n, k);
}
