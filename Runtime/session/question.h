// The words of a question by which a reducer chooses among an image's patches.
#ifndef LMMC_SESSION_QUESTION_H
#define LMMC_SESSION_QUESTION_H

#include "prompt.h"

// Fills the question of a prompt for a program that reads one, at most as many tokens as it has room for; of another it stays empty. `text`:
// what the user asked, `<image>` places and all; NULL or white space stands for "What do you see in this image?".
//
// As MMTok has it: places at the start of the text go with the end of their line, and so do two phrases of benchmarks. Its words are runs of
// letters, digits and `_`, less those that say little ("the", "what"); where none is left, all that white space separates. Each is tokenised
// by itself. Code 1 when memory is out.
bool lmmc_prompt_ask(lmmc_prompt *p, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *text, size_t bytes,
                     lmmc_error *e);

#endif
