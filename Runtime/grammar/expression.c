#include "expression.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

lmmc_expression lmmc_rules_fail(lmmc_rules *r, int code, const char *format, ...) {
  if (r->failed) return LMMC_NEVER;
  char text[sizeof r->error.message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  lmmc_fail(&r->error, code, "%s", text);
  r->failed = true;
  return LMMC_NEVER;
}

// Makes room for `more` elements behind `count`.
static bool grow(lmmc_rules *r, void **array, uint32_t *room, uint32_t count, size_t more, size_t size, uint32_t most) {
  if (r->failed) return false;
  if (more > most - count) return lmmc_rules_fail(r, 2, "the grammar is too large: it has more than %u parts", most), false;
  if (*room - count >= more) return true;
  uint32_t wanted = *room ? *room : 64;
  while (wanted - count < more) wanted *= 2;
  void *grown = realloc(*array, wanted * size);
  if (!grown) return lmmc_rules_fail(r, 1, "out of memory for a grammar"), false;
  *array = grown;
  *room = wanted;
  return true;
}

#define GROW(r, name, more, most) grow(r, (void **)&(r)->name##s, &(r)->name##_room, (r)->name##_count, more, sizeof *(r)->name##s, most)

static lmmc_expression add(lmmc_rules *r, lmmc_expression_node node) {
  if (!GROW(r, node, 1, LMMC_MOST_EXPRESSIONS)) return LMMC_NEVER;
  r->nodes[r->node_count] = node;
  return r->node_count++;
}

void lmmc_rules_open(lmmc_rules *r) {
  *r = (lmmc_rules){0};
  add(r, (lmmc_expression_node){.kind = LMMC_OF_CHOICE});
  add(r, (lmmc_expression_node){.kind = LMMC_OF_SEQUENCE});
}

void lmmc_rules_close(lmmc_rules *r) {
  free(r->nodes);
  free(r->links);
  free(r->rules);
  free(r->edges);
  free(r->bytes);
  free(r->names);
  *r = (lmmc_rules){0};
}

uint32_t lmmc_rules_declare(lmmc_rules *r) {
  if (!GROW(r, rule, 1, LMMC_MOST_RULES) || !GROW(r, name, 1, LMMC_MOST_RULES)) return 0;
  r->names[r->name_count++] = 0;
  r->rules[r->rule_count] = LMMC_NEVER;
  return r->rule_count++;
}

void lmmc_rules_define(lmmc_rules *r, uint32_t rule, lmmc_expression x) {
  if (!r->failed) r->rules[rule] = x;
}

void lmmc_rules_name(lmmc_rules *r, uint32_t rule, const char *name) {
  const size_t length = strlen(name) + 1;
  if (!GROW(r, byte, length, LMMC_MOST_GRAMMAR_BYTES)) return;
  memcpy(r->bytes + r->byte_count, name, length);
  r->names[rule] = r->byte_count + 1;
  r->byte_count += (uint32_t)length;
}

const char *lmmc_rules_name_of(const lmmc_rules *r, uint32_t rule) {
  return rule < r->rule_count && r->names[rule] ? (const char *)r->bytes + r->names[rule] - 1 : "the grammar";
}

lmmc_expression lmmc_rules_bytes(lmmc_rules *r, uint8_t low, uint8_t high) {
  return add(r, (lmmc_expression_node){.kind = LMMC_OF_BYTES, .low = low, .high = high});
}

lmmc_expression lmmc_rules_text(lmmc_rules *r, const void *bytes, size_t count) {
  if (count == 0) return LMMC_EMPTY;
  if (!GROW(r, byte, count, LMMC_MOST_GRAMMAR_BYTES)) return LMMC_NEVER;
  memcpy(r->bytes + r->byte_count, bytes, count);
  r->byte_count += (uint32_t)count;
  return add(r, (lmmc_expression_node){.kind = LMMC_OF_TEXT, .first = r->byte_count - (uint32_t)count, .count = (uint32_t)count});
}

lmmc_expression lmmc_rules_string(lmmc_rules *r, const char *text) { return lmmc_rules_text(r, text, strlen(text)); }

static lmmc_expression add_list(lmmc_rules *r, lmmc_expression_kind kind, const lmmc_expression *parts, size_t count) {
  if (count == 1) return parts[0];
  if (count == 0) return kind == LMMC_OF_CHOICE ? LMMC_NEVER : LMMC_EMPTY;
  if (!GROW(r, link, count, LMMC_MOST_GRAMMAR_BYTES)) return LMMC_NEVER;
  memcpy(r->links + r->link_count, parts, count * sizeof *parts);
  r->link_count += (uint32_t)count;
  return add(r, (lmmc_expression_node){.kind = kind, .first = r->link_count - (uint32_t)count, .count = (uint32_t)count});
}

lmmc_expression lmmc_rules_sequence(lmmc_rules *r, const lmmc_expression *parts, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (parts[i] == LMMC_NEVER) return LMMC_NEVER;
  return add_list(r, LMMC_OF_SEQUENCE, parts, count);
}

lmmc_expression lmmc_rules_choice(lmmc_rules *r, const lmmc_expression *parts, size_t count) {
  return add_list(r, LMMC_OF_CHOICE, parts, count);
}

lmmc_expression lmmc_rules_pair(lmmc_rules *r, lmmc_expression first, lmmc_expression second) {
  if (first == LMMC_EMPTY) return second;
  if (second == LMMC_EMPTY) return first;
  return lmmc_rules_sequence(r, (lmmc_expression[]){first, second}, 2);
}

lmmc_expression lmmc_rules_either(lmmc_rules *r, lmmc_expression first, lmmc_expression second) {
  if (first == LMMC_NEVER || first == second) return second;
  if (second == LMMC_NEVER) return first;
  return lmmc_rules_choice(r, (lmmc_expression[]){first, second}, 2);
}

lmmc_expression lmmc_rules_optional(lmmc_rules *r, lmmc_expression x) { return lmmc_rules_either(r, LMMC_EMPTY, x); }

lmmc_expression lmmc_rules_repeat(lmmc_rules *r, lmmc_expression x, uint32_t least, uint32_t most) {
  if (least > most) return LMMC_NEVER;
  if (most == 0 || x == LMMC_EMPTY) return LMMC_EMPTY;
  if (x == LMMC_NEVER) return least ? LMMC_NEVER : LMMC_EMPTY;
  if (least == 1 && most == 1) return x;
  return add(r, (lmmc_expression_node){.kind = LMMC_OF_REPEAT, .first = x, .least = least, .most = most});
}

lmmc_expression lmmc_rules_call(lmmc_rules *r, uint32_t rule) {
  return add(r, (lmmc_expression_node){.kind = LMMC_OF_CALL, .first = rule});
}

lmmc_expression lmmc_rules_graph(lmmc_rules *r, uint32_t states, const lmmc_graph_edge *edges, size_t count) {
  if (count == 0) return LMMC_NEVER;
  if (!GROW(r, edge, count, LMMC_MOST_EXPRESSIONS)) return LMMC_NEVER;
  memcpy(r->edges + r->edge_count, edges, count * sizeof *edges);
  r->edge_count += (uint32_t)count;
  const uint32_t first = r->edge_count - (uint32_t)count;
  return add(r, (lmmc_expression_node){.kind = LMMC_OF_GRAPH, .first = first, .count = (uint32_t)count, .least = states});
}

static int by_bytes(const void *a, const void *b) {
  const lmmc_span *x = a, *y = b;
  const size_t shorter = x->count < y->count ? x->count : y->count;
  const int order = shorter ? memcmp(x->bytes, y->bytes, shorter) : 0;
  return order ? order : (x->count > y->count) - (x->count < y->count);
}

// A tree of the sorted texts as a graph: state 1 is the end, and the states of the current text's prefixes stand in `path`.
static lmmc_expression tree(lmmc_rules *r, const lmmc_span *texts, size_t count, size_t bytes, size_t longest) {
  lmmc_graph_edge *edges = malloc((bytes + count) * sizeof *edges);
  uint32_t *path = malloc((longest + 1) * sizeof *path), states = 2;
  size_t used = 0;
  lmmc_expression x = LMMC_NEVER;
  if (!edges || !path) {
    lmmc_rules_fail(r, 1, "out of memory for a grammar");
  } else {
    path[0] = 0;
    for (size_t i = 0; i < count; i++) {
      const lmmc_span *t = &texts[i], *before = i ? t - 1 : NULL;
      size_t same = 0;
      while (before && same < t->count && same < before->count && t->bytes[same] == before->bytes[same]) same++;
      if (before && same == t->count && same == before->count) continue;
      for (size_t k = same; k < t->count; k++) {
        path[k + 1] = states++;
        edges[used++] = (lmmc_graph_edge){path[k], path[k + 1], lmmc_rules_bytes(r, (uint8_t)t->bytes[k], (uint8_t)t->bytes[k])};
      }
      edges[used++] = (lmmc_graph_edge){path[t->count], 1, LMMC_EMPTY};
    }
    x = lmmc_rules_graph(r, states, edges, used);
  }
  free(edges);
  free(path);
  return x;
}

lmmc_expression lmmc_rules_any_of(lmmc_rules *r, const lmmc_span *texts, size_t count) {
  if (count == 0 || r->failed) return LMMC_NEVER;
  if (count == 1) return lmmc_rules_text(r, texts[0].bytes, texts[0].count);
  size_t bytes = 0, longest = 0;
  for (size_t i = 0; i < count; i++) {
    bytes += texts[i].count;
    if (texts[i].count > longest) longest = texts[i].count;
  }
  if (bytes > LMMC_MOST_GRAMMAR_BYTES)
    return lmmc_rules_fail(r, 2, "the texts of a choice have more than %d bytes", LMMC_MOST_GRAMMAR_BYTES);
  lmmc_span *sorted = malloc(count * sizeof *sorted);
  if (!sorted) return lmmc_rules_fail(r, 1, "out of memory for a grammar");
  memcpy(sorted, texts, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_bytes);
  lmmc_expression x = tree(r, sorted, count, bytes, longest);
  free(sorted);
  return x;
}
