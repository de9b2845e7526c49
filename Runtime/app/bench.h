// `--bench`: the speed of a program, stage by stage, measured in one process: the weights are in memory and the threads awake.
#ifndef LMMC_APP_BENCH_H
#define LMMC_APP_BENCH_H

#include "contract/program.h"
#include "options.h"
#include "session/prompt.h"
#include "session/steps.h"
#include "tokenizer/tokenizer.h"

enum { LMMC_BENCH_TOKENS = 32 };  // what --bench decodes without --max-tokens

// Runs image, prompt and `max_tokens` decode steps (ends of text do not end them) once to warm up, then `runs` times, and writes median,
// least and most of each stage to standard output, as a table or JSON. `--prompt-tokens` lengthens `prompt`. With `sequences` above 1, of
// which the program has as many, a step decodes a token in each of as many copies of the prompt; then their prompts are prefilled in one
// call, and one that is as long as all where the context has room. Code 1 on failure, also where prompt and steps do not fit the context; 2
// for a prompt longer than `--prompt-tokens`.
bool lmmc_bench(const lmmc_model *model, const lmmc_memory *memory, const lmmc_options *options, const lmmc_image_source *images,
                lmmc_prompt *prompt, lmmc_error *e);

#endif
