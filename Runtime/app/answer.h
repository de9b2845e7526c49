// One answer: images through the vision tower, the prompt through prefill, then tokens one by one.
#ifndef LMMC_APP_ANSWER_H
#define LMMC_APP_ANSWER_H

#include "answer_structure.h"
#include "contract/program.h"
#include "options.h"
#include "session/prompt.h"
#include "session/steps.h"
#include "tokenizer/tokenizer.h"

// Runs the model and writes the answer to standard output, as text or JSON, and the dump, where options ask for them.
// `prompt` loses the tokens that its images do not become. `structures`: with what the answer must be, if anything; not open without. A reader of standard output that goes away ends the run without an error. Code 1 on failure.
bool lmmc_run(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
              const lmmc_image_source *images, lmmc_prompt *prompt, lmmc_answer_structures *structures, lmmc_error *e);

#endif
