// Attention in f32 for AVX-512.
#if defined(__x86_64__)
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif
#define LMMC_LANES 16
#define ATTENTION_NAME lmmc_attention_avx512
#define ATTENTION_ISA "avx512"
#define ATTENTION_RUNS has_avx512
#include "attention_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
