// What the steps of compiling a grammar share.
#ifndef LMMC_GRAMMAR_COMPILE_INTERNAL_H
#define LMMC_GRAMMAR_COMPILE_INTERNAL_H

#include "grammar.h"

// Finds what can be said of frames and states before any text: which lead to an end, what they begin with and what follows them.
// False with `*e` filled as lmmc_grammar_compile.
bool lmmc_grammar_analyse(lmmc_grammar *g, const lmmc_rules *rules, lmmc_error *e);

#endif
