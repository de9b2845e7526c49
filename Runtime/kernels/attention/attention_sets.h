// The table of the instruction sets that have code for attention. Declarations, the choice at start, tests and benchmarks read it: to add
// a set is to add its file attention_SYMBOL.c and its row.
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_SETS_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_SETS_H
#include "kernels/common/target.h"

// LMMC_ATTENTION_SETS(SET) is a row SET(symbol) for each set, better ones later. The set's file defines lmmc_attention_SYMBOL, which has
// its name and what it needs. The first needs nothing.
// clang-format off
#if defined(__x86_64__)
#define LMMC_ATTENTION_SETS(SET) \
  SET(plain) \
  SET(avx2) \
  SET(avx512) \
  SET(avx512bf16)
#elif defined(__aarch64__) && defined(LMMC_ARM_EXTENSIONS)
#define LMMC_ATTENTION_SETS(SET) \
  SET(plain) \
  SET(neon) \
  SET(bfmmla)
#elif defined(__aarch64__)
#define LMMC_ATTENTION_SETS(SET) \
  SET(plain) \
  SET(neon)
#else
#define LMMC_ATTENTION_SETS(SET) SET(plain)
#endif
// clang-format on

#endif
