// What `--json` and `--bench` say of the tokens that stand for images.
#ifndef LMMC_APP_VISUAL_TOKENS_H
#define LMMC_APP_VISUAL_TOKENS_H

#include "base/text.h"
#include "contract/program.h"
#include "session/prompt.h"

// Appends `, "visual_tokens": N`, as many as the decoder gets of the prompt, and of a program that reduces or compresses them
// `, "visual_tokens_per_block": [...]`: as many rows as the caches of each of the decoder's blocks hold besides the prompt's text, and of one that
// compresses as many as they held until they forgot them. `mark` i32 [1 + blocks] is that of its slot behind the prefill. A program with blocks
// ahead of the decoder says before what these run on: `, "visual_tokens_of_prefusion": N`.
bool lmmc_visual_tokens_json(lmmc_text *out, const lmmc_model *model, const lmmc_prompt *prompt, const int32_t *mark, lmmc_error *e);

#endif
