// The tokenizer against what the sentencepiece package gave, and against damaged data.
//   tokenizer_test GOLDEN ODD...      GOLDEN: folder with tokenizer_cases.json and a checkpoint's tokenizer.model;
//                                     ODD: pairs of model and cases files
//   tokenizer_test --stream MODEL     cases as JSON lines on standard input (Tools/tokenizers.py); MODEL may be a blob, NAME.blob
#include "../check.h"
#include "base/json.h"
#include "tokenizer/split.h"
#include "model_blob.h"

static int32_t *id_array(const json *array, size_t *count) {
  int32_t *ids = malloc((array->length + 1) * sizeof *ids);
  *count = 0;
  for (const json *m = array->child; m; m = m->next) ids[(*count)++] = (int32_t)m->number;
  return ids;
}

static char *base64(const char *text, size_t *count) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char *out = malloc(strlen(text) + 1);
  uint32_t bits = 0, have = 0;
  *count = 0;
  for (; *text && *text != '='; text++) {
    bits = bits << 6 | (uint32_t)(strchr(digits, *text) - digits);
    if ((have += 6) >= 8) out[(*count)++] = (char)(bits >> (have -= 8));
  }
  return out;
}

static const char *show(const int32_t *ids, size_t count) {
  static lmmc_text text;
  text.count = 0;
  lmmc_json_ids(&text, ids, count < 60 ? count : 60, NULL);
  lmmc_text_append(&text, "", 1, NULL);
  return text.bytes;
}

static void encode_case(const lmmc_tokenizer *t, const json *c) {
  lmmc_error e = {0};
  const json *text = json_get(c, "text"), *coded = json_get(c, "base64");
  size_t size = text ? text->length : 0, count;
  char *bytes = text ? text->text : base64(coded->text, &size);
  int32_t *wanted = id_array(json_get(c, "ids"), &count);
  lmmc_ids ids = {0};
  // A copy of the exact size, so that the address sanitizer sees a byte too far.
  char *exact = malloc(size ? size : 1);
  memcpy(exact, bytes, size);
  bool done = lmmc_tokenize(t, exact, size, &ids, &e);
  bool same = done && ids.count == count && (count == 0 || memcmp(ids.values, wanted, count * sizeof *wanted) == 0);
  CHECK(same, "'%.*s': %s %s", (int)size, bytes, show(ids.values, ids.count), e.message);
  if (!same) printf("  wanted %s\n", show(wanted, count));
  lmmc_ids_free(&ids);
  free(exact);
  free(wanted);
  if (coded) free(bytes);
}

static void detokenize_case(const lmmc_tokenizer *t, const json *c) {
  size_t count, begun = 0;
  const json *text = json_get(c, "text");
  int32_t *ids = id_array(json_get(c, "ids"), &count);
  lmmc_detokenizer d = {0};
  lmmc_text out = {0};
  bool whole = true;
  for (size_t i = 0; i < count; i++) {
    lmmc_detokenize(t, &d, ids[i], &out, NULL);
    for (size_t n; begun < out.count; begun += n)  // what has been let go must be whole characters
      if (!(n = lmmc_utf8_length(out.bytes + begun, out.count - begun))) {
        whole = false;
        break;
      }
  }
  lmmc_detokenize_end(&d, &out, NULL);
  CHECK(whole, "a part of a character was given out for %s", show(ids, count));
  CHECK(out.count == text->length && (out.count == 0 || memcmp(out.bytes, text->text, out.count) == 0), "%s: '%.*s', wanted '%s'",
        show(ids, count), (int)out.count, out.bytes, text->text);
  lmmc_text_free(&out);
  free(ids);
}

static void all_cases(const lmmc_tokenizer *t, const json *cases) {
  for (const json *c = json_get(cases, "encode")->child; c; c = c->next) encode_case(t, c);
  for (const json *c = json_get(cases, "decode")->child; c; c = c->next) detokenize_case(t, c);
}

static json *load(const char *path) {
  size_t size;
  char *text = read_whole(path, &size);
  json *v = text ? json_parse(text) : NULL;
  CHECK(v != NULL, "'%s' is not a JSON file", path);
  if (!v) exit(check_report());
  free(text);
  return v;
}

// Bytes as they would lie at the end of a mapping: nothing readable after them.
static uint8_t *copy(const lmmc_text *blob, size_t bytes) {
  uint8_t *c = aligned_alloc(8, bytes ? (bytes + 7) / 8 * 8 : 8);
  memcpy(c, blob->bytes, bytes);
  return c;
}

// A damaged blob is refused, or at least never read out of bounds (the sanitizers watch).
static void damaged(const lmmc_text *blob) {
  static const char text[] = "The picture of the assistant \xE6\x97\xA5 \xFF <sep>\n";
  lmmc_tokenizer t;
  lmmc_error e;
  uint64_t random = 88172645463325252ull;
  for (size_t bytes = 0; bytes < blob->count; bytes += bytes < 512 ? 1 : 61) {
    uint8_t *c = copy(blob, bytes);
    CHECK(!lmmc_tokenizer_open(&t, c, bytes, &e) && e.code == 1 && e.message[0], "%zu bytes of %zu were taken", bytes, blob->count);
    free(c);
  }
  int refused = 0;
  for (int i = 0; i < 4000; i++) {
    uint8_t *c = copy(blob, blob->count);
    for (int flips = 1 + i % 3; flips > 0; flips--) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      size_t at = (random >> 16) % (i % 4 ? blob->count : 64);
      c[at] = i % 5 ? (uint8_t)(c[at] ^ 1u << (random & 7)) : (uint8_t)random;
    }
    if (lmmc_tokenizer_open(&t, c, blob->count, &e)) {
      lmmc_ids ids = {0};
      lmmc_text out = {0};
      lmmc_detokenizer d = {0};
      lmmc_tokenize(&t, text, sizeof text, &ids, &e);
      for (size_t k = 0; k < ids.count; k++) lmmc_detokenize(&t, &d, ids.values[k], &out, &e);
      lmmc_detokenize_end(&d, &out, &e);
      int32_t id;
      lmmc_tokenizer_special(&t, "</s", 3, &id);
      lmmc_ids_free(&ids);
      lmmc_text_free(&out);
    } else {
      refused++;
    }
    free(c);
  }
  CHECK(refused > 200 && refused < 4000, "%d of 4000 damaged blobs were refused", refused);
}

// One wrong field at a time, with the message that it gives.
static void refusals(const lmmc_text *blob) {
  uint32_t n, slots;
  memcpy(&n, blob->bytes + 24, 4);
  memcpy(&slots, blob->bytes + 28, 4);
  size_t score = 64, offset = score + (4 * n + 7) / 8 * 8, table = offset + (4 * (n + 1) + 7) / 8 * 8;
  const struct {
    size_t at;
    uint32_t value;
    const char *message;
  } cases[] = {
      {0, 0, "tokenizer: the attached bytes do not begin with 'lmmctok2' and kind 1"},
      {16, 3, "tokenizer: the attached bytes do not begin with 'lmmctok2' and kind 1 or 2"},
      // A length below the header's would let every later bound wrap.
      {8, 0, " bytes of 0"},
      {8, 8, " bytes of 8"},
      {8, 56, " bytes of 56"},
      {8, 63, " bytes of 63"},
      {24, UINT32_MAX, "tokenizer: 4294967295 pieces, "},
      {28, 12, " 12 slots do not make sense"},
      {24, n + 1, "tokenizer: its sections do not fill its "},
      {score, 0x7FC00000, "tokenizer: the score of piece 0 is not a number"},
      {offset + 8, 0, "tokenizer: text offsets do not rise"},
      {table, n, "tokenizer: piece slot 0 holds "},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_error e = {0};
    lmmc_tokenizer t;
    uint8_t *c = copy(blob, blob->count);
    memcpy(c + cases[i].at, &cases[i].value, 4);
    CHECK(!lmmc_tokenizer_open(&t, c, blob->count, &e) && strstr(e.message, cases[i].message), "case %zu: '%s'", i, e.message);
    free(c);
  }
  // The unknown piece is wanted where bytes do not stand for it.
  uint32_t flags;
  memcpy(&flags, blob->bytes + 20, 4);
  for (int fallback = 0; fallback < 2; fallback++) {
    lmmc_error e = {0};
    lmmc_tokenizer t;
    uint8_t *c = copy(blob, blob->count);
    uint32_t changed = fallback ? flags | LMMC_TOKENIZER_BYTE_FALLBACK : flags & ~(uint32_t)LMMC_TOKENIZER_BYTE_FALLBACK;
    memcpy(c + 20, &changed, 4);
    memcpy(c + 36, &n, 4);
    bool done = lmmc_tokenizer_open(&t, c, blob->count, &e);
    CHECK(done == (fallback == 1) && (done || strstr(e.message, "tokenizer: the unknown piece is id ")), "'%s'", e.message);
    free(c);
  }
  uint8_t *full = copy(blob, blob->count);
  for (uint32_t i = 0; i < slots; i++) memset(full + table + 4 * i, 0, 4);
  lmmc_error e = {0};
  lmmc_tokenizer t;
  CHECK(!lmmc_tokenizer_open(&t, full, blob->count, &e) && strstr(e.message, "no empty slot"), "'%s'", e.message);
  free(full);
}

static void specials(void) {
  static const blob_piece pieces[] = {{"<unk>", 5, 0, 2}, {"<s>", 3, 0, 3}, {"</s>", 4, 0, 3}, {"\xE2\x96\x81", 3, -1, 1}};
  static const blob_piece added[] = {{"</s>x", 5, 0, 0}, {"[A]", 3, 0, 0}, {"</s", 3, 0, 0}};
  lmmc_text blob = tokenizer_blob(pieces, 4, LMMC_TOKENIZER_DUMMY_PREFIX, added, 3);
  lmmc_tokenizer t;
  lmmc_error e = {0};
  CHECK(lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  const struct {
    const char *text;
    size_t bytes, length;
    int32_t id;
  } cases[] = {{"<s>", 3, 3, 1},    {"</s>", 4, 4, 2}, {"</s>x", 5, 5, 4}, {"</s>x", 4, 4, 2}, {"[A]B", 4, 3, 5},
               {"<unk>", 5, 0, -1}, {"</s", 3, 3, 6},  {"</", 2, 0, -1},   {"", 0, 0, -1},     {"x", 1, 0, -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int32_t id = -1;
    size_t length = lmmc_tokenizer_special(&t, cases[i].text, cases[i].bytes, &id);
    CHECK(length == cases[i].length && id == cases[i].id, "'%s': id %d of %zu bytes", cases[i].text, id, length);
  }
  // The text of a control piece is plain text for the encoder, and here all of it is unknown: one 'unk' for a run.
  lmmc_ids ids = {0};
  lmmc_tokenize(&t, "</s>", 4, &ids, &e);
  CHECK(ids.count == 2 && ids.values[0] == 3 && ids.values[1] == 0, "%s", show(ids.values, ids.count));
  lmmc_ids_free(&ids);
  lmmc_text_free(&blob);
}

// Words are found in any text as it was typed, the longest of those that begin first; they are printed, special tokens are not.
static void words(void) {
  enum { UNKNOWN, MARK, A, B, INNER, ZEBRA, ZEB, SPACED, HIDDEN };
  static const blob_piece pieces[] = {{"<unk>", 5, 0, 2},
                                      {"\xE2\x96\x81", 3, -1, 1},
                                      {"a", 1, -2, 1},
                                      {"b", 1, -2, 1},
                                      {"\xE2\x96\x81"
                                       "b",
                                       4, 0, 4}};
  static const blob_piece added[] = {{"zebra", 5, 0, 4}, {"zeb", 3, 0, 4}, {" x ", 3, 0, 4}, {"[H]", 3, 0, 3}};
  lmmc_text blob = tokenizer_blob(pieces, 5, LMMC_TOKENIZER_DUMMY_PREFIX, added, 4);
  lmmc_tokenizer t;
  lmmc_error e = {0};
  CHECK(lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  const struct {
    const char *text;
    int32_t ids[12];
    int count;
    const char *printed;
  } cases[] = {
      {"zebra", {ZEBRA}, 1, "zebra"},
      {"a zebra", {MARK, A, MARK, ZEBRA}, 4, "a zebra"},
      {"azebraa", {MARK, A, ZEBRA, MARK, A}, 5, "azebra a"},
      {"zebrazeb", {ZEBRA, ZEB}, 2, "zebrazeb"},
      {"zebzebra", {ZEB, ZEBRA}, 2, "zebzebra"},
      {"zebr", {ZEB, MARK, UNKNOWN}, 3, "zeb  \xE2\x81\x87 "},
      {"a x a", {MARK, A, SPACED, MARK, A}, 5, "a x  a"},
      {"a x", {MARK, A, MARK, UNKNOWN}, 4, "a  \xE2\x81\x87 "},
      {"a b", {MARK, A, INNER}, 3, "a b"},
      {"zebrab", {ZEBRA, INNER}, 2, "zebra b"},
      {"a[H]", {MARK, A, UNKNOWN}, 3, "a \xE2\x81\x87 "},
      {"\xE2\x96\x81"
       "b",
       {MARK, INNER},
       2,
       " b"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_ids ids = {0};
    lmmc_text out = {0};
    lmmc_detokenizer d = {0};
    lmmc_tokenize(&t, cases[i].text, strlen(cases[i].text), &ids, &e);
    CHECK((int)ids.count == cases[i].count && memcmp(ids.values, cases[i].ids, ids.count * 4) == 0, "'%s': %s", cases[i].text,
          show(ids.values, ids.count));
    for (size_t k = 0; k < ids.count; k++) lmmc_detokenize(&t, &d, ids.values[k], &out, &e);
    lmmc_detokenize(&t, &d, HIDDEN, &out, &e);
    lmmc_detokenize_end(&d, &out, &e);
    lmmc_text_append(&out, "", 1, NULL);
    CHECK(strcmp(out.bytes, cases[i].printed) == 0, "'%s': '%s', wanted '%s'", cases[i].text, out.bytes, cases[i].printed);
    lmmc_ids_free(&ids);
    lmmc_text_free(&out);
  }
  int32_t id = -1;
  CHECK(lmmc_tokenizer_special(&t, "zebra", 5, &id) == 5 && id == ZEBRA && lmmc_tokenizer_special(&t, "[H]", 3, &id) == 3 && id == HIDDEN,
        "%d", id);
  lmmc_text_free(&blob);
}

// An id that is the model's as it is found in a text must be one of its pieces', whatever kind of token it stands for.
static void whole_ids(void) {
  static const blob_piece pieces[] = {{"<unk>", 5, 0, 2}, {"a", 1, -2, 1}}, added[] = {{"zebra", 5, 0, 4}};
  lmmc_text blob = tokenizer_blob(pieces, 2, 0, added, 1);
  lmmc_tokenizer t;
  CHECK(lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, NULL), "the blob was refused");
  const size_t id_at = (size_t)((char *)t.whole_id - blob.bytes), kind_at = (size_t)((char *)t.whole_kind - blob.bytes);
  static const int32_t ids[] = {-1, 2, 3, INT32_MAX};
  for (uint8_t kind = LMMC_SPECIAL; kind <= LMMC_INNER; kind *= 2)
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
      lmmc_error e = {0};
      uint8_t *c = copy(&blob, blob.count);
      memcpy(c + id_at, &ids[i], sizeof *ids);
      c[kind_at] = kind;
      bool right = ids[i] >= 0 && (kind == LMMC_SPECIAL || ids[i] < 3), done = lmmc_tokenizer_open(&t, c, blob.count, &e);
      CHECK(done == right && (done || strstr(e.message, "tokenizer: special token 0 is id ")), "kind %d, id %d: '%s'", kind, ids[i],
            e.message);
      free(c);
    }
  lmmc_text_free(&blob);
}

// A token of a merge list that ends inside a character would leave the rest of it to the splitter, which reads whole characters.
static void inner_characters(void) {
  static const char *const texts[] = {"\xE6\x97\xA5", "\xE6\x97", "\xA5", "a\xE6"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const uint32_t length = (uint32_t)strlen(texts[i]), offset[] = {0, 1}, whole_offset[] = {0, length}, id = 0;
    uint32_t table[8], merge_table[8];
    memset(table, 0xFF, sizeof table);
    memset(merge_table, 0xFF, sizeof merge_table);
    struct {
      char magic[8];
      uint64_t bytes;
      uint32_t kind, flags, pieces, slots, wholes;
      int32_t unk, bos, eos;
      uint32_t split, merges, merge_slots, seed;
    } header = {"lmmctok", 0, LMMC_MERGE_LIST, LMMC_TOKENIZER_BYTE_LEVEL, 1, 8, 1, -1, -1, -1, LMMC_SPLIT_LLAMA3, 0, 8, 0};
    header.magic[7] = '2';
    lmmc_text blob = {0};
    blob_section(&blob, &header, 64);
    blob_section(&blob, offset, sizeof offset);
    blob_section(&blob, table, sizeof table);
    blob_section(&blob, &id, 4);
    blob_section(&blob, whole_offset, sizeof whole_offset);
    blob_section(&blob, merge_table, sizeof merge_table);
    blob_section(&blob, &(uint8_t){LMMC_INNER}, 1);
    blob_section(&blob, &(uint8_t){LMMC_NORMAL}, 1);
    blob_section(&blob, "a", 1);
    blob_section(&blob, texts[i], length);
    header.bytes = blob.count;
    memcpy(blob.bytes, &header, 64);
    lmmc_tokenizer t;
    lmmc_error e = {0};
    lmmc_ids ids = {0};
    bool done = lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, &e);
    CHECK(done == (i == 0) && (done || strstr(e.message, "tokenizer: special token 0 is not UTF-8")), "%zu: '%s'", i, e.message);
    if (done)
      CHECK(lmmc_tokenize(&t,
                          "a\xE6\x97\xA5"
                          "a",
                          5, &ids, &e) &&
                ids.count == 3,
            "%zu ids", ids.count);
    lmmc_ids_free(&ids);
    lmmc_text_free(&blob);
  }
}

// A hundred thousand tokens that begin alike, and long ones inside of each other: finding one takes time by its length.
static void many_wholes(void) {
  enum { COUNT = 100000, LONG = 1000 };
  static blob_piece pieces[2 + LONG], added[COUNT + LONG];
  static char numbers[COUNT][8], a[LONG + 1];
  memset(a, 'a', LONG);
  pieces[0] = (blob_piece){"<unk>", 5, 0, 2};
  pieces[1] = (blob_piece){"\xE2\x96\x81", 3, -1, 1};
  for (int i = 0; i < LONG; i++) pieces[2 + i] = (blob_piece){a + LONG - 1 - i, (size_t)i + 1, 0, i % 2 ? LMMC_USER_DEFINED : LMMC_NORMAL};
  for (int i = 0; i < COUNT; i++) {
    int length = snprintf(numbers[i], sizeof numbers[i], "<%05d>", i);
    added[i] = (blob_piece){numbers[i], (size_t)length, 0, i % 2 ? LMMC_USER_DEFINED : LMMC_CONTROL};
  }
  lmmc_text blob = tokenizer_blob(pieces, 2 + LONG, 0, added, COUNT), text = {0};
  lmmc_tokenizer t;
  lmmc_error e = {0};
  CHECK(lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  // One after the other this would be 10^11 comparisons, or a hash of each length at each place.
  while (text.count < 1 << 20) lmmc_text_append(&text, "<99999><<0000", 13, NULL);
  lmmc_ids ids = {0};
  CHECK(lmmc_tokenize(&t, text.bytes, text.count, &ids, &e) && ids.values[0] == 2 + LONG + 99999 && ids.count < text.count, "%s",
        e.message);
  int32_t id = 0;
  size_t found = 0;
  for (size_t i = 0; i < text.count; i++) found += lmmc_tokenizer_special(&t, text.bytes + i, text.count - i, &id) == 7;
  CHECK(found == (text.count + 6) / 13, "%zu", found);
  text.count = ids.count = 0;
  for (int i = 0; i < 1 << 20; i++) lmmc_text_append(&text, i % 2000 == 1999 ? "b" : "a", 1, NULL);
  CHECK(lmmc_tokenize(&t, text.bytes, text.count, &ids, &e) && ids.values[0] == 2 + LONG - 1, "%s", e.message);
  lmmc_ids_free(&ids);
  lmmc_text_free(&text);
  lmmc_text_free(&blob);
}

// Long inputs in bounded time: a quadratic encoder would need hours for these.
static void long_texts(const lmmc_tokenizer *t) {
  static const char *const units[] = {" ", "a", "the assistant ", "\xFF", "aaaaaaab", "\xE6\x97\xA5"};
  for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
    lmmc_text text = {0};
    lmmc_ids ids = {0};
    while (text.count < 1 << 20) lmmc_text_append(&text, units[u], strlen(units[u]), NULL);
    CHECK(lmmc_tokenize(t, text.bytes, text.count, &ids, NULL) && ids.count > 1000, "%zu ids", ids.count);
    lmmc_ids_free(&ids);
    lmmc_text_free(&text);
  }
}

static lmmc_text blob_file(const char *path) {
  size_t size;
  char *bytes = read_whole(path, &size);
  if (!bytes) printf("'%s' cannot be read\n", path), exit(1);
  lmmc_text blob = {.bytes = aligned_alloc(8, (size + 7) / 8 * 8), .count = size};
  memcpy(blob.bytes, bytes, size);
  free(bytes);
  return blob;
}

static int stream(const char *model) {
  size_t length = strlen(model);
  bool made = length > 5 && strcmp(model + length - 5, ".blob") == 0;
  lmmc_text blob = made ? blob_file(model) : tokenizer_blob_of(model, NULL, 0);
  lmmc_tokenizer t;
  lmmc_error e = {0};
  CHECK(lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    json *c = json_parse(line);
    const json *first = c ? c->child : NULL;  // an encode case begins with its text, a decode case with its ids
    CHECK(first != NULL, "not a case: %s", line);
    if (first) (strcmp(first->key, "ids") == 0 ? detokenize_case : encode_case)(&t, c);
  }
  return check_report();
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--stream") == 0) return stream(argv[2]);
  if (argc < 2) return fprintf(stderr, "usage: tokenizer_test GOLDEN [MODEL CASES]...\n"), 2;
  char model[4096], cases[4096];
  snprintf(model, sizeof model, "%s/llava-mlp/tokenizer.model", argv[1]);
  snprintf(cases, sizeof cases, "%s/tokenizer_cases.json", argv[1]);
  for (int i = 0; i == 0 || i + 1 < argc; i += 2) {
    lmmc_text blob = tokenizer_blob_of(i ? argv[i] : model, NULL, 0);
    lmmc_tokenizer t;
    lmmc_error e = {0};
    CHECK(lmmc_tokenizer_open(&t, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
    all_cases(&t, load(i ? argv[i + 1] : cases));
    damaged(&blob);
    if (i == 0) {
      refusals(&blob);
      long_texts(&t);
    }
    lmmc_text_free(&blob);
  }
  specials();
  words();
  whole_ids();
  inner_characters();
  many_wholes();
  return check_report();
}
