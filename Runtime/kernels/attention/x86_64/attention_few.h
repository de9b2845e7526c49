// What attention of few queries with AVX-512 BF16 and VNNI shares. Each PANEL keys are taken for all heads before the next keys, so that
// memory is read in long runs. Included between LMMC_BEGIN_TARGET and LMMC_END_TARGET.
#ifndef LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_FEW_H
#define LMMC_KERNELS_ATTENTION_X86_64_ATTENTION_FEW_H
#include "attention_avx512bf16.h"

enum {
  FEW_QUERIES = 64,  // rows whose converted queries are kept
  FEW_PIECE = 4,     // rows that are prefetched at a time
  FEW_AHEAD = 12,    // pieces between prefetching and reading
};

typedef lmmc_attention_partial few_state;

// The state of the rows from `row` on.
INLINE few_state few_at(few_state p, int64_t row, int64_t d) { return (few_state){p.out + row * d, p.max + row, p.sum + row}; }

INLINE void clear_few(const lmmc_attention *a, int64_t heads, few_state p) {
  const int64_t rows = heads * a->queries * attention_group(a);
  memset(p.out, 0, (size_t)(rows * a->head_size) * sizeof *p.out), memset(p.sum, 0, (size_t)rows * sizeof *p.sum);
  for (int64_t i = 0; i < rows; i++) p.max[i] = -INFINITY;
}

// The place of the next prefetch, in the order of reading: for each panel first the keys, then the values, so many rows of one head after
// another at a time.
typedef struct {
  int64_t first_head, heads, last_key, key_rows, value_rows;
  int64_t panel, row, head, at;
  bool values;
} cursor;

// Prefetches one piece and moves on.
INLINE void ask(lmmc_kv_type type, const lmmc_attention *a, cursor *c) {
  if (c->panel >= c->last_key) return;
  const int64_t end = attention_smaller(c->panel + PANEL, c->last_key);
  const int64_t stop = attention_smaller(c->row + (c->values ? c->value_rows : c->key_rows), end);
  for (int64_t i = c->at; i < attention_smaller(c->at + FEW_PIECE, stop); i++) {
    const void *rows = c->values ? a->v : a->k;
    const int64_t stride = c->values ? a->v_stride : a->k_stride;
    prefetch_head(type, a, rows, stride, i, c->first_head + c->head);
    // The scales of all heads.
    if (type == LMMC_KV_I8 && c->head == 0)
      prefetch((const char *)rows + i * stride + a->kv_heads * a->head_size + c->first_head * 4, c->heads * 4);
  }
  c->at += FEW_PIECE;
  if (c->at < stop) return;
  c->at = c->row;
  if (++c->head < c->heads) return;
  c->head = 0, c->at = c->row = stop;
  if (stop < end) return;
  if (c->values) c->panel = end;
  c->at = c->row = c->panel, c->values = !c->values;
}

INLINE cursor start(lmmc_kv_type type, int64_t key_rows, int64_t value_rows, const lmmc_attention *a, int64_t first_head, int64_t heads,
                    int64_t first_key, int64_t last_key) {
  cursor result = {first_head, heads, last_key, key_rows, value_rows, first_key, first_key, 0, first_key, false};
  for (int i = 0; i < FEW_AHEAD; i++) ask(type, a, &result);
  return result;
}

#endif
