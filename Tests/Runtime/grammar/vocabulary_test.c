// The tree of a tokenizer's tokens: what the matcher takes for a token's text is what the detokenizer makes of it, with the space that
// SentencePiece drops in front, byte tokens, and characters that several tokens make.
#include "texts.h"

#include "../tokenizer/model_blob.h"

enum { BYTES = 3, MARK = BYTES + 256, WORDS = 12 };

static const char *const words[WORDS] = {"\xE2\x96\x81",
                                         "\xE2\x96\x81"
                                         "a",
                                         "a",
                                         "b",
                                         "\xC3\xA9",
                                         "ab\xC3\xA9",
                                         "\xE2\x96\x81\xE2\x96\x81",
                                         "a\xE2\x96\x81"
                                         "b",
                                         "\xE2\x96\x81\xC3\xA9",
                                         "c",
                                         "\xE6\x97\xA5",
                                         "bb"};

static uint64_t state = 3;
static unsigned draw(unsigned below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)((state >> 33) % below);
}

static lmmc_text pieces_blob(uint32_t flags) {
  static char names[256][8];
  static blob_piece pieces[MARK + WORDS];
  pieces[0] = (blob_piece){"<unk>", 5, 0, LMMC_UNKNOWN};
  pieces[1] = (blob_piece){"<s>", 3, 0, LMMC_CONTROL};
  pieces[2] = (blob_piece){"</s>", 4, 0, LMMC_CONTROL};
  for (int byte = 0; byte < 256; byte++) {
    snprintf(names[byte], sizeof names[byte], "<0x%02X>", (unsigned)byte);
    pieces[BYTES + byte] = (blob_piece){names[byte], 6, 0, LMMC_BYTE};
  }
  for (int i = 0; i < WORDS; i++) pieces[MARK + i] = (blob_piece){words[i], strlen(words[i]), -(float)i, LMMC_NORMAL};
  return tokenizer_blob(pieces, MARK + WORDS, flags, NULL, 0);
}

static void walk(const lmmc_tokenizer *t, lmmc_vocabulary *v, const char *pattern) {
  lmmc_grammar g;
  lmmc_machine m;
  lmmc_matcher x;
  lmmc_error e = {0};
  lmmc_text text = {0};
  lmmc_detokenizer d = {0};
  const int32_t end = 2;
  uint64_t mask[8];
  CHECK(read_grammar(&g, OF_REGEX, pattern, strlen(pattern), &e), "%s: %s", pattern, e.message);
  CHECK(lmmc_machine_open(&m, &g, v, (lmmc_end_tokens){&end, 1}, 0, &e) && lmmc_matcher_open(&x, &m, &e), "%s", e.message);
  bool ended = false;
  for (int i = 0; i < 60 && !ended; i++) {
    CHECK(lmmc_matcher_mask(&x, mask, &e), "%s", e.message);
    CHECK(!(mask[0] & 3), "control tokens are allowed");
    int32_t id = (int32_t)draw(v->header.rows);
    // Words more often than bytes.
    if (draw(2)) id = MARK + (int32_t)draw(WORDS);
    while (!(mask[id / 64] >> id % 64 & 1)) id = (id + 1) % (int32_t)v->header.rows;
    if (lmmc_matcher_may_end(&x) && draw(4) == 0) id = end;
    ended = id == end;
    if (ended) break;
    CHECK(lmmc_matcher_take(&x, id, &e) && lmmc_detokenize(t, &d, id, &text, &e), "%s", e.message);
  }
  CHECK(lmmc_detokenize_end(&d, &text, &e), "%s", e.message);
  CHECK(ended ? follow(&g, text.bytes ? text.bytes : "", text.count) == 2 : true, "%s: '%.*s'", pattern, (int)text.count, text.bytes);
  lmmc_text_free(&text);
  lmmc_matcher_close(&x);
  lmmc_machine_close(&m);
  lmmc_grammar_close(&g);
}

int main(void) {
  static const char *const patterns[] = {"[ab\xC3\xA9 ]*", " +a", "a b\xC3\xA9{2,9}", "(\xE6\x97\xA5|ab)+ ?", "  b"};
  open_bytes();
  for (uint32_t flags = 0; flags < 4; flags++) {
    lmmc_text blob = pieces_blob(flags), tree = {0};
    lmmc_tokenizer t;
    lmmc_vocabulary v;
    lmmc_error e = {0};
    uint8_t out[LMMC_LONGEST_TOKEN];
    CHECK(lmmc_tokenizer_open(&t, (const uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
    CHECK(lmmc_vocabulary_of_tokenizer(&t, t.pieces + 5, &tree, &e) && lmmc_vocabulary_open(&v, tree.bytes, tree.count, &e), "%s",
          e.message);
    CHECK(v.header.tokens == 256 + WORDS && v.header.rows == t.pieces + 5, "%u tokens", v.header.tokens);
    CHECK(lmmc_vocabulary_text(&v, 0, out) == 0 && lmmc_vocabulary_text(&v, 2, out) == 0, "control tokens have a text");
    CHECK(lmmc_vocabulary_text(&v, BYTES + 0xE9, out) == 1 && out[0] == 0xE9, "a byte token");
    CHECK(lmmc_vocabulary_text(&v, MARK + 7, out) == 3 && memcmp(out, "a b", 3) == 0, "a mark in a token");
    CHECK((v.header.flags & LMMC_VOCABULARY_DROPS_SPACE) == (flags & LMMC_TOKENIZER_DUMMY_PREFIX ? LMMC_VOCABULARY_DROPS_SPACE : 0),
          "the flag");
    for (int i = 0; i < 400; i++) walk(&t, &v, patterns[i % 5]);
    lmmc_text_free(&tree);
    lmmc_text_free(&blob);
  }
  lmmc_text_free(&bytes_blob);
  return check_report();
}
