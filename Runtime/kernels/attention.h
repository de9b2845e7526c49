// Attention in f32.
#ifndef LMMC_ATTENTION_H
#define LMMC_ATTENTION_H
#include <stdbool.h>
#include <stdint.h>

// For each head: out = softmax(scale * q . k) . v. Query head h reads key head h / (heads / kv_heads). Strides count floats from row to row.
typedef struct {
  int64_t queries, keys;
  int64_t heads, kv_heads, head_size;
  float scale;
  bool causal;  // query i sees the keys 0 ... keys - queries + i, else all
  const float *q;  // [queries, heads * head_size]
  int64_t q_stride;
  const float *k, *v;  // [keys, kv_heads * head_size]
  int64_t k_stride, v_stride;
  float *out;  // [queries, heads * head_size]; overlaps none of the others
  int64_t out_stride;
} lmmc_attention;

// One streaming pass over the keys with a running maximum; scores exist for one tile only.
void lmmc_attention_f32(lmmc_attention attention);

#endif
