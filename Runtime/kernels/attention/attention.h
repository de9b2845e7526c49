// Attention of f32 queries to keys and values in f32, bf16 or int8.
#ifndef LMMC_KERNELS_ATTENTION_ATTENTION_H
#define LMMC_KERNELS_ATTENTION_ATTENTION_H
#include <stdbool.h>
#include <stdint.h>

#include "contract/kv_type.h"

// For each head: out = softmax(scale * q . k + bias) . v. Query head h reads key head h / (heads / kv_heads). Strides count elements from row
// to row: floats, bf16 values, or bytes for int8.
typedef struct {
  int64_t queries, keys;
  int64_t heads, kv_heads, head_size;
  float scale;
  bool causal;     // query i sees the keys 0 ... keys - queries + i, else all; never more queries than keys then
  const float *q;  // [queries, heads * head_size]
  int64_t q_stride;
  lmmc_kv_type kv_type;
  const void *k, *v;  // [keys, kv_heads * head_size]
  int64_t k_stride, v_stride;
  float *out;  // [queries, heads * head_size]; overlaps none of the others
  int64_t out_stride;
  const float *bias;  // [keys], or NULL for zeros. Only over f32, and where every query sees all keys
} lmmc_attention;

// Goes over the keys once, with a running maximum, so that only the scores of a tile exist at a time. All arithmetic is in f32.
void lmmc_attention_f32(lmmc_attention attention);

// The same, but with queries, keys, values and softmax weights rounded to bf16 where the CPU multiplies those faster. Sums stay in f32.
void lmmc_attention_bf16(lmmc_attention attention);

// Attention over a cache: query i sees the rows 0 ... places[i] of slot slots[i]. What it gets depends on these rows and on itself alone: not
// on the other queries, on the slot or on the number of threads. (With BFMMLA that holds as long as the values of all rows are finite.)
typedef struct {
  lmmc_attention rows;            // queries ... out_stride as above; keys and causal are not read; k and v are those of slot 0
  const int32_t *slots, *places;  // [queries]
  int64_t slot_stride;            // elements (bytes for int8) from slot to slot, of k and of v
} lmmc_cached_attention;

void lmmc_attention_cached_f32(lmmc_cached_attention attention);
void lmmc_attention_cached_bf16(lmmc_cached_attention attention);

// The instruction set whose code runs in f32 and in bf16, "avx512bf16" say.
const char *lmmc_attention_f32_variant(void);
const char *lmmc_attention_bf16_variant(void);

#endif
