// LMMC_BEGIN_TARGET(features) ... LMMC_END_TARGET compiles the functions between for an instruction set whatever the command line
// allows, so that one executable holds every set. Headers of the system come before.
#ifndef LMMC_PACKED_TARGET_H
#define LMMC_PACKED_TARGET_H
#include "packed_variant.h"

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

// Functions for a constant number of rows, from inline functions tile(rows, p) and stream(rows, p). Not inlined: clang would merge the
// ends of several into a loop that is no longer straight.
#define LMMC_TILE(rows) \
  static __attribute__((noinline)) void tile_##rows(const lmmc_piece *p) { tile(rows, p); }
#define LMMC_STREAM(rows) \
  static __attribute__((noinline)) void stream_##rows(const lmmc_piece *p) { stream(rows, p); }

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

#define LMMC_TARGET_AVX2 "avx2,fma,f16c"
#define LMMC_TARGET_AVXVNNI "avx2,fma,f16c,avxvnni"
#define LMMC_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"
#define LMMC_TARGET_AVX512VNNI "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#define LMMC_TARGET_AVX512BF16 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"

#endif
