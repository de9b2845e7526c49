// Pre-tokenisation of byte-level tokenizers: where their regular expressions cut a text, character by character.
#ifndef LMMC_TOKENIZER_SPLIT_H
#define LMMC_TOKENIZER_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/tokenizer_blob.h"

// Starts with `text` (UTF-8), `bytes`, `how` and `digits` set and the rest zero. `digits`: each numeric character is cut out
// first, and what stands between two is split as a text of its own.
typedef struct {
  const uint8_t *text;
  size_t bytes, at;
  size_t stop;  // end of the stretch without digits that `at` stands in
  lmmc_split how;
  bool digits;
} lmmc_splitter;

// Whether a character is a letter, a number or `_`: Python's \w.
bool lmmc_is_word_character(uint32_t code);

// Length of the word at `at`, which then moves behind it; 0 at the end.
size_t lmmc_split_next(lmmc_splitter *s);

#endif
