// Quantised activation rows against their definition in double, every variant that this CPU has; and rows of packed matrices.
#include <float.h>

#include "packed_operands.h"

static const lmmc_variant *variants[16];
static int variant_count;

enum { CANARY = 64 };

static bool whole(const uint8_t *bytes, int64_t first) {
  for (int64_t i = 0; i < CANARY; i++)
    if (bytes[first + i] != 0xa5) return false;
  return true;
}

static void check_q8(const char *name, lmmc_quantize_kernel *quantize, int64_t k, const float *x) {
  const int64_t bytes = lmmc_q8_row_bytes(k), used = lmmc_blocks(k) * (LMMC_BLOCK + 8);
  uint8_t *row = allocate((size_t)(bytes + CANARY));
  memset(row, 0xa5, (size_t)(bytes + CANARY));
  quantize(k, x, row);
  CHECK(whole(row, bytes), "%s, k %lld: written past a row", name, (long long)k);
  for (int64_t b = 0; b < lmmc_blocks(k); b++) {
    const int8_t *codes = (const int8_t *)row + b * LMMC_BLOCK;
    const float scale = ((const float *)(row + lmmc_q8_scales(k)))[b];
    double top = 0;
    bool finite = true, right = true, padded = true;
    int32_t sum = 0;
    for (int64_t i = 0; i < LMMC_BLOCK && b * LMMC_BLOCK + i < k; i++) {
      const float value = x[b * LMMC_BLOCK + i];
      finite = finite && isfinite(value);
      top = fmax(top, fabs((double)value));
    }
    const bool zero = finite && top < 0x1p-100;
    for (int64_t i = 0; i < LMMC_BLOCK; i++) {
      sum += codes[i];
      if (b * LMMC_BLOCK + i >= k || zero || !finite) {
        padded = padded && codes[i] == 0;
        continue;
      }
      // x * (127 / top) has two roundings more than the exact quotient.
      const double exact = (double)x[b * LMMC_BLOCK + i] * 127 / top;
      right = right && fabs(codes[i] - exact) <= 0.5 + 127 * 0x1p-23 && codes[i] >= -127;
    }
    CHECK(padded, "%s, k %lld, block %lld: codes that should be zero", name, (long long)k, (long long)b);
    CHECK(right, "%s, k %lld, block %lld: a code is not the nearest", name, (long long)k, (long long)b);
    CHECK(sum == ((const int32_t *)(row + lmmc_q8_sums(k)))[b], "%s, k %lld, block %lld: sum", name, (long long)k, (long long)b);
    CHECK(finite ? scale == (zero ? 0 : (float)top / 127) : isnan(scale) != 0, "%s, k %lld, block %lld: scale %.9g for %.9g", name,
          (long long)k, (long long)b, (double)scale, top);
  }
  // Every variant gives the same bytes, NaN apart.
  uint8_t *plain = allocate((size_t)bytes);
  lmmc_variant_at(0)->quantize_q8(k, x, plain);
  bool equal = true;
  for (int64_t i = 0; i < used; i += 4) {
    float a, b;
    memcpy(&a, row + i, 4), memcpy(&b, plain + i, 4);
    equal = equal && (memcmp(&a, &b, 4) == 0 || (i >= lmmc_q8_scales(k) && i < lmmc_q8_sums(k) && isnan(a) && isnan(b)));
  }
  CHECK(equal, "%s, k %lld: other bytes than those of plain C", name, (long long)k);
  free(row), free(plain);
}

static float from_bf16(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float x;
  memcpy(&x, &wide, sizeof x);
  return x;
}

static void check_bf16(const char *name, lmmc_quantize_kernel *quantize, int64_t k, const float *x) {
  const int64_t bytes = lmmc_bf16_row_bytes(k);
  uint8_t *row = allocate((size_t)(bytes + CANARY));
  memset(row, 0xa5, (size_t)(bytes + CANARY));
  quantize(k, x, row);
  CHECK(whole(row, bytes), "%s, k %lld: written past a row", name, (long long)k);
  for (int64_t i = 0; i < bytes / 2; i++) {
    const uint16_t code = ((const uint16_t *)row)[i];
    const float value = i < k ? x[i] : 0, y = from_bf16(code);
    bool right;
    if (isnan(value)) {
      right = isnan(y) != 0;
    } else if (isinf(y)) {  // from half a step above the greatest bf16
      right = fabs((double)value) >= 0x1.ffp127 && signbit(y) == signbit(value);
    } else {
      // No neighbour is nearer, and of two as near this one is even.
      const double d = fabs((double)y - (double)value);
      right = signbit(y) == signbit(value);
      for (int step = -1; step <= 1; step += 2) {
        const uint16_t next = (uint16_t)(code + step);
        if ((next & 0x7fff) >= 0x7f80 || ((next ^ code) & 0x8000)) continue;
        const double other = fabs((double)from_bf16(next) - (double)value);
        right = right && (d < other || (d == other && code % 2 == 0));
      }
    }
    CHECK(right, "%s, k %lld: %.9g becomes %.9g", name, (long long)k, (double)value, (double)y);
  }
  free(row);
}

static void check_all(int64_t k, const float *x) {
  for (int v = 0; v < variant_count; v++) {
    char name[64];
    snprintf(name, sizeof name, "q8 row, variant %s", variants[v]->name);
    if (variants[v]->quantize_q8) check_q8(name, variants[v]->quantize_q8, k, x);
    snprintf(name, sizeof name, "bf16 row, variant %s", variants[v]->name);
    if (variants[v]->quantize_bf16) check_bf16(name, variants[v]->quantize_bf16, k, x);
  }
}

static void test_quantize(void) {
  for (int64_t k = 1; k <= 300; k += k < 140 ? 1 : 37) {
    // One float beside alignment; exactly k of them, for a sanitizer to see reads past the end.
    float *block = malloc((size_t)(k + 1) * sizeof *block), *x = block + 1;
    if (!block) exit(1);
    for (int64_t i = 0; i < k; i++) x[i] = random_float() * (1 + (float)(i / LMMC_BLOCK) * 100);
    check_all(k, x);
    for (int64_t i = 0; i < k; i++) x[i] = i % LMMC_BLOCK == 0 ? -127 : (float)random_between(-253, 253) / 2;  // ties
    check_all(k, x);
    free(block);
  }
  static const float special[] = {0,           -0.0f,           FLT_MAX, -FLT_MAX,  FLT_MIN,   FLT_TRUE_MIN, -FLT_TRUE_MIN,
                                  0x1p-100f,   0x1.8p-101f,     3e-39f,  1e30f,     INFINITY,  -INFINITY,    NAN,
                                  0x1.ffp127f, 0x1.fefffep127f, 1,       0x1.01p0f, 0x1.03p0f, 0x1.010002p0f};
  enum { SPECIAL = sizeof special / sizeof *special };
  for (int i = 0; i < SPECIAL; i++)
    for (int j = 0; j < SPECIAL; j++) {
      float x[130] = {0};
      x[7] = special[i], x[60] = special[j], x[100] = special[i], x[129] = special[j];
      check_all(130, x);
      for (int l = 0; l < 130; l++) x[l] = special[i];
      check_all(130, x);
    }
}

// By the definition in packed_layout.h, read byte by byte.
static void test_unpack(void) {
  const int64_t n = 70, k = 200, blocks = 4;
  float row[200];
  for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
    const lmmc_packed_type type = (lmmc_packed_type)t;
    uint8_t *packed = random_weight(type, RANDOM, n, k);
    for (int64_t c = 0; c < n; c++) {
      unpack_row(type, n, k, packed, c, row);
      const uint8_t *panel = packed + c / 32 * lmmc_panel_bytes(type, k);
      const int64_t column = c % 32;
      for (int64_t i = 0; i < k; i++) {
        const int64_t b = i / 64, within = i % 64;
        float expected = NAN;
        if (type == LMMC_BF16) {
          expected = from_bf16(*(const uint16_t *)(panel + b * 4096 + within / 2 * 128 + column * 4 + within % 2 * 2));
        } else {
          const uint8_t *scales = panel + blocks * (type == LMMC_Q8 ? 2048 : 1024);
          const uint16_t bits = *(const uint16_t *)(scales + b * 64 + column * 2);
          const int exponent = (int8_t)packed[3 * lmmc_panel_bytes(type, k) + c];
          const float scale = ldexpf((float)(1024 + (bits & 0x3ff)), (bits >> 10) - 25 + exponent);
          if (type == LMMC_Q8) {
            expected = scale * (float)(panel[b * 2048 + within / 4 * 128 + column * 4 + within % 4] - 128);
          } else {
            const int byte = panel[b * 1024 + within / 8 * 128 + column * 4 + within % 4];
            const int q = within % 8 < 4 ? byte & 15 : byte >> 4, z = scales[blocks * 64 + b * 32 + column];
            expected = scale * (float)(8 * q - z);
          }
        }
        CHECK(row[i] == expected, "%s, row %lld, element %lld: %.9g where %.9g is right", type_names[t], (long long)c, (long long)i,
              (double)row[i], (double)expected);
      }
    }
    free(packed);
  }
}

static void test_f16(void) {
  for (int bits = 0; bits < 0x10000; bits++) {
    const int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31) continue;
    const float magnitude = exponent ? ldexpf((float)(1024 + fraction), exponent - 25) : ldexpf((float)fraction, -24);
    const float x = lmmc_f16((uint16_t)bits), expected = bits & 0x8000 ? -magnitude : magnitude;
    CHECK(x == expected && signbit(x) == signbit(expected), "f16 %04x is %.9g", (unsigned)bits, (double)x);
  }
}

int main(void) {
  for (int i = 0; i < lmmc_variant_count(); i++) {
    const lmmc_variant *v = lmmc_variant_at(i);
    if (v->needs & ~lmmc_this_cpu().features)
      printf("not run: variant '%s', this CPU lacks it\n", v->name);
    else
      variants[variant_count++] = v;
  }
  test_f16();
  test_quantize();
  test_unpack();
  return check_report();
}
