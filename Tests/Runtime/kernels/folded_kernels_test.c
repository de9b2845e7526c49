// The kernels that folded operations need: patches from bytes, and norms without scale and bias.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../check.h"
#include "kernels/kernels.h"

static uint32_t state = 12345;
static uint32_t random_bits(void) { return (state = state * 1664525u + 1013904223u) >> 8; }

// Against the definition: row `index` of patches in windows, columns (c, dy, dx), each byte less its channel's center.
static void test_patches(void) {
  enum { HEIGHT = 14, WIDTH = 19, CHANNELS = 3, PATCH = 3 };
  static uint8_t image[HEIGHT * WIDTH * CHANNELS];
  for (size_t i = 0; i < sizeof image; i++) image[i] = (uint8_t)random_bits();
  image[0] = 0, image[1] = 255;
  const float center[CHANNELS] = {122.77094f, 0.0f, -1.5f};
  for (int window = 1; window <= 2; window++) {
    const int rows = HEIGHT / PATCH, columns = WIDTH / PATCH, across = columns / window;
    int index = 0, wrong = 0;
    for (int top = 0; top < rows; top += window)
      for (int left = 0; left < columns; left += window)
        for (int dy = 0; dy < window; dy++)
          for (int dx = 0; dx < window; dx++, index++) {
            float out[CHANNELS * PATCH * PATCH + 1];
            out[CHANNELS * PATCH * PATCH] = 7;
            lmmc_center_patch(WIDTH, CHANNELS, PATCH, window, index, center, image, out);
            for (int c = 0; c < CHANNELS; c++)
              for (int y = 0; y < PATCH; y++)
                for (int x = 0; x < PATCH; x++) {
                  const int pixel = ((top + dy) * PATCH + y) * WIDTH + (left + dx) * PATCH + x;
                  wrong += out[(c * PATCH + y) * PATCH + x] != (float)image[pixel * CHANNELS + c] - center[c];
                }
            wrong += out[CHANNELS * PATCH * PATCH] != 7;
          }
    CHECK(wrong == 0 && index == rows * across * window, "%d wrong elements in %d patches, windows of %d", wrong, index, window);
  }
}

static void test_norms(void) {
  enum { MAXIMUM = 1024 };
  static float x[MAXIMUM], out[MAXIMUM + 1], ones[MAXIMUM], zeros[MAXIMUM], scaled[MAXIMUM];
  const int sizes[] = {1, 2, 7, 64, 1000, MAXIMUM};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const int n = sizes[s];
    double sum = 0, squares = 0, variance = 0, worst = 0;
    for (int i = 0; i < n; i++) {
      x[i] = (float)random_bits() / (1 << 23) - 0.75f, ones[i] = 1;
      sum += x[i], squares += (double)x[i] * x[i];
    }
    for (int i = 0; i < n; i++) variance += (x[i] - sum / n) * (x[i] - sum / n);
    out[n] = 7;
    lmmc_standardize_row(n, 1e-5f, x, out);
    for (int i = 0; i < n; i++) worst = fmax(worst, fabs(out[i] - (x[i] - sum / n) / sqrt(variance / n + (double)1e-5f)));
    // The mean is rounded to float: an error of at most 2^-24 below 2, which the deviation divides.
    CHECK(worst < 1e-6 + 0x1p-24 / sqrt(variance / n + 1e-5), "standardize with n = %d is %.3g off", n, worst);
    lmmc_layer_norm_row(n, 1e-5f, x, ones, zeros, scaled);
    CHECK(memcmp(out, scaled, (size_t)n * sizeof *out) == 0, "standardize is no layer_norm by ones with n = %d", n);

    worst = 0;
    lmmc_rms_divide_row(n, 1e-5f, x, out);
    for (int i = 0; i < n; i++) worst = fmax(worst, fabs(out[i] - x[i] / sqrt(squares / n + (double)1e-5f)));
    CHECK(worst < 1e-6, "rms_divide with n = %d is %.3g off", n, worst);
    lmmc_rms_norm_row(n, 1e-5f, x, ones, scaled);
    CHECK(memcmp(out, scaled, (size_t)n * sizeof *out) == 0, "rms_divide is no rms_norm by ones with n = %d", n);
    CHECK(out[n] == 7, "a norm of %d floats writes past its end", n);

    memcpy(scaled, x, sizeof x);
    lmmc_rms_divide_row(n, 1e-5f, scaled, scaled);
    CHECK(memcmp(out, scaled, (size_t)n * sizeof *out) == 0, "rms_divide in place differs with n = %d", n);
    memcpy(scaled, x, sizeof x);
    lmmc_standardize_row(n, 1e-5f, x, out);
    lmmc_standardize_row(n, 1e-5f, scaled, scaled);
    CHECK(memcmp(out, scaled, (size_t)n * sizeof *out) == 0, "standardize in place differs with n = %d", n);
  }
}

int main(void) {
  test_patches();
  test_norms();
  return check_report();
}
