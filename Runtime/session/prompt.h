// From the user's words or a raw prompt to the token sequence that a slot is fed.
#ifndef LMMC_SESSION_PROMPT_H
#define LMMC_SESSION_PROMPT_H

#include "base/error.h"
#include "contract/program.h"
#include "tokenizer/tokenizer.h"

typedef struct {
  lmmc_ids tokens;        // as step() reads them: -1 - r stands for row r of vision_rows
  int32_t text_tokens;    // BOS included
  int32_t visual_tokens;  // the others
  int32_t images;         // `<image>` places
  lmmc_ids question;      // what a reducer looks for in the images (question.h); empty for a program that looks for nothing
} lmmc_prompt;

typedef enum { LMMC_SYSTEM, LMMC_USER, LMMC_ASSISTANT } lmmc_role;

// What was said in a conversation.
typedef struct {
  lmmc_role role;
  const char *text;  // plain but for `<image>` in a user's words
  size_t bytes;
  const lmmc_ids *tokens;  // of an answer, as they were generated, in the place of its text; else NULL
  int images;              // of a user; missing places are put before the words
} lmmc_message;

// Builds the prompt for the answer to a conversation: maybe a system text, then a user and an assistant in turns, last a user. `system`: that
// of a conversation that brings none; NULL: the template's own. Errors as of lmmc_prompt_build, and code 2 where the messages do not follow
// each other like that, or the program's template knows no system text, one turn, or images in the first turn alone.
bool lmmc_prompt_converse(lmmc_prompt *p, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *system,
                          const lmmc_message *messages, int count, lmmc_error *e);

// Builds the prompt for `images` images; a program without a vision tower takes `<image>` as plain text.
// raw: `text` verbatim, its special tokens read as ids, and exactly `images` places.
// otherwise: `text` is the user's words, all plain text but `<image>`, wrapped in the program's template; missing places
// are put before the words as `<image>\n` each.
// Code 2 when places and images do not match, or an image and the compression tokens behind it; code 1 when there are more images than the
// program has room for or its reducer knows, or the
// sequence does not fit its context. `*p` starts as {0}; lmmc_prompt_free ends it in either case.
bool lmmc_prompt_build(lmmc_prompt *p, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *text, size_t bytes, bool raw,
                       int images, lmmc_error *e);
void lmmc_prompt_free(lmmc_prompt *p);

// The tokens up to the last compression token, and in `*before`, where it is wanted, those before the first; 0 without any.
int64_t lmmc_compressed_part(const lmmc_model *model, const int32_t *tokens, int64_t count, int64_t *before);

// Leaves the image its first `rows` tokens, as many as it has become.
void lmmc_prompt_trim(lmmc_prompt *p, const lmmc_model *model, int32_t image, int32_t rows);

#endif
