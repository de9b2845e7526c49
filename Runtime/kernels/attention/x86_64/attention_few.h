// What attention of few queries with AVX-512 BF16 and VNNI shares. Each FEW_KEYS keys are taken for all heads before the next keys, so that
// memory is read in long runs. Included between LMMC_BEGIN_TARGET and LMMC_END_TARGET.
#ifndef LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_FEW_H
#define LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_FEW_H
#include "attention_avx512bf16.h"

enum {
  FEW_KEYS = 16,     // keys that are taken at a time
  FEW_QUERIES = 64,  // rows whose converted queries are kept
  FEW_AHEAD = 12,    // steps between prefetching and reading
};

typedef lmmc_attention_partial few_state;

// The state of the rows from `row` on.
INLINE few_state few_at(few_state p, int64_t row, int64_t d) { return (few_state){p.out + row * d, p.max + row, p.sum + row}; }

INLINE void clear_few(const lmmc_attention *a, int64_t heads, few_state p) {
  const int64_t rows = heads * a->queries * attention_group(a);
  memset(p.out, 0, (size_t)(rows * a->head_size) * sizeof *p.out), memset(p.sum, 0, (size_t)rows * sizeof *p.sum);
  for (int64_t i = 0; i < rows; i++) p.max[i] = -INFINITY;
}

// Weights are powers of 2 here and of e outside, so that maxima are multiplied by ln 2.
INLINE void to_natural(const lmmc_attention *a, int64_t heads, few_state p) {
  for (int64_t i = 0; i < heads * a->queries * attention_group(a); i++) p.max[i] *= 0.693147181f;
}

// The place of the next prefetch, in the order of reading: for each FEW_KEYS keys first the keys, four at a time, then the values,
// `value_rows` at a time, each time for one head after another.
typedef struct {
  int64_t first_head, heads, last_key, value_rows, block, key, head;
  bool values;
} cursor;

// Prefetches one step and moves on.
INLINE void ask(lmmc_kv_type type, const lmmc_attention *a, cursor *c) {
  if (c->block >= c->last_key) return;
  const int64_t end = attention_smaller(c->block + FEW_KEYS, c->last_key), rows = c->values ? c->value_rows : 4;
  for (int64_t i = c->key; i < attention_smaller(c->key + rows, end); i++)
    prefetch_head(type, a, c->values ? a->v : a->k, c->values ? a->v_stride : a->k_stride, i, c->first_head + c->head);
  if (++c->head < c->heads) return;
  c->head = 0, c->key += rows;
  if (c->key < end) return;
  if (c->values) c->block += FEW_KEYS;
  c->key = c->block, c->values = !c->values;
}

INLINE cursor start(lmmc_kv_type type, int64_t value_rows, const lmmc_attention *a, int64_t first_head, int64_t heads, int64_t first_key,
                    int64_t last_key) {
  cursor result = {first_head, heads, last_key, value_rows, first_key, first_key, 0, false};
  for (int i = 0; i < FEW_AHEAD; i++) ask(type, a, &result);
  return result;
}

// The weights of one row of scores, of which the first `seen` count. Where the maximum must grow, `out` and `sum` are scaled to it.
INLINE __m512 few_weights(int64_t seen, __m512 scores, __m512 units, int64_t d, float *out, float *max, float *sum) {
  if (seen <= 0) return _mm512_setzero_ps();
  const __mmask16 mask = seen >= 16 ? 0xffff : (__mmask16)((1u << seen) - 1);
  const __m512 s = _mm512_mask_mul_ps(_mm512_set1_ps(-INFINITY), mask, scores, units);
  if (_mm512_cmp_ps_mask(s, _mm512_set1_ps(*max + SLACK), _CMP_GT_OQ)) {
    const float top = _mm512_reduce_max_ps(s), shrink = *max == -INFINITY ? 0 : _mm512_cvtss_f32(exp2_lanes(_mm512_set1_ps(*max - top)));
    for (int64_t e = 0; e < d; e += 16) {
      const __mmask16 some = (__mmask16)mask_of(d - e);
      _mm512_mask_storeu_ps(out + e, some, _mm512_mul_ps(_mm512_maskz_loadu_ps(some, out + e), _mm512_set1_ps(shrink)));
    }
    *sum *= shrink, *max = top;
  }
  return exp2_lanes(_mm512_sub_ps(s, _mm512_set1_ps(*max)));
}

#endif
