// Packing: the error of what comes back, beside nearest rounding to the 8-bit and 4-bit blocks of 32 that are in common use; sizes; odd
// shapes; weights that no model should have.
#include <float.h>

#include "packed_operands.h"
#include "pack.h"

// To the nearest f16 and back, in double.
static double through_f16(double x) {
  if (x == 0) return 0;
  int exponent;
  frexp(x, &exponent);
  const int step = (exponent < -13 ? -13 : exponent) - 11;
  return ldexp(nearbyint(ldexp(x, -step)), step);
}

static double squared(double x) { return x * x; }

// Sums of squared errors of a row in blocks of 32: 8 bits with a scale, 4 bits with a scale, 4 bits with a scale and a minimum.
static void nearest_errors(int64_t k, const float *x, double errors[3]) {
  for (int64_t first = 0; first < k; first += 32) {
    const int64_t last = first + 32 < k ? first + 32 : k;
    double top = 0, extreme = 0, low = INFINITY, high = -INFINITY;
    for (int64_t i = first; i < last; i++) {
      const double w = (double)x[i];
      if (fabs(w) > top) top = fabs(w), extreme = w;
      low = fmin(low, w), high = fmax(high, w);
    }
    const double d8 = through_f16(top / 127), d4 = through_f16(extreme / -8), d41 = through_f16((high - low) / 15), m = through_f16(low);
    for (int64_t i = first; i < last; i++) {
      const double w = (double)x[i];
      errors[0] += squared(w - (d8 != 0 ? d8 * nearbyint(w * 127 / top) : 0));
      errors[1] += squared(w - (d4 != 0 ? d4 * (fmin(15, floor(w / (extreme / -8) + 8.5)) - 8) : 0));
      errors[2] += squared(w - (m + d41 * (high > low ? fmin(15, floor((w - low) * 15 / (high - low) + 0.5)) : 0)));
    }
  }
}

static uint8_t *pack(lmmc_packed_type type, int64_t n, int64_t k, const float *w) {
  const size_t bytes = lmmc_packed_bytes(type, n, k);
  uint8_t *packed = allocate(bytes);
  memset(packed, 0xa5, bytes);
  CHECK((int64_t)bytes == lmmc_matrix_bytes(type, n, k), "%s: %zu bytes", type_names[type], bytes);
  memset(packed + lmmc_exponents(type, n, k), 0, bytes - (size_t)lmmc_exponents(type, n, k));  // what is behind them is the caller's
  for (int64_t p = 0; p < lmmc_panels(n); p++) {
    const int64_t count = n - p * LMMC_PANEL < LMMC_PANEL ? n - p * LMMC_PANEL : LMMC_PANEL;
    const int64_t subnormal = lmmc_pack_panel(type, count, k, w + p * LMMC_PANEL * k, packed + p * lmmc_panel_bytes(type, k),
                                              (int8_t *)packed + lmmc_exponents(type, n, k) + p * LMMC_PANEL);
    CHECK(subnormal == 0, "%s: %lld", type_names[type], (long long)subnormal);
  }
  return packed;
}

static double packed_error(lmmc_packed_type type, int64_t n, int64_t k, const float *w) {
  uint8_t *packed = pack(type, n, k, w);
  float *row = allocate((size_t)k * sizeof *row);
  double error = 0;
  for (int64_t r = 0; r < n; r++) {
    unpack_row(type, n, k, packed, r, row);
    for (int64_t i = 0; i < k; i++) error += squared((double)row[i] - (double)w[r * k + i]);
  }
  free(packed), free(row);
  return error;
}

static float normal(void) {
  float x = 0;
  for (int i = 0; i < 12; i++) x += random_float();
  return x / 2;
}

// Against blocks of 32 with an f16 scale (and minimum): 8.25 bits a weight against 8.5, and 4.375 against 4.5 (5). The greatest of 64
// normal values is 1.13 times that of 32, the steps as much wider, their squares 1.27 times; heavier tails widen that, and an outlier
// in each block of 64 leaves every second block of 32 without one. The limits say where the search must make up for it.
static void test_quality(void) {
  enum { N = 64, K = 1024 };
  static const char *const kinds[] = {"normal", "heavy tails", "uniform", "an outlier a block", "shifted by half a deviation"};
  static const double q8_limit[] = {1.3, 1.5, 1.1, 2, 1.3}, q4_limit[] = {0.95, 1.05, 0.85, 0.75, 0.8};
  static const double q41_limit[] = {1.1, 1.2, 0.95, 1.6, 1.1};
  float *w = allocate(N * K * sizeof *w);
  for (int kind = 0; kind < 5; kind++) {
    double errors[3] = {0};
    for (int i = 0; i < N * K; i++) {
      const float x = normal();
      w[i] = 0.02f * (kind == 0   ? x
                      : kind == 1 ? x * fabsf(x)
                      : kind == 2 ? random_float()
                      : kind == 3 ? (i % 64 == 5 ? 8 * x : x)
                                  : x + 0.5f);
    }
    for (int r = 0; r < N; r++) nearest_errors(K, w + r * K, errors);
    const double q8 = packed_error(LMMC_Q8, N, K, w), q4 = packed_error(LMMC_Q4, N, K, w);
    printf("squared error, %s: q8 %.3f times 8-bit blocks of 32; q4 %.3f times 4-bit with a scale, %.3f times with a minimum too\n",
           kinds[kind], q8 / errors[0], q4 / errors[1], q4 / errors[2]);
    CHECK(q8 <= q8_limit[kind] * errors[0], "%s: q8 is %.3f times as far off", kinds[kind], q8 / errors[0]);
    CHECK(q4 <= q4_limit[kind] * errors[1], "%s: q4 is %.3f times as far off", kinds[kind], q4 / errors[1]);
    CHECK(q4 <= q41_limit[kind] * errors[2], "%s: q4 is %.3f times as far off", kinds[kind], q4 / errors[2]);
  }
  free(w);
}

// Each weight comes back to half a step: of itself (bf16: 2^-8), of its block (q8), or for q4, whose sum of squares is no greater than
// with nearest rounding, of the range of its block with zero.
static void test_bounds(void) {
  for (int64_t k = 1; k <= 200; k += k < 10 ? 1 : 21)
    for (int64_t n = 1; n <= 70; n += 23)
      for (int shape = 0; shape < 10; shape++) {
        float *w = allocate((size_t)(n * k) * sizeof *w), *row = allocate((size_t)k * sizeof *row);
        for (int64_t i = 0; i < n * k; i++) {
          const float x = random_float();
          // The last: each block 2^8 below the one before.
          const float blocks = x * ldexpf(1, (int)(-8 * (i % k / LMMC_BLOCK)));
          const float shapes[] = {x, fabsf(x) + 0.1f, -fabsf(x) - 0.1f, 0.3f, -0.3f, 0, x * 1e-7f, x * 0x1p-120f, x * 1e38f, blocks};
          w[i] = shapes[shape];
        }
        for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
          const lmmc_packed_type type = (lmmc_packed_type)t;
          uint8_t *packed = pack(type, n, k, w);
          for (int64_t r = 0; r < n; r++) {
            unpack_row(type, n, k, packed, r, row);
            for (int64_t first = 0; first < k; first += LMMC_BLOCK) {
              const int64_t last = first + LMMC_BLOCK < k ? first + LMMC_BLOCK : k;
              double low = 0, high = 0, error = 0, worst = 0, relative = 0;
              for (int64_t i = first; i < last; i++) {
                const double x = (double)w[r * k + i], d = fabs((double)row[i] - x);
                low = fmin(low, x), high = fmax(high, x), error += d * d, worst = fmax(worst, d);
                if (x != 0) relative = fmax(relative, (d - 0x1p-134) / fabs(x));  // half a step of subnormal ones
              }
              // Half a step, where a scale is off by half a unit of a normal f16, whatever the magnitudes are.
              const double top = fmax(high, -low), half8 = top / 254 * (1 + 0x1p-11) + top * 0x1p-12;
              const double half4 = (high - low) / 30 * (1 + 0x1p-11) + (high - low) / 240;
              if (type == LMMC_BF16) CHECK(relative <= 0x1p-8, "bf16, k %lld: %.3g off", (long long)k, relative);
              if (type == LMMC_Q8) CHECK(worst <= half8, "q8, k %lld, shape %d: %.3g off, of %.3g", (long long)k, shape, worst, top);
              if (type == LMMC_Q4)
                CHECK(error <= squared(half4) * (double)(last - first), "q4, k %lld, shape %d: squared error %.3g", (long long)k, shape,
                      error);
            }
          }
          free(packed);
        }
        free(w), free(row);
      }
}

// Padding is zeros: of columns, so that the kernels' results there are finite, and of K within codes.
static void test_padding(void) {
  float w[3 * 70];
  for (int i = 0; i < 3 * 70; i++) w[i] = random_float() + 2;
  for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
    uint8_t *packed = pack((lmmc_packed_type)t, 3, 70, w);
    float row[128];
    for (int64_t r = 3; r < LMMC_PANEL; r++) {
      unpack_row((lmmc_packed_type)t, 3, 128, packed, r, row);
      bool zero = true;
      for (int i = 0; i < 128; i++) zero = zero && row[i] == 0;
      CHECK(zero, "%s: padding column %lld is not zero", type_names[t], (long long)r);
    }
    free(packed);
  }
  for (int64_t k = 1; k <= 129; k += 32) {  // bytes that round a panel up
    float *rows = allocate((size_t)k * sizeof *rows);
    memset(rows, 0, (size_t)k * sizeof *rows);
    for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
      uint8_t *packed = pack((lmmc_packed_type)t, 1, k, rows);
      const int64_t bytes = lmmc_panel_bytes((lmmc_packed_type)t, k);
      for (int64_t i = lmmc_blocks(k) * (lmmc_code_bytes((lmmc_packed_type)t)); i < bytes; i++)
        CHECK(packed[i] == 0, "%s, k %lld: byte %lld of the panel is %d", type_names[t], (long long)k, (long long)i, packed[i]);
      free(packed);
    }
    free(rows);
  }
}

// Weights at the ends of the range come back finite; what no number of the type is near to is refused, wherever it stands.
static void test_special(void) {
  const float below_2_127 = nextafterf(0x1p127f, 0), below_bf16 = nextafterf(0x1.ffp127f, 0);
  const struct {
    float x;
    bool in_bf16, in_blocks;
  } cases[] = {
      {NAN, false, false},       {-NAN, false, false},        {INFINITY, false, false},   {-INFINITY, false, false},
      {FLT_MAX, false, false},   {0x1.ffp127f, false, false}, {-below_bf16, true, false}, {0x1p127f, true, false},
      {below_2_127, true, true}, {-below_2_127, true, true},  {1e30f, true, true},        {FLT_TRUE_MIN, true, true},
      {-FLT_MIN, true, true},    {-0.0f, true, true},         {1e-9f, true, true},
  };
  for (size_t s = 0; s < sizeof cases / sizeof *cases; s++)
    for (int all = 0; all <= 1; all++)
      for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
        const lmmc_packed_type type = (lmmc_packed_type)t;
        float w[2 * 100], row[100];
        uint8_t packed[2 * 4096 + 64];
        for (int i = 0; i < 200; i++) w[i] = all || i == 131 ? cases[s].x : random_float();
        const int64_t result = lmmc_pack_panel(type, 2, 100, w, packed, (int8_t *)packed + lmmc_exponents(type, 2, 100));
        CHECK((result >= 0) == (type == LMMC_BF16 ? cases[s].in_bf16 : cases[s].in_blocks), "%s: %g gives %lld", type_names[t],
              (double)cases[s].x, (long long)result);
        for (int64_t r = 0; r < 2 && result >= 0; r++) {
          unpack_row(type, 2, 100, packed, r, row);
          for (int i = 0; i < 100; i++)
            CHECK(isfinite(row[i]), "%s: a weight of %g makes weights that are not finite", type_names[t], (double)cases[s].x);
        }
      }
}

// Rows in one panel keep their own ranges; of a row, blocks below its greatest by more than an f16 has room for are counted, and off by no
// more than pack.h says.
static void test_range(void) {
  enum { N = 5, K = 4 * LMMC_BLOCK };
  for (int t = LMMC_Q8; t <= LMMC_Q4; t++)
    for (int row_exponent = -105; row_exponent <= 126; row_exponent += 7)
      for (int below = 0; below <= 60 && row_exponent - below >= -126; below += 5) {
        const lmmc_packed_type type = (lmmc_packed_type)t;
        float *w = allocate(N * K * sizeof *w), row[K];
        uint8_t *packed = allocate(lmmc_packed_bytes(type, N, K));
        for (int i = 0; i < N * K; i++) {
          const int exponent = i / K == 2 ? row_exponent - (i % K / LMMC_BLOCK == 1 ? below : 0) : 0;
          w[i] = ldexpf(i % LMMC_BLOCK == 7 ? 1 : random_float(), exponent);
        }
        const int64_t subnormal = lmmc_pack_panel(type, N, K, w, packed, (int8_t *)packed + lmmc_exponents(type, N, K));
        CHECK(subnormal == (below > 27), "%s, 2^%d, 2^%d below: %lld blocks", type_names[t], row_exponent, below, (long long)subnormal);
        for (int64_t r = 0; r < N; r++) {
          unpack_row(type, N, K, packed, r, row);
          for (int i = 0; i < K; i++) {
            const double top = r != 2 ? 1 : ldexp(1, row_exponent - (i / LMMC_BLOCK == 1 ? below : 0));
            // q4: the line of the least squares may trade the ends of a range of 2 for its middle.
            const double bound = top * (type == LMMC_Q8 ? 1.01 / 254 : 3.0 / 15) + ldexp(1, row_exponent - 38 + 1);
            CHECK(fabs((double)row[i] - (double)w[r * K + i]) <= bound, "%s, row %lld, 2^%d, 2^%d below: %g for %g", type_names[t],
                  (long long)r, row_exponent, below, (double)row[i], (double)w[r * K + i]);
          }
        }
        free(w), free(packed);
      }
}

// Weights times a power of two have the same codes, and ordinary ones no exponents.
static void test_scaling(void) {
  enum { K = 130 };
  float w[3 * K], scaled[3 * K];
  for (int i = 0; i < 3 * K; i++) w[i] = random_float();
  for (int t = LMMC_Q8; t <= LMMC_Q4; t++) {
    const lmmc_packed_type type = (lmmc_packed_type)t;
    uint8_t *packed = pack(type, 3, K, w);
    for (int64_t i = lmmc_exponents(type, 3, K); i < lmmc_matrix_bytes(type, 3, K); i++)
      CHECK(packed[i] == 0, "%s: ordinary weights have exponents", type_names[t]);
    for (int exponent = -120; exponent <= 120; exponent += 8) {
      for (int i = 0; i < 3 * K; i++) scaled[i] = ldexpf(w[i], exponent);
      uint8_t *other = pack(type, 3, K, scaled);
      const bool codes = memcmp(packed, other, (size_t)(lmmc_blocks(K) * lmmc_code_bytes(type))) == 0;
      CHECK(codes, "%s: weights times 2^%d have other codes", type_names[t], exponent);
      for (int64_t r = 0; r < 3; r++) {
        float a[K], b[K];
        unpack_row(type, 3, K, packed, r, a), unpack_row(type, 3, K, other, r, b);
        for (int i = 0; i < K; i++)
          CHECK(exponent < -110 || ldexpf(a[i], exponent) == b[i], "%s: 2^%d times %g is %g", type_names[t], exponent, (double)a[i],
                (double)b[i]);
      }
      free(other);
    }
    free(packed);
  }
}

static void test_sizes(void) {
  CHECK(lmmc_packed_bytes(LMMC_Q8, 4096, 4096) == 128 * (64 * 2112 + 32), "%zu", lmmc_packed_bytes(LMMC_Q8, 4096, 4096));
  CHECK(lmmc_packed_bytes(LMMC_Q4, 33, 65) == 2 * 2240 + 64, "%zu", lmmc_packed_bytes(LMMC_Q4, 33, 65));
  CHECK(lmmc_packed_bytes(LMMC_Q4, 1, 1) == 1152 + 64, "%zu", lmmc_packed_bytes(LMMC_Q4, 1, 1));
  CHECK(lmmc_packed_bytes(LMMC_BF16, 32, 128) == 8192, "%zu", lmmc_packed_bytes(LMMC_BF16, 32, 128));
  static const int64_t wrong[][2] = {
      {0, 5}, {5, 0}, {-1, 5}, {5, -64}, {INT64_MAX, INT64_MAX}, {1, INT64_MAX}, {INT64_MAX, 1}, {1ll << 40, 1ll << 30}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    for (int t = LMMC_BF16; t <= LMMC_Q4; t++)
      CHECK(lmmc_packed_bytes((lmmc_packed_type)t, wrong[i][0], wrong[i][1]) == 0, "%lld x %lld", (long long)wrong[i][0],
            (long long)wrong[i][1]);
}

int main(void) {
  test_sizes();
  test_quality();
  test_bounds();
  test_padding();
  test_special();
  test_range();
  test_scaling();
  return check_report();
}
