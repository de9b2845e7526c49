// The table of the instruction sets that have code for the packed products. Declarations, the choice at start, tests and benchmarks read
// it: to add a set is to add its files, whose names end in the set's symbol, and its row.
#ifndef LMMC_KERNELS_PRODUCT_PRODUCT_SETS_H
#define LMMC_KERNELS_PRODUCT_PRODUCT_SETS_H
#include "kernels/common/cpu.h"
#include "kernels/common/target.h"

// What a set needs of a CPU, with all that it builds on.
enum {
  LMMC_NEEDS_SSE42 = LMMC_CPU_SSE42,
  LMMC_NEEDS_AVX2 = LMMC_NEEDS_SSE42 | LMMC_CPU_AVX2,
  LMMC_NEEDS_AVXVNNI = LMMC_NEEDS_AVX2 | LMMC_CPU_AVXVNNI,
  LMMC_NEEDS_AVX512 = LMMC_NEEDS_AVX2 | LMMC_CPU_AVX512,
  LMMC_NEEDS_AVX512VNNI = LMMC_NEEDS_AVX512 | LMMC_CPU_AVX512VNNI,
  LMMC_NEEDS_AVX512BF16 = LMMC_NEEDS_AVX512VNNI | LMMC_CPU_AVX512BF16,
  LMMC_NEEDS_NEON = LMMC_CPU_NEON,
  LMMC_NEEDS_DOTPROD = LMMC_NEEDS_NEON | LMMC_CPU_DOTPROD,
  LMMC_NEEDS_I8MM = LMMC_NEEDS_DOTPROD | LMMC_CPU_I8MM,
  LMMC_NEEDS_BF16 = LMMC_NEEDS_NEON | LMMC_CPU_BF16,
};

// LMMC_PRODUCT_SETS(SET) is a row SET(symbol, name, needs, bf16, q8, q4, quantize_q8, quantize_bf16, finish) for each set, better ones
// later. The name is what LMMC_ISA and `--info` say. A set that HAS a purpose defines lmmc_PURPOSE_SYMBOL; one that LACKS it has nothing
// better than the sets before it. The first needs nothing and has everything.
// clang-format off
#define LMMC_PLAIN_SET(SET) \
  SET(plain, "plain", 0, HAS, HAS, HAS, HAS, HAS, HAS)
#if defined(__x86_64__)
#define LMMC_PRODUCT_SETS(SET) \
  LMMC_PLAIN_SET(SET) \
  SET(sse42, "sse4.2", LMMC_NEEDS_SSE42, HAS, HAS, HAS, LACKS, LACKS, LACKS) \
  SET(avx2, "avx2", LMMC_NEEDS_AVX2, HAS, HAS, HAS, HAS, HAS, HAS) \
  SET(avxvnni, "avxvnni", LMMC_NEEDS_AVXVNNI, LACKS, HAS, HAS, LACKS, LACKS, LACKS) \
  SET(avx512, "avx512", LMMC_NEEDS_AVX512, HAS, HAS, HAS, HAS, HAS, HAS) \
  SET(avx512vnni, "avx512vnni", LMMC_NEEDS_AVX512VNNI, LACKS, HAS, HAS, LACKS, LACKS, LACKS) \
  SET(avx512bf16, "avx512bf16", LMMC_NEEDS_AVX512BF16, HAS, LACKS, LACKS, LACKS, LACKS, LACKS)
#elif defined(__aarch64__)
// Row functions in plain C are as good: every such CPU has NEON, and compilers use it.
#define LMMC_NEON_SETS(SET) \
  LMMC_PLAIN_SET(SET) \
  SET(neon, "neon", LMMC_NEEDS_NEON, HAS, HAS, HAS, LACKS, LACKS, LACKS)
#if defined(LMMC_ARM_EXTENSIONS)
#define LMMC_PRODUCT_SETS(SET) \
  LMMC_NEON_SETS(SET) \
  SET(dotprod, "dotprod", LMMC_NEEDS_DOTPROD, LACKS, HAS, HAS, LACKS, LACKS, LACKS) \
  SET(i8mm, "i8mm", LMMC_NEEDS_I8MM, LACKS, HAS, HAS, LACKS, LACKS, LACKS) \
  SET(bfdot, "bf16", LMMC_NEEDS_BF16, HAS, LACKS, LACKS, LACKS, LACKS, LACKS)
#else
#define LMMC_PRODUCT_SETS(SET) LMMC_NEON_SETS(SET)
#endif
#else
#define LMMC_PRODUCT_SETS(SET) LMMC_PLAIN_SET(SET)
#endif
// clang-format on

#endif
