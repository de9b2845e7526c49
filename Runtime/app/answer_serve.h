// The run of a program that serves.
#ifndef LMMC_APP_ANSWER_SERVE_H
#define LMMC_APP_ANSWER_SERVE_H

#include "answer_structure.h"
#include "base/error.h"
#include "contract/program.h"
#include "options.h"
#include "tokenizer/tokenizer.h"

// `--serve`, with `parallel` answers at once, until the process is asked to stop. `name`: the program's. Code 1 on
// failure, 2 where an option is wrong. Weak: a program may be made without the server, and the address is then NULL.
bool lmmc_answer_serve(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                       lmmc_answer_structures *structures, int32_t parallel, const char *name, lmmc_error *e) __attribute__((weak));

#endif
