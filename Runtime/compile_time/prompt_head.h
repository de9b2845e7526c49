// The tokens that every prompt of a program begins with, for the compiler: this header includes none of the runtime's.
#ifndef LMMC_COMPILE_TIME_PROMPT_HEAD_H
#define LMMC_COMPILE_TIME_PROMPT_HEAD_H

#include <stdbool.h>
#include <stdint.h>

enum { LMMC_PROMPT_HEAD_ERROR = 512 };

// What of a program decides them; the fields are those of `lmmc_model` and its template (contract/program.h).
typedef struct {
  const char *alone, *before, *image, *between, *after;
  const char *system_start, *system_alone, *system_before, *system;
  bool cuts_system, has_images, adds_bos;
  int32_t bos, vocabulary;
} lmmc_prompt_frame;

// `tokenizer`: a blob as contract/tokenizer_blob.h has it, at a multiple of 8. What stands before the image of a prompt with one, and in a program
// without images before the words. False with one line in `error` when the blob is damaged; else `*tokens`, maybe none, are
// the caller's, to be freed by free().
bool lmmc_prompt_head(const uint8_t *tokenizer, uint64_t tokenizer_bytes, const lmmc_prompt_frame *frame, int32_t **tokens, uint64_t *count,
                      char error[LMMC_PROMPT_HEAD_ERROR]);

#endif
