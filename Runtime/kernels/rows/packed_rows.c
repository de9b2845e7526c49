#include "packed_rows.h"

#include "contract/packed_layout.h"
#include "kernels/common/half_floats.h"

void lmmc_unpack_row_bf16(int64_t n, int64_t k, const void *packed, int64_t row, float *out) {
  (void)n;
  const uint8_t *panel = (const uint8_t *)packed + row / LMMC_PANEL * lmmc_panel_bytes(LMMC_BF16, k);
  const uint16_t *codes = (const uint16_t *)panel + row % LMMC_PANEL * 2;
  for (int64_t i = 0; i < k; i++) out[i] = lmmc_float_of_bf16(codes[i / 2 * 2 * LMMC_PANEL + i % 2]);
}

void lmmc_unpack_row_q8(int64_t n, int64_t k, const void *packed, int64_t row, float *out) {
  const uint8_t *panel = (const uint8_t *)packed + row / LMMC_PANEL * lmmc_panel_bytes(LMMC_Q8, k);
  const uint16_t *scales = (const uint16_t *)(panel + lmmc_blocks(k) * lmmc_code_bytes(LMMC_Q8)) + row % LMMC_PANEL;
  const uint8_t *codes = panel + row % LMMC_PANEL * 4;
  const float power = lmmc_power_of_2(((const int8_t *)packed)[lmmc_exponents(LMMC_Q8, n, k) + row]);
  for (int64_t i = 0; i < k; i++)
    out[i] = lmmc_f16(scales[i / LMMC_BLOCK * LMMC_PANEL]) * (float)(codes[i / 4 * 4 * LMMC_PANEL + i % 4] - 128) * power;
}

void lmmc_unpack_row_q4(int64_t n, int64_t k, const void *packed, int64_t row, float *out) {
  const uint8_t *panel = (const uint8_t *)packed + row / LMMC_PANEL * lmmc_panel_bytes(LMMC_Q4, k);
  const uint8_t *scales = panel + lmmc_blocks(k) * lmmc_code_bytes(LMMC_Q4);
  const uint8_t *offsets = scales + lmmc_blocks(k) * lmmc_scale_bytes(LMMC_Q4) + row % LMMC_PANEL, *codes = panel + row % LMMC_PANEL * 4;
  const float power = lmmc_power_of_2(((const int8_t *)packed)[lmmc_exponents(LMMC_Q4, n, k) + row]);
  for (int64_t i = 0; i < k; i++) {
    const int64_t b = i / LMMC_BLOCK * LMMC_PANEL;
    const int q = codes[i / 8 * 4 * LMMC_PANEL + i % 4] >> (i % 8 / 4 * 4) & 15;
    out[i] = lmmc_f16(((const uint16_t *)scales)[b + row % LMMC_PANEL]) * (float)(8 * q - offsets[b]) * power;
  }
}
