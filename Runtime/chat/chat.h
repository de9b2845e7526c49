// A conversation on standard input and output: lines that are typed or piped, answers as they grow, and commands. Answers go to standard output,
// and everything else to standard error.
#ifndef LMMC_CHAT_CHAT_H
#define LMMC_CHAT_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "session/generation.h"
#include "session/sampler.h"

typedef struct {
  const char *system;         // NULL: the template's own
  const char *first;          // the first question; NULL: it is typed
  const char *const *images;  // [image_count], of the first question
  int image_count;
  int64_t max_image_pixels, max_tokens;
  lmmc_sampling sampling;  // each question draws by a seed of its own, from this one on
  const lmmc_stop *stops;  // [stop_count]
  int stop_count;
} lmmc_chat_settings;

// Goes on until the input ends, or nobody reads the answers any more. On a terminal what is wrong is said and the conversation goes on, and
// Ctrl-C stops an answer; otherwise the first error ends it. Code 2 when a question or a command is wrong, else 1.
bool lmmc_chat(lmmc_engine *engine, const lmmc_chat_settings *settings, lmmc_error *e);

#endif
