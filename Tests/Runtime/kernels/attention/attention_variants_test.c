// Every variant of attention that this CPU runs, over keys and values of every type, against loops in double: odd shapes and strides,
// shared heads, causal offsets, more keys than a tile, extreme scores, and as many threads as split the work in different ways.
#include "attention_operands.h"

typedef struct {
  int64_t queries, keys, heads, kv_heads, d;
  bool causal;
  float range;  // of queries and keys
  bool exact;   // they have so few bits that rounding them to bf16 changes nothing
} shape;

static float value(const shape *s, float range) { return s->exact ? nearbyintf(random_float() * 8) / 8 * range : random_float() * range; }

// Keys or values of one type, and what they mean, row by row without gaps. Their last row ends where the memory does, for the sanitizer
// to see a read past it, and what lies between rows is NaN in every type.
typedef struct {
  void *block, *rows;
  int64_t stride;
  float *meaning;
} kv;

static kv make_kv(const shape *s, lmmc_kv_type type, int64_t pad, float range) {
  const int64_t n = s->kv_heads * s->d, size = attention_element_bytes(type);
  kv result = {.stride = type == LMMC_KV_I8 ? lmmc_row_bytes_i8(s->kv_heads, s->d) : n + pad};
  const int64_t used = type == LMMC_KV_I8 ? n + s->kv_heads * 4 : n;
  const size_t bytes = (size_t)(((s->keys - 1) * result.stride + used) * size);
  // An odd address for bytes, an odd element for the others.
  result.block = allocate(bytes + (size_t)size);
  memset(result.block, 0xff, bytes + (size_t)size);
  result.rows = (char *)result.block + size;
  result.meaning = allocate((size_t)(s->keys * n) * sizeof(float));
  float *row = allocate((size_t)n * sizeof *row);
  char *room = allocate((size_t)lmmc_row_bytes_i8(s->kv_heads, s->d));
  for (int64_t key = 0; key < s->keys; key++) {
    // Rows of different sizes, so that their scales count.
    for (int64_t i = 0; i < n; i++) row[i] = value(s, ldexpf(range, -(int)(key % 4)));
    char *out = (char *)result.rows + key * result.stride * size;
    float *meaning = result.meaning + key * n;
    switch (type) {
      case LMMC_KV_F32: memcpy(out, row, (size_t)n * 4), memcpy(meaning, row, (size_t)n * 4); break;
      case LMMC_KV_BF16:
        lmmc_store_row_bf16(n, row, (uint16_t *)out);
        for (int64_t i = 0; i < n; i++)
          meaning[i] = ldexpf(nearbyintf(ldexpf(frexpf(row[i], &(int){0}), 8)), ilogbf(row[i] == 0 ? 1 : row[i]) + 1 - 8);
        break;
      case LMMC_KV_I8:
        // By way of a row of the full length, of which the last lacks its padding here.
        lmmc_store_row_i8(s->kv_heads, s->d, row, room);
        memcpy(out, room, (size_t)used);
        for (int64_t i = 0; i < n; i++) {
          float scale;
          memcpy(&scale, out + n + i / s->d * 4, 4);
          meaning[i] = scale * (float)((int8_t *)out)[i];
        }
        break;
    }
  }
  free(row), free(room);
  return result;
}

static void release_kv(kv x) { free(x.block), free(x.meaning); }

// Rounding to the eight bits of bf16 is off by this much in proportion, at most.
static const double unit = 0x1p-8;

// All outputs in double; `bound` is what rounding can do to each of them; the result is the typical sum of the squared terms of a score.
static double reference(const shape *s, double scale, const float *q, int64_t q_stride, const float *k, const float *v, const float *bias,
                        double *expected, double *bound) {
  const int64_t group = s->heads / s->kv_heads, n = s->kv_heads * s->d;
  double *scores = allocate((size_t)s->keys * sizeof *scores), *sizes = allocate((size_t)s->keys * sizeof *sizes), spread = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < s->queries; i++)
    for (int64_t h = 0; h < s->heads; h++) {
      const int64_t seen = s->causal ? s->keys - s->queries + i + 1 : s->keys;
      double max = -INFINITY, sum = 0, *out = expected + (i * s->heads + h) * s->d;
      for (int64_t j = 0; j < seen; j++) {
        scores[j] = sizes[j] = 0;
        for (int64_t e = 0; e < s->d; e++) {
          const double term = scale * q[i * q_stride + h * s->d + e] * k[j * n + h / group * s->d + e];
          scores[j] += term, sizes[j] += fabs(term), spread += term * term;
        }
        scores[j] += bias ? bias[j] : 0;
        max = fmax(max, scores[j]);
      }
      count += seen;
      for (int64_t j = 0; j < seen; j++) sum += scores[j] = exp(scores[j] - max);
      for (int64_t e = 0; e < s->d; e++) {
        const float *column = v + h / group * s->d + e;
        out[e] = 0;
        for (int64_t j = 0; j < seen; j++) out[e] += scores[j] * column[j * n] / sum;
        // The value is off by a unit; the weight by one and, through its score, by one for the query and one for the key. A weight that
        // is too large draws the output towards its value.
        double *b = bound + (i * s->heads + h) * s->d + e;
        *b = 0;
        for (int64_t j = 0; j < seen; j++)
          *b += unit * scores[j] / sum * (fabs(column[j * n]) + (1 + (s->exact ? 0 : 2 * sizes[j])) * fabs(column[j * n] - out[e]));
      }
    }
  free(scores), free(sizes);
  return spread / (double)count;
}

// An emulator takes every so many of the shapes: each is met by some variant and type.
#if !defined(CHECK_EVERY)
#define CHECK_EVERY 1
#endif

static void check_shape(const lmmc_attention_variant *variant, lmmc_kv_type type, shape s, bool biased) {
  static int turn;
  if (turn++ % CHECK_EVERY != 0) return;
  const int64_t qs = s.heads * s.d + 3, os = s.heads * s.d + 2, outs = s.queries * s.heads * s.d;
  const float scale = (float)(1 / sqrt((double)s.d));
  kv k = make_kv(&s, type, 5, s.range), v = make_kv(&s, type, 1, 1);
  float *q = allocate((size_t)(s.queries * qs - 3) * sizeof *q), *out = allocate((size_t)(s.queries * os) * sizeof *out);
  double *expected = allocate((size_t)outs * sizeof *expected), *bound = allocate((size_t)outs * sizeof *bound);
  for (int64_t i = 0; i < s.queries * qs - 3; i++) q[i] = i % qs < qs - 3 ? value(&s, s.range) : NAN;
  for (int64_t i = 0; i < s.queries * os; i++) out[i] = 123;
  // Logarithms of 1 ... 50, which make a key count as so many.
  float *bias = biased ? allocate((size_t)s.keys * sizeof *bias) : NULL;
  for (int64_t i = 0; bias && i < s.keys; i++) bias[i] = logf((float)(1 + i * 37 % 50));
  lmmc_attention_run(variant, &(lmmc_attention){.queries = s.queries,
                                                .keys = s.keys,
                                                .heads = s.heads,
                                                .kv_heads = s.kv_heads,
                                                .head_size = s.d,
                                                .scale = scale,
                                                .causal = s.causal,
                                                .q = q,
                                                .q_stride = qs,
                                                .kv_type = type,
                                                .k = k.rows,
                                                .v = v.rows,
                                                .k_stride = k.stride,
                                                .v_stride = v.stride,
                                                .out = out,
                                                .out_stride = os,
                                                .bias = bias});
  // AVX-512 VNNI reads int8 as integers, with queries of 15 bits and weights of 16: a sixteenth of what bf16 rounds. Few queries in f32
  // arithmetic round less still; ARM's "bf16" rounds.
  const bool few = s.queries * (s.heads / s.kv_heads) <= LMMC_ATTENTION_FEW_ROWS, integers = strcmp(variant->name, "avx512bf16") == 0;
  const bool digits = type == LMMC_KV_I8 && strcmp(variant->name, "bf16") != 0 && (few || integers) && s.d <= LMMC_ATTENTION_MAX_HEAD;
  if (digits) s.exact = false;
  const double spread = reference(&s, scale, q, qs, k.meaning, v.meaning, bias, expected, bound);
  // In f32 a score of size s is off by about s / 2^23, and its weight by as much in proportion.
  const double in_float = 2e-6 + 2e-7 * s.range * s.range * sqrt((double)s.d);
  double worst = 0, squares = 0, errors = 0;
  bool untouched = true;
  for (int64_t i = 0; i < s.queries; i++) {
    for (int64_t e = 0; e < s.heads * s.d; e++) {
      const int64_t at = i * s.heads * s.d + e;
      const double difference = fabs(out[i * os + e] - expected[at]),
                   allowed = in_float + (variant->rounds ? (digits ? 0.0625 : 1.02) * bound[at] : 0);
      if (!(difference / allowed <= worst)) worst = difference / allowed;
      squares += expected[at] * expected[at], errors += difference * difference;
    }
    untouched = untouched && out[i * os + os - 2] == 123 && out[i * os + os - 1] == 123;
  }
#define WHERE "%s, %s: %lld x %lld, heads %lld / %lld x %lld, causal %d, range %g, biased %d"
#define PLACE                                                                                                                          \
  variant->name, type_names[type], (long long)s.queries, (long long)s.keys, (long long)s.heads, (long long)s.kv_heads, (long long)s.d, \
      s.causal, (double)s.range, biased
  CHECK(untouched, WHERE ": writes between the rows", PLACE);
  CHECK(worst <= 1, WHERE ": %.3g of the allowed error", PLACE, worst);
  if (variant->rounds && s.d >= 16) {
    // Typically a rounding is off by unit / sqrt 6: evenly up to unit, over 1 ... 2. As the errors are independent, they average out over
    // keys as the values do: the relative error of all outputs is unit sqrt((1 + 1 + 2 spread) / 6), where `spread` makes a relative
    // error of query and key one of the score. Half as much again is allowed, since few rows share a query's error.
    const double relative = 1.5 * unit * sqrt((2 + (s.exact ? 0 : 2 * spread)) / 6);
    CHECK(sqrt(errors) <= relative * sqrt(squares) + in_float * sqrt((double)outs), WHERE ": relative error %.3g, not %.3g", PLACE,
          sqrt(errors / squares), relative);
  }
  release_kv(k), release_kv(v);
  free(q), free(out), free(expected), free(bound), free(bias);
}

static void check(const lmmc_attention_variant *variant, lmmc_kv_type type, shape s) { check_shape(variant, type, s, false); }

static void check_shapes(const lmmc_attention_variant *variant, lmmc_kv_type type) {
  set_threads(2);
  const int64_t sizes[] = {1, 2, 3, 8, 16, 24, 31, 36, 48, 64, 80, 96, 128, 176, 256, 260};
  for (int i = 0; i < 16; i++) {
    const int64_t d = sizes[i];
    check(variant, type, (shape){1, 1, 2, 2, d, true, 1, false});
    check(variant, type, (shape){1, 131, 4, 2, d, true, 1, false});
    check(variant, type, (shape){3, 67, 4, 1, d, true, 1, false});
    check(variant, type, (shape){13, 140, 2, 2, d, true, 1, false});
    check(variant, type, (shape){37, 37, 3, 3, d, false, 2, false});
    check(variant, type, (shape){37, 1, 3, 3, d, false, 1, false});
    check(variant, type, (shape){5, 300, 2, 1, d, false, 1, false});
    check(variant, type, (shape){32, 9, 2, 2, d, false, 1, false});  // fewer keys than queries
  }
  for (int64_t queries = 1; queries <= 20; queries++)
    check(variant, type, (shape){queries, 128 + queries, 6, 3, 16, queries % 2, 1, false});
  for (int64_t keys = 60; keys <= 70; keys++) check(variant, type, (shape){25, keys, 2, 2, 40, keys % 2, 1, false});
  check(variant, type, (shape){250, 250, 2, 2, 64, true, 1, false});
  check(variant, type, (shape){200, 333, 3, 1, 64, true, 1, false});
  check(variant, type, (shape){577, 577, 1, 1, 64, false, 1, false});
  check(variant, type, (shape){70, 1200, 1, 1, 64, true, 1, false});  // more keys than are packed at a time
  check(variant, type, (shape){20, 700, 1, 1, 256, true, 1, false});
  check(variant, type, (shape){1100, 60, 1, 1, 16, false, 1, false});  // more queries than a task takes
  check(variant, type, (shape){1, 130, 193, 1, 2, true, 1, false});    // a query head group as large as a tile
  check(variant, type, (shape){2, 130, 1100, 1, 1, true, 1, false});
  // Scores of hundreds and more: one key takes all the weight.
  check(variant, type, (shape){7, 300, 2, 2, 64, true, 30, true});
  check(variant, type, (shape){40, 300, 2, 2, 64, true, 100, true});
  check(variant, type, (shape){1, 2100, 1, 1, 64, true, 100, true});  // parts whose maxima lie far apart
  for (int threads = 1; threads <= 5; threads++) {
    set_threads(threads);
    check(variant, type, (shape){1, 2100, 4, 1, 24, true, 8, true});
    check(variant, type, (shape){1, 1500, 1, 1, 64, true, 1, false});
    check(variant, type, (shape){1, 500, 6, 3, 33, true, 1, false});
    check(variant, type, (shape){2, 500, 8, 4, 32, true, 1, false});
    check(variant, type, (shape){1, 64, 8, 8, 32, true, 1, false});
  }
}

// Biases of keys in f32, which all queries see: few rows and many, ends of panels, several cuts, and heads that are computed row by row.
static void check_biased(const lmmc_attention_variant *variant) {
  set_threads(2);
  const int64_t sizes[] = {1, 8, 36, 64, 80, 256, 260};
  for (int i = 0; i < 7; i++) {
    check_shape(variant, LMMC_KV_F32, (shape){3, 67, 2, 1, sizes[i], false, 1, false}, true);
    check_shape(variant, LMMC_KV_F32, (shape){37, 145, 3, 3, sizes[i], false, 2, false}, true);
  }
  for (int64_t keys = 1; keys <= 70; keys += keys == 1 ? 59 : 1) {
    check_shape(variant, LMMC_KV_F32, (shape){keys, keys, 2, 2, 16, false, 1, false}, true);
    check_shape(variant, LMMC_KV_F32, (shape){2, keys, 2, 2, 16, false, 1, false}, true);
  }
  check_shape(variant, LMMC_KV_F32, (shape){577, 577, 1, 1, 64, false, 1, false}, true);
  check_shape(variant, LMMC_KV_F32, (shape){2, 1200, 4, 2, 32, false, 1, false}, true);
  check_shape(variant, LMMC_KV_F32, (shape){40, 600, 1, 1, 64, false, 100, true}, true);
}

// Scores that rise or fall from key to key by so much that only the last or the first matters, and a first score far below zero.
static void check_ramps(const lmmc_attention_variant *variant) {
  enum { KEYS = 200, D = 32, QUERIES = 12 };
  for (int queries = 1; queries <= QUERIES; queries += QUERIES - 1)
    for (int down = 0; down < 2; down++) {
      float q[QUERIES * D], k[KEYS * D], v[KEYS * D], out[QUERIES * D];
      for (int i = 0; i < queries * D; i++) q[i] = 32;
      for (int key = 0; key < KEYS; key++)
        for (int e = 0; e < D; e++) k[key * D + e] = (float)(down ? -key : key - KEYS), v[key * D + e] = (float)(key + 1);
      lmmc_attention_run(variant, &(lmmc_attention){.queries = queries,
                                                    .keys = KEYS,
                                                    .heads = 1,
                                                    .kv_heads = 1,
                                                    .head_size = D,
                                                    .scale = 1,
                                                    .q = q,
                                                    .q_stride = D,
                                                    .k = k,
                                                    .v = v,
                                                    .k_stride = D,
                                                    .v_stride = D,
                                                    .out = out,
                                                    .out_stride = D});
      bool right = true;
      for (int i = 0; i < queries * D; i++) right = right && fabsf(out[i] - (down ? 1 : KEYS)) <= 1e-6f * KEYS;
      CHECK(right, "%s: a %s ramp gives %g", variant->name, down ? "falling" : "rising", (double)out[0]);
    }
}

// A negative scale turns the order of the keys around.
static void check_negative_scale(const lmmc_attention_variant *variant) {
  float q[12], k[2] = {1, -1}, v[2] = {5, 7}, out[12];
  for (int i = 0; i < 12; i++) q[i] = 100;
  for (int queries = 1; queries <= 12; queries += 11) {
    lmmc_attention_run(variant, &(lmmc_attention){.queries = queries,
                                                  .keys = 2,
                                                  .heads = 1,
                                                  .kv_heads = 1,
                                                  .head_size = 1,
                                                  .scale = -1,
                                                  .q = q,
                                                  .q_stride = 1,
                                                  .k = k,
                                                  .v = v,
                                                  .k_stride = 1,
                                                  .v_stride = 1,
                                                  .out = out,
                                                  .out_stride = 1});
    // ARM's products of bf16 round a sum that is not exact to an odd number.
    CHECK(fabsf(out[0] - 7) <= 1e-6f && fabsf(out[queries - 1] - 7) <= 1e-6f, "%s: a negative scale gives %g", variant->name,
          (double)out[0]);
  }
}

// ---- rows of a cache

static void test_rows(void) {
  const float inputs[] = {0, -0.0f, 1, 1.00390625f, 1.01171875f, 3.3895314e38f, 3.4028234e38f, INFINITY, -INFINITY, 1e-40f, -2.5f};
  const uint16_t outputs[] = {0, 0x8000, 0x3f80, 0x3f80, 0x3f82, 0x7f7f, 0x7f80, 0x7f80, 0xff80, 1, 0xc020};
  uint16_t rounded[11];
  lmmc_store_row_bf16(11, inputs, rounded);
  for (int i = 0; i < 11; i++) CHECK(rounded[i] == outputs[i], "%a as bf16 is %#x", (double)inputs[i], rounded[i]);
  uint32_t bits = 0x7f800001;
  float nan;
  memcpy(&nan, &bits, sizeof nan);
  lmmc_store_row_bf16(1, &nan, rounded);
  CHECK(isnan(lmmc_float_of_bf16(rounded[0])), "NaN as bf16 is %#x", rounded[0]);

  for (int64_t d = 1; d <= 70; d++) {
    enum { HEADS = 6 };
    float x[HEADS * 70];
    for (int64_t i = 0; i < HEADS * d; i++) x[i] = random_float() * (i / d == 1 ? 1e30f : i / d == 2 ? 1e-20f : 5);
    for (int64_t i = 3 * d; i < 4 * d; i++) x[i] = i % 2 ? 1e-35f : 0;
    x[4 * d] = INFINITY, x[5 * d + d / 2] = NAN;
    const int64_t bytes = lmmc_row_bytes_i8(HEADS, d);
    CHECK(bytes % 64 == 0 && bytes >= HEADS * (d + 4) && bytes < HEADS * (d + 4) + 64, "a row has %lld bytes", (long long)bytes);
    int8_t *row = allocate((size_t)bytes);
    lmmc_store_row_i8(HEADS, d, x, row);
    for (int64_t h = 0; h < HEADS; h++) {
      float scale, amax = 0, worst = 0;
      int most = 0;
      memcpy(&scale, row + HEADS * d + h * 4, 4);
      for (int64_t i = h * d; i < (h + 1) * d; i++) {
        amax = fmaxf(amax, fabsf(x[i])), worst = fmaxf(worst, fabsf(scale * row[i] - x[i]));
        most = abs(row[i]) > most ? abs(row[i]) : most;
      }
      if (h == 3) {
        CHECK(scale == 0 && most == 0, "a head of nearly nothing has the scale %g", (double)scale);
      } else if (h >= 4) {
        CHECK(!isfinite(scale), "a head without a size has the scale %g", (double)scale);
      } else {
        CHECK(most == 127 && fabsf(scale * 127 - amax) <= amax * 1e-6f, "the greatest code is %d for %g", most, (double)amax);
        CHECK(worst <= scale * 0.50001f, "head %lld of %lld is %g steps off", (long long)h, (long long)d, (double)(worst / scale));
      }
    }
    free(row);
  }
}

// ---- the choice

static void test_choice(void) {
  int count;
  const lmmc_attention_variant *const *variants = lmmc_attention_variants(&count);
  const char *best = "plain";
  for (int i = 0; i < count; i++) {
    const lmmc_cpu cpu = {variants[i]->needs};
    CHECK(lmmc_attention_choose(cpu, true) == variants[i], "for '%s' it is '%s'", variants[i]->name,
          lmmc_attention_choose(cpu, true)->name);
    if (!variants[i]->rounds) best = variants[i]->name;
    CHECK(strcmp(lmmc_attention_choose(cpu, false)->name, best) == 0, "for f32 on '%s' it is '%s'", variants[i]->name,
          lmmc_attention_choose(cpu, false)->name);
  }
  CHECK(strcmp(lmmc_attention_bf16_variant(), "plain") == 0 && strcmp(lmmc_attention_f32_variant(), "plain") == 0,
        "before the start attention runs on '%s' and '%s'", lmmc_attention_f32_variant(), lmmc_attention_bf16_variant());
  lmmc_attention_start(lmmc_this_cpu());
  const char *chosen = lmmc_attention_bf16_variant();
  CHECK(strcmp(chosen, lmmc_attention_choose(lmmc_this_cpu(), true)->name) == 0, "'%s' is chosen", chosen);
  CHECK(strcmp(lmmc_attention_f32_variant(), lmmc_attention_choose(lmmc_this_cpu(), false)->name) == 0, "'%s' is chosen for f32",
        lmmc_attention_f32_variant());
  float q = 1, k = 2, v[] = {3}, out[2] = {0};
  const lmmc_attention one = {.queries = 1,
                              .keys = 1,
                              .heads = 1,
                              .kv_heads = 1,
                              .head_size = 1,
                              .scale = 1,
                              .causal = true,
                              .q = &q,
                              .q_stride = 1,
                              .k = &k,
                              .v = v,
                              .k_stride = 1,
                              .v_stride = 1,
                              .out = out,
                              .out_stride = 1};
  lmmc_attention_f32(one);
  CHECK(out[0] == 3 && out[1] == 0, "one key of one element gives %g", (double)out[0]);
  lmmc_attention_bf16(one);
  CHECK(out[0] == 3 && out[1] == 0, "one key of one element gives %g", (double)out[0]);
}

int main(void) {
  int count;
  const lmmc_attention_variant *const *variants = lmmc_attention_variants(&count);
  test_rows();
  test_choice();
  for (int i = 0; i < count; i++) {
    if (variants[i]->needs & ~lmmc_this_cpu().features) {
      printf("skipped: this CPU lacks '%s'\n", variants[i]->name);
      continue;
    }
    for (int type = 0; type < 3; type++) check_shapes(variants[i], (lmmc_kv_type)type);
    check_biased(variants[i]);
    check_ramps(variants[i]);
    check_negative_scale(variants[i]);
  }
  return check_report();
}
