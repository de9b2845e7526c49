// What attention is made of: an implementation per instruction set, under one way of sharing the work out.
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_VARIANT_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_VARIANT_H
#include "attention.h"
#include "attention_sets.h"
#include "kernels/common/cpu.h"

// The part of a softmax that is known so far, for heads x rows: out = sum of weights * values, over the maximum seen.
typedef struct {
  float *out;  // [heads, rows, head_size]
  float *max;  // [heads, rows]
  float *sum;  // [heads, rows]
} lmmc_attention_partial;

// Row r of a key head is query r / group of query head head * group + r % group, where group = heads / kv_heads.
// No function holds a parallel region: clang compiles those without the instructions of the function around them.
typedef struct {
  const char *name;
  uint32_t needs;                          // of a CPU's features
  bool rounds;                             // to bf16
  int64_t (*max_rows)(int64_t head_size);  // of a block; 0: the head is too large
  // The whole of the rows first_row ... first_row + rows - 1 of a key head.
  void (*block)(const lmmc_attention *a, int64_t head, int64_t first_row, int64_t rows);
  // All rows of a few queries, for the heads first_head ... last_head - 1 over the keys first_key ... last_key - 1.
  void (*few)(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
              lmmc_attention_partial p);
} lmmc_attention_variant;

enum {
  LMMC_ATTENTION_MAX_HEAD = 256,  // above, only the way row by row
  LMMC_ATTENTION_FEW_ROWS = 8,    // of a key head, up to which reading the keys is the work
};

// Every variant, the plainest first; NULL for one that the program was compiled without.
const lmmc_attention_variant *const *lmmc_attention_variants(int *count);

// The best one for `cpu`, among those that do not round or among all.
const lmmc_attention_variant *lmmc_attention_choose(lmmc_cpu cpu, bool may_round);

// Attention's part of lmmc_kernels_start().
void lmmc_attention_start(lmmc_cpu usable);

void lmmc_attention_run(const lmmc_attention_variant *variant, const lmmc_attention *a);

#define LMMC_DECLARE_SET(symbol) extern const lmmc_attention_variant lmmc_attention_##symbol LMMC_OPTIONAL;
LMMC_ATTENTION_SETS(LMMC_DECLARE_SET)
#undef LMMC_DECLARE_SET

#if defined(__aarch64__)
void lmmc_attention_few_neon(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
                             lmmc_attention_partial p);
#endif

static inline int64_t attention_smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t attention_group(const lmmc_attention *a) { return a->heads / a->kv_heads; }

// Keys that a row sees.
static inline int64_t attention_visible(const lmmc_attention *a, int64_t row) {
  return a->causal ? a->keys - a->queries + row / attention_group(a) + 1 : a->keys;
}

// Element offset of a row's head in q or out.
static inline int64_t attention_offset(const lmmc_attention *a, int64_t head, int64_t row, int64_t stride) {
  const int64_t group = attention_group(a);
  return row / group * stride + (head * group + row % group) * a->head_size;
}

#endif
