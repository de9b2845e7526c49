// Strings: lengths, patterns and formats.
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "regex.h"
#include "schema_internal.h"

#define DATE                                                                                                                             \
  "(?:(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[" \
  "12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])))"
#define TIME "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))"
#define LABEL "[a-z][a-z0-9]{0,20}"
#define HOST LABEL "(?:\\." LABEL "){1,3}"
#define BYTE_NUMBER "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define HEX_GROUP "[0-9a-f]{1,4}"
#define PATH "/[A-Za-z0-9._~/-]{0,100}"
#define ADDRESS "https?://" HOST "(?::[1-9][0-9]{1,3})?(?:" PATH ")?(?:\\?[A-Za-z0-9._~=&-]{1,60})?(?:#[A-Za-z0-9._~-]{1,30})?"

// What is made for a format: texts that it allows by its definition and by every reader's check, not all of them.
static const struct {
  const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration",
     "^P(?:[1-9][0-9]{0,2}W|[1-9][0-9]{0,2}D(?:T[1-9][0-9]?H(?:[1-9][0-9]?M)?)?|[1-9][0-9]?Y(?:[1-9][0-9]?M(?:[1-9][0-9]?D)?)?|T(?:[1-9][0-"
     "9]?H(?:[1-9][0-9]?M(?:[1-9][0-9]?S)?)?|[1-9][0-9]?M(?:[1-9][0-9]?S)?|[1-9][0-9]?S))$"},
    {"email", "^[A-Za-z0-9_+-]{1,40}(?:\\.[A-Za-z0-9_+-]{1,20})?@" HOST "$"},
    {"hostname", "^" HOST "$"},
    {"ipv4", "^" BYTE_NUMBER "(?:\\." BYTE_NUMBER "){3}$"},
    {"ipv6", "^(?:(?:" HEX_GROUP ":){7}" HEX_GROUP "|::(?:" HEX_GROUP "(?::" HEX_GROUP "){0,6})?|" HEX_GROUP "(?::" HEX_GROUP
             "){0,2}::(?:" HEX_GROUP "(?::" HEX_GROUP "){0,3})?|" HEX_GROUP "(?::" HEX_GROUP "){3,5}::" HEX_GROUP ")$"},
    {"uri", "^" ADDRESS "$"},
    {"uri-reference", "^(?:" ADDRESS "|/[A-Za-z0-9._~-]{1,40}(?:" PATH ")?)$"},
    {"iri", "^" ADDRESS "$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    {"json-pointer", "^(?:/(?:[/A-Za-z0-9_.-]|~[01]){0,60})?$"},
};
_Static_assert(sizeof formats / sizeof *formats == LMMC_FORMATS, "each has a rule");
// Formats of the vocabulary for which nothing is made. Other names are annotations.
static const char *const refused[] = {"idn-email", "idn-hostname", "iri-reference", "uri-template", "relative-json-pointer", "regex", NULL};

lmmc_expression lmmc_schema_character(lmmc_rules *r, bool one_way) {
  lmmc_characters all = {0};
  lmmc_characters_add(&all, 0, LMMC_LAST_CHARACTER);
  lmmc_characters_settle(&all);
  lmmc_expression x = LMMC_NEVER;
  if (one_way) {
    x = lmmc_spell(r, &all, LMMC_SPELL_JSON);
  } else {
    // Raw, by a short escape, or by four digits: those of a surrogate come in pairs.
    static const char any[] =
        "[^\"\\\\\\u0000-\\u001f]|\\\\[\"\\\\/bfnrt]|\\\\u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}|"
        "[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2})";
    x = lmmc_regex(r, any, sizeof any - 1, 0, LMMC_SPELL_PLAIN, NULL);
  }
  lmmc_characters_free(&all);
  return x;
}

static lmmc_expression quoted(lmmc_rules *r, lmmc_expression x) {
  const lmmc_expression quote = lmmc_rules_string(r, "\"");
  return lmmc_rules_sequence(r, (lmmc_expression[]){quote, x, quote}, 3);
}

bool lmmc_schema_spell(lmmc_text *out, const char *text, size_t bytes, lmmc_error *e) {
  bool done = lmmc_text_append(out, "\"", 1, e);
  for (size_t at = 0, length; done && at < bytes; at += length) {
    const uint32_t c = lmmc_character_at(text + at, bytes - at, &length);
    static const char values[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *known = c && c < 0x80 ? strchr(values, (int)c) : NULL;
    if (c == LMMC_NO_CHARACTER) return lmmc_fail(e, 2, "a text that is no UTF-8");
    if (known)
      done = lmmc_text_append(out, (char[]){'\\', letters[known - values]}, 2, e);
    else if (c < 0x20)
      done = lmmc_text_format(out, e, "\\u%04x", (unsigned)c);
    else
      done = lmmc_text_append(out, text + at, length, e);
  }
  return done && lmmc_text_append(out, "\"", 1, e);
}

typedef struct {
  uint32_t least, most;
  bool has_length;
} length_limits;

static length_limits lengths(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  length_limits l = {0, LMMC_UNLIMITED, false};
  for (size_t i = 0; i < c->count; i++) {
    json_t *schema = c->schemas[i];
    const uint32_t least = lmmc_schema_count(s, schema, "minLength", 0), most = lmmc_schema_count(s, schema, "maxLength", LMMC_UNLIMITED);
    l.has_length |= least > 0 || most != LMMC_UNLIMITED;
    if (least > l.least) l.least = least;
    if (most < l.most) l.most = most;
  }
  return l;
}

// Which of the formats that are made; their number for one that is not.
static size_t format_number(json_t *schema) {
  const char *name = json_string_value(json_object_get(schema, "format"));
  size_t i = 0;
  while (i < sizeof formats / sizeof *formats && (!name || strcmp(name, formats[i].name) != 0)) i++;
  return i;
}

// The pattern that a format is made by; NULL where the schema has none, or one that is an annotation.
static const char *format_pattern(lmmc_schema_reader *s, json_t *schema) {
  const json_t *format = json_object_get(schema, "format");
  const char *name = json_string_value(format);
  if (!format) return NULL;
  if (!name) return lmmc_schema_refuse(s, schema, "format", "expected a text"), NULL;
  const size_t number = format_number(schema);
  // Readers need not check formats, and more texts have one than are made for it.
  if (number < sizeof formats / sizeof *formats) return s->exact ? NULL : formats[number].pattern;
  for (size_t i = 0; refused[i]; i++)
    if (strcmp(name, refused[i]) == 0) return lmmc_schema_refuse(s, schema, "format", "this format is not supported"), NULL;
  return NULL;
}

// The k-th of a schema's two limits that are patterns, as an expression of quoted strings; LMMC_EMPTY where it has none.
static lmmc_expression limit(lmmc_schema_reader *s, lmmc_rules *r, json_t *schema, int k) {
  const json_t *pattern = json_object_get(schema, "pattern");
  const char *text = NULL;
  size_t bytes = 0;
  if (k == 0) {
    text = format_pattern(s, schema);
    bytes = text ? strlen(text) : 0;
  } else if (pattern) {
    text = json_string_value(pattern);
    bytes = json_string_length(pattern);
    if (!text) return lmmc_schema_refuse(s, schema, "pattern", "expected a text"), LMMC_EMPTY;
  }
  if (!text) return LMMC_EMPTY;
  const lmmc_expression x =
      lmmc_regex(r, text, bytes, LMMC_REGEX_ANYWHERE | (s->exact || s->wide ? LMMC_REGEX_WIDE : 0), LMMC_SPELL_JSON, NULL);
  if (r->failed && r->error.code == 2 && !s->r->failed) {
    lmmc_schema_refuse(s, schema, k ? "pattern" : "format", r->error.message);
  }
  return quoted(r, x);
}

// The only limit of a string. An expression's error gets its pointer where another list of rules finds it first.
static lmmc_expression single_limit(lmmc_schema_reader *s, json_t *schema, int k) {
  lmmc_rules scratch;
  lmmc_rules_open(&scratch);
  limit(s, &scratch, schema, k);
  lmmc_rules_close(&scratch);
  return s->r->failed ? LMMC_NEVER : limit(s, s->r, schema, k);
}

// Takes away the strings that `not` lists.
static bool exclude(lmmc_schema_reader *s, json_t *schema, lmmc_regular *d) {
  lmmc_rules own;
  lmmc_expression taken = LMMC_NEVER;
  lmmc_error e = {0};
  const json_t *value;
  bool done = true;
  lmmc_rules_open(&own);
  for (size_t i = 0; (value = lmmc_schema_excluded(schema, i)); i++) {
    lmmc_text text = {0};
    if (!json_is_string(value)) continue;
    if (!lmmc_schema_spell(&text, json_string_value(value), json_string_length(value), &e))
      lmmc_rules_fail(s->r, e.code, "schema: %s", e.message);
    taken = lmmc_rules_either(&own, taken, lmmc_rules_text(&own, text.bytes, text.count));
    lmmc_text_free(&text);
  }
  if (taken != LMMC_NEVER) {
    lmmc_regular other = {0}, left = {0};
    done = lmmc_regular_of(&own, taken, &other) && lmmc_regular_combine(&own, d, &other, LMMC_IN_FIRST_ONLY, &left);
    lmmc_regular_free(d);
    lmmc_regular_free(&other);
    *d = left;
  }
  lmmc_rules_close(&own);
  return done;
}

bool lmmc_schema_string_regular(lmmc_schema_reader *s, const lmmc_conjunction *c, lmmc_regular *d, bool *limited) {
  const length_limits l = lengths(s, c);
  lmmc_rules scratch;
  lmmc_rules_open(&scratch);
  *limited = l.has_length;
  json_t *last = c->count ? c->schemas[0] : s->root;
  const char *keyword = NULL;
  bool done =
      lmmc_regular_of(&scratch, quoted(&scratch, lmmc_rules_repeat(&scratch, lmmc_schema_character(&scratch, true), l.least, l.most)), d);
  for (size_t i = 0; i < c->count && done && !s->r->failed; i++)
    for (int k = 0; k < 2 && done; k++) {
      // A list of expressions of its own, since all of them are gone through.
      lmmc_rules own;
      lmmc_rules_open(&own);
      const lmmc_expression x = limit(s, &own, c->schemas[i], k);
      if (x != LMMC_EMPTY && !s->r->failed) {
        lmmc_regular next = {0}, both = {0};
        *limited = true;
        last = c->schemas[i], keyword = k ? "pattern" : "format";
        done = lmmc_regular_of(&own, x, &next) && lmmc_regular_combine(&own, d, &next, LMMC_IN_BOTH, &both);
        lmmc_regular_free(d);
        lmmc_regular_free(&next);
        *d = both;
      }
      if (own.failed && own.error.code == 1) lmmc_rules_fail(s->r, 1, "%s", own.error.message);
      lmmc_rules_close(&own);
    }
  if (scratch.failed && scratch.error.code == 1) lmmc_rules_fail(s->r, 1, "%s", scratch.error.message);
  lmmc_rules_close(&scratch);
  if (!done) lmmc_schema_refuse(s, last, keyword, "it needs too many states together with the other limits of the string");
  for (size_t i = 0; i < c->count && done && !s->r->failed; i++) done = exclude(s, c->schemas[i], d);
  s->work += d->count / LMMC_STATES_OF_WORK;
  return done && !s->r->failed;
}

lmmc_expression lmmc_schema_string(lmmc_schema_reader *s, const lmmc_conjunction *c) {
  length_limits l = lengths(s, c);
  lmmc_rules *r = s->r;
  size_t patterns = 0;
  json_t *where = NULL;
  int which = 0;
  for (size_t i = 0; i < c->count && !r->failed; i++) {
    if (format_pattern(s, c->schemas[i])) patterns++, where = c->schemas[i], which = 0;
    if (json_object_get(c->schemas[i], "pattern")) patterns++, where = c->schemas[i], which = 1;
    // As many as two, since they are not made alone.
    if (lmmc_schema_excluded(c->schemas[i], 0)) patterns += 2;
  }
  if (r->failed || l.least > l.most) return LMMC_NEVER;
  if (patterns == 1 && !l.has_length && !s->exact) {
    if (which == 1) return single_limit(s, where, which);
    uint32_t *rule = &s->formats[format_number(where)];
    if (!*rule) {
      *rule = lmmc_rules_declare(r);
      lmmc_rules_define(r, *rule, single_limit(s, where, which));
    }
    return lmmc_rules_call(r, *rule);
  }
  if (patterns > 0) {
    lmmc_regular d = {0};
    bool limited;
    const lmmc_expression x = lmmc_schema_string_regular(s, c, &d, &limited) ? lmmc_regular_expression(r, &d) : LMMC_NEVER;
    lmmc_regular_free(&d);
    return x;
  }
  const uint32_t usual = s->exact ? 0 : s->limits.string_characters;
  if (l.most == LMMC_UNLIMITED && usual) l.most = usual > l.least ? usual : l.least;
  if (l.least == 0 && l.most == LMMC_UNLIMITED) {
    if (!s->string) {
      s->string = lmmc_rules_declare(r);
      lmmc_rules_define(r, s->string, quoted(r, lmmc_rules_repeat(r, lmmc_schema_character(r, false), 0, LMMC_UNLIMITED)));
    }
    return lmmc_rules_call(r, s->string);
  }
  return quoted(r, lmmc_rules_repeat(r, lmmc_schema_character(r, false), l.least, l.most));
}
