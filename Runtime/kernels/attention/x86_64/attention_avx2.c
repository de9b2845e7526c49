// Attention in f32 for AVX2 with FMA.
#include "kernels/common/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

LMMC_BEGIN_TARGET(LMMC_TARGET_AVX2)
#define LMMC_LANES 8
#define ATTENTION_NAME lmmc_attention_avx2
#define ATTENTION_ISA "avx2"
#define ATTENTION_NEEDS (LMMC_CPU_AVX2)
#include "kernels/attention/attention_body.h"
LMMC_END_TARGET
#endif
