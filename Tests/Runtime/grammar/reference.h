// A slow recogniser of grammars, written from what expressions mean: for each expression and place the places where it may end, by trying
// all, each once.
#ifndef GRAMMAR_TESTS_REFERENCE_H
#define GRAMMAR_TESTS_REFERENCE_H

#include <stdlib.h>
#include <string.h>

#include "grammar/expression.h"

enum { REFERENCE_LONGEST = 62, REFERENCE_NODES = 4096 };

typedef struct {
  const lmmc_rules *r;
  const uint8_t *text;
  uint32_t count;
  uint32_t search;
  bool more;  // something would have gone on behind the text
} reference;

static uint64_t reference_ends_anew(reference *t, lmmc_expression x, uint32_t at);

// Where expression x may end that begins at `at`: a bit for each place. Expressions must have a text each, and no rule begin with itself.
static uint64_t reference_ends(reference *t, lmmc_expression x, uint32_t at) {
  static uint64_t known[REFERENCE_NODES][REFERENCE_LONGEST + 1];
  static uint32_t found[REFERENCE_NODES][REFERENCE_LONGEST + 1];
  if (x >= REFERENCE_NODES) abort();
  if (found[x][at] != t->search) {
    const uint64_t ends = reference_ends_anew(t, x, at);
    known[x][at] = ends, found[x][at] = t->search;
  }
  return known[x][at];
}

static uint64_t reference_ends_anew(reference *t, lmmc_expression x, uint32_t at) {
  const lmmc_expression_node *n = &t->r->nodes[x];
  uint64_t ends = 0, from;
  switch ((lmmc_expression_kind)n->kind) {
    case LMMC_OF_BYTES:
      if (at == t->count) t->more = true;
      if (at < t->count && t->text[at] >= n->low && t->text[at] <= n->high) ends = UINT64_C(1) << (at + 1);
      break;
    case LMMC_OF_TEXT:
      for (uint32_t i = 0; i < n->count; i++) {
        if (at + i == t->count) return t->more = true, 0;
        if (t->text[at + i] != t->r->bytes[n->first + i]) return 0;
      }
      return UINT64_C(1) << (at + n->count);
    case LMMC_OF_SEQUENCE:
      ends = UINT64_C(1) << at;
      for (uint32_t i = 0; i < n->count; i++) {
        for (from = ends, ends = 0; from; from &= from - 1)
          ends |= reference_ends(t, t->r->links[n->first + i], (uint32_t)__builtin_ctzll(from));
      }
      break;
    case LMMC_OF_CHOICE:
      for (uint32_t i = 0; i < n->count; i++) ends |= reference_ends(t, t->r->links[n->first + i], at);
      break;
    case LMMC_OF_REPEAT: {
      uint64_t now = UINT64_C(1) << at;
      if (n->least == 0) ends |= now;
      // After as many rounds as there are places nothing new comes, if a round may be empty all of them may.
      for (uint32_t round = 1; round <= n->most && now && round <= n->least + REFERENCE_LONGEST + 2; round++) {
        uint64_t next = 0;
        for (from = now; from; from &= from - 1) next |= reference_ends(t, n->first, (uint32_t)__builtin_ctzll(from));
        now = next;
        if (round >= n->least) ends |= now;
      }
      break;
    }
    case LMMC_OF_CALL: return reference_ends(t, t->r->rules[n->first], at);
    case LMMC_OF_GRAPH: {
      // Places by state, until nothing new comes.
      uint64_t *at_state = calloc(n->least, sizeof *at_state);
      at_state[0] = UINT64_C(1) << at;
      for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < n->count; i++) {
          const lmmc_graph_edge *g = &t->r->edges[n->first + i];
          for (from = at_state[g->from]; from; from &= from - 1) {
            const uint64_t next = reference_ends(t, g->label, (uint32_t)__builtin_ctzll(from));
            if (next & ~at_state[g->to]) at_state[g->to] |= next, changed = true;
          }
        }
      }
      ends = at_state[1];
      free(at_state);
      break;
    }
  }
  return ends;
}

// 2: a text of rule 0; 1: the beginning of one; 0: neither. At most REFERENCE_LONGEST bytes.
static int reference_follow(const lmmc_rules *r, const uint8_t *text, uint32_t count) {
  static uint32_t search;
  reference t = {r, text, count, ++search, false};
  const uint64_t ends = reference_ends(&t, r->rules[0], 0);
  return ends >> count & 1 ? 2 : t.more ? 1 : 0;
}

#endif
