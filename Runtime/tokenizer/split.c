#include "split.h"

#include "unicode.h"

typedef struct {
  uint32_t code;
  int class;      // of unicode.h
  size_t length;  // 0 at the end of the text
} character;

static int class_of(uint32_t code) {
  if (code < 0x80) {
    if ((code | 32) - 'a' < 26) return LMMC_LETTER;
    if (code - '0' < 10) return LMMC_NUMBER;
    return code == ' ' || code - '\t' < 5 ? LMMC_SPACE : LMMC_OTHER;
  }
  size_t low = 0, high = sizeof lmmc_unicode / sizeof *lmmc_unicode;  // the entry sought is in [low - 1, high - 1]
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (lmmc_unicode[middle] >> 2 <= code)
      low = middle + 1;
    else
      high = middle;
  }
  return low ? (int)(lmmc_unicode[low - 1] & 3) : LMMC_OTHER;
}

static character at(const uint8_t *p, size_t bytes) {
  if (bytes == 0) return (character){0};
  character c = {p[0], 0, 1};
  if (p[0] >= 0xF0)
    c.code = (p[0] & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 | (p[3] & 63u), c.length = 4;
  else if (p[0] >= 0xE0)
    c.code = (p[0] & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u), c.length = 3;
  else if (p[0] >= 0x80)
    c.code = (p[0] & 31u) << 6 | (p[1] & 63u), c.length = 2;
  c.class = class_of(c.code);
  return c;
}

bool lmmc_is_word_character(uint32_t code) {
  const int class = class_of(code);
  return class == LMMC_LETTER || class == LMMC_NUMBER || code == '_';
}

// End of the run of characters of one class from `from` on, at most `most` of them.
static size_t run(const uint8_t *p, size_t bytes, size_t from, int class, size_t most) {
  for (character c; most > 0 && (c = at(p + from, bytes - from)).length && c.class == class; most--) from += c.length;
  return from;
}

// Length of 's, 't, 're, 've, 'm, 'll or 'd; 0 for another text. Folding case, U+017F is an s.
static size_t contraction(const uint8_t *p, size_t bytes, bool fold) {
  if (bytes < 2 || p[0] != '\'') return 0;
  if (fold && bytes > 2 && p[1] == 0xC5 && p[2] == 0xBF) return 3;
  uint8_t case_bit = fold ? 32 : 0, a = p[1] | case_bit, b = bytes > 2 ? p[2] | case_bit : 0;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

static bool is_newline(const character *c) { return c->length && (c->code == '\n' || c->code == '\r'); }

// Length of \s+(?!\S)|\s+ at a space: the last space before a word is left to it.
static size_t spaces(const uint8_t *p, size_t bytes) {
  size_t end = 0, last = 0;
  for (character c; (c = at(p + end, bytes - end)).length && c.class == LMMC_SPACE; end += c.length) last = end;
  return end == bytes || last == 0 ? end : last;
}

static size_t gpt2(const uint8_t *p, size_t bytes) {
  size_t length = contraction(p, bytes, false);
  if (length) return length;
  character first = at(p, bytes), second = at(p + first.length, bytes - first.length);
  if (first.class != LMMC_SPACE) return run(p, bytes, 0, first.class, SIZE_MAX);
  if (first.code == ' ' && second.length && second.class != LMMC_SPACE) return run(p, bytes, 1, second.class, SIZE_MAX);
  return spaces(p, bytes);
}

static size_t llama3(const uint8_t *p, size_t bytes) {
  size_t length = contraction(p, bytes, true);
  if (length) return length;
  character first = at(p, bytes), second = at(p + first.length, bytes - first.length);
  if (first.class == LMMC_LETTER) return run(p, bytes, 0, LMMC_LETTER, SIZE_MAX);
  if (first.class == LMMC_NUMBER) return run(p, bytes, 0, LMMC_NUMBER, 3);
  if (!is_newline(&first) && second.length && second.class == LMMC_LETTER) return run(p, bytes, first.length, LMMC_LETTER, SIZE_MAX);
  bool other = first.class == LMMC_OTHER || (first.code == ' ' && second.length && second.class == LMMC_OTHER);
  if (other) {
    size_t end = run(p, bytes, first.length, LMMC_OTHER, SIZE_MAX);
    for (character c; c = at(p + end, bytes - end), is_newline(&c);) end += c.length;
    return end;
  }
  size_t newline = 0, end = 0;
  for (character c; (c = at(p + end, bytes - end)).length && c.class == LMMC_SPACE;) {
    end += c.length;
    if (is_newline(&c)) newline = end;
  }
  return newline ? newline : spaces(p, bytes);
}

// Rust's char::is_numeric, which the tokenizers library asks here, is a Unicode version ahead of the tables.
static bool is_numeric(const character *c) {
  return c->class == LMMC_NUMBER || (c->code >= 0x11DE0 && c->code <= 0x11DE9) || (c->code >= 0x16FF4 && c->code <= 0x16FF6);
}

size_t lmmc_split_next(lmmc_splitter *s) {
  if (s->at == s->bytes) return 0;
  size_t length = 0;
  if (!s->digits) s->stop = s->bytes;
  if (s->at == s->stop) {
    character c;
    while ((c = at(s->text + s->stop, s->bytes - s->stop)).length && !is_numeric(&c)) s->stop += c.length;
    if (s->at == s->stop) s->stop += length = c.length;
  }
  const uint8_t *text = s->text + s->at;
  if (!length) length = s->how == LMMC_SPLIT_LLAMA3 ? llama3(text, s->stop - s->at) : gpt2(text, s->stop - s->at);
  s->at += length;
  return length;
}
