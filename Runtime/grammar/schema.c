#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "schema_internal.h"

// Schemas nested in each other, and limits that are counted.
enum { DEEPEST_SCHEMA = 200, MOST_COUNT = 1000000 };

// Appends the pointer of a schema below `from`, without its `#`; false where it is not there.
static bool find_pointer(const json_t *from, const json_t *wanted, lmmc_text *out) {
  if (from == wanted) return true;
  const size_t begin = out->count;
  const char *key;
  json_t *value;
  size_t i;
  if (json_is_object(from)) {
    json_object_foreach((json_t *)from, key, value) {
      if (!json_is_object(value) && !json_is_array(value)) continue;
      lmmc_text_append(out, "/", 1, NULL);
      for (const char *c = key; *c; c++) {
        const bool escaped = *c == '~' || *c == '/';
        lmmc_text_append(out, escaped ? (*c == '~' ? "~0" : "~1") : c, escaped ? 2 : 1, NULL);
      }
      if (find_pointer(value, wanted, out)) return true;
      out->count = begin;
    }
  } else if (json_is_array(from)) {
    json_array_foreach((json_t *)from, i, value) {
      if (!json_is_object(value) && !json_is_array(value)) continue;
      lmmc_text_format(out, NULL, "/%zu", i);
      if (find_pointer(value, wanted, out)) return true;
      out->count = begin;
    }
  }
  return false;
}

lmmc_expression lmmc_schema_refuse(lmmc_schema_reader *s, json_t *schema, const char *keyword, const char *what) {
  if (s->r->failed) return LMMC_NEVER;
  lmmc_text pointer = {0};
  lmmc_text_append(&pointer, "#", 1, NULL);
  if (!find_pointer(s->root, schema, &pointer)) pointer.count = pointer.count ? 1 : 0;
  for (const char *c = keyword; c && (c == keyword ? lmmc_text_append(&pointer, "/", 1, NULL) : true) && *c; c++) {
    const bool escaped = *c == '~' || *c == '/';
    lmmc_text_append(&pointer, escaped ? (*c == '~' ? "~0" : "~1") : c, escaped ? 2 : 1, NULL);
  }
  lmmc_text_append(&pointer, "", 1, NULL);
  lmmc_rules_fail(s->r, 2, "schema, %.300s: %s", pointer.bytes ? pointer.bytes : "#", what);
  lmmc_text_free(&pointer);
  return LMMC_NEVER;
}

bool lmmc_schema_out_of_memory(lmmc_schema_reader *s) { return lmmc_rules_fail(s->r, 1, "out of memory for a schema"), false; }

static bool holds_schema(const lmmc_conjunction *c, const json_t *schema) {
  for (size_t i = 0; i < c->count; i++)
    if (c->schemas[i] == schema) return true;
  return false;
}

bool lmmc_conjunction_add(lmmc_schema_reader *s, lmmc_conjunction *c, json_t *schema) {
  if (s->r->failed) return false;
  if (!schema || json_is_true(schema) || holds_schema(c, schema)) return true;
  if (c->count == c->room) {
    const size_t room = c->room ? 2 * c->room : 4;
    json_t **grown = realloc(c->schemas, room * sizeof *grown);
    if (!grown) return lmmc_schema_out_of_memory(s);
    c->schemas = grown;
    c->room = room;
  }
  c->schemas[c->count++] = schema;
  return true;
}

uint32_t lmmc_schema_count(lmmc_schema_reader *s, json_t *schema, const char *keyword, uint32_t otherwise) {
  const json_t *value = json_object_get(schema, keyword);
  if (!value) return otherwise;
  const double number = json_number_value(value);
  if (!json_is_number(value) || number < 0 || number != (double)(int64_t)number)
    return lmmc_schema_refuse(s, schema, keyword, "expected a whole number that is not negative"), otherwise;
  if (number > MOST_COUNT) {
    // An upper limit beyond what is counted is none.
    if (strncmp(keyword, "max", 3) == 0) return LMMC_UNLIMITED;
    return lmmc_schema_refuse(s, schema, keyword, "a limit of more than 1000000"), otherwise;
  }
  return (uint32_t)number;
}

json_t *lmmc_schema_target(lmmc_schema_reader *s, json_t *schema) {
  const json_t *value = json_object_get(schema, "$ref");
  const char *text = json_string_value(value), *id = json_string_value(json_object_get(s->root, "$id"));
  if (!text) return lmmc_schema_refuse(s, schema, "$ref", "expected a text"), NULL;
  if (id && strncmp(text, id, strlen(id)) == 0 && (text[strlen(id)] == '#' || !text[strlen(id)])) text += strlen(id);
  if (*text && *text != '#')
    return lmmc_schema_refuse(s, schema, "$ref", "expected a reference within the schema, as '#/$defs/name'"), NULL;
  if (*text == '#') text++;
  if (*text && *text != '/')
    return lmmc_schema_refuse(s, schema, "$ref", "expected a JSON pointer behind '#'; anchors are not supported"), NULL;
  json_t *at = s->root;
  char *key = malloc(strlen(text) + 1);
  if (!key) return lmmc_schema_out_of_memory(s), NULL;
  while (at && *text) {
    char *end = key;
    for (text++; *text && *text != '/'; text++) {
      if (*text == '%' && lmmc_hex_digit(text[1]) >= 0 && lmmc_hex_digit(text[2]) >= 0)
        *end++ = (char)(lmmc_hex_digit(text[1]) << 4 | lmmc_hex_digit(text[2])), text += 2;
      else
        *end++ = *text;
    }
    *end = 0;
    char *out = key;
    for (const char *c = key; *c; c++) {
      const bool escaped = *c == '~' && (c[1] == '0' || c[1] == '1');
      *out++ = escaped ? (c[1] == '0' ? '~' : '/') : *c;
      c += escaped;
    }
    *out = 0;
    char *rest;
    const unsigned long index = strtoul(key, &rest, 10);
    at = json_is_array(at) ? (*key && !*rest ? json_array_get(at, index) : NULL) : json_object_get(at, key);
  }
  free(key);
  if (!json_is_object(at) && !json_is_boolean(at)) return lmmc_schema_refuse(s, schema, "$ref", "it leads to no schema"), NULL;
  return at;
}

static unsigned type_of_name(lmmc_schema_reader *s, json_t *schema, const char *name) {
  static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
  for (int i = 0; i < 7; i++)
    if (name && strcmp(name, names[i]) == 0) return i == 3 ? LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER : 1u << i;
  return lmmc_schema_refuse(s, schema, "type", "an unknown type"), 0;
}

unsigned lmmc_schema_types(lmmc_schema_reader *s, json_t *schema) {
  const json_t *type = json_object_get(schema, "type");
  unsigned bits = 0;
  size_t i;
  json_t *value;
  if (!json_is_array(type)) return type_of_name(s, schema, json_string_value(type));
  json_array_foreach((json_t *)type, i, value) bits |= type_of_name(s, schema, json_string_value(value));
  return bits;
}

// The types that a schema's other keywords speak of.
unsigned lmmc_schema_hints(json_t *schema) {
  static const struct {
    const char *keyword;
    unsigned types;
  } hints[] = {{"properties", LMMC_TYPE_OBJECT},
               {"required", LMMC_TYPE_OBJECT},
               {"additionalProperties", LMMC_TYPE_OBJECT},
               {"patternProperties", LMMC_TYPE_OBJECT},
               {"propertyNames", LMMC_TYPE_OBJECT},
               {"minProperties", LMMC_TYPE_OBJECT},
               {"maxProperties", LMMC_TYPE_OBJECT},
               {"items", LMMC_TYPE_ARRAY},
               {"prefixItems", LMMC_TYPE_ARRAY},
               {"minItems", LMMC_TYPE_ARRAY},
               {"maxItems", LMMC_TYPE_ARRAY},
               {"uniqueItems", LMMC_TYPE_ARRAY},
               {"minLength", LMMC_TYPE_STRING},
               {"maxLength", LMMC_TYPE_STRING},
               {"pattern", LMMC_TYPE_STRING},
               {"format", LMMC_TYPE_STRING},
               {"minimum", LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER},
               {"maximum", LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER},
               {"exclusiveMinimum", LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER},
               {"exclusiveMaximum", LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER},
               {"multipleOf", LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER}};
  unsigned bits = 0;
  for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
    if (json_object_get(schema, hints[i].keyword)) bits |= hints[i].types;
  return bits;
}

// Values that the schemas list: those of the first list that are valid under all.
static lmmc_expression listed(lmmc_schema_reader *s, const lmmc_conjunction *c, json_t *values) {
  lmmc_expression x = LMMC_NEVER;
  const size_t n = json_array_size(values);
  lmmc_expression *parts = malloc((n + 1) * sizeof *parts);
  if (!parts) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  size_t count = 0;
  for (size_t i = 0; i < n && !s->r->failed; i++) {
    json_t *value = json_array_get(values, i);
    bool holds = true;
    for (size_t k = 0; k < c->count && holds && !s->r->failed; k++) holds = lmmc_schema_holds(s, c->schemas[k], value, 0) == 1;
    if (holds && !s->r->failed) parts[count++] = lmmc_schema_constant(s, value);
  }
  if (!s->r->failed) x = lmmc_rules_choice(s->r, parts, count);
  free(parts);
  return x;
}

json_t *lmmc_schema_excluded(json_t *schema, size_t i) {
  json_t *inverse = json_object_get(schema, "not"), *constant = json_object_get(inverse, "const");
  if (json_object_size(inverse) != 1) return NULL;
  return constant ? (i == 0 ? constant : NULL) : json_array_get(json_object_get(inverse, "enum"), i);
}

// The types that a schema's `not` takes away.
static unsigned excluded_types(lmmc_schema_reader *s, json_t *schema) {
  json_t *inverse = json_object_get(schema, "not");
  if (json_object_size(inverse) != 1 || !json_object_get(inverse, "type")) return 0;
  return lmmc_schema_types(s, inverse);
}

// Values that are taken away are known to strings and words; of other types there may be none.
static void check_excluded(lmmc_schema_reader *s, json_t *schema, unsigned types) {
  json_t *inverse = json_object_get(schema, "not"), *value;
  if (!inverse || !lmmc_schema_is_asked_late(s, inverse)) return;
  if (json_object_size(inverse) == 1 && json_object_get(inverse, "type")) {
    // A number that is no integer is left where only integers are excluded, but its digits are not told apart here.
    const unsigned excluded = lmmc_schema_types(s, inverse) & (LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER);
    if (excluded == LMMC_TYPE_INTEGER && types & LMMC_TYPE_NUMBER)
      lmmc_schema_refuse(s, schema, "not", "integers alone cannot be excluded");
    return;
  }
  if (!lmmc_schema_excluded(schema, 0)) {
    lmmc_schema_refuse(s, schema, "not", "expected types, values, one member, or a schema beside an enum");
    return;
  }
  for (size_t i = 0; (value = lmmc_schema_excluded(schema, i)); i++) {
    const unsigned type = json_is_number(value)   ? LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER
                          : json_is_array(value)  ? LMMC_TYPE_ARRAY
                          : json_is_object(value) ? LMMC_TYPE_OBJECT
                                                  : 0;
    if (types & type) lmmc_schema_refuse(s, schema, "not", "numbers, arrays and objects can be excluded only beside an enum");
  }
}

static bool is_excluded(const lmmc_conjunction *c, json_type type) {
  const json_t *value;
  for (size_t i = 0; i < c->count; i++)
    for (size_t k = 0; (value = lmmc_schema_excluded(c->schemas[i], k)); k++)
      if (json_typeof(value) == type) return true;
  return false;
}

// The texts that are valid under plain schemas at once: by the values that they list, else type by type.
lmmc_expression lmmc_schema_plain(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  unsigned types = LMMC_TYPE_ANY, hints = 0;
  bool typed = false;
  if (++s->work > (s->exact ? LMMC_MOST_SCHEMA_WORK / 2 : LMMC_MOST_SCHEMA_WORK))
    return lmmc_schema_refuse(s, s->root, NULL, "the schema is too large");
  for (size_t i = 0; i < c->count; i++) {
    json_t *schema = c->schemas[i], *values = json_object_get(schema, "enum"), *constant = json_object_get(schema, "const");
    if (values && !json_is_array(values)) return lmmc_schema_refuse(s, schema, "enum", "expected a list");
    if (constant) {
      values = json_pack("[O]", constant);
      if (!values || json_array_append_new(s->made, values) != 0) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
    }
    if (values) return listed(s, c, values);
  }
  for (size_t i = 0; i < c->count; i++) {
    json_t *schema = c->schemas[i];
    hints |= lmmc_schema_hints(schema);
    if (json_object_get(schema, "type")) types &= lmmc_schema_types(s, schema), typed = true;
    types &= ~excluded_types(s, schema);
  }
  if (s->r->failed) return LMMC_NEVER;
  if (!typed && hints && !s->exact) types &= hints;
  for (size_t i = 0; i < c->count && !s->r->failed; i++) check_excluded(s, c->schemas[i], types);
  if (types == LMMC_TYPE_ANY && !hints) return lmmc_schema_any_value(s);
  lmmc_expression parts[8];
  size_t n = 0;
  static const struct {
    unsigned type;
    const char *text;
    json_type value;
  } words[] = {{LMMC_TYPE_NULL, "null", JSON_NULL}, {LMMC_TYPE_BOOLEAN, "true", JSON_TRUE}, {LMMC_TYPE_BOOLEAN, "false", JSON_FALSE}};
  for (int i = 0; i < 3; i++)
    if (types & words[i].type && !is_excluded(c, words[i].value)) parts[n++] = lmmc_rules_string(s->r, words[i].text);
  if (types & (LMMC_TYPE_NUMBER | LMMC_TYPE_INTEGER)) parts[n++] = lmmc_schema_number(s, c, !(types & LMMC_TYPE_NUMBER));
  if (types & LMMC_TYPE_STRING) parts[n++] = lmmc_schema_string(s, c);
  if (types & LMMC_TYPE_ARRAY) parts[n++] = lmmc_schema_array(s, c);
  if (types & LMMC_TYPE_OBJECT) parts[n++] = lmmc_schema_object(s, c);
  if (s->r->failed) return LMMC_NEVER;
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (parts[i] != LMMC_NEVER) parts[kept++] = parts[i];
  return lmmc_rules_choice(s->r, parts, kept);
}

static int by_address(const void *a, const void *b) {
  const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
  return (x > y) - (x < y);
}

static lmmc_schema_rule *find_known(lmmc_schema_reader *s, const lmmc_conjunction *key) {
  for (size_t i = 0; i < s->known_count; i++)
    if (s->known[i].exact == s->exact && s->known[i].key.count == key->count &&
        memcmp(s->known[i].key.schemas, key->schemas, key->count * sizeof *key->schemas) == 0)
      return &s->known[i];
  return NULL;
}

// Each conjunction is a rule, so that references may lead back to it. Small ones are put in the place of their calls later.
static lmmc_expression as_rule(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  lmmc_conjunction key = {0};
  for (size_t i = 0; i < c->count; i++) lmmc_conjunction_add(s, &key, c->schemas[i]);
  if (s->r->failed) return free(key.schemas), LMMC_NEVER;
  qsort(key.schemas, key.count, sizeof *key.schemas, by_address);
  lmmc_schema_rule *found = find_known(s, &key);
  if (found) {
    free(key.schemas);
    if (found->defined && found->x == LMMC_NEVER) return LMMC_NEVER;
    return lmmc_rules_call(s->r, found->rule);
  }
  if (s->known_count == s->known_room) {
    const size_t room = s->known_room ? 2 * s->known_room : 16;
    lmmc_schema_rule *grown = realloc(s->known, room * sizeof *grown);
    if (!grown) return free(key.schemas), lmmc_schema_out_of_memory(s), LMMC_NEVER;
    s->known = grown;
    s->known_room = room;
  }
  const size_t place = s->known_count++;
  s->known[place] = (lmmc_schema_rule){.key = key, .exact = s->exact, .rule = lmmc_rules_declare(s->r)};
  const lmmc_schema_todo *list = NULL;
  lmmc_schema_todo *items = malloc((c->count + 1) * sizeof *items);
  if (!items) return lmmc_schema_out_of_memory(s), LMMC_NEVER;
  for (size_t i = c->count; i-- > 0;) items[i] = (lmmc_schema_todo){c->schemas[i], 0, list}, list = &items[i];
  lmmc_conjunction done = {0};
  const lmmc_expression x = lmmc_schema_expand(s, list, &done);
  free(done.schemas);
  free(items);
  if (s->r->failed) return LMMC_NEVER;
  s->known[place].x = x;
  s->known[place].defined = true;
  lmmc_rules_define(s->r, s->known[place].rule, x);
  return x == LMMC_NEVER ? LMMC_NEVER : lmmc_rules_call(s->r, s->known[place].rule);
}

lmmc_expression lmmc_schema_expression(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  if (s->r->failed) return LMMC_NEVER;
  for (size_t i = 0; i < c->count; i++)
    if (json_is_false(c->schemas[i])) return LMMC_NEVER;
  if (c->count == 0) return lmmc_schema_any_value(s);
  if (c->count > LMMC_MOST_SCHEMAS_AT_ONCE) return lmmc_schema_refuse(s, c->schemas[0], NULL, "more than 256 schemas hold at once");
  if (s->depth >= DEEPEST_SCHEMA) return lmmc_schema_refuse(s, c->schemas[0], NULL, "schemas are nested more than 200 deep");
  s->depth++;
  const uint32_t branches = s->branches;
  s->branches = 0;
  lmmc_expression x;
  json_t *only = c->count == 1 ? c->schemas[0] : NULL;
  if (only && json_object_size(only) == 1 && json_object_get(only, "$ref")) {
    // A reference alone is what it leads to, by whichever schema.
    json_t *target = lmmc_schema_target(s, only);
    lmmc_conjunction other = {0};
    if (target && lmmc_conjunction_add(s, &other, target)) {
      x = lmmc_schema_expression(s, &other);
    } else {
      x = LMMC_NEVER;
    }
    free(other.schemas);
  } else {
    x = as_rule(s, c);
  }
  s->branches = branches;
  s->depth--;
  return x;
}

lmmc_expression lmmc_schema_single(lmmc_schema_reader *s, json_t *schema) {
  lmmc_conjunction c = {0};
  lmmc_conjunction_add(s, &c, schema);
  const lmmc_expression x = lmmc_schema_expression(s, &c);
  free(c.schemas);
  return x;
}

lmmc_expression lmmc_schema_shared(lmmc_schema_reader *s, lmmc_expression x) {
  if (s->r->failed || x <= LMMC_EMPTY) return x;
  const lmmc_expression_node *n = &s->r->nodes[x];
  if (n->kind == LMMC_OF_CALL || n->kind == LMMC_OF_BYTES || n->kind == LMMC_OF_TEXT) return x;
  const uint32_t rule = lmmc_rules_declare(s->r);
  lmmc_rules_define(s->r, rule, x);
  return lmmc_rules_call(s->r, rule);
}

static lmmc_expression spaced(lmmc_schema_reader *s, const char *mark) {
  return lmmc_rules_pair(s->r, lmmc_rules_string(s->r, mark), lmmc_rules_optional(s->r, lmmc_rules_string(s->r, " ")));
}

lmmc_expression lmmc_schema_comma(lmmc_schema_reader *s) { return spaced(s, ","); }
lmmc_expression lmmc_schema_colon(lmmc_schema_reader *s) { return spaced(s, ":"); }

bool lmmc_schema_read(lmmc_rules *r, const char *text, size_t bytes, const lmmc_schema_limits *limits, lmmc_error *e) {
  json_error_t error;
  lmmc_schema_reader s = {.r = r, .limits = limits ? *limits : (lmmc_schema_limits){0}};
  s.root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (!s.root) return lmmc_fail(e, 2, "schema, line %d, column %d: %s", error.line, error.column, error.text);
  s.made = json_array();
  if (!s.made) lmmc_schema_out_of_memory(&s);
  const uint32_t root = lmmc_rules_declare(r);
  lmmc_rules_name(r, root, "schema, #");
  if (json_is_boolean(s.root) || json_is_object(s.root)) {
    const lmmc_expression x = lmmc_schema_single(&s, s.root);
    lmmc_rules_define(r, root, x);
    if (x == LMMC_NEVER) lmmc_rules_fail(r, 2, "schema, #: no value is valid under it");
  } else {
    lmmc_rules_fail(r, 2, "schema, #: expected an object or a boolean");
  }
  for (size_t i = 0; i < s.known_count; i++) free(s.known[i].key.schemas);
  free(s.known);
  json_decref(s.made);
  json_decref(s.root);
  return !r->failed || lmmc_fail(e, r->error.code, "%s", r->error.message);
}
