// Values that schemas name: how they are written, and whether they are valid.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regex.h"
#include "schema_internal.h"

enum { DEEPEST_VALUE = 200 };

static lmmc_expression spelt(lmmc_schema_reader *s, const char *text, size_t bytes) {
  lmmc_text out = {0};
  lmmc_error e = {0};
  if (!lmmc_schema_spell(&out, text, bytes, &e)) lmmc_rules_fail(s->r, e.code, "schema: %s", e.message);
  const lmmc_expression x = lmmc_rules_text(s->r, out.bytes, out.count);
  lmmc_text_free(&out);
  return x;
}

static lmmc_expression real(lmmc_schema_reader *s, double value) {
  char text[64];
  for (int precision = 1; precision <= 17; precision++) {
    snprintf(text, sizeof text, "%.*g", precision, value);
    if (strtod(text, NULL) == value) break;
  }
  return lmmc_rules_string(s->r, text);
}

static lmmc_expression constant(lmmc_schema_reader *s, const json_t *value, int depth) {
  lmmc_rules *r = s->r;
  char text[32];
  if (depth > DEEPEST_VALUE) return lmmc_rules_fail(r, 2, "schema: a value that is nested more than 200 deep");
  switch (json_typeof(value)) {
    case JSON_NULL: return lmmc_rules_string(r, "null");
    case JSON_TRUE: return lmmc_rules_string(r, "true");
    case JSON_FALSE: return lmmc_rules_string(r, "false");
    case JSON_STRING: return spelt(s, json_string_value(value), json_string_length(value));
    case JSON_REAL: return real(s, json_real_value(value));
    case JSON_INTEGER: snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); return lmmc_rules_string(r, text);
    default: break;
  }
  const bool object = json_is_object(value);
  lmmc_expression x = lmmc_rules_string(r, object ? "{" : "[");
  const char *key;
  json_t *part;
  size_t i, count = 0;
  if (object) {
    json_object_foreach((json_t *)value, key, part) {
      if (count++) x = lmmc_rules_pair(r, x, lmmc_schema_comma(s));
      x = lmmc_rules_sequence(r, (lmmc_expression[]){x, spelt(s, key, strlen(key)), lmmc_schema_colon(s), constant(s, part, depth + 1)}, 4);
    }
  } else {
    json_array_foreach((json_t *)value, i, part) {
      if (count++) x = lmmc_rules_pair(r, x, lmmc_schema_comma(s));
      x = lmmc_rules_pair(r, x, constant(s, part, depth + 1));
    }
  }
  return lmmc_rules_pair(r, x, lmmc_rules_string(r, object ? "}" : "]"));
}

lmmc_expression lmmc_schema_constant(lmmc_schema_reader *s, const json_t *value) { return constant(s, value, 0); }

bool lmmc_schema_equal(const json_t *a, const json_t *b) {
  if (json_is_number(a) && json_is_number(b)) {
    if (json_is_integer(a) && json_is_integer(b)) return json_integer_value(a) == json_integer_value(b);
    return json_number_value(a) == json_number_value(b);
  }
  if (json_typeof(a) != json_typeof(b)) return false;
  const char *key;
  json_t *part;
  size_t i;
  if (json_is_array(a)) {
    if (json_array_size(a) != json_array_size(b)) return false;
    json_array_foreach((json_t *)a, i, part) if (!lmmc_schema_equal(part, json_array_get(b, i))) return false;
    return true;
  }
  if (json_is_object(a)) {
    if (json_object_size(a) != json_object_size(b)) return false;
    json_object_foreach((json_t *)a, key, part) {
      const json_t *other = json_object_get(b, key);
      if (!other || !lmmc_schema_equal(part, other)) return false;
    }
    return true;
  }
  return json_equal(a, b);
}

bool lmmc_schema_divides(const json_t *value, const json_t *divisor) {
  // What is not above zero is refused where it is read, which may be later.
  if (!(json_number_value(divisor) > 0)) return false;
  if (json_is_integer(value) && json_is_integer(divisor)) return json_integer_value(value) % json_integer_value(divisor) == 0;
  const double quotient = json_number_value(value) / json_number_value(divisor);
  return quotient == floor(quotient);
}

static bool has_type(const json_t *value, const char *type) {
  if (!type) return false;
  switch (json_typeof(value)) {
    case JSON_NULL: return strcmp(type, "null") == 0;
    case JSON_TRUE:
    case JSON_FALSE: return strcmp(type, "boolean") == 0;
    case JSON_STRING: return strcmp(type, "string") == 0;
    case JSON_ARRAY: return strcmp(type, "array") == 0;
    case JSON_OBJECT: return strcmp(type, "object") == 0;
    case JSON_INTEGER: return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL:
      return strcmp(type, "number") == 0 || (strcmp(type, "integer") == 0 && json_real_value(value) == floor(json_real_value(value)));
  }
  return false;
}

static bool type_holds(const json_t *schema, const json_t *value) {
  const json_t *type = json_object_get(schema, "type");
  size_t i;
  json_t *name;
  if (!json_is_array(type)) return !type || has_type(value, json_string_value(type));
  json_array_foreach((json_t *)type, i, name) if (has_type(value, json_string_value(name))) return true;
  return false;
}

static size_t characters(const json_t *value) {
  const char *text = json_string_value(value);
  size_t count = 0;
  for (size_t i = 0; i < json_string_length(value); i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
  return count;
}

// Lengths, patterns and formats of a string are asked of the automaton that would make it.
static int string_holds(lmmc_schema_reader *s, json_t *schema, const json_t *value) {
  if (characters(value) < lmmc_schema_count(s, schema, "minLength", 0) ||
      characters(value) > lmmc_schema_count(s, schema, "maxLength", LMMC_UNLIMITED))
    return 0;
  const json_t *format = json_object_get(schema, "format");
  if (!json_object_get(schema, "pattern") && !format) return s->r->failed ? -1 : 1;
  lmmc_conjunction one = {&schema, 1, 1};
  lmmc_regular d = {0};
  lmmc_text text = {0};
  lmmc_error e = {0};
  bool limited;
  int holds = -1;
  if (lmmc_schema_string_regular(s, &one, &d, &limited) &&
      lmmc_schema_spell(&text, json_string_value(value), json_string_length(value), &e)) {
    holds = lmmc_regular_matches(&d, text.bytes, text.count);
    // A format allows more than what is made for it.
    if (!holds && format && limited)
      holds = -1, lmmc_schema_refuse(s, schema, "format", "whether a value that is listed beside it has the format is not known");
  }
  lmmc_text_free(&text);
  lmmc_regular_free(&d);
  return holds;
}

// Below 0, 0 or above as a is less than b, equal or more. Whole numbers are compared as they are, for readers that have them so.
static int compare(const json_t *a, const json_t *b) {
  if (json_is_integer(a) && json_is_integer(b))
    return (json_integer_value(a) > json_integer_value(b)) - (json_integer_value(a) < json_integer_value(b));
  return (json_number_value(a) > json_number_value(b)) - (json_number_value(a) < json_number_value(b));
}

static bool number_holds(const json_t *schema, const json_t *value) {
  const json_t *low = json_object_get(schema, "minimum"), *high = json_object_get(schema, "maximum"),
               *divisor = json_object_get(schema, "multipleOf");
  const json_t *above = json_object_get(schema, "exclusiveMinimum"), *below = json_object_get(schema, "exclusiveMaximum");
  if (low && compare(value, low) < json_is_true(above)) return false;
  if (high && compare(value, high) > -json_is_true(below)) return false;
  if (json_is_number(above) && compare(value, above) <= 0) return false;
  if (json_is_number(below) && compare(value, below) >= 0) return false;
  return !divisor || lmmc_schema_divides(value, divisor);
}

int lmmc_schema_name_matches(lmmc_schema_reader *s, json_t *schema, const char *pattern, const char *name) {
  json_t *made = json_pack("{s:s}", "pattern", pattern), *text = json_string(name);
  if (!made || !text || json_array_append_new(s->made, made) != 0)
    return json_decref(text), lmmc_rules_fail(s->r, 1, "out of memory for a schema"), -1;
  const bool exact = s->exact, wide = s->wide;
  s->wide = !exact;
  s->exact = false;
  const int holds = string_holds(s, made, text);
  s->exact = exact;
  s->wide = wide;
  json_decref(text);
  if (holds < 0) lmmc_schema_refuse(s, schema, "patternProperties", "a pattern that is not supported");
  return holds;
}

static int object_holds(lmmc_schema_reader *s, json_t *schema, json_t *value, int depth) {
  json_t *properties = json_object_get(schema, "properties"), *patterns = json_object_get(schema, "patternProperties");
  json_t *additional = json_object_get(schema, "additionalProperties"), *names = json_object_get(schema, "propertyNames"), *part, *other;
  const char *key, *pattern;
  size_t i;
  if (json_object_size(value) < lmmc_schema_count(s, schema, "minProperties", 0) ||
      json_object_size(value) > lmmc_schema_count(s, schema, "maxProperties", LMMC_UNLIMITED))
    return 0;
  json_array_foreach(json_object_get(schema, "required"), i, part) if (!json_object_get(value, json_string_value(part))) return 0;
  json_object_foreach(value, key, part) {
    bool known = json_object_get(properties, key) != NULL;
    int holds = known ? lmmc_schema_holds(s, json_object_get(properties, key), part, depth + 1) : 1;
    json_object_foreach(patterns, pattern, other) {
      const int matches = holds == 1 ? lmmc_schema_name_matches(s, schema, pattern, key) : 0;
      if (matches < 0) return -1;
      known |= matches;
      if (matches) holds = lmmc_schema_holds(s, other, part, depth + 1);
    }
    if (holds == 1 && !known && additional) holds = lmmc_schema_holds(s, additional, part, depth + 1);
    if (holds == 1 && names) {
      json_t *name = json_string(key);
      holds = lmmc_schema_holds(s, names, name, depth + 1);
      json_decref(name);
    }
    if (holds != 1) return holds;
  }
  return 1;
}

static int array_holds(lmmc_schema_reader *s, json_t *schema, json_t *value, int depth) {
  json_t *prefix = json_object_get(schema, "prefixItems"), *rest = json_object_get(schema, "items"), *part;
  const size_t n = json_array_size(value);
  size_t i;
  if (json_is_array(rest)) prefix = rest, rest = json_object_get(schema, "additionalItems");
  if (n < lmmc_schema_count(s, schema, "minItems", 0) || n > lmmc_schema_count(s, schema, "maxItems", LMMC_UNLIMITED)) return 0;
  json_array_foreach(value, i, part) {
    json_t *own = i < json_array_size(prefix) ? json_array_get(prefix, i) : rest;
    const int holds = own ? lmmc_schema_holds(s, own, part, depth + 1) : 1;
    if (holds != 1) return holds;
    for (size_t k = 0; k < i && json_is_true(json_object_get(schema, "uniqueItems")); k++)
      if (lmmc_schema_equal(part, json_array_get(value, k))) return 0;
  }
  return 1;
}

// How many schemas of a list hold; -1 with the reader failed.
static int count_holding(lmmc_schema_reader *s, json_t *list, json_t *value, int depth) {
  int count = 0;
  size_t i;
  json_t *part;
  json_array_foreach(list, i, part) {
    const int holds = lmmc_schema_holds(s, part, value, depth + 1);
    if (holds < 0) return -1;
    count += holds;
  }
  return count;
}

static int in_place_holds(lmmc_schema_reader *s, json_t *schema, json_t *value, int depth) {
  json_t *all = json_object_get(schema, "allOf"), *any = json_object_get(schema, "anyOf"), *one = json_object_get(schema, "oneOf");
  json_t *inverse = json_object_get(schema, "not"), *ref = json_object_get(schema, "$ref"), *condition = json_object_get(schema, "if");
  static const char *const others[] = {"contains",      "unevaluatedProperties", "unevaluatedItems",  "$dynamicRef",
                                       "$recursiveRef", "dependencies",          "dependentRequired", "dependentSchemas"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (json_object_get(schema, others[i]))
      return lmmc_schema_refuse(s, schema, others[i], "it is not supported beside values that a schema lists"), -1;
  if (ref) {
    json_t *target = lmmc_schema_target(s, schema);
    const int holds = target ? lmmc_schema_holds(s, target, value, depth + 1) : -1;
    if (holds != 1) return holds;
  }
  int count = all ? count_holding(s, all, value, depth) : 0;
  if (count < 0 || (all && count != (int)json_array_size(all))) return count < 0 ? -1 : 0;
  if (any && (count = count_holding(s, any, value, depth)) <= 0) return count;
  if (one && (count = count_holding(s, one, value, depth)) != 1) return count < 0 ? -1 : 0;
  if (condition) {
    if ((count = lmmc_schema_holds(s, condition, value, depth + 1)) < 0) return -1;
    json_t *branch = json_object_get(schema, count ? "then" : "else");
    if (branch && (count = lmmc_schema_holds(s, branch, value, depth + 1)) != 1) return count;
  }
  if (!inverse) return 1;
  count = lmmc_schema_holds(s, inverse, value, depth + 1);
  return count < 0 ? -1 : !count;
}

int lmmc_schema_holds(lmmc_schema_reader *s, json_t *schema, json_t *value, int depth) {
  if (s->r->failed) return -1;
  if (json_is_boolean(schema)) return json_is_true(schema);
  if (!json_is_object(schema)) return lmmc_schema_refuse(s, schema, NULL, "expected a schema, which is an object or a boolean"), -1;
  if (depth > DEEPEST_VALUE) return lmmc_schema_refuse(s, schema, NULL, "it refers to itself without end"), -1;
  const json_t *values = json_object_get(schema, "enum"), *constant_value = json_object_get(schema, "const");
  size_t i;
  json_t *part;
  if (constant_value && !lmmc_schema_equal(constant_value, value)) return 0;
  if (values) {
    bool found = false;
    json_array_foreach((json_t *)values, i, part) found |= lmmc_schema_equal(part, value);
    if (!found) return 0;
  }
  if (!type_holds(schema, value)) return 0;
  int holds = 1;
  if (json_is_string(value)) holds = string_holds(s, schema, value);
  if (json_is_number(value)) holds = number_holds(schema, value);
  if (json_is_object(value)) holds = object_holds(s, schema, value, depth);
  if (json_is_array(value)) holds = array_holds(s, schema, value, depth);
  return holds == 1 ? in_place_holds(s, schema, value, depth) : holds;
}
