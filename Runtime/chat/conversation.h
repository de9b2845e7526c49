// What was said so far, with the pictures that were shown: answers as the tokens that they are, so that the next prompt begins with what the
// slot holds.
#ifndef LMMC_CHAT_CONVERSATION_H
#define LMMC_CHAT_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "session/prompt.h"
#include "session/steps.h"
#include "tokenizer/tokenizer.h"

typedef struct {
  lmmc_role role;
  lmmc_text text;
  lmmc_ids tokens;   // of an answer
  bool is_cut_text;  // an answer whose tokens say more than it: a stop text ended it
  int images;        // of a user
} lmmc_said;

typedef struct {
  const lmmc_model *model;
  const lmmc_tokenizer *tokenizer;
  lmmc_said *said;  // [count]
  int count, room;
  int kept;                // of them, what every conversation begins with: a system text
  lmmc_pictures pictures;  // of the whole conversation, in their order; last those that wait for the next question
  char **files;            // [pictures.count]
  int waiting;
} lmmc_conversation;

// `system`: a text of the system's, or NULL. Code 2 when the program's template takes none, 1 when memory is out; lmmc_conversation_close ends
// it in either case.
bool lmmc_conversation_open(lmmc_conversation *c, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *system,
                            lmmc_error *e);
void lmmc_conversation_close(lmmc_conversation *c);

// Reads a picture, which the next question is about. Nothing changes where it cannot be read, or the program takes no such conversation.
bool lmmc_conversation_show(lmmc_conversation *c, const char *file, int64_t max_pixels, lmmc_error *e);

// The prompt of the next question. `*p` starts as {0}. Errors as of lmmc_prompt_asked.
bool lmmc_conversation_prompt(const lmmc_conversation *c, const char *question, size_t bytes, lmmc_prompt *p, lmmc_error *e);

// The question was asked, about the pictures that wait, and has this answer, of which text and tokens are taken over.
bool lmmc_conversation_add(lmmc_conversation *c, const char *question, size_t bytes, lmmc_said *answer, lmmc_error *e);

// Takes back the last question with its answer and its pictures; false where there is none.
bool lmmc_conversation_undo(lmmc_conversation *c);

// Takes back the pictures that wait.
void lmmc_conversation_hide(lmmc_conversation *c);

// Nothing was said.
void lmmc_conversation_reset(lmmc_conversation *c);

// One line of JSON as OpenAI's API has conversations, {"messages": [...]}, with pictures by their paths: a line of a batch reads it.
// The file appears whole or not at all.
bool lmmc_conversation_save(const lmmc_conversation *c, const char *path, lmmc_error *e);

#endif
