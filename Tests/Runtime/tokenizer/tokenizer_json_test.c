// Merge lists against the tokenizers library (Tests/Golden/tokenizer_json.py), and blobs that are damaged.
//   tokenizer_json_test GOLDEN
//   tokenizer_json_test FOLDER CASES     one tokenizer's cases (Tools/tokenizers.py), its blob in FOLDER under the cases' name
#include "tokenizer/split.h"
#include "tokenizer/tokenizer.h"

#include "../check.h"
#include "../app/cli_json.h"

static const char *folder;
static json *all;

static uint8_t *read_blob(const char *name, size_t *size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.blob", folder, name);
  char *bytes = read_whole(path, size);
  uint8_t *aligned = bytes ? aligned_alloc(8, (*size + 7) / 8 * 8) : NULL;
  if (!aligned) printf("'%s' cannot be read\n", path), exit(1);
  memcpy(aligned, bytes, *size);
  free(bytes);
  return aligned;
}

static bool same_ids(const lmmc_ids *ids, const json *wanted) {
  const json *v = wanted->child;
  for (size_t i = 0; i < ids->count; i++, v = v->next)
    if (!v || ids->values[i] != (int32_t)v->number) return false;
  return !v;
}

static void encode(const lmmc_tokenizer *t, const json *tokenizer) {
  const json *text = json_get(all, "texts")->child;
  for (const json *wanted = tokenizer->child; wanted; wanted = wanted->next, text = text->next) {
    lmmc_ids ids = {0};
    lmmc_error e = {0};
    CHECK(lmmc_tokenize(t, text->text, text->length, &ids, &e) && same_ids(&ids, wanted), "%s: '%.60s': %s", tokenizer->key, text->text,
          e.message);
    lmmc_ids_free(&ids);
  }
  CHECK(!text, "%s: not every text is encoded", tokenizer->key);
}

static void detokenize(const lmmc_tokenizer *t, const json *lists) {
  for (const json *c = lists->child; c; c = c->next) {
    lmmc_text text = {0};
    lmmc_detokenizer d = {0};
    lmmc_error e = {0};
    for (json *id = c->child->child; id; id = id->next) CHECK(lmmc_detokenize(t, &d, (int32_t)id->number, &text, &e), "%s", e.message);
    CHECK(lmmc_detokenize_end(&d, &text, &e), "%s", e.message);
    const json *wanted = c->child->next;
    CHECK(text.count == wanted->length && memcmp(text.count ? text.bytes : "", wanted->text, text.count) == 0, "%s: '%.*s', wanted '%s'",
          lists->key, (int)text.count, text.count ? text.bytes : "", wanted->text);
    lmmc_text_free(&text);
  }
}

static void words(const json *split) {
  lmmc_split how = strcmp(split->key, "llama3") == 0 ? LMMC_SPLIT_LLAMA3 : LMMC_SPLIT_GPT2;
  const json *text = json_get(all, "texts")->child;
  for (const json *wanted = split->child; wanted; wanted = wanted->next, text = text->next) {
    lmmc_splitter s = {
        .text = (const uint8_t *)text->text, .bytes = text->length, .how = how, .digits = strcmp(split->key, "gpt2-digits") == 0};
    const json *word = wanted->child;
    bool same = true;
    for (size_t length; (length = lmmc_split_next(&s)); word = word ? word->next : NULL)
      same = same && word && length == (size_t)word->number;
    CHECK(same && !word, "%s: '%.60s'", split->key, text->text);
  }
}

// Special tokens by their text, and a text in parts: only the first has the prefix where it stands once.
static void parts(const lmmc_tokenizer *t, const char *name) {
  int32_t id = -1;
  bool level = t->flags & LMMC_TOKENIZER_BYTE_LEVEL;
  const char *special = strcmp(name, "llama3") == 0 ? "<|eot_id|>x" : level ? "<|im_end|>x" : "</s>x";
  CHECK(lmmc_tokenizer_special(t, special, strlen(special), &id) == strlen(special) - 1 && t->type[id] == LMMC_CONTROL, "%s: %d", name, id);
  lmmc_ids first = {0}, later = {0}, plain = {0};
  lmmc_error e = {0};
  CHECK(lmmc_tokenize_part(t, "the", 3, true, &first, &e) && lmmc_tokenize_part(t, "the", 3, false, &later, &e) &&
            lmmc_tokenize(t, special, strlen(special) - 1, &plain, &e),
        "%s", e.message);
  CHECK((first.count == later.count && memcmp(first.values, later.values, 4 * first.count) == 0) == !strstr(name, "first"), "%s", name);
  CHECK(plain.count > 1, "%s: '%s' in plain text is one token", name, special);
  lmmc_ids_free(&first);
  lmmc_ids_free(&later);
  lmmc_ids_free(&plain);
}

// Bytes that invalid text holds are U+FFFD each, and ids that make no character wait for the next.
static void invalid(const lmmc_tokenizer *t) {
  lmmc_ids bad = {0}, good = {0};
  lmmc_error e = {0};
  CHECK(lmmc_tokenize(t, "a\xFF\xE6\x97z", 5, &bad, &e) && lmmc_tokenize(t, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz", 11, &good, &e), "%s",
        e.message);
  CHECK(bad.count == good.count && memcmp(bad.values, good.values, 4 * bad.count) == 0, "%zu ids, wanted %zu", bad.count, good.count);
  lmmc_ids_free(&bad);
  lmmc_ids_free(&good);
  lmmc_text text = {0};
  lmmc_detokenizer d = {0};
  static const struct {
    uint8_t byte;
    const char *so_far;
  } steps[] = {
      {0xE6, ""},
      {0x97, ""},
      {0xA5, "\u65e5"},
      {0xF0, "\u65e5"},
      {0x9F, "\u65e5"},
      {'a', "\u65e5\uFFFDa"},
      {0x80, "\u65e5\uFFFDa\uFFFD"},
      {0xE0, "\u65e5\uFFFDa\uFFFD"},
      {0x80, "\u65e5\uFFFDa\uFFFD\uFFFD\uFFFD"},
      {0xC3, "\u65e5\uFFFDa\uFFFD\uFFFD\uFFFD"},
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    CHECK(lmmc_detokenize(t, &d, t->byte_id[steps[i].byte], &text, &e), "%s", e.message);
    CHECK(text.count == strlen(steps[i].so_far) && (!text.count || memcmp(text.bytes, steps[i].so_far, text.count) == 0),
          "step %zu: '%.*s'", i, (int)text.count, text.bytes);
  }
  CHECK(lmmc_detokenize_end(&d, &text, &e) && text.count == 19 && memcmp(text.bytes + 16, "\uFFFD", 3) == 0, "%zu bytes", text.count);
  lmmc_text_free(&text);
}

// Whatever the bytes are, opening refuses them or all else stays inside of them.
static void damaged(const uint8_t *blob, size_t size) {
  uint64_t random = 88172645463325252u;
  int refused = 0;
  for (int i = 0; i < 3000; i++) {
    uint8_t *copy = aligned_alloc(8, (size + 7) / 8 * 8);
    memcpy(copy, blob, size);
    for (int k = 0; k < 1 + i % 3; k++) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      size_t at = i % 2 ? random % size : random % 64;
      copy[at] = (uint8_t)(random >> 32);
    }
    lmmc_tokenizer t;
    lmmc_error e = {0};
    if (lmmc_tokenizer_open(&t, copy, size - (i % 7 == 0 ? random % size : 0), &e)) {
      lmmc_ids ids = {0};
      lmmc_text text = {0};
      lmmc_detokenizer d = {0};
      static const char words[] = "The picture, 123 don't \xE6\x97\xA5\xFF   horses\n\n";
      lmmc_tokenize(&t, words, sizeof words, &ids, &e);
      for (size_t k = 0; k < ids.count; k++) lmmc_detokenize(&t, &d, ids.values[k], &text, &e);
      for (int32_t id = -1; id <= (int32_t)t.pieces; id += 7) lmmc_detokenize(&t, &d, id, &text, &e);
      lmmc_detokenize_end(&d, &text, &e);
      lmmc_ids_free(&ids);
      lmmc_text_free(&text);
    } else {
      refused += e.code == 1 && strncmp(e.message, "tokenizer: ", 11) == 0;
    }
    free(copy);
  }
  CHECK(refused > 300 && refused < 3000, "%d of 3000 damaged blobs were refused", refused);
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) return fprintf(stderr, "usage: tokenizer_json_test GOLDEN, or FOLDER CASES\n"), 2;
  char path[2][4096];
  snprintf(path[0], sizeof *path, argc == 2 ? "%s/tokenizers" : "%s", argv[1]);
  snprintf(path[1], sizeof *path, argc == 2 ? "%s/tokenizers/cases.json" : "%s", argv[argc - 1]);
  folder = path[0];
  size_t size;
  char *text = read_whole(path[1], &size);
  if (!text || !(all = json_parse(text))) return printf("'%s' is not a JSON file\n", path[1]), 1;
  free(text);
  int count = 0;
  for (json *tokenizer = json_get(all, "encode")->child; tokenizer; tokenizer = tokenizer->next, count++) {
    uint8_t *blob = read_blob(tokenizer->key, &size);
    lmmc_tokenizer t;
    lmmc_error e = {0};
    CHECK(lmmc_tokenizer_open(&t, blob, size, &e), "%s: %s", tokenizer->key, e.message);
    encode(&t, tokenizer);
    detokenize(&t, json_get(json_get(all, "decode"), tokenizer->key));
    if (argc == 3) return check_report();
    parts(&t, tokenizer->key);
    if (strcmp(tokenizer->key, "llama3") == 0) invalid(&t);
    damaged(blob, size);
    free(blob);
  }
  for (json *split = json_get(all, "words")->child; split; split = split->next) words(split);
  CHECK(count == 7, "%d tokenizers", count);
  return check_report();
}
