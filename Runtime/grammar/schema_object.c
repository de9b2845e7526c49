// Objects: the members that schemas name, in the order in which they name them, then others.
#include <stdlib.h>
#include <string.h>

#include "characters.h"
#include "regex.h"
#include "schema_internal.h"

enum { MOST_PATTERNS = 4, MOST_COUNT_STATES = 100000 };

typedef struct {
  const char *name;
  lmmc_expression x;  // the whole member
  bool required;
} member;

typedef struct {
  const char *text;
  json_t *value;
  size_t schema;  // index into the conjunction
} name_pattern;

typedef struct {
  lmmc_schema_reader *s;
  const lmmc_conjunction *c;
  member *members;
  size_t count, room;
  json_t *index;  // name: place in members
  name_pattern patterns[MOST_PATTERNS];
  size_t pattern_count, all_patterns;
  json_t *pattern_schema, *names_schema;  // one that has patterns, and one that has propertyNames
  lmmc_conjunction names;                 // propertyNames
  bool additional;                        // some schema says what holds of other members
} object;

static bool out_of_memory(object *o) { return lmmc_rules_fail(o->s->r, 1, "out of memory for a schema"), false; }

static void add_name(object *o, const char *name, bool required) {
  const json_t *known = json_object_get(o->index, name);
  if (known) {
    o->members[json_integer_value(known)].required |= required;
    return;
  }
  if (o->count == o->room) {
    const size_t room = o->room ? 2 * o->room : 16;
    member *grown = realloc(o->members, room * sizeof *grown);
    if (!grown) {
      out_of_memory(o);
      return;
    }
    o->members = grown;
    o->room = room;
  }
  if (json_object_set_new(o->index, name, json_integer((json_int_t)o->count)) != 0) out_of_memory(o);
  o->members[o->count++] = (member){.name = name, .required = required};
}

// Names in the order of `properties`, then those that are only required.
static void list_names(object *o) {
  const char *key;
  json_t *value;
  size_t k;
  for (size_t i = 0; i < o->c->count && !o->s->r->failed; i++) {
    json_t *schema = o->c->schemas[i], *properties = json_object_get(schema, "properties"),
           *patterns = json_object_get(schema, "patternProperties");
    if (properties && !json_is_object(properties)) lmmc_schema_refuse(o->s, schema, "properties", "expected an object");
    if (patterns && !json_is_object(patterns)) lmmc_schema_refuse(o->s, schema, "patternProperties", "expected an object");
    json_object_foreach(properties, key, value) add_name(o, key, false);
    json_object_foreach(patterns, key, value) {
      o->pattern_schema = schema;
      if (o->all_patterns++ < MOST_PATTERNS) o->patterns[o->pattern_count++] = (name_pattern){key, value, i};
    }
    if (json_object_get(schema, "additionalProperties")) o->additional = true;
    json_t *names = json_object_get(schema, "propertyNames");
    if (names && lmmc_conjunction_add(o->s, &o->names, names)) o->names_schema = schema;
  }
  for (size_t i = 0; i < o->c->count && !o->s->r->failed; i++) {
    json_t *schema = o->c->schemas[i], *required = json_object_get(schema, "required");
    // In draft 3 it was a boolean of the member itself.
    if (required && !json_is_array(required) && !json_is_boolean(required))
      lmmc_schema_refuse(o->s, schema, "required", "expected a list of names");
    json_array_foreach(required, k, value) {
      if (json_is_string(value))
        add_name(o, json_string_value(value), true);
      else
        lmmc_schema_refuse(o->s, schema, "required", "expected a list of names");
    }
  }
  // Names that a list allows are members that may be there.
  for (size_t i = 0; i < o->names.count && !o->s->r->failed; i++) {
    json_array_foreach(json_object_get(o->names.schemas[i], "enum"), k, value) if (json_is_string(value))
        add_name(o, json_string_value(value), false);
    value = json_object_get(o->names.schemas[i], "const");
    if (json_is_string(value)) add_name(o, json_string_value(value), false);
  }
}

static bool name_is_allowed(object *o, const char *name) {
  json_t *text = json_string(name);
  bool holds = true;
  if (!text) return lmmc_schema_refuse(o->s, o->c->schemas[0], "properties", "a name that is no UTF-8"), false;
  for (size_t i = 0; i < o->names.count && holds; i++) holds = lmmc_schema_holds(o->s, o->names.schemas[i], text, 0) == 1;
  json_decref(text);
  return holds;
}

// What holds of a named member's value, in all schemas.
static lmmc_expression value_of(object *o, const char *name) {
  lmmc_conjunction all = {0};
  for (size_t i = 0; i < o->c->count && !o->s->r->failed; i++) {
    json_t *schema = o->c->schemas[i], *own = json_object_get(json_object_get(schema, "properties"), name);
    json_t *patterns = json_object_get(schema, "patternProperties"), *value;
    const char *pattern;
    bool known = own != NULL;
    lmmc_conjunction_add(o->s, &all, own);
    json_object_foreach(patterns, pattern, value) {
      if (lmmc_schema_name_matches(o->s, schema, pattern, name) != 1) continue;
      lmmc_conjunction_add(o->s, &all, value);
      known = true;
    }
    if (!known) lmmc_conjunction_add(o->s, &all, json_object_get(schema, "additionalProperties"));
  }
  const lmmc_expression x = o->s->r->failed || !name_is_allowed(o, name) ? LMMC_NEVER : lmmc_schema_expression(o->s, &all);
  free(all.schemas);
  return x;
}

static lmmc_expression spelt_name(object *o, const char *name) {
  lmmc_text text = {0};
  lmmc_error e = {0};
  if (!lmmc_schema_spell(&text, name, strlen(name), &e)) lmmc_rules_fail(o->s->r, e.code, "schema: %s", e.message);
  const lmmc_expression x = lmmc_rules_text(o->s->r, text.bytes, text.count);
  lmmc_text_free(&text);
  return x;
}

static lmmc_expression whole_member(object *o, lmmc_expression name, lmmc_expression value) {
  return lmmc_rules_sequence(o->s->r, (lmmc_expression[]){name, lmmc_schema_colon(o->s), value}, 3);
}

// Strings but those that are in `names`, from which a tree of characters is made: where a text leaves it, anything may follow. Written in
// the one way as far as it stays in the tree, since an escape could spell a name that is taken.
static lmmc_expression other_names(object *o) {
  lmmc_rules *r = o->s->r;
  size_t total = 1;
  for (size_t i = 0; i < o->count; i++) total += strlen(o->members[i].name) + 1;
  uint32_t *first = calloc(total, sizeof *first), *next = calloc(total, sizeof *next), *character = calloc(total, sizeof *character);
  bool *ends = calloc(total, sizeof *ends);
  uint32_t nodes = 1;
  lmmc_graph_edge *edges = malloc((3 * total + 4) * sizeof *edges);
  lmmc_expression x = LMMC_NEVER;
  size_t used = 0;
  if (!first || !next || !character || !ends || !edges) {
    out_of_memory(o);
    goto end;
  }
  for (size_t i = 0; i < o->count; i++) {
    const char *name = o->members[i].name;
    uint32_t at = 0;
    for (size_t k = 0, length, bytes = strlen(name); k < bytes; k += length) {
      const uint32_t c = lmmc_character_at(name + k, bytes - k, &length);
      uint32_t child = first[at];
      while (child && character[child] != c) child = next[child];
      if (!child) {
        child = nodes++;
        character[child] = c;
        next[child] = first[at];
        first[at] = child;
      }
      at = child;
    }
    ends[at] = true;
  }
  const uint32_t most = o->s->limits.string_characters && !o->s->exact ? o->s->limits.string_characters : LMMC_UNLIMITED;
  const lmmc_expression quote = lmmc_rules_string(r, "\"");
  const lmmc_expression tail =
      lmmc_schema_shared(o->s, lmmc_rules_pair(r, lmmc_rules_repeat(r, lmmc_schema_character(r, false), 0, most), quote));
  // State 2 + n: in node n of the tree.
  edges[used++] = (lmmc_graph_edge){0, 2, quote};
  for (uint32_t n = 0; n < nodes && !r->failed; n++) {
    lmmc_characters others = {0};
    for (uint32_t child = first[n]; child; child = next[child]) {
      lmmc_characters one = {0};
      lmmc_characters_add(&others, character[child], character[child]);
      lmmc_characters_add(&one, character[child], character[child]);
      edges[used++] = (lmmc_graph_edge){2 + n, 2 + child, lmmc_spell(r, &one, LMMC_SPELL_JSON)};
      lmmc_characters_free(&one);
    }
    lmmc_characters_settle(&others);
    lmmc_characters_invert(&others);
    edges[used++] = (lmmc_graph_edge){2 + n, 1, lmmc_rules_pair(r, lmmc_spell(r, &others, LMMC_SPELL_JSON), tail)};
    lmmc_characters_free(&others);
    if (!ends[n]) edges[used++] = (lmmc_graph_edge){2 + n, 1, quote};
  }
  x = lmmc_rules_graph(r, 2 + nodes, edges, used);
end:
  free(first);
  free(next);
  free(character);
  free(ends);
  free(edges);
  return x;
}

// Makes `*d` what it and another pattern or list of names have in common, or what it has beyond that.
static bool narrow(object *o, lmmc_regular *d, lmmc_rules *own, lmmc_expression x, lmmc_regular_part part) {
  lmmc_regular other = {0}, both = {0};
  const bool done = lmmc_regular_of(own, x, &other) && lmmc_regular_combine(own, d, &other, part, &both);
  o->s->work += (other.count + both.count) / LMMC_STATES_OF_WORK;
  lmmc_regular_free(d);
  lmmc_regular_free(&other);
  *d = both;
  if (own->failed && own->error.code == 1) lmmc_rules_fail(o->s->r, 1, "%s", own->error.message);
  return done;
}

// Names that match exactly the patterns of a set, and are none of those that are named.
static bool names_of_cell(object *o, unsigned cell, lmmc_regular *d) {
  bool limited;
  if (!lmmc_schema_string_regular(o->s, &o->names, d, &limited)) return false;
  bool done = true;
  for (size_t i = 0; i < o->pattern_count && done; i++) {
    lmmc_rules own;
    lmmc_rules_open(&own);
    // Whoever reads it, a name must match the patterns of the set and none of the others; where any value at all is asked for, to some
    // reader.
    const bool is_in = cell >> i & 1;
    const unsigned flags = LMMC_REGEX_ANYWHERE | (is_in == o->s->exact ? LMMC_REGEX_WIDE : 0);
    const lmmc_expression quote = lmmc_rules_string(&own, "\"");
    const lmmc_expression x = lmmc_regex(&own, o->patterns[i].text, strlen(o->patterns[i].text), flags, LMMC_SPELL_JSON, NULL);
    if (own.failed) {
      lmmc_schema_refuse(o->s, o->pattern_schema, "patternProperties", own.error.message);
      done = false;
    } else {
      done = narrow(o, d, &own, lmmc_rules_sequence(&own, (lmmc_expression[]){quote, x, quote}, 3),
                    cell >> i & 1 ? LMMC_IN_BOTH : LMMC_IN_FIRST_ONLY);
    }
    lmmc_rules_close(&own);
  }
  lmmc_rules own;
  lmmc_rules_open(&own);
  lmmc_expression taken = LMMC_NEVER;
  for (size_t i = 0; i < o->count; i++) {
    lmmc_text text = {0};
    lmmc_schema_spell(&text, o->members[i].name, strlen(o->members[i].name), NULL);
    taken = lmmc_rules_either(&own, taken, lmmc_rules_text(&own, text.bytes, text.count));
    lmmc_text_free(&text);
  }
  if (done && o->count) done = narrow(o, d, &own, taken, LMMC_IN_FIRST_ONLY);
  lmmc_rules_close(&own);
  if (!done)
    lmmc_schema_refuse(o->s, o->pattern_schema ? o->pattern_schema : o->names_schema,
                       o->pattern_schema ? "patternProperties" : "propertyNames", "its names need too many states");
  return done;
}

// One member beyond those that are named.
static lmmc_expression other_member(object *o) {
  lmmc_rules *r = o->s->r;
  const bool open = o->additional || o->s->exact || (o->count == 0 && o->all_patterns == 0);
  if (!open && o->all_patterns == 0) return LMMC_NEVER;
  for (size_t i = 0; i < o->names.count; i++) {
    // What a list of names allows is named already.
    json_t *names = o->names.schemas[i];
    static const char *const plain[] = {"type", "pattern", "format", "minLength", "maxLength", "description", "title", "$comment"};
    size_t known = 0;
    if (json_object_get(names, "enum") || json_object_get(names, "const") || json_is_false(names)) return LMMC_NEVER;
    for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) known += json_object_get(names, plain[k]) != NULL;
    if (known != json_object_size(names))
      return lmmc_schema_refuse(o->s, o->names_schema, "propertyNames", "expected pattern, format, lengths, enum or const");
  }
  if (o->all_patterns > MOST_PATTERNS) return lmmc_schema_refuse(o->s, o->pattern_schema, "patternProperties", "more than four patterns");
  lmmc_expression x = LMMC_NEVER;
  for (unsigned cell = 0; cell < 1u << o->pattern_count && !r->failed; cell++) {
    if (cell == 0 && !open) continue;
    lmmc_conjunction all = {0};
    for (size_t i = 0; i < o->c->count; i++) {
      bool matched = false;
      for (size_t k = 0; k < o->pattern_count; k++) {
        if (!(cell >> k & 1) || o->patterns[k].schema != i) continue;
        matched = true;
        lmmc_conjunction_add(o->s, &all, o->patterns[k].value);
      }
      if (!matched) lmmc_conjunction_add(o->s, &all, json_object_get(o->c->schemas[i], "additionalProperties"));
    }
    const lmmc_expression value = r->failed ? LMMC_NEVER : lmmc_schema_expression(o->s, &all);
    free(all.schemas);
    if (value == LMMC_NEVER) continue;
    lmmc_expression name;
    if (o->pattern_count || o->names.count) {
      lmmc_regular d = {0};
      name = names_of_cell(o, cell, &d) ? lmmc_regular_expression(r, &d) : LMMC_NEVER;
      lmmc_regular_free(&d);
    } else {
      name = o->count ? other_names(o) : lmmc_schema_string(o->s, &(lmmc_conjunction){0});
    }
    x = lmmc_rules_either(r, x, whole_member(o, name, value));
  }
  return lmmc_schema_shared(o->s, x);
}

// The members in a row. State 2 + i * counts + c stands before member i with c members made; where they are not counted, c is whether there
// are any. Members are then no rules of their own: all that may come next is one state of the object's.
static lmmc_expression row(object *o, lmmc_expression other, uint32_t least, uint32_t most) {
  lmmc_rules *r = o->s->r;
  uint32_t n = 0, required = 0;
  for (size_t i = 0; i < o->count; i++) {
    if (o->members[i].x == LMMC_NEVER && o->members[i].required) return LMMC_NEVER;
    if (o->members[i].x != LMMC_NEVER) o->members[n++] = o->members[i];
    required += o->members[i].required;
  }
  const bool counted = least > required || most < n || (other != LMMC_NEVER && most != LMMC_UNLIMITED);
  const uint64_t counts = counted ? (uint64_t)n + 1 : 2;
  if ((n + 1) * counts > MOST_COUNT_STATES)
    return lmmc_schema_refuse(o->s, o->c->schemas[0], NULL, "too many members for minProperties or maxProperties");
  lmmc_graph_edge *edges = malloc((size_t)((n + 1) * counts * 3 + n + 4) * sizeof *edges);
  if (!edges) return out_of_memory(o), LMMC_NEVER;
  const uint32_t wide = (uint32_t)counts, uncounted = 2 + (n + 1) * wide;
  const lmmc_expression comma = lmmc_schema_comma(o->s), close = lmmc_rules_string(r, "}");
  size_t used = 0;
  edges[used++] = (lmmc_graph_edge){0, 2, lmmc_rules_string(r, "{")};
  for (uint32_t i = 0; i < n; i++) {
    member *m = &o->members[i];
    if (counted)
      m->x = lmmc_schema_shared(o->s, m->x);
    else
      edges[used++] = (lmmc_graph_edge){uncounted + i, 2 + (i + 1) * wide + 1, m->x};
    for (uint32_t made = 0; made < wide && made <= i; made++) {
      const uint32_t state = 2 + i * wide + made;
      const lmmc_expression before = made ? comma : LMMC_EMPTY;
      if (!counted) edges[used++] = (lmmc_graph_edge){state, uncounted + i, before};
      if (counted && made < most) edges[used++] = (lmmc_graph_edge){state, 2 + (i + 1) * wide + made + 1, lmmc_rules_pair(r, before, m->x)};
      if (!m->required) edges[used++] = (lmmc_graph_edge){state, 2 + (i + 1) * wide + made, LMMC_EMPTY};
    }
  }
  for (uint32_t made = 0; made < wide && made <= n; made++) {
    const uint32_t needed = counted && least > made ? least - made : 0, usual = o->s->exact ? 0 : o->s->limits.members;
    uint32_t left = counted && most != LMMC_UNLIMITED ? most - (made < most ? made : most) : LMMC_UNLIMITED;
    // Two names may be the same, and then count once to a reader: only one of them is sure to count.
    if (needed > 1 && !o->s->exact) continue;
    if (left == LMMC_UNLIMITED && usual) left = usual > needed ? usual : needed;
    const lmmc_expression more = needed <= left ? lmmc_schema_list(o->s, other, made > 0, needed, left) : LMMC_NEVER;
    if (more != LMMC_NEVER) edges[used++] = (lmmc_graph_edge){2 + n * wide + made, 1, lmmc_rules_pair(r, more, close)};
  }
  const lmmc_expression x = least > n + 1 && other != LMMC_NEVER && !o->s->exact
                                ? lmmc_schema_refuse(o->s, o->c->schemas[0], NULL, "minProperties needs several members that are not named")
                                : lmmc_rules_graph(r, uncounted + n, edges, used);
  free(edges);
  return x;
}

static bool has_close(const lmmc_rules *r, lmmc_expression x) {
  // A graph without an edge to its end has no text.
  const lmmc_expression_node *node = &r->nodes[x];
  if (node->kind != LMMC_OF_GRAPH) return x != LMMC_NEVER;
  for (uint32_t i = 0; i < node->count; i++)
    if (r->edges[node->first + i].to == 1 && r->edges[node->first + i].label != LMMC_NEVER) return true;
  return false;
}

lmmc_expression lmmc_schema_object(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  object o = {.s = s, .c = c, .index = json_object()};
  uint32_t least = 0, most = LMMC_UNLIMITED;
  if (!o.index) return out_of_memory(&o), LMMC_NEVER;
  list_names(&o);
  for (size_t i = 0; i < c->count && !s->r->failed; i++) {
    const uint32_t low = lmmc_schema_count(s, c->schemas[i], "minProperties", 0);
    const uint32_t high = lmmc_schema_count(s, c->schemas[i], "maxProperties", LMMC_UNLIMITED);
    if (low > least) least = low;
    if (high < most) most = high;
  }
  for (size_t i = 0; i < o.count && !s->r->failed; i++) {
    const lmmc_expression value = value_of(&o, o.members[i].name);
    o.members[i].x = value == LMMC_NEVER ? LMMC_NEVER : whole_member(&o, spelt_name(&o, o.members[i].name), value);
  }
  const lmmc_expression other = s->r->failed || most == 0 ? LMMC_NEVER : other_member(&o);
  lmmc_expression x = s->r->failed || least > most ? LMMC_NEVER : row(&o, other, least, most);
  if (!s->r->failed && !has_close(s->r, x)) x = LMMC_NEVER;
  free(o.members);
  free(o.names.schemas);
  json_decref(o.index);
  return x;
}
