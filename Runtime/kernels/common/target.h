// LMMC_BEGIN_TARGET(features) ... LMMC_END_TARGET compiles the functions between them for an instruction set, which the command line need
// not allow, so that one executable holds the code of every set. Headers of the system must be included before.
#ifndef LMMC_KERNELS_COMMON_TARGET_H
#define LMMC_KERNELS_COMMON_TARGET_H

// A program need not have the code of every instruction set. lmmc defines LMMC_OPTIONAL as the attribute `weak`, which makes the address of
// code that is not linked NULL.
#ifndef LMMC_OPTIONAL
#define LMMC_OPTIONAL
#endif

#define LMMC_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LMMC_BEGIN_TARGET(features) LMMC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define LMMC_END_TARGET LMMC_PRAGMA(clang attribute pop)
#else
#define LMMC_BEGIN_TARGET(features) LMMC_PRAGMA(GCC push_options) LMMC_PRAGMA(GCC target(features))
#define LMMC_END_TARGET LMMC_PRAGMA(GCC pop_options)
#endif

// Stands before a loop with constant bounds that must be unrolled completely, so that the arrays it indexes live in registers.
#if defined(__clang__)
#define LMMC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LMMC_UNROLL _Pragma("GCC unroll 16")
#endif

// Keeps gcc from computing a pointer plus each offset ahead of a loop, which takes more registers than there are.
#define LMMC_OPAQUE(pointer) __asm__("" : "+r"(pointer))

// clang has the intrinsics of ARM's extensions inside functions for them from version 16 on.
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)
#define LMMC_ARM_EXTENSIONS
#endif
#if defined(__clang__)
#define LMMC_TARGET_DOTPROD "dotprod"
#define LMMC_TARGET_I8MM "dotprod,i8mm"
#define LMMC_TARGET_BF16 "bf16"
#else
#define LMMC_TARGET_DOTPROD "arch=armv8.2-a+dotprod"
#define LMMC_TARGET_I8MM "arch=armv8.2-a+dotprod+i8mm"
#define LMMC_TARGET_BF16 "arch=armv8.2-a+bf16"
#endif

#define LMMC_TARGET_SSE42 "sse4.2"
#define LMMC_TARGET_AVX2 "avx2,fma,f16c"
#define LMMC_TARGET_AVXVNNI "avx2,fma,f16c,avxvnni"
#define LMMC_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"
#define LMMC_TARGET_AVX512VNNI "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#define LMMC_TARGET_AVX512BF16 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"

#endif
