// Whether attention with AVX-512 BF16 gives a row the same bits alone, with others in a call for few rows, and in blocks: over caches of
// every type, odd heads, shared heads, panels and cuts that end anywhere, maxima that grow, sums that vanish, and later rows that are
// infinite or NaN.
#include "attention_operands.h"

typedef enum { USUAL, RISING, VANISHING, INFINITE, BROKEN } content;
static const char *const content_names[] = {"usual", "rising", "vanishing", "infinite", "broken"};

// Keys or values. Of the last row, which the last query alone sees, values are infinite for INFINITE, and keys and values are NaN for BROKEN.
static void fill(const lmmc_attention *a, void *rows, int64_t stride, bool values, content what) {
  const int64_t n = a->kv_heads * a->head_size;
  float *row = allocate(n * 4);
  for (int64_t key = 0; key < a->keys; key++) {
    for (int64_t i = 0; i < n; i++) {
      row[i] = random_float() * ldexpf(1, -(int)(key % 4));
      // Scores that rise from panel to panel, so that maxima are renewed.
      if (what == RISING && !values) row[i] = (float)key / 16 + random_float();
      // Sums of values between the least normal float and zero, and below.
      if (what == VANISHING && values) row[i] = key % 3 == 0 ? -0.0f : random_float() * 3e-38f;
      if (what == INFINITE && values && key == a->keys - 1 && i % 2) row[i] = i % 4 == 1 ? INFINITY : -INFINITY;
      if (what == BROKEN && key == a->keys - 1 && i % 2) row[i] = NAN;
    }
    switch (a->kv_type) {
      case LMMC_KV_F32: memcpy((float *)rows + key * stride, row, (size_t)n * 4); break;
      case LMMC_KV_BF16: lmmc_store_row_bf16(n, row, (uint16_t *)rows + key * stride); break;
      case LMMC_KV_I8: lmmc_store_row_i8(a->kv_heads, a->head_size, row, (int8_t *)rows + key * stride); break;
    }
  }
  free(row);
}

// The queries first ... first + count - 1 by few(), cut by cut.
static void by_few(const lmmc_attention_variant *variant, const lmmc_attention *all, int64_t first, int64_t count, float *out) {
  lmmc_attention a = *all;
  a.queries = count, a.keys = all->keys - all->queries + first + count, a.q += first * a.q_stride;
  const int64_t group = attention_group(&a), rows = a.heads * count, d = a.head_size;
  float *part = allocate(rows * (d + 2) * 4), *sums = allocate(rows * (d + 2) * 4), *max = sums + rows * d, *sum = max + rows;
  for (int64_t cut = 0; cut < a.keys; cut += LMMC_ATTENTION_CUT) {
    float *to = cut == 0 ? sums : part;
    variant->few(&a, 0, a.kv_heads, cut, attention_smaller(cut + LMMC_ATTENTION_CUT, a.keys),
                 (lmmc_attention_partial){to, to + rows * d, to + rows * (d + 1)});
    for (int64_t r = 0; r < rows && cut > 0; r++)
      lmmc_attention_join(d, part + r * d, part[rows * d + r], part[rows * (d + 1) + r], sums + r * d, &max[r], &sum[r]);
  }
  for (int64_t r = 0; r < rows; r++) {
    const int64_t head = r / (count * group), row = r % (count * group);
    const float inverse = 1.0f / sum[r];
    for (int64_t e = 0; e < d; e++) out[attention_offset(&a, head, row, a.heads * d) + e] = sums[r * d + e] * inverse;
  }
  free(part), free(sums);
}

// Floats that differ, where NaN is NaN.
static int64_t differences(const float *x, const float *y, int64_t count) {
  int64_t result = 0;
  for (int64_t i = 0; i < count; i++) result += memcmp(x + i, y + i, 4) != 0 && !(isnan(x[i]) && isnan(y[i]));
  return result;
}

static void check(const lmmc_attention_variant *variant, lmmc_kv_type type, content what, int64_t queries, int64_t keys, int64_t heads,
                  int64_t kv_heads, int64_t d) {
  const int64_t n = heads * d, stride = type == LMMC_KV_I8 ? lmmc_row_bytes_i8(kv_heads, d) : kv_heads * d + 3, size = queries * n;
  void *k = allocate(keys * stride * 4), *v = allocate(keys * stride * 4);
  float *q = allocate(size * 4), *alone = allocate(size * 4), *out = allocate(size * 4);
  const lmmc_attention a = {.queries = queries,
                            .keys = keys,
                            .heads = heads,
                            .kv_heads = kv_heads,
                            .head_size = d,
                            .scale = (float)(1 / sqrt((double)d)),
                            .causal = true,
                            .q = q,
                            .q_stride = n,
                            .kv_type = type,
                            .k = k,
                            .v = v,
                            .k_stride = stride,
                            .v_stride = stride,
                            .out = out,
                            .out_stride = n};
  fill(&a, k, stride, false, what), fill(&a, v, stride, true, what);
  for (int64_t i = 0; i < size; i++) q[i] = what == RISING ? 1 + random_float() / 8 : 2 * random_float();
#define WHERE "%s, %s, %s: %lld x %lld, heads %lld / %lld x %lld"
#define PLACE                                                                                                                       \
  variant->name, type_names[type], content_names[what], (long long)queries, (long long)keys, (long long)heads, (long long)kv_heads, \
      (long long)d
  for (int64_t i = 0; i < queries; i++) by_few(variant, &a, i, 1, alone + i * n);
  int64_t broken = 0;
  for (int64_t i = 0; i < (queries - (what >= INFINITE)) * n; i++) broken += !isfinite(alone[i]);
  CHECK(broken == 0, WHERE ": %lld results are not finite", PLACE, (long long)broken);
  for (int64_t some = 2; some * heads / kv_heads <= LMMC_ATTENTION_FEW_ROWS && some <= queries; some++) {
    memset(out, 0xff, (size_t)size * 4);
    for (int64_t i = 0; i < queries; i += some) by_few(variant, &a, i, attention_smaller(some, queries - i), out + i * n);
    const int64_t wrong = differences(alone, out, size);
    CHECK(wrong == 0, WHERE ", %lld queries at a time: %lld results of %lld differ", PLACE, (long long)some, (long long)wrong,
          (long long)size);
  }
  const int64_t pieces[] = {1, 2, 7, 24, 100, 2000}, total = queries * heads / kv_heads, most = variant->max_rows(d);
  for (int p = 0; p < 6; p++) {
    memset(out, 0xff, (size_t)size * 4);
    const int64_t piece = attention_smaller(pieces[p], most);
    for (int64_t head = 0; head < kv_heads; head++)
      for (int64_t row = 0; row < total; row += piece) variant->block(&a, head, row, attention_smaller(piece, total - row));
    const int64_t wrong = differences(alone, out, size);
    CHECK(wrong == 0, WHERE ", blocks of %lld rows: %lld results of %lld differ", PLACE, (long long)piece, (long long)wrong,
          (long long)size);
  }
  free(k), free(v), free(q), free(alone), free(out);
}

int main(void) {
  int count;
  const lmmc_attention_variant *const *variants = lmmc_attention_variants(&count);
  const lmmc_attention_variant *variant = NULL;
  for (int i = 0; i < count; i++)
    if (strcmp(variants[i]->name, "avx512bf16") == 0) variant = variants[i];
  if (!variant || variant->needs & ~lmmc_this_cpu().features) {
    printf("not run: this CPU lacks AVX-512 BF16\n");
    return check_report();
  }
  for (int type = 0; type < 3; type++) {
    const int64_t sizes[] = {1, 2, 8, 15, 33, 64, 80, 128, 129, 256};
    for (int i = 0; i < 10; i++)
      for (content what = USUAL; what <= BROKEN; what++) {
        check(variant, (lmmc_kv_type)type, what, 27, 27, 2, 2, sizes[i]);
        check(variant, (lmmc_kv_type)type, what, 9, 150, 4, 1, sizes[i]);
      }
    for (int64_t keys = 1; keys <= 1100; keys += keys < 70 ? 1 : 103) {
      const int64_t queries = attention_smaller(keys, 5);
      check(variant, (lmmc_kv_type)type, (content)(keys % 5), queries, keys, 3, 3, 40);
    }
    for (content what = USUAL; what <= BROKEN; what++) {
      check(variant, (lmmc_kv_type)type, what, 130, 600, 2, 1, 64);
      check(variant, (lmmc_kv_type)type, what, 110, 1100, 1, 1, 128);
      check(variant, (lmmc_kv_type)type, what, 40, 800, 1, 1, 200);  // cuts that are packed by halves
    }
  }
  return check_report();
}
