// What `--json` and `--bench` say of the tokens that stand for images.
#ifndef LMMC_APP_VISUAL_TOKENS_H
#define LMMC_APP_VISUAL_TOKENS_H

#include "base/text.h"
#include "contract/program.h"
#include "session/prompt.h"

// The vision rows that each of the decoder's blocks has run on, i32 [blocks], when the prompt has just been prefilled: those that its caches
// have forgotten or lost behind the prompt, too. `mark` i32 [1 + blocks] is that of the prompt's slot.
void lmmc_visual_rows(const lmmc_memory *memory, const lmmc_model *model, const lmmc_prompt *prompt, const int32_t *mark, int32_t *rows);

// As many as the decoder gets of the prompt.
int32_t lmmc_visual_tokens(const lmmc_model *model, const lmmc_prompt *prompt);

// Appends `, "visual_tokens": N` of these, and of a program that reduces or compresses them
// `, "visual_tokens_per_block": [...]`. A program with blocks ahead of the decoder has
// `, "visual_tokens_of_prefusion": N` between them: the rows that these run on.
bool lmmc_visual_tokens_json(lmmc_text *out, const lmmc_model *model, const lmmc_prompt *prompt, const int32_t *rows, lmmc_error *e);

#endif
