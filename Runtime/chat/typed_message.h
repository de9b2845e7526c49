// What a line or several of them say: a command, or words for the model.
#ifndef LMMC_CHAT_TYPED_MESSAGE_H
#define LMMC_CHAT_TYPED_MESSAGE_H

#include "typed_line.h"

typedef enum {
  LMMC_SAYS_WORDS,
  LMMC_SAYS_COMMAND,  // begins with a slash
  LMMC_SAYS_NOTHING,  // blank
  LMMC_SAYS_END,
  LMMC_SAYS_INTERRUPT,
  LMMC_SAYS_GOODBYE,
  LMMC_SAYS_FAILURE,  // with `*e` filled: 2 where what was begun has no end, else 1
} lmmc_says;

// A line that ends in a backslash goes on in the next, and what `"""` begins ends with a line that ends so, whatever stands between.
lmmc_says lmmc_typed_message(lmmc_typed_lines *l, const char *prompt, lmmc_text *message, lmmc_error *e);

#endif
