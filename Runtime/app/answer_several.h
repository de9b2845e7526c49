// Several answers to one question.
#ifndef LMMC_APP_ANSWER_SEVERAL_H
#define LMMC_APP_ANSWER_SEVERAL_H

#include "answer_structure.h"
#include "contract/program.h"
#include "options.h"
#include "session/prompt.h"
#include "session/steps.h"
#include "tokenizer/tokenizer.h"

// `--n`: so many answers, which share what is computed of the prompt, the seed of each one above that of the one before. Written to standard
// output, each behind a line with its number, or as one JSON object. Code 1 on failure.
bool lmmc_answer_several(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                         const lmmc_image_source *images, const lmmc_prompt *prompt, lmmc_answer_structures *structures, lmmc_error *e);

#endif
