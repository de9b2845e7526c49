// From the pixels of an image to rows of patches, and from tokens to rows of windows.
#ifndef LMMC_KERNELS_ROWS_PIXELS_H
#define LMMC_KERNELS_ROWS_PIXELS_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/common/vector_math.h"

// Normalises one channel of a row of pixels: u8 [width, channels], from the channel's first element on -> f32 [width], (v / 255 - mean) /
// std.
static inline void lmmc_normalize_row(int64_t width, int64_t channels, float mean, float std, const uint8_t *pixels, float *out) {
  for (int64_t i = 0; i < width; i++) out[i] = ((float)(pixels[i * channels] * (1.0 / 255)) - mean) / std;
}

// The pixel at which patch number `index` begins, on a grid that is `columns` patches wide. Windows of `window` x `window` patches follow
// one another in raster order, and so do the patches inside a window.
static inline void lmmc_patch_origin(int64_t columns, int64_t patch, int64_t window, int64_t index, int64_t *top, int64_t *left) {
  const int64_t windows = columns / window, inside = index % (window * window), outside = index / (window * window);
  *top = (outside / windows * window + inside / window) * patch;
  *left = (outside % windows * window + inside % window) * patch;
}

// Copies patch number `index`: f32 [channels, height, width] -> f32 [channels, patch, patch].
static inline void lmmc_extract_patch(int64_t channels, int64_t height, int64_t width, int64_t patch, int64_t window, int64_t index,
                                      const float *pixels, float *out) {
  int64_t top, left;
  lmmc_patch_origin(width / patch, patch, window, index, &top, &left);
  for (int64_t c = 0; c < channels; c++)
    for (int64_t y = 0; y < patch; y++, out += patch)
      memcpy(out, pixels + (c * height + top + y) * width + left, (size_t)patch * sizeof *out);
}

// Copies patch number `index` of a decoded image and subtracts center[channel]: u8 [height, width, channels] -> f32 [channels, patch,
// patch].
static inline void lmmc_center_patch(int64_t width, int64_t channels, int64_t patch, int64_t window, int64_t index, const float *center,
                                     const uint8_t *pixels, float *out) {
  int64_t top, left;
  lmmc_patch_origin(width / patch, patch, window, index, &top, &left);
  for (int64_t c = 0; c < channels; c++)
    for (int64_t y = 0; y < patch; y++, out += patch) {
      const uint8_t *row = pixels + ((top + y) * width + left) * channels + c;
      for (int64_t x = 0; x < patch; x++) out[x] = (float)row[x * channels] - center[c];
    }
}

// Copies window number `index` of a grid that is `width` tokens wide, f32 [_, channels] with `stride` floats from token to token ->
// f32 [channels, kernel, kernel].
static inline void lmmc_gather_window(int64_t width, int64_t channels, int64_t kernel, int64_t index, const float *tokens, int64_t stride,
                                      float *out) {
  const int64_t top = index / (width / kernel) * kernel, left = index % (width / kernel) * kernel;
  for (int64_t y = 0; y < kernel; y++)
    for (int64_t x = 0; x < kernel; x++) {
      const float *token = tokens + ((top + y) * width + left + x) * stride;
      for (int64_t c = 0; c < channels; c++) out[(c * kernel + y) * kernel + x] = token[c];
    }
}

// The mean of the tokens of window number `index` of the same grid that stand at least `margin` tokens from its edges -> f32 [channels].
static inline void lmmc_average_inner_window(int64_t width, int64_t channels, int64_t kernel, int64_t margin, int64_t index,
                                             const float *tokens, int64_t stride, float *out) {
  const int64_t top = index / (width / kernel) * kernel + margin, left = index % (width / kernel) * kernel + margin;
  const int64_t edge = kernel - 2 * margin;
  memcpy(out, tokens + (top * width + left) * stride, (size_t)channels * sizeof *out);
  for (int64_t i = 1; i < edge * edge; i++) {
    const float *token = tokens + ((top + i / edge) * width + left + i % edge) * stride;
#pragma omp simd
    for (int64_t c = 0; c < channels; c++) out[c] += token[c];
  }
  const float factor = 1.0f / (float)(edge * edge);
#pragma omp simd
  for (int64_t c = 0; c < channels; c++) out[c] *= factor;
}

// The mean of all its tokens.
static inline void lmmc_average_window(int64_t width, int64_t channels, int64_t kernel, int64_t index, const float *tokens, int64_t stride,
                                       float *out) {
  lmmc_average_inner_window(width, channels, kernel, 0, index, tokens, stride, out);
}

// The score of a key of `size` floats.
static inline float lmmc_window_score(int64_t size, float scale, const float *query, const float *key) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; i++) sum += query[i] * key[i];
  return sum * scale;
}

// Attention of one query over the tokens of window number `index` of the same grid, for each of `heads` heads of `size` floats; keys and values
// are `key_stride` and `value_stride` floats apart. The scores are made twice, so that none has to be kept.
static inline void lmmc_attend_window(int64_t width, int64_t kernel, int64_t heads, int64_t size, float scale, int64_t index,
                                      const float *query, const float *keys, int64_t key_stride, const float *values, int64_t value_stride,
                                      float *out) {
  const int64_t top = index / (width / kernel) * kernel, left = index % (width / kernel) * kernel;
  for (int64_t h = 0; h < heads; h++, query += size, keys += size, values += size, out += size) {
    float most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < kernel * kernel; i++) {
      const int64_t token = (top + i / kernel) * width + left + i % kernel;
      const float score = lmmc_window_score(size, scale, query, keys + token * key_stride);
      if (score > most) most = score;
    }
    for (int64_t c = 0; c < size; c++) out[c] = 0;
    for (int64_t i = 0; i < kernel * kernel; i++) {
      const int64_t token = (top + i / kernel) * width + left + i % kernel;
      const float *value = values + token * value_stride;
      const float weight = lmmc_exp(lmmc_window_score(size, scale, query, keys + token * key_stride) - most);
      sum += weight;
#pragma omp simd
      for (int64_t c = 0; c < size; c++) out[c] += weight * value[c];
    }
    const float factor = 1 / sum;
#pragma omp simd
    for (int64_t c = 0; c < size; c++) out[c] *= factor;
  }
}

#endif
