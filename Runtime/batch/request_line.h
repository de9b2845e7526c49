// A line of a batch: one request as a JSON object, in lmmc's form, whose conversations are OpenAI's, or that of LLaVA's question files.
//
// JSON is read by Jansson: small, kept up, in every distribution as a static archive for both architectures, and strict about UTF-8, depth
// and what stands behind a value.
#ifndef LMMC_BATCH_REQUEST_LINE_H
#define LMMC_BATCH_REQUEST_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/structure.h"
#include "session/generation.h"
#include "session/prompt.h"
#include "session/sampler.h"

// What a line asks for that says nothing of it.
typedef struct {
  int64_t max_tokens;
  lmmc_sampling sampling;
  const lmmc_stop *stops;  // [stop_count]
  int stop_count;
  const char *system;        // said first where a line says none; NULL: nothing
  const char *image_folder;  // before paths that are not absolute; NULL: none
} lmmc_line_defaults;

// What was said, as lmmc_message has it, with texts of its own.
typedef struct {
  lmmc_role role;
  char *text;
  size_t bytes;  // of it
  int images;
} lmmc_line_message;

// Start from {0}, end with lmmc_line_free. Texts end with a zero and have none before it.
typedef struct {
  char *id;          // its JSON text
  bool is_question;  // of LLaVA's form
  char *prompt;      // the user's words, or with `is_raw` the whole prompt; NULL where there are messages
  bool is_raw;
  char *question;               // what is asked in a raw prompt; NULL where nobody says
  lmmc_line_message *messages;  // [message_count]
  int message_count;
  char **images;  // [image_count], paths
  int image_count;
  int64_t max_tokens;
  lmmc_sampling sampling;
  lmmc_stop *stops;  // [stop_count]
  int stop_count;
  lmmc_notation notation;  // of what the answer must be
  char *structure;         // its text; NULL where the line says nothing
} lmmc_line;

// Reads line `number`, which is its id where it has none. Code 2 where it is no request, which ends this line alone: `l->id` is then known
// all the same, and so is `is_question`. Code 1 when memory is out.
bool lmmc_line_read(lmmc_line *l, const char *text, size_t bytes, int64_t number, const lmmc_line_defaults *defaults, lmmc_error *e);
void lmmc_line_free(lmmc_line *l);

// The key that says what an answer must be.
const char *lmmc_line_structure_key(lmmc_notation notation);

// The id of a line of the output, as JSON text that the caller frees; NULL where it is none.
char *lmmc_line_id_of_output(const char *text, size_t bytes);

#endif
