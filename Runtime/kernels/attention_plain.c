// Attention in f32 for any machine: what the compiler makes of it.
#include <stdbool.h>

static bool anywhere(void) { return true; }

#define ATTENTION_NAME lmmc_attention_plain
#define ATTENTION_ISA "plain"
#define ATTENTION_RUNS anywhere
#include "attention_body.h"
