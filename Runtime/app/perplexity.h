// Perplexity of a text: how well the decoder foretells each token from those before it.
#ifndef LMMC_APP_PERPLEXITY_H
#define LMMC_APP_PERPLEXITY_H

#include "contract/program.h"
#include "options.h"
#include "tokenizer/tokenizer.h"

// Cuts the text of the file `options->perplexity` into windows of `options->window` tokens that do not overlap, leaving out
// what remains at the end. In each, the tokens of the second half but its first are foretold from all before them; BOS takes
// the place of a window's first token where the model adds one. llama.cpp counts so. Writes a line or a JSON object to
// standard output. Code 1 on failure, 2 when the window does not suit the model.
bool lmmc_perplexity(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                     lmmc_error *e);

#endif
