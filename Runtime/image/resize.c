#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "base/parallel.h"
#include "kernels/rows/pixels.h"

// Resampling as Pillow does it: a separable cubic filter (a = -0.5), widened by the scale when shrinking, its weights
// normalised in double and rounded to 22 bits; each pass ends in 8 bits, the horizontal one is first.
//
// Only the outputs that are asked for are computed, and the image may lie in a larger canvas of one colour. The canvas
// is never made: what a filter would read outside the image is that colour times the sum of the weights there. Likewise
// the result of the horizontal pass is never stored: each row of it is added at once to the few output rows that read
// it. All sums are of integers, so the order of additions changes nothing.

enum { WEIGHT_BITS = 22, HALF = 1 << (WEIGHT_BITS - 1) };

// A fused multiply-add would round the weights differently from one CPU to the next.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#define NO_CONTRACTION
#else
#define NO_CONTRACTION __attribute__((optimize("fp-contract=off")))
#endif

typedef struct {
  int first, count;  // pixels of the image that this output reads
  int32_t outside;   // sum of the weights that fall on the canvas beside the image
} tap;

typedef struct {
  int outputs;
  int low, high;     // outputs that read pixels of the image; those beside them see the canvas alone
  size_t stride;     // weights kept per output
  tap *taps;         // [outputs]
  int32_t *weights;  // [outputs, stride]
} axis;

// What an axis is made from: `image` pixels stand at `before` in a canvas of `canvas` pixels, which becomes `total`
// outputs, of which [from, from + outputs) are computed.
typedef struct {
  int image, canvas, before;
  int64_t total, from;
  int outputs;
} axis_shape;

NO_CONTRACTION static double cubic(double x) {
  const double a = -0.5;
  if (x < 0) x = -x;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

static void axis_free(axis *a) {
  free(a->taps);
  free(a->weights);
  *a = (axis){0};
}

NO_CONTRACTION static bool axis_plan(const axis_shape *s, axis *a) {
  double scale = (double)s->canvas / (double)s->total;
  double stretch = scale < 1 ? 1 : scale;
  double support = s->total == s->canvas ? 0.5 : 2 * stretch;  // 0.5: a size that does not change is copied
  size_t window = (size_t)ceil(support) * 2 + 1;
  if (window > (size_t)s->canvas) window = (size_t)s->canvas;
  *a = (axis){.outputs = s->outputs, .stride = window < (size_t)s->image ? window : (size_t)s->image};
  double *w = malloc(window * sizeof *w);
  a->taps = malloc((size_t)s->outputs * sizeof *a->taps);
  a->weights = malloc((size_t)s->outputs * a->stride * sizeof *a->weights);
  if (!w || !a->taps || !a->weights) {
    free(w);
    axis_free(a);
    return false;
  }

  for (int i = 0; i < s->outputs; i++) {
    double center = ((double)(s->from + i) + 0.5) * scale;
    int low = center - support + 0.5 < 0 ? 0 : (int)(center - support + 0.5);
    int high = center + support + 0.5 > s->canvas ? s->canvas : (int)(center + support + 0.5);
    double sum = 0;
    for (int k = low; k < high; k++) {
      w[k - low] = cubic((k - center + 0.5) * (1 / stretch));
      sum += w[k - low];
    }
    tap t = {.first = low - s->before, .count = 0, .outside = 0};
    if (t.first < 0) t.first = 0;
    if (t.first > s->image) t.first = s->image;
    int32_t *out = a->weights + (size_t)i * a->stride;
    for (int k = low; k < high; k++) {
      double share = sum != 0 ? w[k - low] / sum : w[k - low];
      int32_t weight = (int32_t)(share * (1 << WEIGHT_BITS) + (share < 0 ? -0.5 : 0.5));
      int pixel = k - s->before;
      if (pixel < 0 || pixel >= s->image) {
        t.outside += weight;
      } else {
        out[t.count++] = weight;
      }
    }
    a->taps[i] = t;
    if (t.count > 0) a->high = i + 1;
    if (a->high == 0) a->low = i + 1;
  }
  free(w);
  return true;
}

static uint8_t clip8(int32_t sum) {
  int32_t v = sum >> WEIGHT_BITS;
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

// One row of the image to the outputs of a row, [outputs, 3], that read some of it.
static void filter_row(const axis *x, const uint8_t *row, const uint8_t background[3], uint8_t *out) {
  for (int i = x->low; i < x->high; i++) {
    const tap *t = &x->taps[i];
    const uint8_t *p = row + 3 * (size_t)t->first;
    const int32_t *w = x->weights + (size_t)i * x->stride;
    int32_t r = HALF + background[0] * t->outside, g = HALF + background[1] * t->outside;
    int32_t b = HALF + background[2] * t->outside;
    for (int k = 0; k < t->count; k++, p += 3) {
      r += p[0] * w[k];
      g += p[1] * w[k];
      b += p[2] * w[k];
    }
    out[3 * i] = clip8(r);
    out[3 * i + 1] = clip8(g);
    out[3 * i + 2] = clip8(b);
  }
}

// What the horizontal pass makes of a canvas row that holds no image.
static void filter_background(const axis *x, const uint8_t background[3], uint8_t *out) {
  for (int i = 0; i < x->outputs; i++) {
    int32_t sum = x->taps[i].outside;
    for (int k = 0; k < x->taps[i].count; k++) sum += x->weights[(size_t)i * x->stride + (size_t)k];
    for (int c = 0; c < 3; c++) out[3 * i + c] = clip8(HALF + background[c] * sum);
  }
}

typedef struct {
  const lmmc_image *image;
  const uint8_t *background;
  const uint8_t *empty_row;  // filter_background's
  axis x, y;
  uint8_t *out;
  size_t out_stride;
} job;

// Output rows [from, to), with `sums` [to - from, width * 3] and `row` [width * 3] as scratch.
static void resize_band(const job *j, int from, int to, int32_t *sums, uint8_t *row) {
  // The values of a row left and right of these are as in a row that holds no image.
  size_t n = (size_t)j->x.outputs * 3, left = (size_t)j->x.low * 3, right = (size_t)j->x.high * 3;
  int begin = INT_MAX, end = 0;
  for (int i = from; i < to; i++) {
    const tap *t = &j->y.taps[i];
    int32_t *sum = sums + (size_t)(i - from) * n, all = t->outside;
    for (int k = 0; k < t->count; k++) all += j->y.weights[(size_t)i * j->y.stride + (size_t)k];
    for (size_t k = 0; k < n; k++) sum[k] = HALF + j->empty_row[k] * (k < left || k >= right ? all : t->outside);
    if (t->count > 0 && t->first < begin) begin = t->first;
    if (t->first + t->count > end) end = t->first + t->count;
  }
  int low = from;  // outputs before it are done, since neither end of a window ever moves up
  for (int y = begin; y < end; y++) {
    filter_row(&j->x, j->image->rgb + (size_t)y * (size_t)j->image->width * 3, j->background, row);
    while (low < to && j->y.taps[low].first + j->y.taps[low].count <= y) low++;
    for (int i = low; i < to && j->y.taps[i].first <= y; i++) {
      int32_t weight = j->y.weights[(size_t)i * j->y.stride + (size_t)(y - j->y.taps[i].first)];
      int32_t *sum = sums + (size_t)(i - from) * n;
      for (size_t k = left; k < right; k++) sum[k] += weight * row[k];
    }
  }
  for (int i = from; i < to; i++)
    for (size_t k = 0; k < n; k++) j->out[(size_t)i * j->out_stride + k] = clip8(sums[(size_t)(i - from) * n + k]);
}

static bool resize_canvas(const lmmc_image *image, const uint8_t background[3], const axis_shape *x, const axis_shape *y, uint8_t *out,
                          size_t out_stride, lmmc_error *e) {
  job j = {.image = image, .background = background, .out = out, .out_stride = out_stride};
  size_t n = (size_t)x->outputs * 3, rows = (size_t)y->outputs;
  // A band per thread: bands read some image rows in common, so more of them would be more work.
  int threads = lmmc_thread_count();
  int bands = threads < y->outputs / 8 ? threads : y->outputs / 8;
  if (bands < 1) bands = 1;
  uint8_t *scratch = malloc(rows * n * sizeof(int32_t) + (size_t)(bands + 1) * n);
  bool ok = scratch && axis_plan(x, &j.x) && axis_plan(y, &j.y);
  if (ok) {
    int32_t *sums = (int32_t *)scratch;
    uint8_t *empty_row = scratch + rows * n * sizeof(int32_t), *band_rows = empty_row + n;
    filter_background(&j.x, background, empty_row);
    j.empty_row = empty_row;
    // All threads run, though some may get no band: libgomp ends those that a region leaves out.
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
    for (int b = 0; b < bands; b++) {
      int from = (int)((int64_t)y->outputs * b / bands), to = (int)((int64_t)y->outputs * (b + 1) / bands);
      resize_band(&j, from, to, sums + (size_t)from * n, band_rows + (size_t)b * n);
    }
  } else {
    lmmc_fail(e, 1, "out of memory for resizing an image of %d x %d pixels", image->width, image->height);
  }
  axis_free(&j.x);
  axis_free(&j.y);
  free(scratch);
  return ok;
}

static bool check_size(const char *what, int value, int limit, lmmc_error *e) {
  if (value >= 1 && value <= limit) return true;
  return lmmc_fail(e, 1, "%s of %d pixels cannot be resized: 1 to %d are supported", what, value, limit);
}

static bool check_image(const lmmc_image *in, lmmc_error *e) {
  return check_size("an image width", in->width, LMMC_IMAGE_MAX_SIDE, e) &&
         check_size("an image height", in->height, LMMC_IMAGE_MAX_SIDE, e);
}

bool lmmc_resize_bicubic(const uint8_t *rgb, int width, int height, uint8_t *out, int out_width, int out_height, lmmc_error *e) {
  lmmc_image in = {width, height, (uint8_t *)rgb};
  if (!check_image(&in, e) || !check_size("a result width", out_width, LMMC_IMAGE_MAX_SIDE, e) ||
      !check_size("a result height", out_height, LMMC_IMAGE_MAX_SIDE, e))
    return false;
  axis_shape x = {.image = width, .canvas = width, .total = out_width, .outputs = out_width};
  axis_shape y = {.image = height, .canvas = height, .total = out_height, .outputs = out_height};
  return resize_canvas(&in, (const uint8_t[3]){0}, &x, &y, out, (size_t)out_width * 3, e);
}

// One axis of a centre crop of `size` from `total` outputs. Where there are fewer than `size`, they stand at `*at`,
// half-way and rounded up, as transformers places them.
static axis_shape crop_axis(int image, int64_t total, int size, int *at) {
  axis_shape s = {.image = image, .canvas = image, .total = total, .outputs = size};
  *at = 0;
  if (total >= size) {
    s.from = (total - size) / 2;
  } else {
    *at = (int)((size - total + 1) / 2);
    s.outputs = (int)total;
  }
  return s;
}

void lmmc_padding_bars(int width, int height, int size, int32_t bars[4]) {
  const int longer = width > height ? width : height, shorter = width > height ? height : width, first = width > height ? 0 : 2;
  // Halves go to the even number, as in Python's round.
  const int bar = size - (int)nearbyint(shorter * ((double)size / longer));
  memset(bars, 0, 4 * sizeof *bars);
  bars[first] = bar / 2;
  bars[first + 1] = bar - bar / 2;
}

bool lmmc_preprocess_image(const lmmc_image *in, const lmmc_preprocess *p, uint8_t *out, lmmc_error *e) {
  if (!check_image(in, e)) return false;
  if (p->size < 1 || p->size > LMMC_PREPROCESS_MAX_SIZE)
    return lmmc_fail(e, 1, "image size %d is not supported: 1 to %d are", p->size, LMMC_PREPROCESS_MAX_SIZE);
  size_t stride = (size_t)p->size * 3;
  int short_side = in->width < in->height ? in->width : in->height;
  int long_side = in->width < in->height ? in->height : in->width;

  if (p->mode == LMMC_RESIZE_PAD) {
    int before = (long_side - short_side) / 2;
    axis_shape wide = {.image = long_side, .canvas = long_side, .total = p->size, .outputs = p->size};
    axis_shape narrow = {.image = short_side, .canvas = long_side, .before = before, .total = p->size, .outputs = p->size};
    bool landscape = in->width >= in->height;
    return resize_canvas(in, p->background, landscape ? &wide : &narrow, landscape ? &narrow : &wide, out, stride, e);
  }

  if (p->resize < 1 || p->resize > LMMC_PREPROCESS_MAX_SIZE)
    return lmmc_fail(e, 1, "shortest edge %d is not supported: 1 to %d are", p->resize, LMMC_PREPROCESS_MAX_SIZE);
  int64_t long_total = (int64_t)p->resize * long_side / short_side;
  int left, top;
  axis_shape x = crop_axis(in->width, in->width <= in->height ? p->resize : long_total, p->size, &left);
  axis_shape y = crop_axis(in->height, in->width <= in->height ? long_total : p->resize, p->size, &top);
  if (left || top || x.outputs < p->size || y.outputs < p->size) memset(out, 0, stride * (size_t)p->size);
  return resize_canvas(in, p->background, &x, &y, out + (size_t)top * stride + (size_t)left * 3, stride, e);
}

void lmmc_normalize(const uint8_t *rgb, int size, const float mean[3], const float std[3], float *out) {
  size_t pixels = (size_t)size * (size_t)size;
  for (int c = 0; c < 3; c++) lmmc_normalize_row((int64_t)pixels, 3, mean[c], std[c], rgb + c, out + (size_t)c * pixels);
}
