// What an answer may go on with, guessed from what was said before: where its last tokens stood already, those behind them. The model is asked
// for the logits behind each of them in one call, which costs little more than one row, and takes those that it would have chosen; so answers
// are the same with and without. As Saxena has it (prompt lookup decoding, 2023).
#ifndef LMMC_SESSION_DRAFT_H
#define LMMC_SESSION_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/program.h"

// In one call: one of 8 rows still takes less than two of one.
enum { LMMC_MOST_DRAFTED = 7 };

// Rows that a call may have beside a token's to look at what is drafted: none where a row's logits are not the same beside others, or its caches
// cannot be cut behind it.
static inline int64_t lmmc_draft_room(const lmmc_model *m) {
  const int64_t rows = m->wanted_rows < m->chunk ? m->wanted_rows : m->chunk;
  if (m->float32_products || m->recomputes || m->whole_prompts) return 0;
  return rows - 1 < LMMC_MOST_DRAFTED ? rows - 1 : LMMC_MOST_DRAFTED;
}

// How an answer's drafts have fared. Start from {0}.
typedef struct {
  int32_t length;  // of the next
  int32_t wanted;  // tokens that must be the same: more after each draft that was wrong from its first
} lmmc_draft;

// Drafts what may follow `tokens` [count], at most `most` tokens, into `out`; how many.
int32_t lmmc_draft_next(lmmc_draft *d, const int32_t *tokens, int64_t count, int32_t most, int32_t *out);

// Hears how many of the tokens that were drafted the model has chosen.
void lmmc_draft_judge(lmmc_draft *d, int32_t drafted, int32_t chosen);

#endif
