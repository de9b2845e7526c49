// LMMC_BEGIN_TARGET(features) ... LMMC_END_TARGET compiles the functions between for an instruction set whatever the command line
// allows, so that one executable holds every set. Headers of the system come before.
#ifndef LMMC_PACKED_TARGET_H
#define LMMC_PACKED_TARGET_H
#include "product_variant.h"

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

// Keeps gcc from computing a pointer's sums with all offsets ahead of a loop, more than there are registers for.
#define LMMC_OPAQUE(pointer) __asm__("" : "+r"(pointer))

// LMMC_UP_TO_6(name) makes name_rows(rows, p), for 1 ... 6 rows, of an inline function name(rows, p) that is compiled for each number.
// They are not inlined: clang would merge the ends of several into a loop that is no longer straight.
#define LMMC_FIXED(name, n) \
  static __attribute__((noinline)) void name##_##n(const lmmc_piece *p) { name(n, p); }
#define LMMC_BY_ROWS(name, ...)                                       \
  static void name##_rows(int64_t rows, const lmmc_piece *p) {        \
    static void (*const fixed[])(const lmmc_piece *) = {__VA_ARGS__}; \
    fixed[rows - 1](p);                                               \
  }
#define LMMC_FIXED_4(name) LMMC_FIXED(name, 1) LMMC_FIXED(name, 2) LMMC_FIXED(name, 3) LMMC_FIXED(name, 4)
#define LMMC_FIXED_6(name) LMMC_FIXED_4(name) LMMC_FIXED(name, 5) LMMC_FIXED(name, 6)
#define LMMC_FIXED_8(name) LMMC_FIXED_6(name) LMMC_FIXED(name, 7) LMMC_FIXED(name, 8)
#define LMMC_FIXED_12(name) LMMC_FIXED_8(name) LMMC_FIXED(name, 9) LMMC_FIXED(name, 10) LMMC_FIXED(name, 11) LMMC_FIXED(name, 12)
#define LMMC_FIXED_14(name) LMMC_FIXED_12(name) LMMC_FIXED(name, 13) LMMC_FIXED(name, 14)
#define LMMC_UP_TO_4(name) LMMC_FIXED_4(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4)
#define LMMC_UP_TO_6(name) LMMC_FIXED_6(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6)
#define LMMC_UP_TO_8(name) \
  LMMC_FIXED_8(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8)
#define LMMC_UP_TO_12(name)                                                                                                          \
  LMMC_FIXED_12(name)                                                                                                                \
  LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9, name##_10, name##_11, \
               name##_12)
#define LMMC_UP_TO_14(name)                                                                                                          \
  LMMC_FIXED_14(name)                                                                                                                \
  LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9, name##_10, name##_11, \
               name##_12, name##_13, name##_14)

// Where a stream that reads block b asks memory for what it will need, LMMC_AHEAD bytes of codes later: codes, scales and offsets of a
// block of this panel, or of the next one, which follows it. Past the end of the weights that does no harm.
enum { LMMC_AHEAD = 4096 };
typedef struct {
  const char *codes, *scales, *offsets;
} lmmc_ahead;

static inline __attribute__((always_inline)) lmmc_ahead lmmc_look_ahead(lmmc_packed_type type, const lmmc_piece *p, int64_t b) {
  const int64_t code = lmmc_code_bytes(type), scale = lmmc_scale_bytes(type), offset = lmmc_offset_bytes(type);
  const char *panel = (const char *)p->codes;
  b += LMMC_AHEAD / code;
  if (b >= p->blocks) b -= p->blocks, panel += (p->blocks * (code + scale + offset) + 63) / 64 * 64;
  const char *scales = panel + p->blocks * code;
  return (lmmc_ahead){panel + b * code, scales + b * scale, scales + p->blocks * scale + b * offset};
}

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
