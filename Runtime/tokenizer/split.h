// Pre-tokenisation of byte-level tokenizers: where their regular expressions cut a text, character by character.
#ifndef LMMC_TOKENIZER_SPLIT_H
#define LMMC_TOKENIZER_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  LMMC_SPLIT_NONE,
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  LMMC_SPLIT_GPT2,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  LMMC_SPLIT_LLAMA3,
} lmmc_split;

// Starts with `text` (UTF-8), `bytes`, `how` and `digits` set and the rest zero. `digits`: each numeric character is cut out
// first, and what stands between two is split as a text of its own.
typedef struct {
  const uint8_t *text;
  size_t bytes, at;
  size_t stop;  // end of the stretch without digits that `at` stands in
  lmmc_split how;
  bool digits;
} lmmc_splitter;

// Length of the word at `at`, which then moves behind it; 0 at the end.
size_t lmmc_split_next(lmmc_splitter *s);

#endif
