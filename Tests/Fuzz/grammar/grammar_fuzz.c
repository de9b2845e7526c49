// Fuzz target: the first byte says what the rest is (a schema, GBNF or a regular expression). It is read, compiled and matched: some bytes
// that the grammar allows are taken, and wherever that leads something is allowed next.
#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "grammar/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition), abort()))

enum { TAKEN = 64 };

static lmmc_vocabulary bytes_vocabulary;

// Token b is byte b, some more are of two, and the last one ends a text.
static void open_bytes(void) {
  static uint8_t text[512];
  static lmmc_text tree;
  lmmc_token_bytes tokens[320];
  lmmc_error e = {0};
  for (int i = 0; i < 512; i++) text[i] = i < 256 ? (uint8_t)i : (uint8_t)("\",\"}:{[]ab01. -"[i * 7 % 15]);
  for (int i = 0; i < 256; i++) tokens[i] = (lmmc_token_bytes){text + i, 1, i};
  for (int i = 256; i < 320; i++) tokens[i] = (lmmc_token_bytes){text + i, 2 + (uint32_t)i % 3, i};
  REQUIRE(lmmc_vocabulary_build(tokens, 320, 321, 0, -1, &tree, &e) && lmmc_vocabulary_open(&bytes_vocabulary, tree.bytes, tree.count, &e));
}

static void match(const lmmc_grammar *g, uint64_t state) {
  lmmc_machine m;
  lmmc_matcher x;
  lmmc_error e = {0};
  const int32_t end = 320;
  uint64_t mask[6];
  REQUIRE(lmmc_machine_open(&m, g, &bytes_vocabulary, (lmmc_end_tokens){&end, 1}, 1 << 20, &e) && lmmc_matcher_open(&x, &m, &e));
  for (int i = 0; i < TAKEN; i++) {
    REQUIRE(lmmc_matcher_mask(&x, mask, &e) || e.code == 1);
    if (m.failed) break;
    int32_t id = (int32_t)((state >> 33) % 321);
    int tried = 0;
    for (; tried < 321 && !(mask[id / 64] >> id % 64 & 1); tried++) id = (id + 1) % 321;
    REQUIRE(tried < 321);
    if (id == end) break;
    REQUIRE(lmmc_matcher_take(&x, id, &e) || e.code == 1);
    if (m.failed) break;
    state = state * 6364136223846793005u + 1442695040888963407u;
  }
  lmmc_matcher_close(&x);
  lmmc_machine_close(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!bytes_vocabulary.node) open_bytes();
  if (size == 0) return 0;
  lmmc_rules r;
  lmmc_grammar g = {0};
  lmmc_error e = {0};
  const lmmc_schema_limits limits = {40, 8, 4};
  const char *text = (const char *)data + 1;
  lmmc_rules_open(&r);
  bool read = data[0] % 3 == 0   ? lmmc_schema_read(&r, text, size - 1, &limits, &e)
              : data[0] % 3 == 1 ? lmmc_gbnf_read(&r, text, size - 1, &e)
                                 : lmmc_regex_read(&r, text, size - 1, &e);
  read = read && lmmc_grammar_compile(&g, &r, &e);
  REQUIRE(read || ((e.code == 1 || e.code == 2) && *e.message && !strchr(e.message, '\n')));
  if (read) match(&g, size);
  lmmc_grammar_close(&g);
  lmmc_rules_close(&r);
  return 0;
}
