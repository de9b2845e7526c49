// Attention in f32 for any machine: what the compiler makes of it.
#define ATTENTION_NAME lmmc_attention_plain
#define ATTENTION_ISA "plain"
#define ATTENTION_NEEDS 0
#include "attention_body.h"
