// JSON Schema: what is valid under a schema becomes a grammar of JSON texts. Docs/StructuredAnswers.md says which keywords are known and
// what of all valid texts is made; a keyword that constrains and is not known is refused, never ignored.
//
// JSON is read by jansson: it has a static archive in every distribution, is maintained and fuzzed, limits depth, refuses keys that stand
// twice and keeps the order of keys, by which the members of objects are made.
#ifndef LMMC_GRAMMAR_SCHEMA_H
#define LMMC_GRAMMAR_SCHEMA_H

#include "expression.h"

// What holds where a schema sets no limit itself; 0: no limit. Texts stay valid, and end.
typedef struct {
  uint32_t string_characters;  // of a string without maxLength and pattern
  uint32_t items;              // of an array without maxItems
  uint32_t members;            // beyond those that a schema names, without maxProperties
} lmmc_schema_limits;

// Reads a schema into rules that lmmc_rules_open made; rule 0 is the whole text. Code 2 with the JSON pointer of the keyword that is wrong
// or not supported, or with the line of what is no JSON.
bool lmmc_schema_read(lmmc_rules *r, const char *text, size_t bytes, const lmmc_schema_limits *limits, lmmc_error *e);

#endif
