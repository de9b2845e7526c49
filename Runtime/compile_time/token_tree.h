// The tree of a tokenizer's tokens (grammar/vocabulary.h) for the compiler, which puts it into the program: this header includes none of the runtime's.
#ifndef LMMC_COMPILE_TIME_TOKEN_TREE_H
#define LMMC_COMPILE_TIME_TOKEN_TREE_H

#include <stdbool.h>
#include <stdint.h>

enum { LMMC_TOKEN_TREE_ERROR = 512 };

// `tokenizer`: a blob as contract/tokenizer_blob.h has it, at a multiple of 8; `rows`: of the head. False with one line in `error` when the
// blob is damaged or memory is out; else `*tree` is the caller's, to be freed by free().
bool lmmc_token_tree(const uint8_t *tokenizer, uint64_t tokenizer_bytes, uint32_t rows, uint8_t **tree, uint64_t *tree_bytes,
                     char error[LMMC_TOKEN_TREE_ERROR]);

#endif
