// What the parts of the tokenizer share.
#ifndef LMMC_TOKENIZER_TOKENIZER_INTERNAL_H
#define LMMC_TOKENIZER_TOKENIZER_INTERNAL_H

#include "tokenizer.h"

#define LMMC_EMPTY_SLOT UINT32_MAX

extern const char lmmc_space_mark[3];   // U+2581
extern const char lmmc_replacement[3];  // U+FFFD

// The longest whole token of the kinds that `text` begins with, as lmmc_tokenizer_special. The time is its length's, not their number's.
size_t lmmc_tokenizer_whole(const lmmc_tokenizer *t, unsigned kinds, const uint8_t *text, size_t bytes, int32_t *id);

#endif
