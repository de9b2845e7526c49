// Keywords that put other schemas in the place of one: references, allOf, and alternatives, of which each is a way of its own.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema_internal.h"

// References in one place, ways that the alternatives of a schema combine in, and calls that stand on the stack.
enum { DEEPEST_IN_PLACE = 64, MOST_BRANCHES = 4096, MOST_NESTED = 1000 };

// Keywords that constrain and are not supported. What no vocabulary of JSON Schema knows is an annotation, by its definition.
static const char *const unsupported[] = {"contains",      "maxContains", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef",
                                          "$recursiveRef", NULL};

static bool is_in(const char *const *list, const char *name) {
  while (*list && strcmp(*list, name) != 0) list++;
  return *list != NULL;
}

// Whether each keyword of a schema is one that is supported, or says nothing as it stands.
static bool check_keywords(lmmc_schema_reader *s, json_t *schema) {
  const char *key;
  json_t *value;
  json_object_foreach(schema, key, value) {
    if (is_in(unsupported, key)) {
      if (strcmp(key, "maxContains") == 0 && !json_object_get(schema, "contains")) continue;
      return lmmc_schema_refuse(s, schema, key, "this keyword is not supported"), false;
    }
    if (strcmp(key, "$id") == 0 && schema != s->root && json_is_string(value))
      return lmmc_schema_refuse(s, schema, key, "a schema with an address of its own within another is not supported"), false;
  }
  return true;
}

static lmmc_expression expand_any(lmmc_schema_reader *s, json_t *schema, json_t *list, const char *keyword, int depth,
                                  const lmmc_schema_todo *rest, lmmc_conjunction *done) {
  if (!json_is_array(list) || json_array_size(list) == 0) return lmmc_schema_refuse(s, schema, keyword, "expected a list of schemas");
  lmmc_expression x = LMMC_NEVER;
  const size_t count = done->count;
  size_t i;
  json_t *value;
  json_array_foreach(list, i, value) {
    const lmmc_schema_todo item = {value, depth + 1, rest};
    x = lmmc_rules_either(s->r, x, lmmc_schema_expand(s, &item, done));
    done->count = count;
    if (s->r->failed) return LMMC_NEVER;
  }
  return x;
}

// Whether some value is valid under all that `done` and the lists hold.
static bool is_possible(lmmc_schema_reader *s, const lmmc_schema_todo *list, lmmc_conjunction *done) {
  const lmmc_rules before = *s->r;
  const size_t known_count = s->known_count, count = done->count;
  const bool was_exact = s->exact;
  const uint32_t value = s->value, string = s->string, number = s->number;
  s->exact = true;
  const lmmc_expression x = lmmc_schema_expand(s, list, done);
  const bool possible = x != LMMC_NEVER || s->r->failed;
  const bool too_large = s->work > LMMC_MOST_SCHEMA_WORK / 2;
  // What was made for the question goes. An error of memory stays; what is refused there is not known to be impossible.
  const bool failed = s->r->failed && s->r->error.code == 1;
  lmmc_rules *r = s->r;
  r->node_count = before.node_count, r->link_count = before.link_count, r->rule_count = before.rule_count;
  r->edge_count = before.edge_count, r->byte_count = before.byte_count, r->name_count = before.name_count;
  r->failed = failed || before.failed;
  while (s->known_count > known_count) free(s->known[--s->known_count].key.schemas);
  s->exact = was_exact;
  s->value = value, s->string = string, s->number = number;
  done->count = count;
  if (too_large) lmmc_schema_refuse(s, s->root, NULL, "the schema is too large");
  return possible;
}

// A schema that is a reference alone stands for what it leads to.
static json_t *behind_references(lmmc_schema_reader *s, json_t *schema) {
  for (int i = 0; i < DEEPEST_IN_PLACE && json_object_size(schema) == 1 && json_object_get(schema, "$ref") && !s->r->failed; i++)
    schema = lmmc_schema_target(s, schema);
  return schema;
}

static bool is_required(const json_t *schema, const char *name) {
  size_t i;
  json_t *value;
  json_array_foreach(json_object_get(schema, "required"), i,
                     value) if (json_is_string(value) && strcmp(json_string_value(value), name) == 0) return true;
  return false;
}

// The values that a schema lists, one by one; NULL behind the last.
static json_t *listed_value(json_t *schema, size_t i) {
  json_t *constant = json_object_get(schema, "const");
  return constant ? (i == 0 ? constant : NULL) : json_array_get(json_object_get(schema, "enum"), i);
}

// Whether two alternatives are seen at once to exclude each other, as most do: by their types, or by a member that objects of both must
// have and that never has the same value.
static bool exclude(lmmc_schema_reader *s, json_t *a, json_t *b, const lmmc_conjunction *done) {
  bool objects = false;
  json_t *both[] = {behind_references(s, a), behind_references(s, b)}, *value;
  const char *name;
  if (!json_is_object(both[0]) || !json_is_object(both[1]) || s->r->failed) return false;
  const json_t *types[] = {json_object_get(both[0], "type"), json_object_get(both[1], "type")};
  if (types[0] && types[1] && !(lmmc_schema_types(s, both[0]) & lmmc_schema_types(s, both[1]))) return !s->r->failed;
  for (size_t i = 0; i < done->count; i++)
    objects |= json_object_get(done->schemas[i], "type") && lmmc_schema_types(s, done->schemas[i]) == LMMC_TYPE_OBJECT;
  for (int i = 0; i < 2 && !objects; i++)
    if (types[i] ? lmmc_schema_types(s, both[i]) != LMMC_TYPE_OBJECT : lmmc_schema_hints(both[i]) != LMMC_TYPE_OBJECT) return false;
  json_object_foreach(json_object_get(both[0], "properties"), name, value) {
    json_t *other = json_object_get(json_object_get(both[1], "properties"), name);
    bool same = !listed_value(value, 0) || !listed_value(other, 0) || !is_required(both[0], name) || !is_required(both[1], name);
    for (size_t i = 0; !same && listed_value(value, i); i++)
      for (size_t k = 0; !same && listed_value(other, k); k++) same = lmmc_schema_equal(listed_value(value, i), listed_value(other, k));
    if (!same) return true;
  }
  return false;
}

// Alternatives of which exactly one may hold must exclude each other, with what holds beside them.
static lmmc_expression expand_one(lmmc_schema_reader *s, json_t *schema, int depth, const lmmc_schema_todo *rest, lmmc_conjunction *done) {
  json_t *list = json_object_get(schema, "oneOf");
  if (!json_is_array(list) || json_array_size(list) == 0) return lmmc_schema_refuse(s, schema, "oneOf", "expected a list of schemas");
  const size_t n = json_array_size(list);
  for (size_t i = 0; !s->exact && i < n; i++)
    for (size_t k = i + 1; k < n; k++) {
      if (exclude(s, json_array_get(list, i), json_array_get(list, k), done)) continue;
      const lmmc_schema_todo second = {json_array_get(list, k), depth + 1, rest}, first = {json_array_get(list, i), depth + 1, &second};
      if (is_possible(s, &first, done)) {
        char what[160];
        snprintf(what, sizeof what, "alternatives %zu and %zu may hold at once, as far as can be told; expected them to exclude each other",
                 i, k);
        return lmmc_schema_refuse(s, schema, "oneOf", what);
      }
    }
  return expand_any(s, schema, list, "oneOf", depth, rest, done);
}

// What is owned by the reader from now on; NULL with the reader failed where memory is out.
static json_t *keep(lmmc_schema_reader *s, json_t *made) {
  if (!made || json_array_append_new(s->made, made) != 0) return lmmc_schema_out_of_memory(s), NULL;
  return made;
}

// {"properties": {name: false}}: what holds of objects without that member.
static json_t *without(lmmc_schema_reader *s, const char *name) { return keep(s, json_pack("{s:{s:b}}", "properties", name, 0)); }

// Where a member is present others must be, or a schema must hold: so it is absent, or they are.
static lmmc_expression expand_dependent(lmmc_schema_reader *s, json_t *schema, const char *keyword, int depth, const lmmc_schema_todo *rest,
                                        lmmc_conjunction *done) {
  json_t *dependent = json_object_get(schema, keyword), *value;
  const char *key;
  if (!json_is_object(dependent)) return lmmc_schema_refuse(s, schema, keyword, "expected an object");
  json_t *all = json_array();
  if (!all || json_array_append_new(s->made, all) != 0) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  json_object_foreach(dependent, key, value) {
    json_t *present = json_is_array(value) ? json_pack("{s:O}", "required", value) : json_incref(value);
    json_t *either = json_pack("{s:[O,o]}", "anyOf", without(s, key), present);
    if (s->r->failed || !either || json_array_append_new(all, either) != 0) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  }
  json_t *every = json_pack("{s:O}", "allOf", all);
  if (!every || json_array_append_new(s->made, every) != 0) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  const lmmc_schema_todo item = {every, depth + 1, rest};
  return lmmc_schema_expand(s, &item, done);
}

// Keywords of a schema that say something of what is valid.
static size_t constraints(json_t *schema) {
  static const char *const silent[] = {"title", "description", "$comment", "default", "examples"};
  size_t count = json_object_size(schema);
  for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) count -= json_object_get(schema, silent[i]) != NULL;
  return count;
}

// A schema that holds where another does not; NULL where none is known. {"not": schema} stands for those that say types or values, which is
// asked where all that holds is known.
static json_t *contrary(lmmc_schema_reader *s, json_t *schema, int depth) {
  json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required"),
         *type = json_object_get(schema, "type");
  const size_t count = constraints(schema);
  if (json_is_boolean(schema) || (json_is_object(schema) && count == 0)) return keep(s, json_boolean(json_is_false(schema)));
  if (!json_is_object(schema) || depth > DEEPEST_IN_PLACE) return NULL;
  if (count == 1 && (type || json_object_get(schema, "enum") || json_object_get(schema, "const")))
    return keep(s, json_pack("{s:O}", "not", schema));
  if (count == 1 && json_object_get(schema, "not")) return json_object_get(schema, "not");
  // One member, which may have to be there, of objects.
  void *first = json_object_iter(properties);
  const char *name = first ? json_object_iter_key(first) : json_string_value(json_array_get(required, 0));
  const bool is_type = json_is_string(type) && strcmp(json_string_value(type), "object") == 0;
  if (count != (size_t)((properties != NULL) + (required != NULL) + is_type) || !name || json_object_size(properties) > 1) return NULL;
  if (required && (json_array_size(required) != 1 || !json_is_string(json_array_get(required, 0)) ||
                   strcmp(json_string_value(json_array_get(required, 0)), name) != 0))
    return NULL;
  json_t *value = first ? contrary(s, json_object_iter_value(first), depth + 1) : NULL;
  if (s->r->failed || (first && !value)) return NULL;
  json_t *any = keep(s, json_array());
  if (!any) return NULL;
  // The member is there and its value is another; it is not there though it must be; or it is no object though it must be one.
  if (value) json_array_append_new(any, json_pack("{s:s,s:{s:O},s:[s]}", "type", "object", "properties", name, value, "required", name));
  if (required) json_array_append_new(any, json_pack("{s:s,s:{s:b}}", "type", "object", "properties", name, 0));
  if (is_type) json_array_append_new(any, json_pack("{s:{s:s}}", "not", "type", "object"));
  return keep(s, json_pack("{s:O}", "anyOf", any));
}

bool lmmc_schema_is_asked_late(lmmc_schema_reader *s, json_t *inverse) {
  const json_t *other = contrary(s, inverse, 0);
  return !other || json_object_get(other, "not");
}

// `not` where it can be turned into what holds. What it says of types and values is asked where all that holds is known.
static lmmc_expression expand_not(lmmc_schema_reader *s, json_t *schema, int depth, const lmmc_schema_todo *rest, lmmc_conjunction *done) {
  json_t *other = contrary(s, json_object_get(schema, "not"), 0);
  if (!other || json_object_get(other, "not")) return lmmc_schema_expand(s, rest, done);
  const lmmc_schema_todo item = {other, depth + 1, rest};
  return lmmc_schema_expand(s, &item, done);
}

// Either `if` and `then` hold, or the contrary of `if` and `else`.
static lmmc_expression expand_if(lmmc_schema_reader *s, json_t *schema, int depth, const lmmc_schema_todo *rest, lmmc_conjunction *done) {
  json_t *condition = json_object_get(schema, "if"), *then = json_object_get(schema, "then"), *otherwise = json_object_get(schema, "else");
  if (!then && !otherwise) return lmmc_schema_expand(s, rest, done);
  json_t *other = contrary(s, condition, 0);
  if (!other) return lmmc_schema_refuse(s, schema, "if", "expected types, values, or one member and what holds of its value");
  json_t *yes = keep(s, then ? json_pack("{s:[O,O]}", "allOf", condition, then) : json_incref(condition));
  json_t *no = keep(s, otherwise ? json_pack("{s:[O,O]}", "allOf", other, otherwise) : json_incref(other));
  if (!yes || !no) return LMMC_NEVER;
  const size_t count = done->count;
  const lmmc_schema_todo first = {yes, depth + 1, rest}, second = {no, depth + 1, rest};
  const lmmc_expression x = lmmc_schema_expand(s, &first, done);
  done->count = count;
  return lmmc_rules_either(s->r, x, lmmc_schema_expand(s, &second, done));
}

// Not on the stack, where lists in lists would add up.
static lmmc_expression expand_all(lmmc_schema_reader *s, json_t *schema, json_t *list, int depth, const lmmc_schema_todo *rest,
                                  lmmc_conjunction *done) {
  const size_t n = json_array_size(list);
  if (n > LMMC_MOST_SCHEMAS_AT_ONCE) return lmmc_schema_refuse(s, schema, "allOf", "more than 256 schemas");
  lmmc_schema_todo *items = malloc(n * sizeof *items);
  if (!items) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  for (size_t k = 0; k < n; k++) items[k] = (lmmc_schema_todo){json_array_get(list, k), depth + 1, k + 1 < n ? &items[k + 1] : rest};
  const lmmc_expression x = lmmc_schema_expand(s, items, done);
  free(items);
  return x;
}

static lmmc_expression expand_keywords(lmmc_schema_reader *s, json_t *schema, int depth, const lmmc_schema_todo *rest,
                                       lmmc_conjunction *done, int from) {
  static const char *const in_place[] = {"$ref",  "allOf", "dependentRequired", "dependentSchemas", "dependencies", "not", "if",
                                         "anyOf", "oneOf"};
  // The keywords that are left become an element of the list, so that those behind it see all that holds beside them.
  for (int i = from; i < (int)(sizeof in_place / sizeof *in_place); i++) {
    json_t *value = json_object_get(schema, in_place[i]);
    if (!value) continue;
    const lmmc_schema_todo again = {schema, -(depth * 16 + i + 1) - 1, rest};
    if (i == 0) {
      json_t *target = lmmc_schema_target(s, schema);
      if (!target) return LMMC_NEVER;
      const lmmc_schema_todo item = {target, depth + 1, &again};
      return lmmc_schema_expand(s, &item, done);
    }
    if (i == 1) {
      if (!json_is_array(value) || json_array_size(value) == 0) return lmmc_schema_refuse(s, schema, "allOf", "expected a list of schemas");
      return expand_all(s, schema, value, depth, &again, done);
    }
    if (i <= 4) return expand_dependent(s, schema, in_place[i], depth, &again, done);
    if (i == 5) return expand_not(s, schema, depth, &again, done);
    if (i == 6) return expand_if(s, schema, depth, &again, done);
    return i == 7 ? expand_any(s, schema, value, "anyOf", depth, &again, done) : expand_one(s, schema, depth, &again, done);
  }
  return lmmc_schema_expand(s, rest, done);
}

static lmmc_expression expand_first(lmmc_schema_reader *s, const lmmc_schema_todo *list, lmmc_conjunction *done) {
  if (s->r->failed) return LMMC_NEVER;
  if (!list)
    return ++s->branches > MOST_BRANCHES ? lmmc_schema_refuse(s, s->root, NULL, "alternatives combine in more than 4096 ways")
                                         : lmmc_schema_plain(s, done);
  json_t *schema = list->schema;
  if (list->depth < 0) {
    const int packed = -list->depth - 2;
    return expand_keywords(s, schema, packed / 16, list->next, done, packed % 16 + 1);
  }
  if (json_is_true(schema)) return lmmc_schema_expand(s, list->next, done);
  if (json_is_false(schema)) return LMMC_NEVER;
  if (!json_is_object(schema)) return lmmc_schema_refuse(s, schema, NULL, "expected a schema, which is an object or a boolean");
  if (list->depth > DEEPEST_IN_PLACE)
    return lmmc_schema_refuse(s, schema, NULL, "it refers to itself without end, or more than 64 times in place");
  if (!check_keywords(s, schema)) return LMMC_NEVER;
  const size_t count = done->count;
  if (!lmmc_conjunction_add(s, done, schema)) return LMMC_NEVER;
  if (done->count > LMMC_MOST_SCHEMAS_AT_ONCE) return lmmc_schema_refuse(s, schema, NULL, "more than 256 schemas hold at once");
  const lmmc_expression x = expand_keywords(s, schema, list->depth, list->next, done, 0);
  done->count = count;
  return x;
}

lmmc_expression lmmc_schema_expand(lmmc_schema_reader *s, const lmmc_schema_todo *list, lmmc_conjunction *done) {
  if (s->nested >= MOST_NESTED) return lmmc_schema_refuse(s, list ? list->schema : s->root, NULL, "schemas are nested too deep");
  s->nested++;
  const lmmc_expression x = expand_first(s, list, done);
  s->nested--;
  return x;
}
