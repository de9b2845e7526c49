#include "ceiling.h"

#include <omp.h>
#include <stdbool.h>
#include <string.h>

#include "system/threads.h"

typedef void loop(int64_t turns);

// Each loop keeps twelve sums, none of which waits for another.
#if defined(__x86_64__)
#define TWELVE(op) op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("8") op("9") op("10") op("11")
#define ALL \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define AGAIN "dec %0\njnz 1b\n"
#define ZERO_VEX "vpxor %%xmm12, %%xmm12, %%xmm12\nvpxor %%xmm13, %%xmm13, %%xmm13\nvpxor %%xmm15, %%xmm15, %%xmm15\n"
#define ZERO_SSE "pxor %%xmm12, %%xmm12\npxor %%xmm13, %%xmm13\npxor %%xmm15, %%xmm15\n"
#define VNNI_ZMM(i) "vpdpbusd %%zmm12, %%zmm13, %%zmm" i "\n"
#define BF16_ZMM(i) "vdpbf16ps %%zmm12, %%zmm13, %%zmm" i "\n"
#define FMA_ZMM(i) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" i "\n"
#define INT8_ZMM(i) "vpmaddubsw %%zmm12, %%zmm13, %%zmm14\nvpmaddwd %%zmm14, %%zmm15, %%zmm14\nvpaddd %%zmm14, %%zmm" i ", %%zmm" i "\n"
#define VNNI_YMM(i) "%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm" i "\n"
#define FMA_YMM(i) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" i "\n"
#define INT8_YMM(i) "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\nvpmaddwd %%ymm14, %%ymm15, %%ymm14\nvpaddd %%ymm14, %%ymm" i ", %%ymm" i "\n"
#define INT8_XMM(i) "movdqa %%xmm12, %%xmm14\npmaddubsw %%xmm13, %%xmm14\npmaddwd %%xmm15, %%xmm14\npaddd %%xmm14, %%xmm" i "\n"
#define FMA_XMM(i) "movaps %%xmm12, %%xmm14\nmulps %%xmm13, %%xmm14\naddps %%xmm14, %%xmm" i "\n"
#define VEX_END "vzeroupper\n"
#elif defined(__aarch64__)
#define TWELVE(op) op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("8") op("9") op("10") op("11")
#define ALL "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14"
#define AGAIN "subs %0, %0, #1\nb.ne 1b\n"
#define ZERO_NEON "movi v12.4s, #0\nmovi v13.4s, #0\n"
#define FMA_NEON(i) "fmla v" i ".4s, v12.4s, v13.4s\n"
#define INT8_NEON(i) "smull v14.8h, v12.8b, v13.8b\nsadalp v" i ".4s, v14.8h\n"
#define SDOT(i) "sdot v" i ".4s, v12.16b, v13.16b\n"
#define SMMLA(i) "smmla v" i ".4s, v12.16b, v13.16b\n"
#define BFMMLA(i) "bfmmla v" i ".4s, v12.8h, v13.8h\n"
#endif

#define LOOP(name, before, op, after) \
  static void name(int64_t turns) { __asm__ volatile(before "1:\n" TWELVE(op) AGAIN after : "+r"(turns)::ALL, "cc"); }

#if defined(__x86_64__)
LOOP(vnni_zmm, ZERO_VEX, VNNI_ZMM, VEX_END)
LOOP(bf16_zmm, ZERO_VEX, BF16_ZMM, VEX_END)
LOOP(fma_zmm, ZERO_VEX, FMA_ZMM, VEX_END)
LOOP(int8_zmm, ZERO_VEX, INT8_ZMM, VEX_END)
LOOP(vnni_ymm, ZERO_VEX, VNNI_YMM, VEX_END)
LOOP(fma_ymm, ZERO_VEX, FMA_YMM, VEX_END)
LOOP(int8_ymm, ZERO_VEX, INT8_YMM, VEX_END)
LOOP(int8_xmm, ZERO_SSE, INT8_XMM, "")
LOOP(fma_xmm, ZERO_SSE, FMA_XMM, "")
#elif defined(__aarch64__)
LOOP(fma_neon, ZERO_NEON, FMA_NEON, "")
LOOP(int8_neon, ZERO_NEON, INT8_NEON, "")
LOOP(int8_dotprod, ".arch armv8.2-a+dotprod\n" ZERO_NEON, SDOT, "")
LOOP(int8_i8mm, ".arch armv8.2-a+i8mm\n" ZERO_NEON, SMMLA, "")
LOOP(bf16_mmla, ".arch armv8.2-a+bf16\n" ZERO_NEON, BFMMLA, "")
#endif

// Operations of one turn of twelve. Sets without a bf16 instruction widen and multiply as f32.
static const struct {
  const char *kind, *variant;
  loop *run;
  double operations;
} loops[] = {
#if defined(__x86_64__)
    {"int8", "avx512vnni", vnni_zmm, 12 * 128},
    {"int8", "avx512bf16", vnni_zmm, 12 * 128},
    {"int8", "avx512", int8_zmm, 12 * 128},
    {"int8", "avxvnni", vnni_ymm, 12 * 64},
    {"int8", "avx2", int8_ymm, 12 * 64},
    {"int8", "sse4.2", int8_xmm, 12 * 32},
    {"float", "avx512bf16", bf16_zmm, 12 * 64},
    {"float", "avx512", fma_zmm, 12 * 32},
    {"float", "avx512vnni", fma_zmm, 12 * 32},
    {"float", "avx2", fma_ymm, 12 * 16},
    {"float", "avxvnni", fma_ymm, 12 * 16},
    {"float", "sse4.2", fma_xmm, 12 * 8},
#elif defined(__aarch64__)
    {"int8", "i8mm", int8_i8mm, 12 * 64},
    {"int8", "dotprod", int8_dotprod, 12 * 32},
    {"int8", "neon", int8_neon, 12 * 16},
    {"float", "bf16", bf16_mmla, 12 * 32},
    {"float", "neon", fma_neon, 12 * 8},
#endif
    {NULL, NULL, NULL, 0},
};
_Static_assert(sizeof loops / sizeof *loops <= LMMC_CEILING_LOOPS + 1, "each loop has a rate");

static double measure(loop *run, double operations) {
  double best = 0;
  int64_t turns = 1000;
  for (int done = 0; done < 3;) {
    const double begin = lmmc_clock();
    int threads = 0;
#pragma omp parallel reduction(+ : threads)
    {
      threads++;
      run(turns);
    }
    const double seconds = lmmc_clock() - begin, rate = operations * (double)turns * threads / seconds;
    if (seconds < 5e-3 && turns < 1 << 30) {
      turns *= 2;
      continue;
    }
    if (rate > best) best = rate;
    done++;
  }
  return best;
}

// OpenBLAS, and loops that the compiler made, use the widest floats that there are.
static const char *widest(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") ? "avx512" : __builtin_cpu_supports("fma") ? "avx2" : "sse4.2";
#else
  return "neon";
#endif
}

double lmmc_ceiling_arithmetic(lmmc_ceilings *known, const char *operation, const char *variant) {
  const char *type = strrchr(operation, ' ');
  const bool is_int8 = type && (strcmp(type, " q8") == 0 || strcmp(type, " q4") == 0), is_f32 = type && strcmp(type, " f32") == 0;
  if (is_f32) variant = widest();
  for (size_t i = 0; loops[i].kind; i++) {
    if (strcmp(loops[i].kind, is_int8 ? "int8" : "float") != 0 || strcmp(loops[i].variant, variant) != 0) continue;
    if (known->rates[i] == 0) known->rates[i] = measure(loops[i].run, loops[i].operations);
    return known->rates[i];
  }
  return 0;
}

typedef uint64_t words __attribute__((vector_size(64), aligned(8)));

double lmmc_ceiling_read(const uint8_t *bytes, uint64_t count) {
  double best = 0;
  for (int way = 0; way < 3 && count >= 1 << 16; way++) {
    // What fits a cache is read until the time can be told.
    const int turns = (int)((256u << 20) / count) + 1;
    const double begin = lmmc_clock();
#pragma omp parallel
    {
      const uint64_t part = count / (uint64_t)omp_get_num_threads() / 256 * 256;
      const uint8_t *p = bytes + (uint64_t)omp_get_thread_num() * part;
      words a = {0}, b = a, c = a, d = a;
      for (int turn = 0; turn < turns; turn++) {
        for (uint64_t i = 0; i < part; i += 256) {
          for (int j = 0; j < 4; j++) __builtin_prefetch(p + i + 4096 + 64 * j);
          a |= *(const words *)(p + i), b |= *(const words *)(p + i + 64);
          c |= *(const words *)(p + i + 128), d |= *(const words *)(p + i + 192);
        }
        __asm__ volatile("" : "+m"(a), "+m"(b), "+m"(c), "+m"(d));
      }
    }
    const double rate = (double)count * turns / (lmmc_clock() - begin);
    if (rate > best) best = rate;
  }
  return best;
}
