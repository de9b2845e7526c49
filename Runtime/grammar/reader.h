// What readers of notations share: a place in a text, and lists of expressions that grow.
#ifndef LMMC_GRAMMAR_READER_H
#define LMMC_GRAMMAR_READER_H

#include "expression.h"

// A repetition's limits are at most this.
enum { LMMC_MOST_ROUNDS = 1000000 };

typedef struct {
  const char *text;
  size_t bytes, at;
} lmmc_reader;

// Whether a token stands here; skipping goes behind it where it does.
bool lmmc_reader_is(const lmmc_reader *t, const char *token);
bool lmmc_reader_skip(lmmc_reader *t, const char *token);

typedef enum { LMMC_NO_NUMBER, LMMC_NUMBER_READ, LMMC_NUMBER_TOO_LARGE } lmmc_number_result;

// A number of digits, of at most LMMC_MOST_ROUNDS; one that is larger is not read to its end.
lmmc_number_result lmmc_reader_number(lmmc_reader *t, uint32_t *out);

// The value of a hexadecimal digit; -1 for any other character.
int lmmc_hex_digit(char c);

// Start from {0}; lmmc_expressions_end ends it.
typedef struct {
  lmmc_expression *parts;
  size_t count, room;
} lmmc_expressions;

void lmmc_expressions_add(lmmc_rules *r, lmmc_expressions *l, lmmc_expression x);
// Frees the list; a sequence or a choice of its parts, LMMC_NEVER when the rules have failed.
lmmc_expression lmmc_expressions_end(lmmc_rules *r, lmmc_expressions *l, lmmc_expression_kind kind);

#endif
