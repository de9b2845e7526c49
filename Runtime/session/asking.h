// From what a front end is asked to the prompt.
#ifndef LMMC_SESSION_ASKING_H
#define LMMC_SESSION_ASKING_H

#include "prompt.h"

typedef struct {
  const char *system;            // of a conversation that brings none; NULL: the template's own
  const lmmc_message *messages;  // [message_count] of a conversation; 0: `text` is what the user says
  int message_count;
  const char *text;
  size_t bytes;
  int images;            // of `text`
  bool is_raw;           // `text` goes in verbatim, without any system text
  const char *question;  // what is asked last in a raw text, NULL where that is not known; elsewhere it is the user's last words
} lmmc_asking;

// The prompt, and in it the question (question.h). Errors as of lmmc_prompt_build and lmmc_prompt_converse. `*p` starts as {0};
// lmmc_prompt_free ends it in either case.
bool lmmc_prompt_asked(lmmc_prompt *p, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const lmmc_asking *a, lmmc_error *e);

#endif
