#include "regex.h"

#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "reader.h"

enum { DEEPEST_GROUP = 200 };

typedef struct {
  lmmc_rules *r;
  const char *where;
  lmmc_reader t;
  bool anywhere, wide;
  lmmc_spelling spelling;
} parser;

static size_t character_number(const parser *p, size_t at) {
  size_t number = 1;
  for (size_t i = 0; i < at && i < p->t.bytes; i++) number += ((unsigned char)p->t.text[i] & 0xC0) != 0x80;
  return number;
}

static lmmc_expression refuse(const parser *p, size_t at, const char *what) {
  return lmmc_rules_fail(p->r, 2, "%s%sregular expression, character %zu: %s", p->where ? p->where : "", p->where ? ": " : "",
                         character_number(p, at), what);
}

// Exactly `digits` hexadecimal digits; LMMC_NO_CHARACTER, with nothing read, where there are fewer.
static uint32_t hex(parser *p, size_t digits) {
  uint32_t value = 0;
  if (p->t.bytes - p->t.at < digits) return LMMC_NO_CHARACTER;
  for (size_t i = 0; i < digits; i++) {
    const int digit = lmmc_hex_digit(p->t.text[p->t.at + i]);
    if (digit < 0) return LMMC_NO_CHARACTER;
    value = value << 4 | (uint32_t)digit;
  }
  p->t.at += digits;
  return value;
}

// Behind `\u`: four digits, two such escapes that are a surrogate pair, or any number of digits in braces.
static uint32_t unicode_escape(parser *p, size_t begin) {
  if (lmmc_reader_skip(&p->t, "{")) {
    uint32_t value = 0;
    const size_t first = p->t.at;
    while (p->t.at < p->t.bytes && lmmc_hex_digit(p->t.text[p->t.at]) >= 0 && value <= LMMC_LAST_CHARACTER)
      value = value << 4 | (uint32_t)lmmc_hex_digit(p->t.text[p->t.at++]);
    if (p->t.at == first || !lmmc_reader_skip(&p->t, "}") || value > LMMC_LAST_CHARACTER)
      return refuse(p, begin, "expected a character in \\u{...}"), 0;
    return value;
  }
  uint32_t value = hex(p, 4);
  if (value == LMMC_NO_CHARACTER) return refuse(p, begin, "expected four hexadecimal digits behind \\u"), 0;
  if (value >= 0xD800 && value < 0xDC00 && lmmc_reader_skip(&p->t, "\\u")) {
    const uint32_t low = hex(p, 4);
    if (low < 0xDC00 || low > 0xDFFF) return refuse(p, begin, "half a surrogate pair"), 0;
    value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
  }
  if (value >= 0xD800 && value < 0xE000) return refuse(p, begin, "half a surrogate pair"), 0;
  return value;
}

// White space that every reader takes for it, and what one or the other takes for it beside.
static const lmmc_character_range spaces[] = {{9, 13},          {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                                              {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
static const lmmc_character_range odd_spaces[] = {{0x1C, 0x1F}, {0x85, 0x85}, {0x180E, 0x180E}, {0x200B, 0x200B}, {0xFEFF, 0xFEFF}};
static const lmmc_character_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};

#define ADD_ALL(c, list) \
  for (size_t i_ = 0; i_ < sizeof(list) / sizeof *(list); i_++) lmmc_characters_add(c, (list)[i_].low, (list)[i_].high)

// Adds the class that a letter behind a backslash stands for; false where it stands for none. Readers differ in which characters beyond
// ASCII are digits and word characters (ECMA-262: none; Python: those of Unicode). \d and \w have none here, and \D and \W none either, so
// that a text is right for all. With `wide` the class has whatever a reader takes for its characters. `*inverse` gets what the inverted
// class must leave out for that.
enum { LEAVES_OUT_BEYOND_ASCII = 1, LEAVES_OUT_ODD_SPACES = 2 };
static bool add_class(lmmc_characters *c, char letter, bool wide, int *inverse) {
  lmmc_characters inverted = {0};
  *inverse |= letter == 's' || letter == 'S' ? LEAVES_OUT_ODD_SPACES : strchr("dDwW", letter) ? LEAVES_OUT_BEYOND_ASCII : 0;
  switch (letter) {
    case 'd':
    case 'w':
      if (letter == 'd')
        lmmc_characters_add(c, '0', '9');
      else
        ADD_ALL(c, words);
      if (wide) lmmc_characters_add(c, 0x80, LMMC_LAST_CHARACTER);
      return true;
    case 's':
      ADD_ALL(c, spaces);
      if (wide) ADD_ALL(c, odd_spaces);
      return true;
    case 'D':
    case 'W':
      if (letter == 'D')
        lmmc_characters_add(&inverted, '0', '9');
      else
        ADD_ALL(&inverted, words);
      if (!wide) lmmc_characters_add(&inverted, 0x80, LMMC_LAST_CHARACTER);
      break;
    case 'S':
      ADD_ALL(&inverted, spaces);
      if (!wide) ADD_ALL(&inverted, odd_spaces);
      break;
    default: return false;
  }
  lmmc_characters_settle(&inverted);
  lmmc_characters_invert(&inverted);
  for (size_t i = 0; i < inverted.count; i++) lmmc_characters_add(c, inverted.ranges[i].low, inverted.ranges[i].high);
  c->failed |= inverted.failed;
  lmmc_characters_free(&inverted);
  return true;
}

// The character that an escape stands for, behind its backslash. `in_class`: \b is a backspace there.
static uint32_t escaped_character(parser *p, bool in_class) {
  const size_t begin = p->t.at - 1;
  if (p->t.at == p->t.bytes) return refuse(p, begin, "a backslash at the end"), 0;
  const char c = p->t.text[p->t.at++];
  static const char letters[] = "tnrvf", values[] = "\t\n\r\v\f";
  const char *known = strchr(letters, c);
  if (c && known) return (uint32_t)values[known - letters];
  if (c == '0' && (p->t.at == p->t.bytes || p->t.text[p->t.at] < '0' || p->t.text[p->t.at] > '9')) return 0;
  if (c >= '0' && c <= '9') return refuse(p, begin, "back-references are not supported"), 0;
  if (c == 'b' && in_class) return 8;
  if (c == 'u') return unicode_escape(p, begin);
  if (c == 'x') {
    const uint32_t value = hex(p, 2);
    return value == LMMC_NO_CHARACTER ? refuse(p, begin, "expected two hexadecimal digits behind \\x"), 0 : value;
  }
  if (c == 'c' && p->t.at < p->t.bytes && ((p->t.text[p->t.at] | 32) >= 'a') && ((p->t.text[p->t.at] | 32) <= 'z'))
    return p->t.text[p->t.at++] & 31;
  if (c == 'b' || c == 'B') return refuse(p, begin, "word boundaries are not supported"), 0;
  if (c == 'k') return refuse(p, begin, "back-references are not supported"), 0;
  if (c == 'p' || c == 'P') return refuse(p, begin, "classes of Unicode properties are not supported"), 0;
  if ((unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return refuse(p, begin, "an unknown escape"), 0;
  return (unsigned char)c;
}

static uint32_t plain_character(parser *p) {
  size_t length;
  const uint32_t character = lmmc_character_at(p->t.text + p->t.at, p->t.bytes - p->t.at, &length);
  if (character == LMMC_NO_CHARACTER) return refuse(p, p->t.at, "a byte that is no UTF-8"), 0;
  p->t.at += length;
  return character;
}

// One member of a class; true with the character where it is a single one, which may begin a range.
static bool class_member(parser *p, lmmc_characters *c, uint32_t *character, bool wide, int *inverse) {
  if (lmmc_reader_skip(&p->t, "\\")) {
    if (p->t.at < p->t.bytes && add_class(c, p->t.text[p->t.at], wide, inverse)) return p->t.at++, false;
    *character = escaped_character(p, true);
  } else {
    *character = plain_character(p);
  }
  return !p->r->failed;
}

static lmmc_expression spell_and_free(parser *p, lmmc_characters *c) {
  lmmc_characters_settle(c);
  const lmmc_expression x = lmmc_spell(p->r, c, p->spelling);
  lmmc_characters_free(c);
  return x;
}

static lmmc_expression class_expression(parser *p) {
  const size_t begin = p->t.at - 1;
  const bool inverted = lmmc_reader_skip(&p->t, "^");
  int inverse = 0;
  lmmc_characters c = {0};
  while (!p->r->failed && !lmmc_reader_skip(&p->t, "]")) {
    if (p->t.at == p->t.bytes) {
      refuse(p, begin, "a class that is not closed");
      break;
    }
    uint32_t low = 0, high = 0;
    const size_t at = p->t.at;
    const bool single = class_member(p, &c, &low, p->wide && !inverted, &inverse);
    const bool range = lmmc_reader_is(&p->t, "-") && p->t.at + 1 < p->t.bytes && p->t.text[p->t.at + 1] != ']';
    if (range && !p->r->failed) {
      p->t.at++;
      const bool second = class_member(p, &c, &high, p->wide && !inverted, &inverse);
      if (!single || !second)
        refuse(p, at, "a range from or to a class");
      else if (low > high)
        refuse(p, at, "a range that ends before it begins");
    }
    if (single && !p->r->failed) lmmc_characters_add(&c, low, range ? high : low);
  }
  if (inverted) {
    if (p->wide) inverse = 0;
    if (inverse & LEAVES_OUT_ODD_SPACES) ADD_ALL(&c, odd_spaces);
    if (inverse & LEAVES_OUT_BEYOND_ASCII) lmmc_characters_add(&c, 0x80, LMMC_LAST_CHARACTER);
    lmmc_characters_settle(&c);
    lmmc_characters_invert(&c);
  }
  return spell_and_free(p, &c);
}

static lmmc_expression alternatives(parser *p, int depth);

static lmmc_expression group(parser *p, int depth) {
  const size_t begin = p->t.at - 1;
  if (depth >= DEEPEST_GROUP) return refuse(p, begin, "groups are nested more than 200 deep");
  if (lmmc_reader_skip(&p->t, "?")) {
    if (lmmc_reader_is(&p->t, "=") || lmmc_reader_is(&p->t, "!") || lmmc_reader_is(&p->t, "<=") || lmmc_reader_is(&p->t, "<!"))
      return refuse(p, begin, "look-around is not supported");
    if (lmmc_reader_skip(&p->t, "<")) {
      while (p->t.at < p->t.bytes && p->t.text[p->t.at] != '>') p->t.at++;
      if (!lmmc_reader_skip(&p->t, ">")) return refuse(p, begin, "the name of a group is not closed");
    } else if (!lmmc_reader_skip(&p->t, ":")) {
      return refuse(p, begin, "an unknown kind of group");
    }
  }
  const lmmc_expression x = alternatives(p, depth + 1);
  if (!p->r->failed && !lmmc_reader_skip(&p->t, ")")) return refuse(p, begin, "a group that is not closed");
  return x;
}

static bool number(parser *p, uint32_t *out) {
  const size_t begin = p->t.at;
  const lmmc_number_result result = lmmc_reader_number(&p->t, out);
  if (result == LMMC_NUMBER_TOO_LARGE) refuse(p, begin, "a repetition of more than 1000000 times");
  return result == LMMC_NUMBER_READ;
}

// Reads a quantifier; false where none stands. A brace that begins none is a character.
static bool quantifier(parser *p, uint32_t *least, uint32_t *most) {
  const size_t begin = p->t.at;
  *least = 0, *most = LMMC_UNLIMITED;
  if (lmmc_reader_skip(&p->t, "*")) return true;
  if (lmmc_reader_skip(&p->t, "+")) return *least = 1, true;
  if (lmmc_reader_skip(&p->t, "?")) return *most = 1, true;
  if (!lmmc_reader_skip(&p->t, "{")) return false;
  bool read = number(p, least);
  if (read) {
    *most = *least;
    if (lmmc_reader_skip(&p->t, ",") && !number(p, most)) *most = LMMC_UNLIMITED;
    read = lmmc_reader_skip(&p->t, "}");
  }
  if (read && *least > *most) refuse(p, begin, "a repetition that ends before it begins");
  if (!read && !p->r->failed) p->t.at = begin;
  return read && !p->r->failed;
}

static lmmc_expression atom(parser *p, int depth) {
  const size_t begin = p->t.at;
  lmmc_characters c = {0};
  if (lmmc_reader_skip(&p->t, "(")) return group(p, depth);
  if (lmmc_reader_skip(&p->t, "[")) return class_expression(p);
  if (lmmc_reader_is(&p->t, "*") || lmmc_reader_is(&p->t, "+") || lmmc_reader_is(&p->t, "?"))
    return refuse(p, begin, "nothing that could be repeated");
  if (lmmc_reader_is(&p->t, "^") || lmmc_reader_is(&p->t, "$"))
    return refuse(p, begin, "anchors are supported only at the ends of the expression");
  if (lmmc_reader_skip(&p->t, ".")) {
    lmmc_characters_add(&c, '\n', '\n');
    if (!p->wide) lmmc_characters_add(&c, '\r', '\r');
    if (!p->wide) lmmc_characters_add(&c, 0x2028, 0x2029);
    lmmc_characters_settle(&c);
    lmmc_characters_invert(&c);
    return spell_and_free(p, &c);
  }
  uint32_t character;
  if (lmmc_reader_skip(&p->t, "\\")) {
    int inverse = 0;
    if (p->t.at < p->t.bytes && add_class(&c, p->t.text[p->t.at], p->wide, &inverse)) return p->t.at++, spell_and_free(p, &c);
    character = escaped_character(p, false);
  } else {
    character = plain_character(p);
  }
  lmmc_characters_add(&c, character, character);
  return spell_and_free(p, &c);
}

static lmmc_expression anything(parser *p) {
  lmmc_characters c = {0};
  lmmc_characters_add(&c, 0, LMMC_LAST_CHARACTER);
  return lmmc_rules_repeat(p->r, spell_and_free(p, &c), 0, LMMC_UNLIMITED);
}

static lmmc_expression sequence(parser *p, int depth) {
  lmmc_expressions parts = {0};
  const bool begins = depth == 0 && lmmc_reader_skip(&p->t, "^");
  bool ends = false;
  if (depth == 0 && p->anywhere && !begins) lmmc_expressions_add(p->r, &parts, anything(p));
  while (!p->r->failed && p->t.at < p->t.bytes && !lmmc_reader_is(&p->t, "|") && !lmmc_reader_is(&p->t, ")")) {
    if (depth == 0 && lmmc_reader_is(&p->t, "$") && (p->t.at + 1 == p->t.bytes || p->t.text[p->t.at + 1] == '|')) {
      p->t.at++;
      ends = true;
      break;
    }
    lmmc_expression x = atom(p, depth);
    uint32_t least, most;
    const size_t begin = p->t.at;
    if (!p->r->failed && quantifier(p, &least, &most)) {
      x = lmmc_rules_repeat(p->r, x, least, most);
      lmmc_reader_skip(&p->t, "?");  // a lazy one has the same texts
      if (lmmc_reader_is(&p->t, "*") || lmmc_reader_is(&p->t, "+") || lmmc_reader_is(&p->t, "?"))
        refuse(p, begin, "a repetition of a repetition");
    }
    lmmc_expressions_add(p->r, &parts, x);
  }
  if (ends && p->wide) {
    // To some readers the end may be in front of the last line's end.
    lmmc_characters c = {0};
    lmmc_characters_add(&c, '\n', '\n');
    lmmc_expressions_add(p->r, &parts, lmmc_rules_optional(p->r, spell_and_free(p, &c)));
  }
  if (depth == 0 && p->anywhere && !ends) lmmc_expressions_add(p->r, &parts, anything(p));
  return lmmc_expressions_end(p->r, &parts, LMMC_OF_SEQUENCE);
}

static lmmc_expression alternatives(parser *p, int depth) {
  lmmc_expressions parts = {0};
  do lmmc_expressions_add(p->r, &parts, sequence(p, depth));
  while (!p->r->failed && lmmc_reader_skip(&p->t, "|"));
  return lmmc_expressions_end(p->r, &parts, LMMC_OF_CHOICE);
}

lmmc_expression lmmc_regex(lmmc_rules *r, const char *text, size_t bytes, unsigned flags, lmmc_spelling spelling, const char *where) {
  parser p = {.r = r,
              .t = {text, bytes, 0},
              .anywhere = flags & LMMC_REGEX_ANYWHERE,
              .wide = flags & LMMC_REGEX_WIDE,
              .spelling = spelling,
              .where = where};
  const lmmc_expression x = alternatives(&p, 0);
  if (!r->failed && p.t.at < bytes) return refuse(&p, p.t.at, "a group is closed that was not opened");
  return x;
}

lmmc_expression lmmc_spell(lmmc_rules *r, const lmmc_characters *c, lmmc_spelling spelling) {
  if (spelling == LMMC_SPELL_PLAIN) return lmmc_characters_expression(r, c);
  lmmc_characters raw = {0};
  lmmc_characters_within(c, 0x20, '"' - 1, &raw);
  lmmc_characters_within(c, '"' + 1, '\\' - 1, &raw);
  lmmc_characters_within(c, '\\' + 1, LMMC_LAST_CHARACTER, &raw);
  lmmc_characters_settle(&raw);
  raw.failed |= c->failed;
  lmmc_expression x = lmmc_characters_expression(r, &raw);
  lmmc_characters_free(&raw);
  for (uint32_t b = 0; b <= '\\'; b++) {
    if ((b >= 0x20 && b != '"' && b != '\\') || !lmmc_characters_hold(c, b)) continue;
    static const char values[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\", digits[] = "0123456789abcdef";
    const char *known = b ? strchr(values, (int)b) : NULL;
    char text[] = {'\\', 'u', '0', '0', digits[b >> 4], digits[b & 15]};
    if (known) text[1] = letters[known - values];
    x = lmmc_rules_either(r, x, lmmc_rules_text(r, text, known ? 2 : sizeof text));
  }
  return x;
}
