// What the tests of grammars share: a vocabulary of single bytes, and texts taken byte by byte.
#ifndef GRAMMAR_TESTS_TEXTS_H
#define GRAMMAR_TESTS_TEXTS_H

#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "grammar/schema.h"

typedef enum { OF_GBNF, OF_REGEX, OF_SCHEMA } front_end;

static lmmc_vocabulary bytes_vocabulary;
static lmmc_text bytes_blob;

// Token b is byte b, and token 256 ends a text.
static inline void open_bytes(void) {
  static uint8_t bytes[256];
  lmmc_token_bytes tokens[256];
  lmmc_error e = {0};
  for (int b = 0; b < 256; b++) {
    bytes[b] = (uint8_t)b;
    tokens[b] = (lmmc_token_bytes){bytes + b, 1, b};
  }
  CHECK(lmmc_vocabulary_build(tokens, 256, 257, 0, -1, &bytes_blob, &e) &&
            lmmc_vocabulary_open(&bytes_vocabulary, bytes_blob.bytes, bytes_blob.count, &e),
        "%s", e.message);
}

// Reads and compiles a copy of exactly the text's size, so that the sanitizer sees a byte too far.
static inline bool read_grammar(lmmc_grammar *g, front_end kind, const char *text, size_t bytes, lmmc_error *e) {
  lmmc_rules r;
  char *exact = malloc(bytes ? bytes : 1);
  memcpy(exact, text, bytes);
  lmmc_rules_open(&r);
  bool done = kind == OF_GBNF    ? lmmc_gbnf_read(&r, exact, bytes, e)
              : kind == OF_REGEX ? lmmc_regex_read(&r, exact, bytes, e)
                                 : lmmc_schema_read(&r, exact, bytes, NULL, e);
  *g = (lmmc_grammar){0};
  done = done && lmmc_grammar_compile(g, &r, e);
  lmmc_rules_close(&r);
  free(exact);
  return done;
}

static const int32_t end_token = 256;

// How far a text is one of the grammar's: 2 all of it, 1 it begins one, 0 not.
static inline int follow(const lmmc_grammar *g, const char *text, size_t bytes) {
  lmmc_machine m;
  lmmc_matcher x;
  lmmc_error e = {0};
  bool alive = lmmc_machine_open(&m, g, &bytes_vocabulary, (lmmc_end_tokens){&end_token, 1}, 0, &e) && lmmc_matcher_open(&x, &m, &e);
  CHECK(alive, "%s", e.message);
  for (size_t i = 0; i < bytes && alive; i++) alive = lmmc_matcher_take(&x, (uint8_t)text[i], &e);
  const int far = !alive ? 0 : lmmc_matcher_may_end(&x) ? 2 : 1;
  lmmc_matcher_close(&x);
  lmmc_machine_close(&m);
  return far;
}

// The texts stand behind the grammar: those that begin with '+' are its texts, those with '/' begin one without being one, those with '-'
// do neither.
static inline void check_texts(front_end kind, const char *grammar, const char *const *texts) {
  lmmc_grammar g;
  lmmc_error e = {0};
  const bool read = read_grammar(&g, kind, grammar, strlen(grammar), &e);
  CHECK(read, "%s: %s", grammar, e.message);
  for (; read && *texts; texts++) {
    const int far = follow(&g, *texts + 1, strlen(*texts + 1));
    CHECK(far == (**texts == '+' ? 2 : **texts == '/' ? 1 : 0), "%s\n  %s: %d", grammar, *texts, far);
  }
  lmmc_grammar_close(&g);
}

#define TEXTS(kind, grammar, ...) check_texts(kind, grammar, (const char *const[]){__VA_ARGS__, NULL})

// Refused with code 2 and this message.
static inline void check_refused(front_end kind, const char *grammar, size_t bytes, const char *message) {
  lmmc_grammar g;
  lmmc_error e = {0};
  const bool read = read_grammar(&g, kind, grammar, bytes, &e);
  CHECK(!read && e.code == 2 && strcmp(e.message, message) == 0, "%s: %s", grammar, read ? "taken" : e.message);
  lmmc_grammar_close(&g);
}

#define REFUSED(kind, grammar, message) check_refused(kind, grammar, sizeof(grammar) - 1, message)

#endif
