// The packed products in plain C. They run on every CPU, and the other variants are tested against them.
#include "finish.h"
#include "product_variant.h"

static void tile_q8(int64_t rows, const lmmc_piece *p) {
  for (int64_t r = 0; r < rows; r++) {
    const int8_t *x = (const int8_t *)p->x + r * p->x_stride;
    const float *scales = (const float *)((const char *)p->x_scales + r * p->x_stride);
    float *sums = p->sums + r * LMMC_PANEL;
    for (int64_t b = 0; b < p->blocks; b++) {
      int32_t dots[LMMC_PANEL] = {0};
      for (int64_t g = 0; g < LMMC_BLOCK / 4; g++) {
        const uint8_t *u = p->codes + b * lmmc_code_bytes(LMMC_Q8) + g * 4 * LMMC_PANEL;
        const int8_t *four = x + b * LMMC_BLOCK + 4 * g;
        for (int c = 0; c < LMMC_PANEL; c++)
          for (int i = 0; i < 4; i++) dots[c] += four[i] * (u[4 * c + i] - 128);
      }
      for (int c = 0; c < LMMC_PANEL; c++) sums[c] += (float)dots[c] * (scales[b] * lmmc_f16(p->scales[b * LMMC_PANEL + c]));
    }
  }
}

static void unpack_q4(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out) {
  for (int64_t b = 0; b < blocks; b++, offsets += LMMC_PANEL)
    for (int64_t j = 0; j < LMMC_BLOCK / 8; j++, codes += 4 * LMMC_PANEL, out += 8 * LMMC_PANEL)
      for (int c = 0; c < LMMC_PANEL; c++)
        for (int i = 0; i < 4; i++) {
          const int base = 128 - offsets[c];
          out[4 * c + i] = (uint8_t)(8 * (codes[4 * c + i] & 15) + base);
          out[4 * LMMC_PANEL + 4 * c + i] = (uint8_t)(8 * (codes[4 * c + i] >> 4) + base);
        }
}

static void tile_bf16(int64_t rows, const lmmc_piece *p) {
  const uint16_t *w = (const uint16_t *)p->codes;
  for (int64_t r = 0; r < rows; r++) {
    const uint16_t *x = (const uint16_t *)(p->x + r * p->x_stride);
    float *sums = p->sums + r * LMMC_PANEL;
    for (int64_t j = 0; j < p->blocks * LMMC_BLOCK / 2; j++) {
      const float even = lmmc_float_of_bf16(x[2 * j]), odd = lmmc_float_of_bf16(x[2 * j + 1]);
      const uint16_t *pair = w + j * 2 * LMMC_PANEL;
      for (int c = 0; c < LMMC_PANEL; c++) sums[c] += even * lmmc_float_of_bf16(pair[2 * c]) + odd * lmmc_float_of_bf16(pair[2 * c + 1]);
    }
  }
}

void lmmc_quantize_q8_plain(int64_t k, const float *x, void *out) {
  int8_t *codes = out;
  float *scales = (float *)((char *)out + lmmc_q8_scales(k));
  int32_t *sums = (int32_t *)((char *)out + lmmc_q8_sums(k));
  for (int64_t b = 0; b < lmmc_blocks(k); b++, codes += LMMC_BLOCK) {
    const int64_t first = b * LMMC_BLOCK, depth = k - first < LMMC_BLOCK ? k - first : LMMC_BLOCK;
    uint32_t top = 0;  // the bits of magnitudes compare as the magnitudes do, with infinity and NaN on top
    for (int64_t i = 0; i < depth; i++) {
      uint32_t bits;
      memcpy(&bits, x + first + i, sizeof bits);
      bits &= 0x7fffffff;
      top = bits > top ? bits : top;
    }
    float greatest;
    memcpy(&greatest, &top, sizeof greatest);
    memset(codes, 0, LMMC_BLOCK);
    sums[b] = 0;
    if (top >= 0x7f800000 || greatest < 0x1p-100f) {
      scales[b] = top >= 0x7f800000 ? NAN : 0;
      continue;
    }
    const float inverse = 127 / greatest;
    scales[b] = greatest / 127;
    // A variable of int32_t comes first, since compilers do not vectorise the conversion from float to int8_t.
    int32_t sum = 0;
    for (int64_t i = 0; i < depth; i++) {
      const int32_t code = (int32_t)__builtin_rintf(x[first + i] * inverse);
      codes[i] = (int8_t)code;
      sum += code;
    }
    sums[b] = sum;
  }
}

void lmmc_quantize_bf16_plain(int64_t k, const float *x, void *out) {
  uint16_t *row = out;
  for (int64_t i = 0; i < k; i++) row[i] = lmmc_bf16(x[i]);
  memset(row + k, 0, (size_t)(lmmc_bf16_row_bytes(k) - 2 * k));
}

void lmmc_finish_plain(int64_t rows, int64_t columns, float *sums, const lmmc_finish *f) { finish_tile(rows, columns, sums, f); }

const lmmc_product lmmc_bf16_plain = {.tile_rows = 8, .tile_blocks = 4, .tile = tile_bf16};
const lmmc_product lmmc_q8_plain = {.tile_rows = 8, .tile_blocks = 8, .tile = tile_q8};
const lmmc_product lmmc_q4_plain = {.tile_rows = 8, .tile_blocks = 8, .tile = tile_q8, .unpack = unpack_q4, .unpacked_bytes = 2048};
