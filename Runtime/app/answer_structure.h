// What answers must be, as the options and the program say.
#ifndef LMMC_APP_ANSWER_STRUCTURE_H
#define LMMC_APP_ANSWER_STRUCTURE_H

#include "contract/program.h"
#include "engine/structure.h"
#include "grammar/vocabulary.h"
#include "options.h"

typedef struct {
  lmmc_vocabulary vocabulary;
  lmmc_structures all;
  lmmc_structure *structure;  // that the options ask for; NULL: none
  bool is_open;
} lmmc_answer_structures;

// Start from {0}. `attached`: the program's bytes. Holds the model. Code 2 where what the options ask for is none, 1 when it cannot be read or
// memory is out; lmmc_answer_structures_close ends it in either case.
bool lmmc_answer_structures_open(lmmc_answer_structures *s, const lmmc_model *model, const uint8_t *attached, const lmmc_options *options,
                                 lmmc_error *e);

// Holds an answer to what the options ask for, if they ask for anything: fills `*constraint`, which holds `*answer`, to be ended by
// lmmc_structured_close in either case, and prepares its sampler. Code 1 when memory is out.
bool lmmc_answer_restrict(lmmc_answer_structures *s, lmmc_structured *answer, lmmc_sampler *sampler, lmmc_constraint *constraint,
                          lmmc_error *e);

void lmmc_answer_structures_close(lmmc_answer_structures *s);

#endif
