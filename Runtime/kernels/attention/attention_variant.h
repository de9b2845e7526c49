// What an instruction set provides for attention. attention.c shares the work among threads, in the same way for all.
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_VARIANT_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_VARIANT_H
#include <string.h>

#include "attention.h"
#include "attention_sets.h"
#include "kernels/common/cpu.h"

// A softmax over some of the keys, for heads x rows: weights are e^(score - max), where max is the greatest score or one near it, out is the
// sum of weights * values, and sum that of the weights. A row that sees none of the keys has sum 0.
typedef struct {
  float *out;  // [heads, rows, head_size]
  float *max;  // [heads, rows]
  float *sum;  // [heads, rows]
} lmmc_attention_partial;

// The rows of a key head are the queries of all query heads that read it: row r is query r / group of query head head * group + r % group,
// where group = heads / kv_heads.
// What a row gets depends on its query and the keys that it sees alone. Keys are therefore taken in cuts, and within a cut in panels of a
// fixed number from its first key on. Each cut begins afresh; lmmc_attention_join() joins cuts in their order, of which a row's first stands
// as it is, and the result is out * (1.0f / sum). block and few do the same operations in the same order for a row. Where they take a row
// through a key that others see and it does not, with the weight 0, they compute it again if that made it NaN: an infinite value may not
// show. (bfmmla does not yet.)
// No function here may hold a parallel region: clang compiles those without the instruction set of the function around them.
typedef struct {
  const char *name;
  uint32_t needs;                          // features of a CPU
  bool rounds;                             // operands are rounded to bf16
  int64_t (*max_rows)(int64_t head_size);  // most rows of a block; 0 where the head is too large
  // Computes the rows first_row ... first_row + rows - 1 of a key head.
  void (*block)(const lmmc_attention *a, int64_t head, int64_t first_row, int64_t rows);
  // Computes the part that the keys first_key ... last_key - 1 of one cut have in all rows of the key heads first_head ... last_head - 1,
  // which are few. A cut begins at first_key, a multiple of LMMC_ATTENTION_CUT, and ends after so many keys or with the keys.
  void (*few)(const lmmc_attention *a, int64_t first_head, int64_t last_head, int64_t first_key, int64_t last_key,
              lmmc_attention_partial p);
} lmmc_attention_variant;

enum {
  LMMC_ATTENTION_CUT = 512,       // keys of a cut
  LMMC_ATTENTION_MAX_HEAD = 256,  // larger heads are computed row by row
  // Up to so many rows of a key head, the time goes into reading the keys; fewer where the parts of two cuts have no room (attention.c).
  LMMC_ATTENTION_FEW_ROWS = 8,
};

// The variants, one for each row of the table of sets, in its order; NULL for a set that the program was compiled without.
const lmmc_attention_variant *const *lmmc_attention_variants(int *count);

// The best variant for `cpu`: among all with `may_round`, else among those that do not round.
const lmmc_attention_variant *lmmc_attention_choose(lmmc_cpu cpu, bool may_round);

// Attention's part of lmmc_kernels_start().
void lmmc_attention_start(lmmc_cpu usable);

void lmmc_attention_run(const lmmc_attention_variant *variant, const lmmc_attention *a);
void lmmc_attention_run_cached(const lmmc_attention_variant *variant, const lmmc_cached_attention *a);

// Joins a row's part of the next cut, out[d], max and sum, to that of the cuts before it: the only code that does, so that its rounding is
// the same for all. Parts with sum 0 change nothing.
void lmmc_attention_join(int64_t d, const float *part, float part_max, float part_sum, float *out, float *max, float *sum);

#define LMMC_DECLARE_SET(symbol) extern const lmmc_attention_variant lmmc_attention_##symbol LMMC_OPTIONAL;
LMMC_ATTENTION_SETS(LMMC_DECLARE_SET)
#undef LMMC_DECLARE_SET

static inline int64_t attention_smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// `x` up to the next multiple.
static inline int64_t attention_up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

static inline int64_t attention_element_bytes(lmmc_kv_type type) { return type == LMMC_KV_F32 ? 4 : type == LMMC_KV_BF16 ? 2 : 1; }

// What the elements of a head in row `key` of keys or values are multiplied by: the scale of int8 codes, which stands behind them, else 1.
static inline float attention_head_scale(const lmmc_attention *a, const void *rows, int64_t stride, int64_t key, int64_t head) {
  float scale = 1;
  if (a->kv_type == LMMC_KV_I8)
    memcpy(&scale, (const int8_t *)rows + key * stride + a->kv_heads * a->head_size + head * (int64_t)sizeof scale, sizeof scale);
  return scale;
}

// The biases from a key on, or NULL.
static inline const float *attention_bias(const lmmc_attention *a, int64_t key) { return a->bias ? a->bias + key : NULL; }

static inline int64_t attention_group(const lmmc_attention *a) { return a->heads / a->kv_heads; }

// The number of keys that a row sees.
static inline int64_t attention_visible(const lmmc_attention *a, int64_t row) {
  return a->causal ? a->keys - a->queries + row / attention_group(a) + 1 : a->keys;
}

// Where a row begins in q or out, in elements.
static inline int64_t attention_offset(const lmmc_attention *a, int64_t head, int64_t row, int64_t stride) {
  const int64_t group = attention_group(a);
  return row / group * stride + (head * group + row % group) * a->head_size;
}

#endif
