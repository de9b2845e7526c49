// The tokens that every prompt begins with: the template's own text. Their keys and values are constants of the program, computed when it was
// compiled (contract/prefix_layout.h).
#ifndef LMMC_SESSION_PREFIX_H
#define LMMC_SESSION_PREFIX_H

#include "slots.h"

typedef struct {
  const int32_t *tokens;
  int64_t count;        // 0 where there are none, or none that were computed as this program computes on this machine
  const uint8_t *rows;  // of each cache [count, row_bytes]
} lmmc_prefix;

// What the attached bytes have of it. Code 1 where they are not what the compiler lays out, or memory is out.
bool lmmc_prefix_open(lmmc_prefix *p, const lmmc_model *model, const lmmc_memory *memory, lmmc_error *e);

// The tokens whose rows are to be computed, whether they were or not: code 1 where there are none.
bool lmmc_prefix_find(lmmc_prefix *p, const lmmc_model *model, const lmmc_memory *memory, lmmc_error *e);

// How many of the first tokens of a prompt are these; at most `most`.
int64_t lmmc_prefix_shared(const lmmc_prefix *p, const int32_t *tokens, int64_t most);

// Makes an empty slot what it is behind the first `count` of them.
void lmmc_prefix_copy(const lmmc_prefix *p, lmmc_slots *slots, int32_t slot, int64_t count);

#endif
