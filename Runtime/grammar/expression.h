// A grammar as front ends build it: rules, each an expression over bytes. Whatever a front end reads becomes this, and lmmc_grammar_compile
// takes it from here. Nodes are numbers into one table, so that a front end may use an expression in several places.
#ifndef LMMC_GRAMMAR_EXPRESSION_H
#define LMMC_GRAMMAR_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef uint32_t lmmc_expression;

#define LMMC_UNLIMITED UINT32_MAX
// Node 0 matches nothing at all, node 1 the empty text.
#define LMMC_NEVER ((lmmc_expression)0)
#define LMMC_EMPTY ((lmmc_expression)1)
// What a grammar may consist of before it is refused: enough for schemas of a megabyte, and too little to fill the memory.
enum { LMMC_MOST_RULES = 1 << 16, LMMC_MOST_EXPRESSIONS = 1 << 21, LMMC_MOST_GRAMMAR_BYTES = 1 << 24 };

typedef enum {
  LMMC_OF_BYTES,     // one byte, from `low` to `high`
  LMMC_OF_TEXT,      // `count` bytes from `first` on, in order
  LMMC_OF_SEQUENCE,  // `count` expressions from link `first` on
  LMMC_OF_CHOICE,    // the same; any of them
  LMMC_OF_REPEAT,    // expression `first`, `least` to `most` times
  LMMC_OF_CALL,      // rule `first`
  LMMC_OF_GRAPH,     // `count` edges from `first` on, between `least` states: from state 0 to state 1
} lmmc_expression_kind;

typedef struct {
  uint8_t kind, low, high;
  uint32_t first, count, least, most;
} lmmc_expression_node;

typedef struct {
  uint32_t from, to;
  lmmc_expression label;
} lmmc_graph_edge;

// The first error stays, and later calls do nothing: a front end asks once, at its end.
typedef struct {
  lmmc_expression_node *nodes;
  lmmc_expression *links, *rules;
  lmmc_graph_edge *edges;
  uint8_t *bytes;
  uint32_t *names;  // [rules], 1 + where its name begins in `bytes`, or 0
  uint32_t node_count, link_count, rule_count, edge_count, byte_count;
  uint32_t node_room, link_room, rule_room, edge_room, byte_room, name_count, name_room;
  lmmc_error error;
  bool failed;
} lmmc_rules;

// Fills `*r`; lmmc_rules_close ends it in any case.
void lmmc_rules_open(lmmc_rules *r);
void lmmc_rules_close(lmmc_rules *r);

// A rule that matches nothing until it is defined; rule 0 is where a text begins.
uint32_t lmmc_rules_declare(lmmc_rules *r);
void lmmc_rules_define(lmmc_rules *r, uint32_t rule, lmmc_expression x);
// How errors that are found later speak of it: "line 3: rule 'list'".
void lmmc_rules_name(lmmc_rules *r, uint32_t rule, const char *name);
const char *lmmc_rules_name_of(const lmmc_rules *r, uint32_t rule);

lmmc_expression lmmc_rules_bytes(lmmc_rules *r, uint8_t low, uint8_t high);
lmmc_expression lmmc_rules_text(lmmc_rules *r, const void *bytes, size_t count);
lmmc_expression lmmc_rules_sequence(lmmc_rules *r, const lmmc_expression *parts, size_t count);
lmmc_expression lmmc_rules_choice(lmmc_rules *r, const lmmc_expression *parts, size_t count);
lmmc_expression lmmc_rules_repeat(lmmc_rules *r, lmmc_expression x, uint32_t least, uint32_t most);
lmmc_expression lmmc_rules_call(lmmc_rules *r, uint32_t rule);
lmmc_expression lmmc_rules_graph(lmmc_rules *r, uint32_t states, const lmmc_graph_edge *edges, size_t count);

// Short forms of the commonest.
lmmc_expression lmmc_rules_pair(lmmc_rules *r, lmmc_expression first, lmmc_expression second);
lmmc_expression lmmc_rules_either(lmmc_rules *r, lmmc_expression first, lmmc_expression second);
lmmc_expression lmmc_rules_optional(lmmc_rules *r, lmmc_expression x);
lmmc_expression lmmc_rules_string(lmmc_rules *r, const char *text);

// Texts of any bytes, of which one is taken; those that begin alike share states, so that thousands of them cost as much as their
// differences.
typedef struct {
  const char *bytes;
  size_t count;
} lmmc_span;
lmmc_expression lmmc_rules_any_of(lmmc_rules *r, const lmmc_span *texts, size_t count);

// Keeps the first error, of code `code`, and returns LMMC_NEVER.
lmmc_expression lmmc_rules_fail(lmmc_rules *r, int code, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

#endif
