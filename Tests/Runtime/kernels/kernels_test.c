// The f32 kernels against loops in double, over odd shapes, strides and extreme values.
#include "kernels/kernels.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "kernels/start.h"
#include "random.h"

// `count` floats in [-range, range) with as many NaNs on both sides, so that a read or write past the end shows.
enum { FENCE = 32 };
static float *fenced(int64_t count, float range) {
  float *block = malloc((size_t)(count + 2 * FENCE) * sizeof *block);
  if (!block) exit(1);
  for (int64_t i = 0; i < count + 2 * FENCE; i++) block[i] = i < FENCE || i >= count + FENCE ? NAN : random_float() * range;
  return block + FENCE;
}
static void release(const char *name, float *x, int64_t count) {
  bool whole = true;
  for (int64_t i = 0; i < FENCE; i++) whole = whole && isnan(x[-1 - i]) && isnan(x[count + i]);
  CHECK(whole, "something is written around '%s', %lld floats", name, (long long)count);
  free(x - FENCE);
}

static double activate(lmmc_activation activation, double x) {
  switch (activation) {
    case LMMC_IDENTITY: return x;
    case LMMC_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case LMMC_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case LMMC_SILU: return x / (1 + exp(-x));
  }
  return NAN;
}

// ---- elementary functions

static int64_t ordered(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits < 0 ? -(int64_t)(bits & 0x7fffffff) : bits;
}

static void test_functions(void) {
  int64_t worst_ulp = 0;
  for (float x = -87.3f; x < 87.3f; x += 0.00073f) {
    const int64_t ulp = llabs(ordered(lmmc_exp(x)) - ordered((float)exp((double)x)));
    if (ulp > worst_ulp) worst_ulp = ulp;
  }
  CHECK(worst_ulp <= 2, "exp is %lld ulp off", (long long)worst_ulp);
  CHECK(lmmc_exp(0.0f) == 1.0f && lmmc_exp(-0.0f) == 1.0f, "exp(0) is %.9g", (double)lmmc_exp(0));
  CHECK(lmmc_exp(-1e4f) < 1.3e-38f && lmmc_exp(-1e4f) >= 0, "exp(-1e4) is %.9g", (double)lmmc_exp(-1e4f));
  CHECK(isfinite(lmmc_exp(1e4f)) && lmmc_exp(1e4f) > 8e37f, "exp(1e4) is %.9g", (double)lmmc_exp(1e4f));
  CHECK(isnan(lmmc_exp(NAN)), "exp(NaN) is %.9g", (double)lmmc_exp(NAN));

  double worst_erf = 0, worst_gelu = 0, worst_quick = 0, worst_silu = 0;
  for (float x = -12; x < 12; x += 0.000037f) {
    worst_erf = fmax(worst_erf, fabs(lmmc_erf(x) - erf((double)x)));
    const double scale = fmax(1, fabs((double)x));
    worst_gelu = fmax(worst_gelu, fabs(lmmc_gelu(x) - activate(LMMC_GELU, x)) / scale);
    worst_quick = fmax(worst_quick, fabs(lmmc_quick_gelu(x) - activate(LMMC_QUICK_GELU, x)) / scale);
    worst_silu = fmax(worst_silu, fabs(lmmc_silu(x) - activate(LMMC_SILU, x)) / scale);
  }
  CHECK(worst_erf <= 1.5e-7, "erf is %.3g off", worst_erf);
  CHECK(worst_gelu <= 1.5e-7, "gelu is %.3g off", worst_gelu);
  CHECK(worst_quick <= 2e-7, "quick_gelu is %.3g off", worst_quick);
  CHECK(worst_silu <= 2e-7, "silu is %.3g off", worst_silu);
  const float far[] = {-1e4f, -1e3f, -100, -88, 88, 100, 1e3f, 1e4f};
  for (int i = 0; i < 8; i++) {
    const float x = far[i], expected = x > 0 ? x : 0;
    CHECK(fabsf(lmmc_gelu(x) - expected) <= 1e-30f + fabsf(expected) * 1e-7f, "gelu(%g) is %.9g", (double)x, (double)lmmc_gelu(x));
    CHECK(fabsf(lmmc_quick_gelu(x) - expected) <= 1e-30f + fabsf(expected) * 1e-7f, "quick_gelu(%g) is %.9g", (double)x,
          (double)lmmc_quick_gelu(x));
    CHECK(fabsf(lmmc_silu(x) - expected) <= 1e-30f + fabsf(expected) * 1e-7f, "silu(%g) is %.9g", (double)x, (double)lmmc_silu(x));
  }
}

// ---- rows

static void test_rows(void) {
  for (int64_t n = 1; n <= 70; n++) {
    float *a = fenced(n, 8), *b = fenced(n, 8), *c = fenced(n, 2), *out = fenced(n, 1);
    // An activation's error is absolute and grows with |x|; what it gates multiplies it.
#define ROW(call, expected)                                                                                           \
  do {                                                                                                                \
    double worst = 0;                                                                                                 \
    call;                                                                                                             \
    for (int64_t i = 0; i < n; i++) {                                                                                 \
      const double e = (expected), d = fabs(out[i] - e) / fmax(1, fabs(e));                                           \
      if (!(d <= worst)) worst = d;                                                                                   \
    }                                                                                                                 \
    CHECK(worst < (strstr(#call, "gate") ? 4e-6 : 4e-7), "%s with n = %lld is %.3g off", #call, (long long)n, worst); \
  } while (0)
    ROW(lmmc_copy_row(n, a, out), a[i]);
    ROW(lmmc_add_row(n, a, b, out), (double)a[i] + b[i]);
    ROW(lmmc_multiply_row(n, a, b, out), (double)a[i] * b[i]);
    ROW(lmmc_scale_row(n, 0.3f, a, out), (double)a[i] * 0.3f);
    ROW(lmmc_gelu_row(n, a, out), activate(LMMC_GELU, a[i]));
    ROW(lmmc_quick_gelu_row(n, a, out), activate(LMMC_QUICK_GELU, a[i]));
    ROW(lmmc_silu_row(n, a, out), activate(LMMC_SILU, a[i]));
    ROW(lmmc_gate_gelu_row(n, a, b, out), activate(LMMC_GELU, a[i]) * b[i]);
    ROW(lmmc_gate_quick_gelu_row(n, a, b, out), activate(LMMC_QUICK_GELU, a[i]) * b[i]);
    ROW(lmmc_gate_silu_row(n, a, b, out), activate(LMMC_SILU, a[i]) * b[i]);

    // An offset far above the spread: a one-pass variance in float would lose every digit.
    for (int64_t i = 0; i < n; i++) a[i] += 1000;
    double mean = 0, squares = 0, deviation = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)a[i] / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (double)a[i] * a[i] / (double)n, deviation += (a[i] - mean) * (a[i] - mean) / (double)n;
    ROW(lmmc_rms_norm_row(n, 1e-5f, a, c, out), a[i] / sqrt(squares + 1e-5f) * c[i]);
    double worst = 0;
    lmmc_layer_norm_row(n, 1e-5f, a, c, b, out);
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(out[i] - ((a[i] - mean) / sqrt(deviation + 1e-5f) * c[i] + b[i])));
    // The mean is a float: half its last place at 1000, over the deviation.
    CHECK(worst < 1e-6 + 6.2e-5 / sqrt(deviation + 1e-5) * 2, "layer_norm with n = %lld is %.3g off", (long long)n, worst);

    // In place gives the same bits.
    float *same = fenced(n, 8);
    memcpy(same, a, (size_t)n * sizeof *a);
    lmmc_layer_norm_row(n, 1e-5f, same, c, b, same);
    CHECK(memcmp(same, out, (size_t)n * sizeof *a) == 0, "layer_norm in place differs with n = %lld", (long long)n);
    release("in place", same, n), release("a", a, n), release("b", b, n), release("c", c, n), release("out", out, n);
  }
}

static void test_rotary(void) {
  const int64_t heads = 3;
  for (int64_t half = 1; half <= 40; half++) {
    const int64_t n = heads * 2 * half;
    float *frequency = fenced(half, 1), *angles = fenced(2 * half, 1), *x = fenced(n, 3), *out = fenced(n, 1);
    const int64_t position = half * 97;
    lmmc_rotary_angles(half, frequency, position, angles);
    lmmc_rotary_row(heads, half, angles, x, out);
    double worst = 0;
    for (int64_t h = 0; h < heads; h++)
      for (int64_t j = 0; j < half; j++) {
        const float angle = (float)position * frequency[j];
        const double c = cos((double)angle), s = sin((double)angle), a = x[h * 2 * half + j], b = x[h * 2 * half + half + j];
        worst = fmax(worst, fabs(out[h * 2 * half + j] - (a * c - b * s)));
        worst = fmax(worst, fabs(out[h * 2 * half + half + j] - (b * c + a * s)));
      }
    CHECK(worst < 1e-6, "rotary with half = %lld is %.3g off", (long long)half, worst);
    lmmc_rotary_row(heads, half, angles, x, x);
    CHECK(memcmp(x, out, (size_t)n * sizeof *x) == 0, "rotary in place differs with half = %lld", (long long)half);
    release("frequency", frequency, half), release("angles", angles, 2 * half), release("x", x, n), release("out", out, n);
  }
}

static void test_embed(void) {
  float table[3 * 5], vision[2 * 5], out[5];
  for (int i = 0; i < 15; i++) table[i] = (float)i;
  for (int i = 0; i < 10; i++) vision[i] = 100.0f + (float)i;
  lmmc_embed_row(5, 2, table, vision, out);
  CHECK(out[0] == 10 && out[4] == 14, "token 2 begins with %g", (double)out[0]);
  lmmc_embed_row(5, -1, table, vision, out);
  CHECK(out[0] == 100 && out[4] == 104, "token -1 begins with %g", (double)out[0]);
  lmmc_embed_row(5, -2, table, vision, out);
  CHECK(out[0] == 105, "token -2 begins with %g", (double)out[0]);
}

// ---- pixels

static void check_inner_window(int kernel, int margin, int index) {
  float tokens[12 * 12 * 4], mean[3];
  for (int i = 0; i < 12 * 12 * 4; i++) tokens[i] = (float)(i * i % 64);
  lmmc_average_inner_window(12, 3, kernel, margin, index, tokens, 4, mean);
  const int across = 12 / kernel, edge = kernel - 2 * margin;
  for (int c = 0; c < 3; c++) {
    double sum = 0;
    for (int y = margin; y < kernel - margin; y++)
      for (int x = margin; x < kernel - margin; x++)
        sum += tokens[((index / across * kernel + y) * 12 + index % across * kernel + x) * 4 + c];
    CHECK(fabs(mean[c] - sum / (edge * edge)) <= 64e-7, "the mean of window %d of %d less %d is %g for %g", index, kernel, margin,
          (double)mean[c], sum / (edge * edge));
  }
}

// Each window of a grid of 4 x 6 windows against loops in double. Scores are within 87 of each other.
static void check_window_attention(int64_t kernel, int64_t heads, int64_t size, float range) {
  enum { ACROSS = 6, DOWN = 4 };
  const int64_t n = heads * size, width = ACROSS * kernel, tokens = width * DOWN * kernel, ks = n + 3, vs = n + 5;
  float *q = fenced(n, range), *k = fenced(tokens * ks, range), *v = fenced(tokens * vs, 1), *out = fenced(n, 1);
  const float scale = 0.7f / sqrtf((float)size);
  double worst = 0;
  for (int64_t index = 0; index < ACROSS * DOWN; index++) {
    lmmc_attend_window(width, kernel, heads, size, scale, index, q, k, ks, v, vs, out);
    for (int64_t h = 0; h < heads; h++) {
      double scores[16], most = -INFINITY, sum = 0;
      int64_t seen[16];
      for (int64_t y = 0; y < kernel; y++)
        for (int64_t x = 0; x < kernel; x++) {
          const int64_t i = y * kernel + x, token = (index / ACROSS * kernel + y) * width + index % ACROSS * kernel + x;
          seen[i] = token, scores[i] = 0;
          for (int64_t c = h * size; c < (h + 1) * size; c++) scores[i] += (double)scale * q[c] * k[token * ks + c];
          most = fmax(most, scores[i]);
        }
      for (int64_t i = 0; i < kernel * kernel; i++) sum += scores[i] = exp(scores[i] - most);
      for (int64_t c = h * size; c < (h + 1) * size; c++) {
        double mixed = 0;
        for (int64_t i = 0; i < kernel * kernel; i++) mixed += scores[i] / sum * v[seen[i] * vs + c];
        worst = fmax(worst, fabs(out[c] - mixed));
      }
    }
  }
  // Values below 1; a score of some tens is off by its size times the rounding of some sums.
  CHECK(worst < 1e-6 * (1 + range * range), "attention over windows of %lld, %lld heads of %lld: %.3g off", (long long)kernel,
        (long long)heads, (long long)size, worst);
  release("q", q, n), release("k", k, tokens * ks), release("v", v, tokens * vs), release("out", out, n);
}

static void test_window_attention(void) {
  for (int64_t kernel = 1; kernel <= 4; kernel++)
    for (int64_t size = 1; size <= 17; size++) check_window_attention(kernel, 1 + size % 3, size, 2);
  check_window_attention(2, 8, 128, 1);
  check_window_attention(3, 8, 128, 5);
}

static void test_pixels(void) {
  enum { C = 2, H = 13, W = 14, PATCH = 3, GRID_W = W / PATCH, GRID_H = H / PATCH };
  float pixels[C * H * W], out[C * PATCH * PATCH];
  for (int i = 0; i < C * H * W; i++) pixels[i] = (float)i;
  for (int window = 1; window <= 2; window++)
    for (int index = 0; index < GRID_W * GRID_H; index++) {
      int row = index / GRID_W, column = index % GRID_W;
      if (window == 2) {
        const int outside = index / 4, inside = index % 4;
        row = outside / (GRID_W / 2) * 2 + inside / 2, column = outside % (GRID_W / 2) * 2 + inside % 2;
      }
      lmmc_extract_patch(C, H, W, PATCH, window, index, pixels, out);
      bool equal = true;
      for (int c = 0; c < C; c++)
        for (int y = 0; y < PATCH; y++)
          for (int x = 0; x < PATCH; x++)
            equal = equal && out[(c * PATCH + y) * PATCH + x] == (float)((c * H + row * PATCH + y) * W + column * PATCH + x);
      CHECK(equal, "patch %d in windows of %d differs", index, window);
    }

  float tokens[6 * 4 * 7], windows[5 * 4];
  for (int i = 0; i < 6 * 4 * 7; i++) tokens[i] = (float)i;
  for (int index = 0; index < 6; index++) {
    lmmc_gather_window(4, 5, 2, index, tokens, 7, windows);
    bool equal = true;
    for (int c = 0; c < 5; c++)
      for (int y = 0; y < 2; y++)
        for (int x = 0; x < 2; x++)
          equal = equal && windows[(c * 2 + y) * 2 + x] == tokens[((index / 2 * 2 + y) * 4 + index % 2 * 2 + x) * 7 + c];
    CHECK(equal, "window %d differs", index);
    lmmc_average_window(4, 5, 2, index, tokens, 7, windows);
    for (int c = 0; c < 5; c++) {
      double sum = 0;
      for (int i = 0; i < 4; i++) sum += tokens[((index / 2 * 2 + i / 2) * 4 + index % 2 * 2 + i % 2) * 7 + c];
      equal = equal && windows[c] == (float)(sum / 4);  // exact: small integers over 4
    }
    CHECK(equal, "the mean of window %d differs", index);
  }
  for (int kernel = 1; kernel <= 4; kernel++)
    for (int margin = 0; 2 * margin < kernel; margin++)
      for (int index = 0; index < 144 / (kernel * kernel); index++) check_inner_window(kernel, margin, index);

  uint8_t image[256 * 3];
  for (int i = 0; i < 256 * 3; i++) image[i] = (uint8_t)(i / 3);
  float row[256];
  lmmc_normalize_row(256, 3, 0.48145467f, 0.26862955f, image + 1, row);
  double worst = 0;
  for (int i = 0; i < 256; i++) worst = fmax(worst, fabs(row[i] - (i / 255.0 - 0.48145467f) / 0.26862955f));
  CHECK(worst < 3e-7, "normalize is %.3g off", worst);
}

// ---- products

static void check_matmul(int64_t m, int64_t n, int64_t k, int64_t pad, bool bias, int addend, lmmc_activation activation, float range) {
  const int64_t xs = k + pad, ws = k + 2 * pad, os = n + 3 * pad, as = addend == 2 ? os : n + pad;
  const int64_t counts[] = {m * xs, n * ws, n, m * as, m * os};
  float *x = fenced(counts[0], range), *w = fenced(counts[1], 1), *b = fenced(counts[2], 1), *a = fenced(counts[3], 1);
  float *out = fenced(counts[4], 1), *before = malloc((size_t)counts[4] * sizeof *before);
  if (!before) exit(1);
  memcpy(before, out, (size_t)counts[4] * sizeof *before);
  const float *added = addend == 0 ? NULL : addend == 1 ? a : out;
  lmmc_matmul_f32((lmmc_matmul){.m = m,
                                .n = n,
                                .k = k,
                                .x = x,
                                .x_stride = xs,
                                .weight = w,
                                .weight_stride = ws,
                                .bias = bias ? b : NULL,
                                .addend = added,
                                .addend_stride = as,
                                .activation = activation,
                                .out = out,
                                .out_stride = os});
  double worst = 0;
  bool untouched = true;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = bias ? b[j] : 0, size = 1;
      for (int64_t p = 0; p < k; p++) sum += (double)x[i * xs + p] * w[j * ws + p], size += fabs((double)x[i * xs + p] * w[j * ws + p]);
      if (addend) sum += addend == 1 ? a[i * as + j] : before[i * os + j];
      const double d = fabs(out[i * os + j] - activate(activation, sum)) / size;
      if (!(d <= worst)) worst = d;
    }
    for (int64_t j = n; j < os; j++) untouched = untouched && out[i * os + j] == before[i * os + j];
  }
  CHECK(worst < 1e-6, "matmul %lld x %lld x %lld, pad %lld, bias %d, addend %d, activation %d: %.3g off", (long long)m, (long long)n,
        (long long)k, (long long)pad, bias, addend, activation, worst);
  CHECK(untouched, "matmul %lld x %lld x %lld writes between its rows", (long long)m, (long long)n, (long long)k);
  free(before);
  release("x", x, counts[0]), release("weight", w, counts[1]), release("bias", b, counts[2]), release("addend", a, counts[3]);
  release("out", out, counts[4]);
}

static void test_matmul(void) {
  const int64_t rows[] = {1, 2, 3, 5, 12, 13, 17};
  for (int i = 0; i < 7; i++)
    for (int64_t k = 1; k <= 70; k++) {
      const int variant = (int)(k + i);
      check_matmul(rows[i], 1 + k * 7 % 23, k, variant % 3, variant % 2, variant % 3, (lmmc_activation)(variant % 4), 1);
    }
  for (int activation = 0; activation < 4; activation++)
    for (int addend = 0; addend < 3; addend++)
      for (int bias = 0; bias < 2; bias++) {
        check_matmul(1, 37, 129, 0, bias, addend, (lmmc_activation)activation, 1);
        check_matmul(20, 37, 129, 4, bias, addend, (lmmc_activation)activation, 1);
        check_matmul(3, 37, 129, 4, bias, addend, (lmmc_activation)activation, 1e4f);
      }
  CHECK(strlen(lmmc_blas_core()) > 0, "the core type is empty");
}

// Up to 12 rows go to the kernel that gives each row the bits that it has alone.
static void test_few_rows(int64_t n, int64_t k) {
  enum { FEW = 12 };
  float *x = fenced(FEW * k, 1), *w = fenced(n * k, 1), *bias = fenced(n, 1), *addend = fenced(FEW * n, 1);
  float *out = fenced(FEW * n, 1), *alone = fenced(FEW * n, 1);
  lmmc_matmul p = {.n = n,
                   .k = k,
                   .x_stride = k,
                   .weight = w,
                   .weight_stride = k,
                   .bias = bias,
                   .addend_stride = n,
                   .activation = LMMC_GELU,
                   .out_stride = n};
  for (int64_t r = 0; r < FEW; r++) {
    p.m = 1, p.x = x + r * k, p.addend = addend + r * n, p.out = alone + r * n;
    lmmc_matmul_f32(p);
  }
  p.x = x, p.addend = addend, p.out = out;
  for (p.m = 2; p.m <= FEW; p.m++) {
    lmmc_matmul_f32(p);
    CHECK(memcmp(out, alone, (size_t)(p.m * n) * sizeof *out) == 0, "f32, %lld rows by [%lld, %lld]: not what they are alone",
          (long long)p.m, (long long)n, (long long)k);
  }
  release("x", x, FEW * k), release("weight", w, n * k), release("bias", bias, n), release("addend", addend, FEW * n);
  release("out", out, FEW * n), release("alone", alone, FEW * n);
}

// ---- attention

static void check_attention(int64_t queries, int64_t keys, int64_t heads, int64_t kv_heads, int64_t d, bool causal, float range) {
  const int64_t qs = heads * d + 3, ks = kv_heads * d + 5, vs = kv_heads * d + 1, os = heads * d + 2, group = heads / kv_heads;
  // Rows past the last are NaN: nobody may read them.
  float *q = fenced(queries * qs, range), *k = fenced(keys * ks, range), *v = fenced(keys * vs, 1), *out = fenced(queries * os, 1);
  float *before = malloc((size_t)(queries * os) * sizeof *before);
  double *scores = malloc((size_t)keys * sizeof *scores);
  if (!scores || !before) exit(1);
  memcpy(before, out, (size_t)(queries * os) * sizeof *out);
  const float scale = (float)(1 / sqrt((double)d));
  lmmc_attention_f32((lmmc_attention){.queries = queries,
                                      .keys = keys,
                                      .heads = heads,
                                      .kv_heads = kv_heads,
                                      .head_size = d,
                                      .scale = scale,
                                      .causal = causal,
                                      .q = q,
                                      .q_stride = qs,
                                      .k = k,
                                      .k_stride = ks,
                                      .v = v,
                                      .v_stride = vs,
                                      .out = out,
                                      .out_stride = os});
  double worst = 0;
  bool untouched = true;
  for (int64_t i = 0; i < queries; i++) {
    const int64_t seen = causal ? keys - queries + i + 1 : keys;
    for (int64_t h = 0; h < heads; h++) {
      double max = -INFINITY, sum = 0;
      for (int64_t j = 0; j < seen; j++) {
        scores[j] = 0;
        for (int64_t e = 0; e < d; e++) scores[j] += (double)q[i * qs + h * d + e] * k[j * ks + h / group * d + e];
        scores[j] *= scale;
        max = fmax(max, scores[j]);
      }
      for (int64_t j = 0; j < seen; j++) sum += scores[j] = exp(scores[j] - max);
      for (int64_t e = 0; e < d; e++) {
        double expected = 0;
        for (int64_t j = 0; j < seen; j++) expected += scores[j] * v[j * vs + h / group * d + e] / sum;
        const double difference = fabs(out[i * os + h * d + e] - expected);
        if (!(difference <= worst)) worst = difference;
      }
    }
    for (int64_t e = heads * d; e < os; e++) untouched = untouched && out[i * os + e] == before[i * os + e];
  }
  // A score of size s is off by about s / 2^23, and its weight by as much in proportion.
  CHECK(worst < 2e-6 + 2e-7 * range * range * sqrt((double)d),
        "attention %lld x %lld, heads %lld / %lld x %lld, causal %d, range %g: %.3g off", (long long)queries, (long long)keys,
        (long long)heads, (long long)kv_heads, (long long)d, causal, (double)range, worst);
  CHECK(untouched, "attention writes between its rows");
  free(scores);
  free(before);
  release("q", q, queries * qs), release("k", k, keys * ks), release("v", v, keys * vs), release("out", out, queries * os);
}

static void test_attention(void) {
  const int64_t sizes[] = {1, 2, 4, 8, 16, 24, 36, 64, 80, 128, 256, 260};
  for (int i = 0; i < 12; i++) {
    check_attention(1, 1, 2, 2, sizes[i], true, 1);
    check_attention(1, 131, 4, 2, sizes[i], true, 1);
    check_attention(3, 67, 4, 1, sizes[i], true, 1);
    check_attention(13, 140, 2, 2, sizes[i], true, 1);
    check_attention(37, 37, 3, 3, sizes[i], false, 2);
    check_attention(5, 300, 2, 1, sizes[i], false, 1);
  }
  for (int64_t queries = 1; queries <= 20; queries++) check_attention(queries, 128 + queries, 6, 3, 16, queries % 2, 1);
  check_attention(250, 250, 2, 2, 64, true, 1);
  check_attention(200, 333, 3, 1, 64, true, 1);
  check_attention(7, 300, 2, 2, 64, true, 30);  // one key takes all the weight
  check_attention(1, 1500, 1, 1, 64, true, 1);  // the keys are split where there are threads for it
  check_attention(1, 2100, 4, 1, 24, true, 8);
  check_attention(1, 2100, 1, 1, 64, true, 100);  // parts whose maxima lie far apart
  check_attention(1, 130, 193, 1, 2, true, 1);    // more query heads to a key head than a tile has rows
}

int main(void) {
  lmmc_kernels_start(lmmc_this_cpu());
  test_functions();
  test_rows();
  test_rotary();
  test_embed();
  test_pixels();
  test_window_attention();
  test_matmul();
  test_few_rows(37, 129);
  test_few_rows(64, 1000);
  test_attention();
  return check_report();
}
