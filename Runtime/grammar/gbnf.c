#include "gbnf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "characters.h"
#include "reader.h"
#include "regex.h"

enum { DEEPEST_GROUP = 200, LONGEST_NAME = 200 };

typedef struct {
  lmmc_span name;
  size_t used;  // where it was first referred to
  uint32_t rule;
  bool defined;
} rule_name;

typedef struct {
  lmmc_rules *r;
  lmmc_reader t;
  rule_name *names;
  size_t name_count, name_room;
  uint32_t *slots;  // open addressing over names, 1 + index
  size_t slot_count;
  size_t line, line_at;  // of the last rule that was defined
} parser;

static lmmc_expression refuse(const parser *p, size_t at, const char *what) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < at && i < p->t.bytes; i++) {
    const unsigned char c = (unsigned char)p->t.text[i];
    if (c == '\n')
      line++, column = 1;
    else
      column += (c & 0xC0) != 0x80;
  }
  return lmmc_rules_fail(p->r, 2, "grammar, line %zu, column %zu: %s", line, column, what);
}

static void skip_space(parser *p, bool lines) {
  while (p->t.at < p->t.bytes) {
    const char c = p->t.text[p->t.at];
    if (c == '#') {
      while (p->t.at < p->t.bytes && p->t.text[p->t.at] != '\n' && p->t.text[p->t.at] != '\r') p->t.at++;
    } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
      p->t.at++;
    } else {
      return;
    }
  }
}

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '-' || c == '_'; }

static lmmc_span read_name(parser *p) {
  const size_t begin = p->t.at;
  while (p->t.at < p->t.bytes && is_name(p->t.text[p->t.at])) p->t.at++;
  if (p->t.at == begin) refuse(p, begin, "expected a rule's name");
  if (p->t.at - begin > LONGEST_NAME) refuse(p, begin, "a rule's name of more than 200 characters");
  return (lmmc_span){p->t.text + begin, p->t.at - begin};
}

static uint32_t name_hash(lmmc_span name) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < name.count; i++) hash = (hash ^ (uint8_t)name.bytes[i]) * 16777619u;
  return hash;
}

static bool grow_slots(parser *p) {
  const size_t count = p->slot_count ? 2 * p->slot_count : 256;
  uint32_t *slots = calloc(count, sizeof *slots);
  if (!slots) return lmmc_rules_fail(p->r, 1, "out of memory for a grammar"), false;
  for (size_t i = 0; i < p->name_count; i++) {
    size_t slot = name_hash(p->names[i].name) & (count - 1);
    while (slots[slot]) slot = (slot + 1) & (count - 1);
    slots[slot] = (uint32_t)i + 1;
  }
  free(p->slots);
  p->slots = slots;
  p->slot_count = count;
  return true;
}

// The rule of a name, declared when it is first seen.
static rule_name *find(parser *p, lmmc_span name, size_t at) {
  if (p->r->failed || (2 * (p->name_count + 1) > p->slot_count && !grow_slots(p))) return NULL;
  size_t slot = name_hash(name) & (p->slot_count - 1);
  for (; p->slots[slot]; slot = (slot + 1) & (p->slot_count - 1)) {
    rule_name *known = &p->names[p->slots[slot] - 1];
    if (known->name.count == name.count && memcmp(known->name.bytes, name.bytes, name.count) == 0) return known;
  }
  if (p->name_count == p->name_room) {
    const size_t room = p->name_room ? 2 * p->name_room : 64;
    rule_name *grown = realloc(p->names, room * sizeof *grown);
    if (!grown) return lmmc_rules_fail(p->r, 1, "out of memory for a grammar"), NULL;
    p->names = grown;
    p->name_room = room;
  }
  p->names[p->name_count++] = (rule_name){.name = name, .used = at, .rule = lmmc_rules_declare(p->r)};
  p->slots[slot] = (uint32_t)p->name_count;
  return p->r->failed ? NULL : &p->names[p->name_count - 1];
}

// The character behind a backslash.
static uint32_t escaped(parser *p) {
  const size_t begin = p->t.at - 1;
  if (p->t.at == p->t.bytes) return refuse(p, begin, "a backslash at the end"), 0;
  const char c = p->t.text[p->t.at++];
  const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  static const char letters[] = "tnr\\\"[]", values[] = "\t\n\r\\\"[]";
  const char *known = c ? strchr(letters, c) : NULL;
  if (known) return (uint32_t)values[known - letters];
  if (!digits) return refuse(p, begin, "an unknown escape; expected one of \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH"), 0;
  uint64_t value = 0;
  for (int i = 0; i < digits; i++) {
    if (p->t.at == p->t.bytes || !isxdigit((unsigned char)p->t.text[p->t.at])) return refuse(p, begin, "too few hexadecimal digits"), 0;
    const char digit = p->t.text[p->t.at++];
    value = value << 4 | (uint64_t)(isdigit((unsigned char)digit) ? digit - '0' : (digit | 32) - 'a' + 10);
  }
  if (value > LMMC_LAST_CHARACTER || (value >= 0xD800 && value < 0xE000)) return refuse(p, begin, "not a character"), 0;
  return (uint32_t)value;
}

static uint32_t character(parser *p) {
  if (lmmc_reader_skip(&p->t, "\\")) return escaped(p);
  size_t length;
  const uint32_t c = lmmc_character_at(p->t.text + p->t.at, p->t.bytes - p->t.at, &length);
  if (c == LMMC_NO_CHARACTER) return refuse(p, p->t.at, "a byte that is no UTF-8"), 0;
  p->t.at += length;
  return c;
}

static lmmc_expression finish_characters(parser *p, lmmc_characters *c, bool inverted) {
  lmmc_characters_settle(c);
  if (inverted) lmmc_characters_invert(c);
  const lmmc_expression x = p->r->failed ? LMMC_NEVER : lmmc_characters_expression(p->r, c);
  lmmc_characters_free(c);
  return x;
}

static lmmc_expression quoted(parser *p) {
  const size_t begin = p->t.at - 1;
  size_t end = p->t.at, count = 0;
  while (end < p->t.bytes && p->t.text[end] != '"' && p->t.text[end] != '\n') end += p->t.text[end] == '\\' ? 2 : 1;
  // An escape is no shorter than its character, but for one that the text ends in.
  char *text = malloc(end - p->t.at + 8);
  if (!text) return lmmc_rules_fail(p->r, 1, "out of memory for a grammar");
  while (!p->r->failed && !lmmc_reader_skip(&p->t, "\"")) {
    if (p->t.at == p->t.bytes || p->t.text[p->t.at] == '\n') {
      refuse(p, begin, "a quoted text that is not closed");
    } else {
      count += lmmc_character_bytes(character(p), (uint8_t *)text + count);
    }
  }
  const lmmc_expression x = lmmc_rules_text(p->r, text, count);
  free(text);
  return x;
}

static lmmc_expression class_expression(parser *p) {
  const size_t begin = p->t.at - 1;
  const bool inverted = lmmc_reader_skip(&p->t, "^");
  lmmc_characters c = {0};
  while (!p->r->failed && !lmmc_reader_skip(&p->t, "]")) {
    if (p->t.at == p->t.bytes) {
      refuse(p, begin, "a class that is not closed");
      break;
    }
    const size_t at = p->t.at;
    const uint32_t low = character(p);
    uint32_t high = low;
    if (lmmc_reader_is(&p->t, "-") && p->t.at + 1 < p->t.bytes && p->t.text[p->t.at + 1] != ']') {
      p->t.at++;
      high = character(p);
      if (low > high) refuse(p, at, "a range that ends before it begins");
    }
    if (!p->r->failed) lmmc_characters_add(&c, low, high);
  }
  return finish_characters(p, &c, inverted);
}

static bool number(parser *p, uint32_t *out) {
  const size_t begin = p->t.at;
  const lmmc_number_result result = lmmc_reader_number(&p->t, out);
  if (result == LMMC_NUMBER_TOO_LARGE) refuse(p, begin, "a repetition of more than 1000000 times");
  return result == LMMC_NUMBER_READ;
}

// Reads the repetitions behind an item, of which there may be several.
static lmmc_expression repeated(parser *p, lmmc_expression x, bool nested) {
  for (int i = 0; !p->r->failed; i++) {
    const size_t begin = p->t.at;
    uint32_t least = 0, most = LMMC_UNLIMITED;
    if (lmmc_reader_skip(&p->t, "+")) {
      least = 1;
    } else if (lmmc_reader_skip(&p->t, "?")) {
      most = 1;
    } else if (lmmc_reader_skip(&p->t, "{")) {
      skip_space(p, nested);
      if (!number(p, &least)) return refuse(p, begin, "expected a number behind '{'");
      skip_space(p, nested);
      most = least;
      if (lmmc_reader_skip(&p->t, ",")) {
        skip_space(p, nested);
        if (!number(p, &most)) most = LMMC_UNLIMITED;
        skip_space(p, nested);
      }
      if (!lmmc_reader_skip(&p->t, "}")) return refuse(p, begin, "a repetition that is not closed");
      if (least > most) return refuse(p, begin, "a repetition that ends before it begins");
    } else if (!lmmc_reader_skip(&p->t, "*")) {
      return x;
    }
    if (i == 3) return refuse(p, begin, "more than three repetitions of one item");
    x = lmmc_rules_repeat(p->r, x, least, most);
    skip_space(p, nested);
  }
  return LMMC_NEVER;
}

static lmmc_expression alternatives(parser *p, bool nested, int depth);

static lmmc_expression item(parser *p, int depth) {
  const size_t begin = p->t.at;
  lmmc_characters c = {0};
  if (lmmc_reader_skip(&p->t, "\"")) return quoted(p);
  if (lmmc_reader_skip(&p->t, "[")) return class_expression(p);
  if (lmmc_reader_skip(&p->t, ".")) return finish_characters(p, &c, true);
  if (lmmc_reader_skip(&p->t, "(")) {
    if (depth >= DEEPEST_GROUP) return refuse(p, begin, "groups are nested more than 200 deep");
    skip_space(p, true);
    const lmmc_expression x = alternatives(p, true, depth + 1);
    if (!p->r->failed && !lmmc_reader_skip(&p->t, ")")) return refuse(p, begin, "a group that is not closed");
    return x;
  }
  if (lmmc_reader_is(&p->t, "<") || lmmc_reader_is(&p->t, "!<")) return refuse(p, begin, "tokens in angle brackets are not supported");
  const lmmc_span name = read_name(p);
  const rule_name *rule = find(p, name, begin);
  return rule ? lmmc_rules_call(p->r, rule->rule) : LMMC_NEVER;
}

static bool begins_item(const parser *p) {
  return p->t.at < p->t.bytes && (is_name(p->t.text[p->t.at]) || strchr("\"[.(<!", p->t.text[p->t.at])) && p->t.text[p->t.at] != 0;
}

static lmmc_expression sequence(parser *p, bool nested, int depth) {
  lmmc_expressions parts = {0};
  while (!p->r->failed && begins_item(p)) {
    lmmc_expression x = item(p, depth);
    skip_space(p, nested);
    if (!p->r->failed) lmmc_expressions_add(p->r, &parts, repeated(p, x, nested));
  }
  return lmmc_expressions_end(p->r, &parts, LMMC_OF_SEQUENCE);
}

static lmmc_expression alternatives(parser *p, bool nested, int depth) {
  lmmc_expressions parts = {0};
  lmmc_expressions_add(p->r, &parts, sequence(p, nested, depth));
  while (!p->r->failed && lmmc_reader_skip(&p->t, "|")) {
    skip_space(p, true);
    lmmc_expressions_add(p->r, &parts, sequence(p, nested, depth));
  }
  return lmmc_expressions_end(p->r, &parts, LMMC_OF_CHOICE);
}

static void define(parser *p, rule_name *rule, size_t at, lmmc_expression x) {
  for (; p->line_at < at; p->line_at++) p->line += p->t.text[p->line_at] == '\n';
  char name[LONGEST_NAME + 64];
  snprintf(name, sizeof name, "grammar, line %zu, rule '%.*s'", p->line, (int)rule->name.count, rule->name.bytes);
  lmmc_rules_define(p->r, rule->rule, x);
  lmmc_rules_name(p->r, rule->rule, name);
}

static void read_rule(parser *p) {
  const size_t begin = p->t.at;
  const lmmc_span name = read_name(p);
  skip_space(p, false);
  if (!p->r->failed && !lmmc_reader_skip(&p->t, "::=")) refuse(p, p->t.at, "expected '::=' behind a rule's name");
  skip_space(p, true);
  const lmmc_expression x = p->r->failed ? LMMC_NEVER : alternatives(p, false, 0);
  rule_name *rule = p->r->failed ? NULL : find(p, name, begin);
  if (!rule) return;
  if (rule->defined) {
    refuse(p, begin, "a second rule of this name");
    return;
  }
  rule->defined = true;
  define(p, rule, begin, x);
  if (p->t.at < p->t.bytes && p->t.text[p->t.at] != '\n' && p->t.text[p->t.at] != '\r')
    refuse(p, p->t.at, "expected an item or the end of the line");
  skip_space(p, true);
}

static bool finish(lmmc_rules *r, lmmc_error *e) { return !r->failed || lmmc_fail(e, r->error.code, "%s", r->error.message); }

bool lmmc_gbnf_read(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e) {
  parser p = {.r = r, .t = {text, bytes, 0}, .line = 1};
  find(&p, (lmmc_span){"root", 4}, 0);
  skip_space(&p, true);
  while (!r->failed && p.t.at < bytes) read_rule(&p);
  for (size_t i = 0; !r->failed && i < p.name_count; i++) {
    const rule_name *name = &p.names[i];
    if (name->defined) continue;
    if (i == 0)
      lmmc_rules_fail(r, 2, "grammar: there is no rule 'root', which the text begins with");
    else
      refuse(&p, name->used, "there is no rule of this name");
  }
  free(p.names);
  free(p.slots);
  return finish(r, e);
}

bool lmmc_choices_read(lmmc_rules *r, const lmmc_span *texts, size_t count, lmmc_error *e) {
  if (count == 0) return lmmc_fail(e, 2, "there is no choice; expected at least one text");
  for (size_t i = 0; i < count; i++) {
    if (texts[i].count == 0) return lmmc_fail(e, 2, "choice %zu is empty", i + 1);
    for (size_t at = 0, length; at < texts[i].count; at += length)
      if (lmmc_character_at(texts[i].bytes + at, texts[i].count - at, &length) == LMMC_NO_CHARACTER)
        return lmmc_fail(e, 2, "choice %zu, byte %zu: no UTF-8", i + 1, at + 1);
  }
  const uint32_t root = lmmc_rules_declare(r);
  lmmc_rules_define(r, root, lmmc_rules_any_of(r, texts, count));
  return finish(r, e);
}

bool lmmc_regex_read(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e) {
  const uint32_t root = lmmc_rules_declare(r);
  lmmc_rules_define(r, root, lmmc_regex(r, text, bytes, 0, LMMC_SPELL_PLAIN, NULL));
  lmmc_rules_name(r, root, "regular expression");
  return finish(r, e);
}
