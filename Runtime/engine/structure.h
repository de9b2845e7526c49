// What answers must be texts of: a JSON Schema, a grammar, a regular expression or a list of texts. Each is compiled once, whoever asks for it
// again, and what its machine has found serves all answers.
#ifndef LMMC_ENGINE_STRUCTURE_H
#define LMMC_ENGINE_STRUCTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "grammar/matcher.h"
#include "grammar/schema.h"
#include "session/generation.h"

typedef enum {
  LMMC_NO_NOTATION,
  LMMC_NOTATION_SCHEMA,   // a JSON Schema
  LMMC_NOTATION_GBNF,     // llama.cpp's
  LMMC_NOTATION_REGEX,    // of the whole answer
  LMMC_NOTATION_CHOICES,  // a JSON array of texts, or texts with commas between them
} lmmc_notation;

// What holds where a schema says nothing of the length of a string, of an array, or of an object's members beyond those that it names: so that
// an answer ends within a context of so many tokens, whatever the model.
lmmc_schema_limits lmmc_limits_of_schemas(int64_t context);

typedef struct lmmc_structure lmmc_structure;

typedef struct {
  const lmmc_vocabulary *vocabulary;
  lmmc_end_tokens ends;
  lmmc_schema_limits limits;
  uint64_t *mask;  // of the answer whose token is chosen
  pthread_mutex_t lock;
  lmmc_structure *first;
  uint64_t uses;
} lmmc_structures;

// Holds what it is given. `context`: tokens that prompt and answer may have. Code 1 when memory is out; lmmc_structures_close ends it in either
// case, when nobody has a structure any more.
bool lmmc_structures_open(lmmc_structures *s, const lmmc_vocabulary *vocabulary, lmmc_end_tokens ends, int64_t context, lmmc_error *e);
void lmmc_structures_close(lmmc_structures *s);

// These two are for any thread.

// The structure of this text, until lmmc_structure_release. Those that nobody has are kept for whoever asks again, up to a bound. NULL with
// code 2 where the text is none, 1 when memory is out.
lmmc_structure *lmmc_structure_take(lmmc_structures *s, lmmc_notation notation, const char *text, size_t bytes, lmmc_error *e);
void lmmc_structure_release(lmmc_structures *s, lmmc_structure *x);  // which may be NULL

// What follows is for the one thread that chooses tokens.

// An answer under a structure, which must be had as long. It stays at its address. Start from {0}.
typedef struct {
  lmmc_structures *all;
  lmmc_matcher matcher;
} lmmc_structured;

// Code 1 when memory is out; lmmc_structured_close ends it in either case, and also one that was never opened.
bool lmmc_structured_open(lmmc_structured *a, lmmc_structures *s, lmmc_structure *x, lmmc_error *e);
void lmmc_structured_close(lmmc_structured *a);

// The answer's constraint, which holds `a`.
lmmc_constraint lmmc_structured_constraint(lmmc_structured *a);

#endif
