// Attention in f32 for AVX-512.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX512)
#define LMMC_LANES 16
#define ATTENTION_NAME lmmc_attention_avx512
#define ATTENTION_ISA "avx512"
#define ATTENTION_NEEDS (LMMC_CPU_AVX2 | LMMC_CPU_AVX512)
#include "kernels/attention/attention_body.h"
LMMC_END_TARGET
#endif
