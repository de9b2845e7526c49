// The run of a program that answers a file of requests.
#ifndef LMMC_APP_ANSWER_BATCH_H
#define LMMC_APP_ANSWER_BATCH_H

#include "answer_structure.h"
#include "base/error.h"
#include "contract/program.h"
#include "options.h"
#include "tokenizer/tokenizer.h"

// `--batch`, with `parallel` answers at once. `name`: the program's. Code 1 on failure.
bool lmmc_answer_batch(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                       lmmc_answer_structures *structures, int32_t parallel, const char *name, lmmc_error *e);

#endif
