// LMMC_BEGIN_TARGET(features) ... LMMC_END_TARGET compiles the functions between for an instruction set whatever the command line
// allows, so that one executable holds every set. Headers of the system come before.
#ifndef LMMC_PACKED_TARGET_H
#define LMMC_PACKED_TARGET_H

#define LMMC_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LMMC_BEGIN_TARGET(features) LMMC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define LMMC_END_TARGET LMMC_PRAGMA(clang attribute pop)
#else
#define LMMC_BEGIN_TARGET(features) LMMC_PRAGMA(GCC push_options) LMMC_PRAGMA(GCC target(features))
#define LMMC_END_TARGET LMMC_PRAGMA(GCC pop_options)
#endif

// Before a loop with constant bounds that must become straight code, so that its arrays live in registers.
#if defined(__clang__)
#define LMMC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LMMC_UNROLL _Pragma("GCC unroll 16")
#endif

// A function for a constant number of rows. Not inlined: clang would merge the ends of several into a loop that is no longer straight.
#define LMMC_TILE(rows) \
  static __attribute__((noinline)) void tile_##rows(const lmmc_piece *p) { tile(rows, p); }

#define LMMC_TARGET_AVX2 "avx2,fma,f16c"
#define LMMC_TARGET_AVXVNNI "avx2,fma,f16c,avxvnni"
#define LMMC_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"
#define LMMC_TARGET_AVX512VNNI "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#define LMMC_TARGET_AVX512BF16 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"

#endif
