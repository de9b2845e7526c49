// How fast attention and the rows around it are, beside what the machine can do in the same minute. Not a test: prints a table.
//   gcc -std=gnu11 -O3 -march=native -fopenmp -IRuntime Tools/Benchmarks/attention_bench.c
//       $(find Runtime/kernels/common Runtime/kernels/attention -name '*.c') -lm -o attention_bench
//   OMP_PROC_BIND=true OMP_PLACES=cores attention_bench [VARIANT [PART OF A NAME]]
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/attention/attention_variant.h"
#include "kernels/rows/cache_rows.h"
#include "kernels/rows/rows.h"

enum { RUNS = 9, MAX_CASES = 64 };

static void *allocate(size_t bytes) {
  void *result = NULL;
  if (posix_memalign(&result, 64, bytes)) exit(1);
  memset(result, 0, bytes);
  return result;
}

// Seconds. On a busy machine, with one thread, those on the CPU tell more: -DCPU_TIME.
static double now(void) {
#ifdef CPU_TIME
  return (double)clock() / CLOCKS_PER_SEC;
#else
  return omp_get_wtime();
#endif
}

static float random_float(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (float)(int32_t)(state >> 32) / 2147483648.0f;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// ---- what the machine can do

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bf16"))) static float bf16_loop(int64_t count) {
  // As many sums as cover the latency of two units.
  __m512 s[16];
  for (int i = 0; i < 16; i++) s[i] = _mm512_setzero_ps();
  __m512i a = _mm512_set1_epi32(0x3f803f80);
  for (int64_t n = 0; n < count; n++) {
    __asm__ volatile("" : "+v"(a));
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) s[i] = _mm512_dpbf16_ps(s[i], (__m512bh)a, (__m512bh)a);
  }
  float total = 0;
  for (int i = 0; i < 16; i++) total += _mm512_cvtss_f32(s[i]);
  return total;
}
#endif

static volatile float sink;

// In GFLOP/s.
static double bf16_ceiling(void) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx512bf16")) return NAN;
  const int64_t count = 1000000;
  const double begin = now();
#pragma omp parallel
  sink = bf16_loop(count);
  return (double)count * 16 * 64 * omp_get_max_threads() / (now() - begin) / 1e9;
#else
  return NAN;
#endif
}

// In GB/s, of a piece of memory that no cache holds.
static double read_ceiling(void) {
  enum { MEBIBYTES = 256 };
  static uint64_t *memory;
  const int64_t count = (int64_t)MEBIBYTES << 17;
  if (!memory) memory = allocate((size_t)MEBIBYTES << 20);
  uint64_t total = 0;
  const double begin = now();
#pragma omp parallel for reduction(+ : total) schedule(static)
  for (int64_t i = 0; i < count; i++) total += memory[i];
  const double seconds = now() - begin;
  sink = (float)total;
  return (double)count * 8 / seconds / 1e9;
}

// ---- attention

typedef struct {
  const char *name;
  int64_t queries, keys, heads, kv_heads, d, layers;
  bool causal;
  lmmc_kv_type type;
  int64_t others, other_keys;  // sequences beside the first one, each with one query, and their keys: a step of several answers
} shape;

typedef struct {
  shape s;
  const lmmc_attention_variant *variant;
  lmmc_cached_attention *layers;  // each with keys and values of its own, as in a model; a cache where there are other sequences
  double seconds[RUNS];
} attention_case;

static attention_case make_case(shape s, const lmmc_attention_variant *variant) {
  attention_case result = {.s = s, .variant = variant, .layers = allocate((size_t)s.layers * sizeof(lmmc_cached_attention))};
  const int64_t n = s.kv_heads * s.d, size = s.type == LMMC_KV_F32 ? 4 : s.type == LMMC_KV_BF16 ? 2 : 1;
  const int64_t stride = s.type == LMMC_KV_I8 ? lmmc_row_bytes_i8(s.kv_heads, s.d) : n, queries = s.queries + s.others;
  const int64_t context = s.keys > s.other_keys ? s.keys : s.other_keys;
  int32_t *slots = allocate((size_t)queries * sizeof *slots), *places = allocate((size_t)queries * sizeof *places);
  for (int64_t i = 0; i < queries; i++) slots[i] = (int32_t)i, places[i] = (int32_t)(i == 0 ? s.keys : s.other_keys) - 1;
  float *row = allocate((size_t)n * 4), *q = allocate((size_t)(queries * s.heads * s.d) * 4),
        *out = allocate((size_t)(queries * s.heads * s.d) * 4);
  for (int64_t i = 0; i < queries * s.heads * s.d; i++) q[i] = random_float() * 2;
  for (int64_t layer = 0; layer < s.layers; layer++) {
    char *kv[2];
    for (int i = 0; i < 2; i++) {
      kv[i] = allocate((size_t)((1 + s.others) * context * stride * size));
      for (int64_t key = 0; key < (1 + s.others) * context; key++) {
        if (key % context >= (key < context ? s.keys : s.other_keys)) continue;
        for (int64_t e = 0; e < n; e++) row[e] = random_float() * 2;
        char *to = kv[i] + key * stride * size;
        switch (s.type) {
          case LMMC_KV_F32: memcpy(to, row, (size_t)n * 4); break;
          case LMMC_KV_BF16: lmmc_store_row_bf16(n, row, (uint16_t *)(void *)to); break;
          case LMMC_KV_I8: lmmc_store_row_i8(s.kv_heads, s.d, row, to); break;
        }
      }
    }
    result.layers[layer].rows = (lmmc_attention){.queries = queries,
                                                 .keys = s.keys,
                                                 .heads = s.heads,
                                                 .kv_heads = s.kv_heads,
                                                 .head_size = s.d,
                                                 .scale = (float)(1 / sqrt((double)s.d)),
                                                 .causal = s.causal,
                                                 .q = q,
                                                 .q_stride = s.heads * s.d,
                                                 .kv_type = s.type,
                                                 .k = kv[0],
                                                 .v = kv[1],
                                                 .k_stride = stride,
                                                 .v_stride = stride,
                                                 .out = out,
                                                 .out_stride = s.heads * s.d};
    result.layers[layer].slots = slots, result.layers[layer].places = places, result.layers[layer].slot_stride = context * stride;
  }
  free(row);
  return result;
}

static void run_layer(const attention_case *c, int64_t layer) {
  if (c->s.others > 0) {
    lmmc_attention_run_cached(c->variant, &c->layers[layer]);
  } else {
    lmmc_attention_run(c->variant, &c->layers[layer].rows);
  }
}

static double run_case(const attention_case *c) {
  if (c->s.layers == 1) run_layer(c, 0);
  const double begin = now();
  for (int64_t i = 0; i < c->s.layers; i++) run_layer(c, i);
  return now() - begin;
}

int main(int argc, char **argv) {
  static const char *const types[] = {"f32", "bf16", "int8"};
  // Keys and values of many queries were just made and are in the third cache; those of decoding come from memory: more layers.
  const shape shapes[] = {
      {"CLIP ViT-L/14-336", 577, 577, 16, 16, 64, 1, false, LMMC_KV_F32, 0, 0},
      {"prefill 205", 205, 205, 32, 32, 128, 1, true, LMMC_KV_BF16, 0, 0},
      {"prefill 637", 637, 637, 32, 32, 128, 1, true, LMMC_KV_BF16, 0, 0},
      {"prefill 637", 637, 637, 32, 32, 128, 1, true, LMMC_KV_I8, 0, 0},
      {"prefill 637, 8 key heads", 637, 637, 32, 8, 128, 1, true, LMMC_KV_BF16, 0, 0},
      {"decode over 300", 1, 300, 32, 32, 128, 32, true, LMMC_KV_BF16, 0, 0},
      {"decode over 1024", 1, 1024, 32, 32, 128, 12, true, LMMC_KV_BF16, 0, 0},
      {"decode over 4096", 1, 4096, 32, 32, 128, 4, true, LMMC_KV_BF16, 0, 0},
      {"decode over 300", 1, 300, 32, 32, 128, 48, true, LMMC_KV_I8, 0, 0},
      {"decode over 4096", 1, 4096, 32, 32, 128, 6, true, LMMC_KV_I8, 0, 0},
      {"decode over 4096, 8 key heads", 1, 4096, 32, 8, 128, 12, true, LMMC_KV_BF16, 0, 0},
      {"decode over 4096, 8 key heads", 1, 4096, 32, 8, 128, 24, true, LMMC_KV_I8, 0, 0},
      {"4 sequences over 205", 1, 205, 32, 32, 128, 12, true, LMMC_KV_BF16, 3, 205},
      {"16 sequences over 205", 1, 205, 32, 32, 128, 4, true, LMMC_KV_BF16, 15, 205},
      {"16 sequences over 205, 8 key heads", 1, 205, 32, 8, 128, 12, true, LMMC_KV_BF16, 15, 205},
      {"a sequence over 4000, 15 over 100, 8 key heads", 1, 4000, 32, 8, 128, 1, true, LMMC_KV_BF16, 15, 100},
  };
  attention_case cases[MAX_CASES];
  int count = 0, variant_count;
  const lmmc_attention_variant *const *variants = lmmc_attention_variants(&variant_count);
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int v = 1; v < variant_count; v++) {
      if ((variants[v]->needs & ~lmmc_this_cpu().features) || (argc > 1 && strcmp(argv[1], variants[v]->name) != 0)) continue;
      if (argc > 2 && !strstr(shapes[i].name, argv[2])) continue;
      cases[count++] = make_case(shapes[i], variants[v]);
    }
  double ceiling[RUNS], bandwidth[RUNS];
  for (int run = -1; run < RUNS; run++) {
    const double c = bf16_ceiling(), b = read_ceiling();
    if (run >= 0) ceiling[run] = c, bandwidth[run] = b;
    for (int i = 0; i < count; i++) {
      const double seconds = run_case(&cases[i]);
      if (run >= 0) cases[i].seconds[run] = seconds;
    }
  }
  qsort(ceiling, RUNS, sizeof *ceiling, by_size), qsort(bandwidth, RUNS, sizeof *bandwidth, by_size);
  printf("%d threads, medians of %d runs: bf16 ceiling %.0f GFLOP/s, memory read %.1f GB/s\n", omp_get_max_threads(), RUNS,
         ceiling[RUNS / 2], bandwidth[RUNS / 2]);
  printf(
      "| attention | keys | variant | ms a layer | best | GFLOP/s | of the ceiling | GB/s | of the read "
      "|\n|---|---|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < count; i++) {
    const attention_case *c = &cases[i];
    qsort(cases[i].seconds, RUNS, sizeof(double), by_size);
    const double seconds = c->seconds[RUNS / 2] / (double)c->s.layers;
    // For causal attention only the pairs that are looked at count.
    const double pairs =
        c->s.causal ? (double)c->s.queries * (double)(2 * c->s.keys - c->s.queries + 1) / 2 : (double)(c->s.queries * c->s.keys);
    const double flops = 4 * (pairs + (double)(c->s.others * c->s.other_keys)) * (double)(c->s.heads * c->s.d) / seconds / 1e9;
    const int64_t size = c->s.type == LMMC_KV_F32 ? 4 : c->s.type == LMMC_KV_BF16 ? 2 : 1;
    const double bytes = 2.0 * (double)((c->s.keys + c->s.others * c->s.other_keys) * c->layers[0].rows.k_stride * size) / seconds / 1e9;
    printf("| %s | %s | %s | %.3f | %.3f | %.0f | %.0f %% | %.1f | %.0f %% |\n", c->s.name, types[c->s.type], c->variant->name,
           seconds * 1e3, c->seconds[0] / (double)c->s.layers * 1e3, flops, 100 * flops / ceiling[RUNS / 2], bytes,
           100 * bytes / bandwidth[RUNS / 2]);
  }
  return 0;
}
