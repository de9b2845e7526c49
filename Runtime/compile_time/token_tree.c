#include "token_tree.h"

#include <stdio.h>

#include "grammar/vocabulary.h"

bool lmmc_token_tree(const uint8_t *tokenizer, uint64_t tokenizer_bytes, uint32_t rows, uint8_t **tree, uint64_t *tree_bytes,
                     char error[LMMC_TOKEN_TREE_ERROR]) {
  lmmc_tokenizer t;
  lmmc_text out = {0};
  lmmc_error e = {0};
  if (!lmmc_tokenizer_open(&t, tokenizer, tokenizer_bytes, &e) || !lmmc_vocabulary_of_tokenizer(&t, rows, &out, &e)) {
    snprintf(error, LMMC_TOKEN_TREE_ERROR, "%s", e.message);
    lmmc_text_free(&out);
    return false;
  }
  *tree = (uint8_t *)out.bytes;
  *tree_bytes = out.count;
  return true;
}
