// The command line of every compiled program.
#ifndef LMMC_APP_OPTIONS_H
#define LMMC_APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "engine/structure.h"
#include "session/generation.h"
#include "session/sampler.h"

// What a run does. One option chooses each but the first.
typedef enum {
  LMMC_MODE_ANSWER,
  LMMC_MODE_SEVERAL,
  LMMC_MODE_TOKENIZE,
  LMMC_MODE_PERPLEXITY,
  LMMC_MODE_BENCH,
  LMMC_MODE_BATCH,
  LMMC_MODE_SERVE,
  LMMC_MODE_CHAT,
  LMMC_MODE_CHECK,
  LMMC_MODE_INFO,
  LMMC_MODE_FOLD,
  LMMC_MODE_HELP,
  LMMC_MODE_VERSION,
} lmmc_mode;

typedef enum { LMMC_SPECULATE_NONE, LMMC_SPECULATE_LOOKUP } lmmc_speculation;

typedef struct {
  lmmc_mode mode;
  const char **images;  // [image_count], in order
  int image_count;
  const char *prompt, *raw_prompt, *question, *tokenize, *dump, *dump_tensors, *perplexity, *fold;  // NULL when not given
  const char *batch, *output, *image_folder, *system, *cache;
  const char *topic;  // of the help; NULL: what is needed every day
  int64_t max_tokens, window, runs, sequences;
  const char *address, *key_file, *media;  // of --serve; NULL when not given
  int64_t queue, timeout, grace;
  int64_t parallel;  // 0 when not given
  int64_t answers;   // to one question
  int64_t max_image_pixels;
  int64_t threads, decode_threads, prompt_tokens, context;  // 0 when not given
  lmmc_sampling sampling;
  lmmc_logit_bias *biases;  // [sampling.bias_count]
  lmmc_stop *stops;         // [stop_count]
  int stop_count;
  lmmc_notation notation;     // of what the answer must be
  const char *structure;      // its text, or the name of its file; NULL when not given
  int64_t log_probabilities;  // of each token how many; 0: none
  lmmc_speculation speculation;
  bool json, profile, mlock, resume, unordered, log_json;
  bool has_seed;  // one was given
} lmmc_options;

// Fills `*o`; the strings are argv's own. Code 2 when something is wrong. `--help` and `--version` end the reading.
bool lmmc_options_parse(lmmc_options *o, int argc, char **argv, lmmc_error *e);
void lmmc_options_free(lmmc_options *o);

// What the answer must be, as the command line has it: its option, and whether its value is a text and not the name of a file.
const char *lmmc_structure_option(const lmmc_options *o);
bool lmmc_structure_is_text(const lmmc_options *o);

// Writes the help text of a topic, one that lmmc_options_parse let pass.
void lmmc_options_help(FILE *to, const char *program, const char *topic);

#endif
