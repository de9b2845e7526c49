// Arrays, and any value at all.
#include <stdlib.h>

#include "schema_internal.h"

// Values of an array whose items all differ.
enum { MOST_DISTINCT = 200 };

// What holds of the item at a place, or with `place` < 0 of all behind those that have schemas of their own.
static lmmc_expression item(lmmc_schema_reader *s, const lmmc_conjunction *c, int place) {
  lmmc_conjunction all = {0};
  for (size_t i = 0; i < c->count; i++) {
    json_t *schema = c->schemas[i], *prefix = json_object_get(schema, "prefixItems"), *rest = json_object_get(schema, "items");
    // Before 2020 a list of schemas stood in `items`.
    if (json_is_array(rest)) prefix = rest, rest = json_object_get(schema, "additionalItems");
    json_t *own = place >= 0 ? json_array_get(prefix, (size_t)place) : NULL;
    lmmc_conjunction_add(s, &all, own ? own : rest);
  }
  const lmmc_expression x = lmmc_schema_shared(s, lmmc_schema_expression(s, &all));
  free(all.schemas);
  return x;
}

// Arrays whose items all differ are made where the items' values are listed: each value at most once, in the order of the list.
static lmmc_expression distinct(lmmc_schema_reader *s, const lmmc_conjunction *c, json_t *unique, uint32_t least, uint32_t most) {
  lmmc_rules *r = s->r;
  lmmc_conjunction all = {0};
  json_t *values = NULL;
  for (size_t i = 0; i < c->count; i++) {
    json_t *items = json_object_get(c->schemas[i], "items");
    if (json_object_get(items, "enum") && !values) values = json_object_get(items, "enum");
    lmmc_conjunction_add(s, &all, items);
  }
  const size_t n = json_array_size(values);
  if (n == 0 || n > MOST_DISTINCT) {
    free(all.schemas);
    return lmmc_schema_refuse(s, unique, "uniqueItems", "expected items of at most 200 values that an enum lists, or at most one item");
  }
  // State 2 + i * (n + 1) + k: k items made of the first i values.
  lmmc_graph_edge *edges = malloc(((n + 1) * (n + 1) * 2 + n + 2) * sizeof *edges);
  if (!edges) {
    free(all.schemas);
    return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  }
  const lmmc_expression comma = lmmc_schema_comma(s), close = lmmc_rules_string(r, "]");
  const uint32_t wide = (uint32_t)n + 1;
  size_t count = 0;
  edges[count++] = (lmmc_graph_edge){0, 2, lmmc_rules_string(r, "[")};
  for (uint32_t i = 0; i < n && !r->failed; i++) {
    json_t *value = json_array_get(values, i);
    bool holds = true;
    for (uint32_t k = 0; k < i && holds; k++) holds = !lmmc_schema_equal(value, json_array_get(values, k));
    for (size_t k = 0; k < all.count && holds; k++) holds = lmmc_schema_holds(s, all.schemas[k], value, 0) == 1;
    const lmmc_expression x = holds ? lmmc_schema_shared(s, lmmc_schema_constant(s, value)) : LMMC_NEVER;
    for (uint32_t k = 0; k <= i; k++) {
      const uint32_t state = 2 + i * wide + k;
      edges[count++] = (lmmc_graph_edge){state, state + wide, LMMC_EMPTY};
      if (holds && k < most) edges[count++] = (lmmc_graph_edge){state, state + wide + 1, k ? lmmc_rules_pair(r, comma, x) : x};
    }
  }
  bool ends = false;
  for (uint32_t k = least; k <= n && k <= most; k++, ends = true) edges[count++] = (lmmc_graph_edge){2 + (uint32_t)n * wide + k, 1, close};
  free(all.schemas);
  const lmmc_expression x = ends && !r->failed ? lmmc_rules_graph(r, 2 + wide * wide, edges, count) : LMMC_NEVER;
  free(edges);
  return x;
}

static size_t prefix_length(lmmc_schema_reader *s, json_t *schema) {
  json_t *prefix = json_object_get(schema, "prefixItems"), *items = json_object_get(schema, "items");
  if (prefix && !json_is_array(prefix)) lmmc_schema_refuse(s, schema, "prefixItems", "expected a list of schemas");
  const size_t length = json_array_size(json_is_array(items) ? items : prefix);
  if (length > 1000) lmmc_schema_refuse(s, schema, "prefixItems", "more than 1000 schemas");
  return length;
}

lmmc_expression lmmc_schema_list(lmmc_schema_reader *s, lmmc_expression x, bool before, uint32_t least, uint32_t most) {
  lmmc_rules *r = s->r;
  if (most == 0 || x == LMMC_NEVER) return least ? LMMC_NEVER : LMMC_EMPTY;
  const lmmc_expression next = lmmc_rules_pair(r, lmmc_schema_comma(s), x);
  if (before) return lmmc_rules_repeat(r, next, least, most);
  const uint32_t rest = most == LMMC_UNLIMITED ? most : most - 1;
  const lmmc_expression all = lmmc_rules_pair(r, x, lmmc_rules_repeat(r, next, least ? least - 1 : 0, rest));
  return least ? all : lmmc_rules_optional(r, all);
}

lmmc_expression lmmc_schema_array(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  uint32_t least = 0, most = LMMC_UNLIMITED;
  size_t prefix = 0;
  json_t *unique = NULL;
  for (size_t i = 0; i < c->count && !s->r->failed; i++) {
    json_t *schema = c->schemas[i];
    const uint32_t low = lmmc_schema_count(s, schema, "minItems", 0), high = lmmc_schema_count(s, schema, "maxItems", LMMC_UNLIMITED);
    const size_t length = prefix_length(s, schema);
    if (low > least) least = low;
    if (high < most) most = high;
    if (length > prefix) prefix = length;
    if (json_is_true(json_object_get(schema, "uniqueItems"))) unique = schema;
  }
  if (s->r->failed || least > most) return LMMC_NEVER;
  lmmc_rules *r = s->r;
  lmmc_expression *own = malloc((prefix + 1) * sizeof *own);
  lmmc_graph_edge *edges = malloc((2 * prefix + 4) * sizeof *edges);
  if (!own || !edges) {
    free(own), free(edges);
    return lmmc_rules_fail(r, 1, "out of memory for a schema");
  }
  for (size_t i = 0; i < prefix && i < most; i++) {
    own[i] = item(s, c, (int)i);
    // An item that cannot be ends the array before it.
    if (own[i] == LMMC_NEVER) most = (uint32_t)i;
  }
  lmmc_expression rest = most > prefix ? item(s, c, -1) : LMMC_NEVER;
  if (rest == LMMC_NEVER && most > prefix) most = (uint32_t)prefix;
  const uint32_t usual = s->exact ? 0 : s->limits.items;
  if (most == LMMC_UNLIMITED && usual) most = usual > least ? usual : least;
  lmmc_expression x = LMMC_NEVER;
  if (unique && most > 1 && !r->failed) {
    x = prefix ? lmmc_schema_refuse(s, unique, "uniqueItems", "it is not supported beside prefixItems")
               : distinct(s, c, unique, least, most);
  } else if (!r->failed && least <= most) {
    // State 2 + i: behind i items.
    size_t count = 0;
    const uint32_t places = (uint32_t)(most < prefix ? most : prefix);
    edges[count++] = (lmmc_graph_edge){0, 2, lmmc_rules_string(r, "[")};
    const lmmc_expression close = lmmc_rules_string(r, "]"), comma = lmmc_schema_comma(s);
    for (uint32_t i = 0; i <= places; i++) {
      if (i < places) edges[count++] = (lmmc_graph_edge){2 + i, 3 + i, i ? lmmc_rules_pair(r, comma, own[i]) : own[i]};
      if (i < places && i >= least) edges[count++] = (lmmc_graph_edge){2 + i, 1, close};
    }
    const uint32_t needed = least > places ? least - places : 0;
    const lmmc_expression others =
        most > places ? lmmc_schema_list(s, rest, places > 0, needed, most == LMMC_UNLIMITED ? most : most - places) : LMMC_EMPTY;
    edges[count++] = (lmmc_graph_edge){2 + places, 1, lmmc_rules_pair(r, others, close)};
    x = lmmc_rules_graph(r, 3 + places, edges, count);
  }
  free(own);
  free(edges);
  return x;
}

lmmc_expression lmmc_schema_any_value(lmmc_schema_reader *s) {
  lmmc_rules *r = s->r;
  if (s->value) return lmmc_rules_call(r, s->value);
  const uint32_t rule = s->value = lmmc_rules_declare(r);
  const lmmc_conjunction none = {0};
  const lmmc_expression value = lmmc_rules_call(r, rule);
  const lmmc_expression string = lmmc_schema_shared(s, lmmc_schema_string(s, &none));
  const lmmc_expression member = lmmc_rules_sequence(r, (lmmc_expression[]){string, lmmc_schema_colon(s), value}, 3);
  const uint32_t members = s->limits.members && !s->exact ? s->limits.members : LMMC_UNLIMITED;
  const uint32_t items = s->limits.items && !s->exact ? s->limits.items : LMMC_UNLIMITED;
  const lmmc_expression object = lmmc_rules_sequence(
      r, (lmmc_expression[]){lmmc_rules_string(r, "{"), lmmc_schema_list(s, member, false, 0, members), lmmc_rules_string(r, "}")}, 3);
  const lmmc_expression array = lmmc_rules_sequence(
      r, (lmmc_expression[]){lmmc_rules_string(r, "["), lmmc_schema_list(s, value, false, 0, items), lmmc_rules_string(r, "]")}, 3);
  const lmmc_expression all[] = {lmmc_rules_string(r, "null"),
                                 lmmc_rules_string(r, "true"),
                                 lmmc_rules_string(r, "false"),
                                 lmmc_schema_number(s, &none, false),
                                 string,
                                 array,
                                 object};
  lmmc_rules_define(r, rule, lmmc_rules_choice(r, all, sizeof all / sizeof *all));
  return lmmc_rules_call(r, rule);
}
