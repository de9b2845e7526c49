// Regular languages of bytes, for what alternatives and sequences cannot say: both of two, and one without another.
#ifndef LMMC_GRAMMAR_REGULAR_H
#define LMMC_GRAMMAR_REGULAR_H

#include "expression.h"

// A deterministic automaton: state 0 is where nothing is matched any more, 1 where a text begins.
typedef struct {
  uint32_t (*next)[256];
  bool *final;
  uint32_t count, room;
} lmmc_regular;

enum { LMMC_MOST_REGULAR_STATES = 1 << 14 };

// Fills `*d`, which lmmc_regular_free ends in any case, with an expression that calls no rule. False when it needs more states; memory that
// is out is an error of the rules. All expressions of `r` are gone through, so it should hold few others.
bool lmmc_regular_of(lmmc_rules *r, lmmc_expression x, lmmc_regular *d);
void lmmc_regular_free(lmmc_regular *d);

typedef enum { LMMC_IN_BOTH, LMMC_IN_FIRST_ONLY } lmmc_regular_part;

// `*out` is what both match, or what the first matches and the second does not. False as above.
bool lmmc_regular_combine(lmmc_rules *r, const lmmc_regular *a, const lmmc_regular *b, lmmc_regular_part part, lmmc_regular *out);
bool lmmc_regular_matches(const lmmc_regular *d, const void *bytes, size_t count);
bool lmmc_regular_is_empty(const lmmc_regular *d);

// Back as an expression; LMMC_NEVER for one that matches nothing.
lmmc_expression lmmc_regular_expression(lmmc_rules *r, const lmmc_regular *d);

// The same of two expressions at once: `*out` is what both match, or what the first alone does.
bool lmmc_combine(lmmc_rules *r, lmmc_expression a, lmmc_expression b, lmmc_regular_part part, lmmc_expression *out);

#endif
