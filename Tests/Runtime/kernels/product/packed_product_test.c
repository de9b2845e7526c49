// The packed products of every variant that this CPU has, against the product of the dequantised operands in double and, for integer
// codes, against plain C: over odd shapes, extreme codes, strides and epilogues.
#include "base/parallel.h"
#include "pack.h"
#include "packed_operands.h"

static double activate(lmmc_activation activation, double x) {
  switch (activation) {
    case LMMC_IDENTITY: return x;
    case LMMC_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case LMMC_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case LMMC_SILU: return x / (1 + exp(-x));
  }
  return NAN;
}

enum { CANARY = 7 };  // floats around each row of out
static const float canary = -12345.625f;

typedef struct {
  int64_t m, n, k;
  lmmc_packed_type type;
  operand_kind kind;
  lmmc_activation activation;
  bool bias, addend, in_place;
} problem;

// Half a unit in the last place of 1, the relative error of one rounding.
static const double rounding = 1.0 / 16777216;
// The activations are at most 2e-7 off (kernels_test.c) and no steeper than 1.13.
static const double activation_error = 2e-7, activation_slope = 1.13;

static const lmmc_variant *variants[16];
static int variant_count;

static void run(problem q) {
  const int64_t m = q.m, n = q.n, k = q.k, x_stride = activation_bytes(q.type, k) + 64, stride = n + CANARY;
  uint8_t *weight = random_weight(q.type, q.kind, n, k), *x = random_activations(q.type, q.kind, m, k, x_stride);
  float *bias = allocate((size_t)n * 4), *addend = allocate((size_t)(m * (n + 3)) * 4), *w = allocate((size_t)k * 4);
  double *expected = allocate((size_t)(m * n) * sizeof *expected), *tolerance = allocate((size_t)(m * n) * sizeof *tolerance);
  double *row = allocate((size_t)(m * k) * sizeof *row);
  for (int64_t i = 0; i < n; i++) bias[i] = random_float();
  for (int64_t i = 0; i < m * (n + 3); i++) addend[i] = random_float() * 3;
  for (int64_t r = 0; r < m; r++)
    for (int64_t i = 0; i < k; i++) row[r * k + i] = activation_at(q.type, x + r * x_stride, k, i);
  for (int64_t c = 0; c < n; c++) {
    unpack_row(q.type, n, k, weight, c, w);
    for (int64_t r = 0; r < m; r++) {
      double sum = 0, magnitude = 0, block = 0;
      for (int64_t i = 0; i < k; i++) {
        const double term = row[r * k + i] * (double)w[i];
        sum += term;
        // A q8 or q4 block is an exact integer, rounded together with its scales.
        block += term;
        if (q.type == LMMC_BF16 || i % LMMC_BLOCK == LMMC_BLOCK - 1 || i == k - 1) magnitude += fabs(block), block = 0;
      }
      // Each term passes through as many roundings as terms follow it, and up to three of its own. For bf16 a pair may be rounded twice.
      const double terms = q.type == LMMC_BF16 ? (double)k : (double)lmmc_blocks(k);
      double error = rounding * (terms + 3) * magnitude;
      double result = sum + (q.bias ? (double)bias[c] : 0) + (q.addend ? (double)addend[r * (n + 3) + c] : 0);
      error += 2 * rounding * (fabs(sum) + 1 + 3);
      if (q.activation != LMMC_IDENTITY) error = error * activation_slope + activation_error * fmax(1, fabs(result));
      expected[r * n + c] = activate(q.activation, result);
      tolerance[r * n + c] = error;
    }
  }
  for (int v = 0; v < variant_count; v++) {
    const lmmc_product *code = lmmc_product_of(variants[v], q.type);
    if (!code) continue;
    float *out = allocate((size_t)(m * stride + CANARY) * 4);
    for (int64_t i = 0; i < m * stride + CANARY; i++) out[i] = canary;
    for (int64_t r = 0; r < m && q.in_place; r++) memcpy(out + CANARY + r * stride, addend + r * (n + 3), (size_t)n * 4);
    const lmmc_packed_matmul p = {
        .m = m,
        .n = n,
        .k = k,
        .x = x,
        .x_stride = x_stride,
        .weight = weight,
        .bias = q.bias ? bias : NULL,
        .addend = !q.addend    ? NULL
                  : q.in_place ? out + CANARY
                               : addend,
        .addend_stride = q.in_place ? stride : n + 3,
        .activation = q.activation,
        .out = out + CANARY,
        .out_stride = stride,
    };
    lmmc_packed_product(&p, q.type, code, lmmc_choose((lmmc_cpu){variants[v]->needs}).code.finish);
    double worst = 0, seen = 0, wanted = 0;
    bool whole = true;
    for (int64_t i = 0; i < m * stride + CANARY; i++) {
      const int64_t c = (i % stride) - CANARY, r = i / stride;
      if (c < 0 || r >= m) {
        whole = whole && out[i] == canary;
        continue;
      }
      const double excess = fabs((double)out[i] - expected[r * n + c]) / tolerance[r * n + c];
      if (!(excess <= worst)) worst = excess, seen = (double)out[i], wanted = expected[r * n + c];
    }
    CHECK(worst <= 1,
          "%s, variant %s, m %lld n %lld k %lld, operands %d, activation %d: %.9g where %.9g is right, %.3g times the tolerance",
          type_names[q.type], variants[v]->name, (long long)m, (long long)n, (long long)k, q.kind, q.activation, seen, wanted, worst);
    CHECK(whole, "%s, variant %s, m %lld n %lld k %lld: something is written beside the rows", type_names[q.type], variants[v]->name,
          (long long)m, (long long)n, (long long)k);
    free(out);
  }
  free(weight), free(x), free(bias), free(addend), free(w), free(expected), free(tolerance), free(row);
}

// A row with a NaN gives NaN in all its results, and no others.
static void test_nan(lmmc_packed_type type) {
  const int64_t m = 9, n = 40, k = 200, x_stride = activation_bytes(type, k);
  uint8_t *weight = random_weight(type, RANDOM, n, k), *x = random_activations(type, RANDOM, m, k, x_stride);
  for (int64_t r = 2; r < m; r += 5) {
    float row[200] = {[150] = NAN, [151] = 1};
    if (type == LMMC_BF16)
      lmmc_quantize_row_bf16(k, row, x + r * x_stride);
    else
      lmmc_quantize_row_q8(k, row, x + r * x_stride);
  }
  for (int v = 0; v < variant_count; v++)
    for (int64_t rows = 1; rows <= m; rows++) {
      const lmmc_product *code = lmmc_product_of(variants[v], type);
      if (!code) continue;
      float out[9 * 40];
      const lmmc_packed_matmul p = {.m = rows, .n = n, .k = k, .x = x, .x_stride = x_stride, .weight = weight, .out = out, .out_stride = n};
      lmmc_packed_product(&p, type, code, lmmc_choose((lmmc_cpu){variants[v]->needs}).code.finish);
      bool right = true;
      for (int64_t i = 0; i < rows * n; i++) right = right && (isnan(out[i]) != 0) == (i / n % 5 == 2);
      CHECK(right, "%s, variant %s: NaN in the wrong rows of %lld", type_names[type], variants[v]->name, (long long)rows);
    }
  free(weight), free(x);
}

// Weights times a power of two give the product times it, to the bit.
static void test_magnitudes(lmmc_packed_type type) {
  enum { N = 70, K = 200, M = 9 };
  static const int exponents[] = {-100, -60, -20, -12, -6, 3, 20, 100};
  const int64_t x_stride = activation_bytes(type, K);
  uint8_t *x = random_activations(type, RANDOM, M, K, x_stride);
  uint8_t *packed = allocate(lmmc_packed_bytes(type, N, K));
  float *w = allocate(N * K * sizeof *w), *scaled = allocate(N * K * sizeof *scaled);
  for (int i = 0; i < N * K; i++) w[i] = random_float();
  for (int v = 0; v < variant_count; v++)
    for (int64_t rows = 1; rows <= M; rows += 4) {
      const lmmc_product *code = lmmc_product_of(variants[v], type);
      if (!code) continue;
      float first[M * N], out[M * N];
      for (int e = -1; e < (int)(sizeof exponents / sizeof *exponents); e++) {
        for (int i = 0; i < N * K; i++) scaled[i] = ldexpf(w[i], e < 0 ? 0 : exponents[e]);
        for (int64_t p = 0; p < lmmc_panels(N); p++)
          lmmc_pack_panel(type, N - p * LMMC_PANEL < LMMC_PANEL ? N - p * LMMC_PANEL : LMMC_PANEL, K, scaled + p * LMMC_PANEL * K,
                          packed + p * lmmc_panel_bytes(type, K), (int8_t *)packed + lmmc_exponents(type, N, K) + p * LMMC_PANEL);
        const lmmc_packed_matmul p = {
            .m = rows, .n = N, .k = K, .x = x, .x_stride = x_stride, .weight = packed, .out = e < 0 ? first : out, .out_stride = N};
        lmmc_packed_product(&p, type, code, lmmc_choose((lmmc_cpu){variants[v]->needs}).code.finish);
        int wrong = 0;
        for (int64_t i = 0; i < rows * N && e >= 0; i++) wrong += out[i] != ldexpf(first[i], exponents[e]);
        CHECK(wrong == 0, "%s, variant %s, weights times 2^%d: %d of %lld products", type_names[type], variants[v]->name,
              exponents[e < 0 ? 0 : e], wrong, (long long)(rows * N));
      }
    }
  free(x), free(packed), free(w), free(scaled);
}

int main(void) {
#ifdef _OPENMP
  omp_set_num_threads(2);
#endif
  const lmmc_cpu cpu = lmmc_this_cpu();
  lmmc_products_start(cpu);
  for (int i = 0; i < lmmc_variant_count(); i++) {
    const lmmc_variant *v = lmmc_variant_at(i);
    if (v->needs & ~cpu.features) {
      printf("not run: variant '%s', this CPU lacks it\n", v->name);
    } else {
      variants[variant_count++] = v;
      printf("variant '%s'\n", v->name);
    }
    const lmmc_product *products[] = {v->bf16, v->q8, v->q4};
    for (int t = 0; t < 3; t++) {
      if (!products[t]) continue;
      CHECK(products[t]->tile_blocks * products[t]->unpacked_bytes <= LMMC_UNPACKED_BYTES, "%s: an unpacked piece has no room", v->name);
      CHECK(products[t]->stream_rows <= LMMC_STREAM_ROWS, "%s: too many rows to stream", v->name);
    }
  }
  static const int64_t ks[] = {1, 3, 63, 64, 65, 96, 224, 576, 588, 1000}, ns[] = {1, 7, 31, 32, 33, 64, 100};
  static const int64_t ms[] = {1, 2, 3, 4, 5, 6, 7, 11, 13, 14, 15, 28, 29, 40};
  for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
    const lmmc_packed_type type = (lmmc_packed_type)t;
    int turn = 0;  // takes turns of epilogues through the shapes, of which every third is run: all pairs of sizes are among them
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
      for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
        for (size_t l = (i + j) % 3; l < sizeof ms / sizeof *ms; l += 3, turn++)
          run((problem){ms[l], ns[j], ks[i], type, (operand_kind)(turn % 11 == 0 ? CORNERS : RANDOM), (lmmc_activation)(turn % 4),
                        turn % 3 == 0, turn % 5 < 2, turn % 5 == 1});
    for (int64_t m = 1; m <= 20; m++)
      for (int kind = CORNERS; kind <= ALIKE; kind++)
        run((problem){m, 70, 320, type, (operand_kind)kind, LMMC_IDENTITY, false, false, false});
    run((problem){300, 70, 130, type, RANDOM, LMMC_SILU, true, true, true});
    run((problem){637, 3, 1100, type, RANDOM, LMMC_IDENTITY, false, true, false});
    // Rows that several panels read at a time, the last group without its last panel.
    run((problem){60, 32 * LMMC_PANEL + 5, 4100, type, RANDOM, LMMC_GELU, true, true, false});
    run((problem){2, 1500, 700, type, RANDOM, LMMC_IDENTITY, true, true, true});
    test_nan(type);
    test_magnitudes(type);
  }
  return check_report();
}
