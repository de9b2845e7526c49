// A list of texts as people write it.
#ifndef LMMC_GRAMMAR_CHOICES_H
#define LMMC_GRAMMAR_CHOICES_H

#include "expression.h"

// One of several texts, in rule 0: a JSON array of them, or texts between commas, without the white space around each. Errors as of
// lmmc_choices_read, and code 2 for what is no such array.
bool lmmc_choices_text_read(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e);

#endif
