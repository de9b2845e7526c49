// Attention in f32 for AVX2 with FMA.
#if defined(__x86_64__)
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define LMMC_LANES 8
#define ATTENTION_NAME lmmc_attention_avx2
#define ATTENTION_ISA "avx2"
#define ATTENTION_RUNS has_avx2
#include "attention_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
