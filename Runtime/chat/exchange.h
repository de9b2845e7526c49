// One question of a conversation and its answer, which is written as it grows.
#ifndef LMMC_CHAT_EXCHANGE_H
#define LMMC_CHAT_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "chat.h"
#include "conversation.h"

// What was done for questions.
typedef struct {
  int64_t questions;
  int64_t prompt, shared;   // tokens of prompts, and those of them whose rows the slot had
  int64_t encoded;          // images that went through the tower
  int64_t answered;         // tokens
  double first, answering;  // seconds to the first token, and from then on
  int64_t steps;            // tokens that were decoded in those
  int64_t held;             // tokens of the conversation, behind the last
} lmmc_chat_counts;

typedef struct {
  lmmc_engine *engine;
  const lmmc_chat_settings *settings;
  lmmc_conversation *conversation;
  bool to_terminal;  // controls in answers are shown
  bool is_closed;    // nobody reads standard output any more
  lmmc_chat_counts last, all;
} lmmc_exchange;

// Asks, and adds question and answer to the conversation, also one that was cut, and says on standard error what cut it. The conversation stays
// as it was, and the pictures that wait go on waiting, where it fails, does not fit the context, or is stopped before the answer's first
// token.
bool lmmc_exchange_ask(lmmc_exchange *x, const char *question, size_t bytes, lmmc_error *e);

#endif
