// Grammars in GBNF, the notation of llama.cpp: rules of quoted texts, classes of characters, alternatives, groups and repetitions. The text
// begins with the rule `root`. Docs/StructuredAnswers.md has the notation.
#ifndef LMMC_GRAMMAR_GBNF_H
#define LMMC_GRAMMAR_GBNF_H

#include "expression.h"

// Reads a grammar into rules that lmmc_rules_open made; rule 0 becomes `root`. Code 2, with line and column, for what is no grammar.
bool lmmc_gbnf_read(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e);

// One of several texts, each of any bytes that are UTF-8, in rule 0. Code 2 where there is none, or one is no UTF-8 or empty.
bool lmmc_choices_read(lmmc_rules *r, const lmmc_span *texts, size_t count, lmmc_error *e);

// All of a regular expression (regex.h), in rule 0.
bool lmmc_regex_read(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e);

#endif
