// `--chat`: a conversation on the terminal.
#ifndef LMMC_APP_ANSWER_CHAT_H
#define LMMC_APP_ANSWER_CHAT_H

#include "contract/program.h"
#include "options.h"
#include "tokenizer/tokenizer.h"

// Holds a conversation as the options ask for it. Code 1 on failure, 2 where an option is wrong.
bool lmmc_answer_chat(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                      lmmc_error *e);

#endif
