// Attention in f32 for every 64-bit ARM CPU.
#include "kernels/common/target.h"

#if defined(__aarch64__)
#define ATTENTION_NAME lmmc_attention_neon
#define ATTENTION_ISA "neon"
#define ATTENTION_NEEDS LMMC_CPU_NEON
#include "kernels/attention/attention_body.h"
#endif
