// Attention in f32 for every CPU, with the vectors that the command line allows.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ATTENTION_NAME lmmc_attention_plain
#define ATTENTION_ISA "plain"
#define ATTENTION_NEEDS 0
#include "attention_body.h"
