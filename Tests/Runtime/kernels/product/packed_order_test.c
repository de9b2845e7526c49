// A row of a product has the same bits whichever rows are computed with it, by whatever number of threads: every variant that this CPU has,
// each row of 1 ... 40 and more against the same row alone. And a quantised row does not depend on where it lies.
#include "base/parallel.h"
#include "packed_operands.h"

enum { MOST = 40 };
// Around the most rows that are streamed, and more than a thread's sums hold.
static const int64_t borders[] = {LMMC_STREAM_ROWS - 1, LMMC_STREAM_ROWS, LMMC_STREAM_ROWS + 1, 300};
enum { BORDERS = sizeof borders / sizeof *borders };

static const lmmc_variant *variants[16];
static int variant_count;

static void set_threads(int threads) {
  (void)threads;
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
}

// Products of `step`, 2 `step` ... 40 rows, or of `borders` for a step of 0.
static void run(lmmc_packed_type type, int64_t n, int64_t k, int64_t step, lmmc_activation activation, bool has_bias, bool has_addend) {
  const int64_t x_stride = activation_bytes(type, k) + 64, stride = n + 3, most = step > 0 ? MOST : borders[BORDERS - 1];
  uint8_t *weight = random_weight(type, RANDOM, n, k), *x = random_activations(type, RANDOM, most, k, x_stride);
  const size_t bytes = (size_t)(most * stride) * sizeof(float);
  float *bias = allocate((size_t)n * sizeof *bias), *addend = allocate(bytes), *alone = allocate(bytes), *out = allocate(bytes);
  for (int64_t i = 0; i < n; i++) bias[i] = random_float();
  for (int64_t i = 0; i < most * stride; i++) addend[i] = random_float() * 3;
  for (int v = 0; v < variant_count; v++) {
    const lmmc_product *code = lmmc_product_of(variants[v], type);
    if (!code) continue;
    lmmc_finish_kernel *finish = lmmc_choose((lmmc_cpu){variants[v]->needs}).code.finish;
    lmmc_packed_matmul p = {.n = n,
                            .k = k,
                            .x_stride = x_stride,
                            .weight = weight,
                            .bias = has_bias ? bias : NULL,
                            .addend_stride = stride,
                            .activation = activation,
                            .out_stride = stride};
    set_threads(1);
    for (int64_t r = 0; r < most; r++) {
      p.m = 1, p.x = x + r * x_stride, p.addend = has_addend ? addend + r * stride : NULL, p.out = alone + r * stride;
      lmmc_packed_product(&p, type, code, finish);
    }
    p.x = x, p.addend = has_addend ? addend : NULL, p.out = out;
    for (int threads = 1; threads <= 3; threads++) {
      set_threads(threads);
      for (int64_t i = 0; i < (step > 0 ? MOST / step : BORDERS); i++) {
        p.m = step > 0 ? (i + 1) * step : borders[i];
        memset(out, 0xff, bytes);
        lmmc_packed_product(&p, type, code, finish);
        int64_t other = -1;
        for (int64_t r = p.m; r-- > 0;)
          if (memcmp(out + r * stride, alone + r * stride, (size_t)n * sizeof *out) != 0) other = r;
        CHECK(other < 0, "%s, variant %s, m %lld n %lld k %lld, %d threads: row %lld is not what it is alone", type_names[type],
              variants[v]->name, (long long)p.m, (long long)n, (long long)k, threads, (long long)other);
      }
    }
  }
  free(weight), free(x), free(bias), free(addend), free(alone), free(out);
}

static void test_quantised_rows(int64_t k) {
  float *x = allocate((size_t)(k + 16) * sizeof *x), *row = allocate((size_t)k * sizeof *row);
  for (int64_t i = 0; i < k; i++) row[i] = random_float() * (1 + (float)(i / LMMC_BLOCK));
  const int64_t bytes[] = {lmmc_q8_row_bytes(k), lmmc_bf16_row_bytes(k)};
  for (int v = 0; v < variant_count; v++)
    for (int b = 0; b < 2; b++) {
      lmmc_quantize_kernel *quantize = b ? variants[v]->quantize_bf16 : variants[v]->quantize_q8;
      if (!quantize) continue;
      uint8_t *first = allocate((size_t)bytes[b]), *other = allocate((size_t)bytes[b]);
      memset(first, 0, (size_t)bytes[b]), memset(other, 0, (size_t)bytes[b]);
      quantize(k, row, first);
      for (int place = 0; place < 16; place++) {
        memcpy(x + place, row, (size_t)k * sizeof *x);
        quantize(k, x + place, other);
        CHECK(memcmp(first, other, (size_t)bytes[b]) == 0, "%s, variant %s, k %lld: other bytes at place %d", b ? "bf16" : "q8",
              variants[v]->name, (long long)k, place);
      }
      free(first), free(other);
    }
  free(x), free(row);
}

int main(void) {
  for (int i = 0; i < lmmc_variant_count(); i++) {
    const lmmc_variant *v = lmmc_variant_at(i);
    if (v->needs & ~lmmc_this_cpu().features) {
      printf("not run: variant '%s', this CPU lacks it\n", v->name);
    } else {
      variants[variant_count++] = v;
    }
  }
  for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
    const lmmc_packed_type type = (lmmc_packed_type)t;
    // As many panels as one thread streams in tiles of rows, and three threads do not; the last panel and the last block are not full.
    run(type, 260, 64, 1, LMMC_IDENTITY, false, false);
    run(type, 260, 190, 1, LMMC_SILU, true, true);
    run(type, 70, 704, 1, LMMC_GELU, true, false);
    run(type, 33, 4096, 3, LMMC_IDENTITY, false, true);
    run(type, 260, 700, 13, LMMC_QUICK_GELU, false, true);
    run(type, 33, 11000, 10, LMMC_IDENTITY, true, true);
    run(type, 70, 190, 0, LMMC_SILU, true, true);
  }
  test_quantised_rows(64);
  test_quantised_rows(1000);
  return check_report();
}
