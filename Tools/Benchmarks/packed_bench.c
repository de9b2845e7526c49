// The packed products beside what this machine can do at all: each variant's rate for shapes of a 7B model, as a fraction of ceilings
// that are measured in turns with them. Medians; threads are pinned. The last column counts processor time instead of the clock's: what
// remains when other programs use the machine, though without what threads wait for one another (and only with OMP_WAIT_POLICY=passive).
//   packed_bench [--runs N] [--variant NAME] [--type bf16|q8|q4] [--rows M] [--fast] [--prefill] [--decode] [--few] [--ceilings]
//                [--exponent E] [--isa LEVEL]
// E, 0 without the option, is the exponent of all columns. --few prints instead what products of 1 to 64 rows take, by processor time, over
// the time of one row in the same turn.
#define _GNU_SOURCE  // sched_setaffinity
#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/common/target.h"
#include "kernels/product/product_variant.h"

// Seconds by the clock, and of processor time per thread.
typedef struct {
  double clock, processor;
} moment;

static moment now(void) {
  struct timespec t, p;
  clock_gettime(CLOCK_MONOTONIC, &t);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &p);
  return (moment){(double)t.tv_sec + 1e-9 * (double)t.tv_nsec, ((double)p.tv_sec + 1e-9 * (double)p.tv_nsec) / omp_get_max_threads()};
}

// How much a second of each kind, in units of 1e9.
static moment rate_since(moment begin, double work) {
  const moment end = now();
  return (moment){work / (end.clock - begin.clock) / 1e9, work / (end.processor - begin.processor) / 1e9};
}
static moment mean(moment a, moment b) { return (moment){(a.clock + b.clock) / 2, (a.processor + b.processor) / 2}; }

// What products may use of the CPU; --isa leaves out the sets above a level.
static lmmc_cpu usable;

static void *allocate(size_t bytes) {
  void *p = NULL;
  if (posix_memalign(&p, 4096, bytes)) {
    fprintf(stderr, "error: out of memory, %zu bytes are needed\n", bytes);
    exit(1);
  }
  return p;
}

// ---- ceilings

#if defined(__x86_64__)
#define ALL_ZMM                                                                                                                         \
  "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", \
      "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27", "zmm28", "zmm29"
// 24 sums, none of which waits for another.
#define TWENTY_FOUR(op)                                                                                                                    \
  op " %%zmm28, %%zmm29, %%zmm0\n" op " %%zmm28, %%zmm29, %%zmm1\n" op " %%zmm28, %%zmm29, %%zmm2\n" op " %%zmm28, %%zmm29, %%zmm3\n" op   \
     " %%zmm28, %%zmm29, %%zmm4\n" op " %%zmm28, %%zmm29, %%zmm5\n" op " %%zmm28, %%zmm29, %%zmm6\n" op " %%zmm28, %%zmm29, %%zmm7\n" op   \
     " %%zmm28, %%zmm29, %%zmm8\n" op " %%zmm28, %%zmm29, %%zmm9\n" op " %%zmm28, %%zmm29, %%zmm10\n" op " %%zmm28, %%zmm29, %%zmm11\n" op \
     " %%zmm28, %%zmm29, %%zmm12\n" op " %%zmm28, %%zmm29, %%zmm13\n" op " %%zmm28, %%zmm29, %%zmm14\n" op                                 \
     " %%zmm28, %%zmm29, %%zmm15\n" op " %%zmm28, %%zmm29, %%zmm16\n" op " %%zmm28, %%zmm29, %%zmm17\n" op                                 \
     " %%zmm28, %%zmm29, %%zmm18\n" op " %%zmm28, %%zmm29, %%zmm19\n" op " %%zmm28, %%zmm29, %%zmm20\n" op                                 \
     " %%zmm28, %%zmm29, %%zmm21\n" op " %%zmm28, %%zmm29, %%zmm22\n" op " %%zmm28, %%zmm29, %%zmm23\n"
// Sums too begin at zero: what was there before might be floats that some CPUs take long for.
#define ZERO_ALL                                                                                                                    \
  "vzeroall\nvpxord %%zmm16, %%zmm16, %%zmm16\nvpxord %%zmm17, %%zmm17, %%zmm17\nvpxord %%zmm18, %%zmm18, %%zmm18\n"                \
  "vpxord %%zmm19, %%zmm19, %%zmm19\nvpxord %%zmm20, %%zmm20, %%zmm20\nvpxord %%zmm21, %%zmm21, %%zmm21\n"                          \
  "vpxord %%zmm22, %%zmm22, %%zmm22\nvpxord %%zmm23, %%zmm23, %%zmm23\nvpxord %%zmm28, %%zmm28, %%zmm28\nvpxord %%zmm29, %%zmm29, " \
  "%%zmm29\n"
#define CEILING(name, op) \
  static void name(int64_t turns) { __asm__ volatile(ZERO_ALL "1:\n" TWENTY_FOUR(op) "dec %0\njnz 1b\n" : "+r"(turns)::ALL_ZMM); }
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)
CEILING(loop_dots_512, "vpdpbusd")
CEILING(loop_bf16_512, "vdpbf16ps")
CEILING(loop_floats_512, "vfmadd231ps")
LMMC_END_TARGET

// Six sums of products of bytes without VPDPBUSD: in pairs to 16 bits, pairs of these to 32, added.
#define PAIRS(r, from, sum)                                                                                                      \
  "vpmaddubsw %%" r "14, %%" r "15, %%" r from "\nvpmaddwd %%" r "13, %%" r from ", %%" r from "\nvpaddd %%" r from ", %%" r sum \
  ", %%" r sum "\n"
#define SIX_PAIRS(r) PAIRS(r, "6", "0") PAIRS(r, "7", "1") PAIRS(r, "8", "2") PAIRS(r, "9", "3") PAIRS(r, "10", "4") PAIRS(r, "11", "5")
#define TWELVE(op)                                                                                                                       \
  op " %%ymm14, %%ymm15, %%ymm0\n" op " %%ymm14, %%ymm15, %%ymm1\n" op " %%ymm14, %%ymm15, %%ymm2\n" op " %%ymm14, %%ymm15, %%ymm3\n" op \
     " %%ymm14, %%ymm15, %%ymm4\n" op " %%ymm14, %%ymm15, %%ymm5\n" op " %%ymm14, %%ymm15, %%ymm6\n" op " %%ymm14, %%ymm15, %%ymm7\n" op \
     " %%ymm14, %%ymm15, %%ymm8\n" op " %%ymm14, %%ymm15, %%ymm9\n" op " %%ymm14, %%ymm15, %%ymm10\n" op " %%ymm14, %%ymm15, %%ymm11\n"
#define SIXTEEN \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define LOOP(name, text) \
  static void name(int64_t turns) { __asm__ volatile("vzeroall\n1:\n" text "dec %0\njnz 1b\nvzeroupper\n" : "+r"(turns)::SIXTEEN); }
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)
LOOP(loop_pairs_512, SIX_PAIRS("zmm"))
LMMC_END_TARGET
LMMC_BEGIN_TARGET(LMMC_TARGET_AVXVNNI)
LOOP(loop_dots_256, TWELVE("%{vex%} vpdpbusd"))
LMMC_END_TARGET
LMMC_BEGIN_TARGET(LMMC_TARGET_AVX2)
LOOP(loop_pairs_256, SIX_PAIRS("ymm"))
LOOP(loop_floats_256, TWELVE("vfmadd231ps"))
LMMC_END_TARGET

// The fastest arithmetic of a kind by what it needs, best first. `operations`: of a turn.
typedef struct {
  uint32_t needs;
  void (*loop)(int64_t turns);
  int operations;
} limit;
static const limit int8_limits[] = {{LMMC_CPU_AVX512VNNI, loop_dots_512, 24 * 128},
                                    {LMMC_CPU_AVX512, loop_pairs_512, 6 * 128},
                                    {LMMC_CPU_AVXVNNI, loop_dots_256, 12 * 64},
                                    {LMMC_CPU_AVX2, loop_pairs_256, 6 * 64},
                                    {0}};
static const limit bf16_limits[] = {{LMMC_CPU_AVX512BF16, loop_bf16_512, 24 * 64},
                                    {LMMC_CPU_AVX512, loop_floats_512, 24 * 32},
                                    {LMMC_CPU_AVX2, loop_floats_256, 12 * 16},
                                    {0}};

// Operations a second of all threads; 0 where this CPU has none of these.
static moment ceiling(lmmc_packed_type type) {
  const limit *most = type == LMMC_BF16 ? bf16_limits : int8_limits;
  while (most->needs & ~usable.features) most++;
  if (!most->loop) return (moment){0, 0};
  const int64_t turns = 300000;
  const moment begin = now();
#pragma omp parallel
  most->loop(turns);
  return rate_since(begin, (double)most->operations * (double)turns * omp_get_max_threads());
}
#else
static moment ceiling(lmmc_packed_type type) { return (void)type, (moment){0, 0}; }
#endif

enum { GIBIBYTE = 1 << 30 };
typedef uint64_t words __attribute__((vector_size(64)));

// GB/s of all threads over 1.25 GiB, each its own half in order; the best way of three to ask for it.
static moment bandwidth(const uint8_t *buffer, size_t bytes) {
  moment best = {0, 0};
  for (int way = 0; way < 3; way++) {
    const moment begin = now();
#pragma omp parallel
    {
      const size_t threads = (size_t)omp_get_num_threads(), part = bytes / threads / 4096 * 4096;
      const uint8_t *p = buffer + (size_t)omp_get_thread_num() * part;
      words a = {0}, b = a, c = a, d = a;
      for (size_t i = 0; i < part; i += 256) {
        if (way == 1)
          for (int j = 0; j < 4; j++) __builtin_prefetch(p + i + 2048 + 64 * j);
        if (way == 2)
          for (int j = 0; j < 4; j++) __builtin_prefetch(p + i + 8192 + 64 * j);
        a |= *(const words *)(p + i), b |= *(const words *)(p + i + 64);
        c |= *(const words *)(p + i + 128), d |= *(const words *)(p + i + 192);
      }
      a |= b | c | d;
      __asm__ volatile("" ::"m"(a));
    }
    const moment rate = rate_since(begin, (double)bytes);
    best.clock = rate.clock > best.clock ? rate.clock : best.clock;
    best.processor = rate.processor > best.processor ? rate.processor : best.processor;
  }
  return best;
}

// ---- products

static int compare(const void *a, const void *b) {
  return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}
static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static const char *const type_names[] = {"bf16", "q8", "q4"};

// Bytes that are neither subnormal nor infinite as f16 or bf16, without the cost of packing gigabytes.
static void fill(uint8_t *p, size_t bytes) {
#pragma omp parallel for
  for (size_t i = 0; i < bytes; i++) p[i] = i & 1 ? (uint8_t)(0x20 | (i >> 1 & 7)) : (uint8_t)((i * 0x9e3779b97f4a7c15ull) >> 56);
}

static void *activations(lmmc_packed_type type, int64_t m, int64_t k) {
  const int64_t stride = type == LMMC_BF16 ? lmmc_bf16_row_bytes(k) : lmmc_q8_row_bytes(k);
  uint8_t *rows = allocate((size_t)(m * stride));
  float *x = allocate((size_t)k * sizeof *x);
  for (int64_t r = 0; r < m; r++) {
    for (int64_t i = 0; i < k; i++) x[i] = (float)((i * 7919 + r * 31) % 2001 - 1000) / 1000;
    if (type == LMMC_BF16)
      lmmc_quantize_row_bf16(k, x, rows + r * stride);
    else
      lmmc_quantize_row_q8(k, x, rows + r * stride);
  }
  free(x);
  return rows;
}

enum { MOST_RUNS = 101 };
static int runs = 9;
static uint8_t *weights;  // GIBIBYTE * 5 / 4
static const size_t weight_bytes = (size_t)GIBIBYTE / 4 * 5;

static int exponent;

static lmmc_packed_matmul problem(lmmc_packed_type type, int64_t m, int64_t n, int64_t k) {
  const size_t matrix = (size_t)lmmc_matrix_bytes(type, n, k);
  for (size_t place = 0; type != LMMC_BF16 && place + matrix <= weight_bytes; place += matrix)
    memset(weights + place + lmmc_exponents(type, n, k), exponent, (size_t)(lmmc_panels(n) * LMMC_PANEL));
  float *out = allocate((size_t)(m * n) * sizeof *out);
  memset(out, 0, (size_t)(m * n) * sizeof *out);
  return (lmmc_packed_matmul){.m = m,
                              .n = n,
                              .k = k,
                              .x = activations(type, m, k),
                              .x_stride = type == LMMC_BF16 ? lmmc_bf16_row_bytes(k) : lmmc_q8_row_bytes(k),
                              .weight = weights,
                              .out = out,
                              .out_stride = n};
}

typedef struct {
  int count;
  double rates[MOST_RUNS], ceilings[MOST_RUNS], fractions[MOST_RUNS], processor[MOST_RUNS];
} series;

static void record(series *s, moment rate, moment most) {
  s->rates[s->count] = rate.clock;
  s->ceilings[s->count] = most.clock;
  s->fractions[s->count] = most.clock > 0 ? rate.clock / most.clock * 100 : 0;
  s->processor[s->count++] = most.processor > 0 ? rate.processor / most.processor * 100 : 0;
}

static void report(series *s, lmmc_packed_type type, const lmmc_variant *v, lmmc_packed_matmul *p, const char *unit) {
  printf("| %s | %s | %lld x %lld x %lld | %.1f %s | %.1f | %.1f %% | %.1f %% |\n", type_names[type], v->name, (long long)p->m,
         (long long)p->n, (long long)p->k, median(s->rates, s->count), unit, median(s->ceilings, s->count), median(s->fractions, s->count),
         median(s->processor, s->count));
  fflush(stdout);
  free((void *)p->x), free(p->out);
}

static void prefill(const lmmc_variant *v, lmmc_packed_type type, int64_t m, int64_t n, int64_t k) {
  const lmmc_product *code = lmmc_product_of(v, type);
  lmmc_finish_kernel *finish = lmmc_choose((lmmc_cpu){v->needs}).code.finish;
  lmmc_packed_matmul p = problem(type, m, n, k);
  const size_t bytes = (size_t)lmmc_matrix_bytes(type, n, k);
  series all = {0};
  const double operations = 2.0 * (double)m * (double)n * (double)k;
  for (int i = -1; i < runs; i++) {
    const moment before = ceiling(type == LMMC_BF16 ? LMMC_BF16 : LMMC_Q8), begin = now();
    int64_t turns = 0;
    do {
      // Other weights each time, as in a model.
      p.weight = weights + (size_t)turns % (weight_bytes / bytes) * bytes;
      lmmc_packed_product(&p, type, code, finish);
      turns++;
    } while (now().clock - begin.clock < 0.02);
    const moment rate = rate_since(begin, operations * (double)turns), after = ceiling(type == LMMC_BF16 ? LMMC_BF16 : LMMC_Q8);
    if (i >= 0) record(&all, rate, mean(before, after));
  }
  report(&all, type, v, &p, "GOP/s");
}

// Few rows by a gibibyte of weights in matrices of [n, k], against reading that much.
static void decode(const lmmc_variant *v, lmmc_packed_type type, int64_t m, int64_t n, int64_t k) {
  const lmmc_product *code = lmmc_product_of(v, type);
  lmmc_finish_kernel *finish = lmmc_choose((lmmc_cpu){v->needs}).code.finish;
  lmmc_packed_matmul p = problem(type, m, n, k);
  const size_t bytes = (size_t)lmmc_matrix_bytes(type, n, k), count = weight_bytes / bytes;
  series all = {0};
  for (int i = -1; i < runs; i++) {
    const moment before = bandwidth(weights, weight_bytes), begin = now();
    for (size_t j = 0; j < count; j++) {
      p.weight = weights + j * bytes;
      lmmc_packed_product(&p, type, code, finish);
    }
    const moment rate = rate_since(begin, (double)(count * bytes)), after = bandwidth(weights, weight_bytes);
    if (i >= 0) record(&all, rate, mean(before, after));
  }
  report(&all, type, v, &p, "GB/s");
}

// Products of few rows, each number of them once a turn.
static void few(const lmmc_variant *v, lmmc_packed_type type, int64_t n, int64_t k) {
  enum { HEIGHTS = 11 };
  static const int64_t heights[HEIGHTS] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
  static double seconds[HEIGHTS][MOST_RUNS], ratios[HEIGHTS][MOST_RUNS], arithmetic[HEIGHTS][MOST_RUNS], reading[HEIGHTS][MOST_RUNS];
  const lmmc_product *code = lmmc_product_of(v, type);
  lmmc_finish_kernel *finish = lmmc_choose((lmmc_cpu){v->needs}).code.finish;
  lmmc_packed_matmul p = problem(type, heights[HEIGHTS - 1], n, k);
  const size_t bytes = (size_t)lmmc_matrix_bytes(type, n, k), places = weight_bytes / bytes;
  size_t place = 0;
  for (int i = -1; i < runs; i++) {
    const moment most = ceiling(type == LMMC_BF16 ? LMMC_BF16 : LMMC_Q8), read = bandwidth(weights, weight_bytes);
    for (int h = 0; h < HEIGHTS; h++) {
      p.m = heights[h];
      p.weight = weights + place * bytes;
      place = (place + 1) % places;
      const double begin = now().processor;
      lmmc_packed_product(&p, type, code, finish);
      const double took = now().processor - begin;
      if (i < 0) continue;
      const double operations = 2.0 * (double)p.m * (double)n * (double)k;
      seconds[h][i] = took * 1e3;
      ratios[h][i] = took * 1e3 / seconds[0][i];
      arithmetic[h][i] = most.processor > 0 ? operations / took / 1e7 / most.processor : 0;
      reading[h][i] = (double)bytes / took / 1e7 / read.processor;
    }
  }
  for (int h = 0; h < HEIGHTS; h++)
    printf("| %s | %s | %lld x %lld x %lld | %.3f | %.2f | %.0f %% | %.0f %% |\n", type_names[type], v->name, (long long)heights[h],
           (long long)n, (long long)k, median(seconds[h], runs), median(ratios[h], runs), median(arithmetic[h], runs),
           median(reading[h], runs));
  fflush(stdout);
  free((void *)p.x), free(p.out);
}

int main(int argc, char **argv) {
  const char *only_variant = NULL, *only_type = NULL, *isa = NULL;
  int64_t rows = 0, fast = 0;
  bool only_decode = false, only_prefill = false, only_few = false, only_ceilings = false;
  for (int i = 1; i < argc; i++) {
    const bool value = i + 1 < argc;
    if (strcmp(argv[i], "--runs") == 0 && value)
      runs = atoi(argv[++i]);
    else if (strcmp(argv[i], "--variant") == 0 && value)
      only_variant = argv[++i];
    else if (strcmp(argv[i], "--type") == 0 && value)
      only_type = argv[++i];
    else if (strcmp(argv[i], "--rows") == 0 && value)
      rows = atoll(argv[++i]);
    else if (strcmp(argv[i], "--exponent") == 0 && value)
      exponent = atoi(argv[++i]);
    else if (strcmp(argv[i], "--isa") == 0 && value)
      isa = argv[++i];
    else if (strcmp(argv[i], "--fast") == 0)
      fast = 1;
    else if (strcmp(argv[i], "--decode") == 0)
      only_decode = true;
    else if (strcmp(argv[i], "--prefill") == 0)
      only_prefill = true;
    else if (strcmp(argv[i], "--few") == 0)
      only_few = true;
    else if (strcmp(argv[i], "--ceilings") == 0)
      only_ceilings = true;
    else {
      fprintf(stderr,
              "error: unknown option '%s'; expected --runs N, --variant NAME, --type TYPE, --rows M, --fast, --prefill, --decode, "
              "--few, --ceilings, --exponent E or --isa LEVEL\n",
              argv[i]);
      return 2;
    }
  }
  usable = lmmc_this_cpu();
  char message[256];
  const int wrong = isa ? lmmc_limit_cpu(&usable, isa, message) : 0;
  if (wrong) {
    fprintf(stderr, "error: option '--isa': %s\n", message);
    return wrong;
  }
  runs = runs < 1 ? 1 : runs > MOST_RUNS ? MOST_RUNS : runs;
  omp_set_dynamic(0);
#pragma omp parallel
  {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)omp_get_thread_num(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  lmmc_products_start(usable);
  weights = allocate(weight_bytes);
  fill(weights, weight_bytes);

  printf("%d threads; ceilings: int8 %.0f GOP/s, bf16 %.0f GFLOP/s, read %.1f GB/s\n\n", omp_get_max_threads(), ceiling(LMMC_Q8).clock,
         ceiling(LMMC_BF16).clock, bandwidth(weights, weight_bytes).clock);
  if (only_ceilings) return 0;
  static const int64_t shapes[][2] = {{4096, 4096}, {22016, 4096}, {4096, 11008}, {12288, 4096}}, heights[] = {144, 205, 637};
  for (int part = 0; part < 3; part++) {
    if (only_few != (part == 2) || (part == 0 ? only_decode : part == 1 && only_prefill)) continue;
    printf(
        part == 2 ? "| type | variant | M x N x K | ms | over one row | of the arithmetic | of reading |\n|---|---|---|---|---|---|---|\n"
        : part == 0
            ? "| type | variant | M x N x K | rate | ceiling | fraction | by processor time |\n|---|---|---|---|---|---|---|\n"
            : "\n| type | variant | M x N x K | weights read | ceiling | fraction | by processor time |\n|---|---|---|---|---|---|---|\n");
    for (int t = LMMC_BF16; t <= LMMC_Q4; t++) {
      if (only_type && strcmp(only_type, type_names[t]) != 0) continue;
      for (int i = lmmc_variant_count() - 1; i >= 0; i--) {
        const lmmc_variant *v = lmmc_variant_at(i);
        if (!lmmc_product_of(v, (lmmc_packed_type)t) || (only_variant && strcmp(only_variant, v->name) != 0)) continue;
        if (v->needs & ~usable.features) {
          printf("| %s | %s | not run: this CPU, or the level, lacks it | | | | |\n", type_names[t], v->name);
          continue;
        }
        if (v->needs == 0 && !only_variant) continue;  // plain C takes minutes
        for (int s = 0; s < (fast ? 1 : part == 2 ? 4 : 3); s++) {
          if (part == 2) {
            few(v, (lmmc_packed_type)t, shapes[s][0], shapes[s][1]);
          } else if (part == 1) {
            decode(v, (lmmc_packed_type)t, rows ? rows : 1, shapes[s][0], shapes[s][1]);
          } else {
            for (int h = 0; h < 3; h++)
              if (rows == 0 || h == 0) prefill(v, (lmmc_packed_type)t, rows ? rows : heights[h], shapes[s][0], shapes[s][1]);
          }
        }
      }
    }
  }
  return 0;
}
