// Where the bytes of packed weights and of quantised activation rows stand: what the packer writes and the kernels read.
//
// Blocks are 64 deep along K, panels 32 columns (rows of the [n, k] matrix) wide; K is padded to whole blocks, N to whole panels, with
// zeros. Panels stand one after another. Inside one, the codes of all blocks come first, then the scales of all blocks (not bf16), then
// the offsets of all blocks (q4); its size is rounded up to 64 bytes. Behind all panels stand [32] int8 exponents e for each of them, one for
// each column (not bf16), rounded up to 64 bytes: inside a panel they would move the others off the pages that those of 4096 deep fill, and
// one-row products stream by pages (7 % slower on Zen 4).
//   q8    codes of a block: [16 groups][32 columns][4] uint8 u, group g holding k = 4g ... 4g + 3; scales of a block: [32] f16.
//         weight = 2^e * scale * (u - 128), u in 1 ... 255
//   q4    codes of a block: [8 pairs][32 columns][4] bytes, byte i of pair j holding q of k = 8j + i below and of k = 8j + 4 + i above;
//         scales of a block: [32] f16; offsets of a block: [32] uint8 z in 0 ... 127.
//         weight = 2^e * scale * (8 q - z), q in 0 ... 15; u = 8 q - z + 128 is the same weight as a q8 code
//   bf16  codes of a block: [32 pairs][32 columns][2] bf16, pair j holding k = 2j and 2j + 1
//
// e is in -126 ... 107, and 0 where all scales of the column are normal numbers of an f16 without it, as those of most models are. Else it
// brings the column's greatest weight to 2^20 ... 2^21, so that scales down to 2^-27 of the greatest keep the 11 bits of a normal f16.
// A product is multiplied by 2^e once, behind its sums: exact, so that its bits do not depend on e.
#ifndef LMMC_CONTRACT_PACKED_LAYOUT_H
#define LMMC_CONTRACT_PACKED_LAYOUT_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LMMC_BLOCK = 64, LMMC_PANEL = 32 };

typedef enum { LMMC_BF16, LMMC_Q8, LMMC_Q4 } lmmc_packed_type;

static inline int64_t lmmc_blocks(int64_t k) { return k / LMMC_BLOCK + (k % LMMC_BLOCK != 0); }
static inline int64_t lmmc_panels(int64_t n) { return n / LMMC_PANEL + (n % LMMC_PANEL != 0); }

// Bytes of one block of one panel.
static inline int64_t lmmc_code_bytes(lmmc_packed_type type) { return type == LMMC_BF16 ? 4096 : type == LMMC_Q8 ? 2048 : 1024; }
static inline int64_t lmmc_scale_bytes(lmmc_packed_type type) { return type == LMMC_BF16 ? 0 : 2 * LMMC_PANEL; }
static inline int64_t lmmc_offset_bytes(lmmc_packed_type type) { return type == LMMC_Q4 ? LMMC_PANEL : 0; }

static inline int64_t lmmc_panel_bytes(lmmc_packed_type type, int64_t k) {
  return (lmmc_blocks(k) * (lmmc_code_bytes(type) + lmmc_scale_bytes(type) + lmmc_offset_bytes(type)) + 63) / 64 * 64;
}

// Bytes of the exponents of that many panels.
static inline int64_t lmmc_exponent_bytes(lmmc_packed_type type, int64_t panels) {
  return type == LMMC_BF16 ? 0 : (panels * LMMC_PANEL + 63) / 64 * 64;
}

// Where the exponents of a matrix [n, k] stand in it, and its size.
static inline int64_t lmmc_exponents(lmmc_packed_type type, int64_t n, int64_t k) { return lmmc_panels(n) * lmmc_panel_bytes(type, k); }
static inline int64_t lmmc_matrix_bytes(lmmc_packed_type type, int64_t n, int64_t k) {
  return lmmc_exponents(type, n, k) + lmmc_exponent_bytes(type, lmmc_panels(n));
}

// 2^exponent, for -126 ... 127.
static inline float lmmc_power_of_2(int exponent) {
  const uint32_t bits = (uint32_t)(exponent + 127) << 23;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Activation rows, from the start of one: int8 codes, zeros after k; then a float scale per block; then the int32 sum of each block's
// codes. x = scale * code.
static inline int64_t lmmc_q8_scales(int64_t k) { return lmmc_blocks(k) * LMMC_BLOCK; }
static inline int64_t lmmc_q8_sums(int64_t k) { return lmmc_blocks(k) * (LMMC_BLOCK + 4); }
static inline int64_t lmmc_q8_row_bytes(int64_t k) { return (lmmc_blocks(k) * (LMMC_BLOCK + 8) + 63) / 64 * 64; }
// bf16 rows: zeros after k.
static inline int64_t lmmc_bf16_row_bytes(int64_t k) { return lmmc_blocks(k) * LMMC_BLOCK * 2; }

// From row to row of an int8 cache, up to a cache line: int8 codes [heads, head_size], then a float scale per head. x = scale * code.
static inline int64_t lmmc_row_bytes_i8(int64_t heads, int64_t head_size) { return (heads * head_size + heads * 4 + 63) / 64 * 64; }

#endif
