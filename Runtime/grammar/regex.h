// Regular expressions in the dialect that JSON Schema's `pattern` is read as: ECMA-262 without what looks around. Docs/StructuredAnswers.md
// lists it.
#ifndef LMMC_GRAMMAR_REGEX_H
#define LMMC_GRAMMAR_REGEX_H

#include "characters.h"

// How a character stands in the text.
typedef enum {
  LMMC_SPELL_PLAIN,  // as its UTF-8
  LMMC_SPELL_JSON,   // as in a JSON string, in one way: with an escape where there must be one, the short one where there is one
} lmmc_spelling;

// One character of a settled set, spelt.
lmmc_expression lmmc_spell(lmmc_rules *r, const lmmc_characters *c, lmmc_spelling spelling);

enum lmmc_regex_flags {
  LMMC_REGEX_ANYWHERE = 1,  // texts that hold a match, as `pattern` asks for, not only those that are one
  LMMC_REGEX_WIDE = 2,      // texts that some reader takes for a match, not only those that all do
};

// The texts that match. An error is kept by the rules, code 2, and says at which character (the first is 1) of the expression; `where` is
// put before it, with ": ", where it is not NULL.
lmmc_expression lmmc_regex(lmmc_rules *r, const char *text, size_t bytes, unsigned flags, lmmc_spelling spelling, const char *where);

#endif
