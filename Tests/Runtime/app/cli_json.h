// A small JSON reader for the tests: the whole text becomes a tree of nodes that live until the program ends.
#ifndef CLI_JSON_H
#define CLI_JSON_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct json {
  char type;           // one of n b d s a o: null, boolean, number, string, array, object
  double number;       // number; boolean as 0 or 1
  char *text;          // string: UTF-8 and a NUL
  size_t length;       // string: bytes; array and object: members
  struct json *child;  // first member
  struct json *next;   // next member of the same parent
  char *key;           // in an object
} json;

// Zeroed memory that stays reachable, so that a leak checker passes it over.
static void *json_keep(size_t bytes) {
  static struct kept { struct kept *before; } * last;
  struct kept *k = calloc(1, sizeof *k + bytes);
  k->before = last;
  last = k;
  return k + 1;
}

static void json_space(const char **p) {
  while (**p && strchr(" \t\r\n", **p)) ++*p;
}

static size_t json_utf8(uint32_t c, char *out) {
  if (c < 0x80) return out[0] = (char)c, 1;
  if (c < 0x800) return out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
  if (c < 0x10000) return out[0] = (char)(0xE0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63)), 3;
  out[0] = (char)(0xF0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 63)), out[2] = (char)(0x80 | (c >> 6 & 63));
  return out[3] = (char)(0x80 | (c & 63)), 4;
}

static bool json_hex(const char **p, uint32_t *c) {
  *c = 0;
  for (int i = 0; i < 4; i++, ++*p) {
    const char *digits = "0123456789abcdef0123456789ABCDEF", *d = **p ? strchr(digits, **p) : NULL;
    if (!d) return false;
    *c = *c * 16 + (uint32_t)((d - digits) % 16);
  }
  return true;
}

static char *json_text(const char **p, size_t *length) {
  if (*(*p)++ != '"') return NULL;
  const char *close = *p;
  while (*close && *close != '"') close += *close == '\\' && close[1] ? 2 : 1;
  char *out = json_keep((size_t)(close - *p) + 1);
  size_t n = 0;
  while (**p != '"') {
    unsigned char c = (unsigned char)*(*p)++;
    if (c < 0x20) return NULL;
    if (c != '\\') {
      out[n++] = (char)c;
      continue;
    }
    c = (unsigned char)*(*p)++;
    const char *plain = "\"\\/bfnrt", *at = c ? strchr(plain, c) : NULL;
    uint32_t code, low;
    if (at) {
      out[n++] = "\"\\/\b\f\n\r\t"[at - plain];
    } else if (c == 'u' && json_hex(p, &code)) {
      if (code >= 0xD800 && code < 0xDC00) {
        if (*(*p)++ != '\\' || *(*p)++ != 'u' || !json_hex(p, &low)) return NULL;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      n += json_utf8(code, out + n);
    } else {
      return NULL;
    }
  }
  ++*p;
  out[n] = 0;
  *length = n;
  return out;
}

static json *json_value(const char **p) {
  json *v = json_keep(sizeof *v);
  json_space(p);
  if (**p == '"') {
    v->type = 's';
    return (v->text = json_text(p, &v->length)) ? v : NULL;
  }
  if (**p == '[' || **p == '{') {
    char end = **p == '[' ? ']' : '}';
    v->type = end == ']' ? 'a' : 'o';
    json **last = &v->child;
    ++*p;
    json_space(p);
    if (**p == end) return ++*p, v;
    for (;;) {
      char *key = NULL;
      size_t length;
      json_space(p);
      if (end == '}') {
        if (!(key = json_text(p, &length))) return NULL;
        json_space(p);
        if (*(*p)++ != ':') return NULL;
      }
      if (!(*last = json_value(p))) return NULL;
      (*last)->key = key;
      last = &(*last)->next;
      v->length++;
      json_space(p);
      if (**p == end) return ++*p, v;
      if (*(*p)++ != ',') return NULL;
    }
  }
  static const struct {
    const char *word;
    char type;
    double number;
  } words[] = {{"null", 'n', 0}, {"true", 'b', 1}, {"false", 'b', 0}};
  for (int i = 0; i < 3; i++)
    if (strncmp(*p, words[i].word, strlen(words[i].word)) == 0) {
      *p += strlen(words[i].word);
      v->type = words[i].type;
      v->number = words[i].number;
      return v;
    }
  char *end;
  v->type = 'd';
  v->number = strtod(*p, &end);
  if (end == *p || !strchr("-0123456789", **p)) return NULL;
  *p = end;
  return v;
}

// The one value of the text; NULL when it is not JSON.
static inline json *json_parse(const char *text) {
  json *v = json_value(&text);
  json_space(&text);
  return v && !*text ? v : NULL;
}

static inline json *json_get(const json *object, const char *key) {
  for (json *m = object ? object->child : NULL; m; m = m->next)
    if (m->key && strcmp(m->key, key) == 0) return m;
  return NULL;
}

// The bytes of a file and a NUL; NULL when it cannot be read.
static inline char *read_whole(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *bytes = NULL;
  size_t count = 0, capacity = 0, n;
  do {
    if (capacity - count < 65536) bytes = realloc(bytes, (capacity += 1 << 20) + 1);
  } while ((n = fread(bytes + count, 1, capacity - count, f)) > 0 && (count += n));
  fclose(f);
  bytes[count] = 0;
  *size = count;
  return bytes;
}

#endif
