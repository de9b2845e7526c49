// Prompts against the pieces that Tests/Golden/reference.py made, and the rules of the contract one by one.
//   prompt_test GOLDEN
#include "session/prompt.h"

#include "../check.h"
#include "prompt_templates.h"
#include "../tokenizer/model_blob.h"

static lmmc_tokenizer tokenizer;
static lmmc_model model;
static const lmmc_template NONE = TEMPLATE_NONE, VICUNA = TEMPLATE_VICUNA_V1, LLAVA = TEMPLATE_LLAVA_V1, LLAMA = TEMPLATE_LLAMA_3,
                           VOCO = TEMPLATE_VOCO;

static json *load(const char *path) {
  size_t size;
  char *text = read_whole(path, &size);
  json *v = text ? json_parse(text) : NULL;
  if (!v) printf("'%s' is not a JSON file\n", path), exit(1);
  free(text);
  return v;
}

// The prompt as text: ids, and I0, I1, ... where the rows of an image stand.
static const char *show(const lmmc_prompt *p) {
  static lmmc_text out;
  out.count = 0;
  for (size_t i = 0; i < p->tokens.count; i++) {
    int32_t v = p->tokens.values[i];
    if (v >= 0) {
      lmmc_text_format(&out, NULL, "%d ", v);
      continue;
    }
    int32_t row = -1 - v, n = model.vision_tokens;
    if (row % n == 0)
      lmmc_text_format(&out, NULL, "I%d ", row / n);
    else if (p->tokens.values[i - 1] != v + 1)
      lmmc_text_format(&out, NULL, "row %d out of order ", row);
  }
  if (out.count) out.count--;
  lmmc_text_append(&out, "", 1, NULL);
  return out.bytes;
}

// With `compressed` those whose vocabulary ends with a compression token, else the others.
static void golden(const char *folder, bool compressed) {
  char path[8192];
  snprintf(path, sizeof path, "%s/manifest.json", folder);
  int cases = 0;
  for (json *checkpoint = json_get(load(path), "checkpoints")->child; checkpoint; checkpoint = checkpoint->next)
    for (json *c = json_get(checkpoint, "cases")->child; c; c = c->next) {
      if (!json_get(c, "expected") || json_get(checkpoint, "tokenizer")) continue;
      if (compressed != (json_get(checkpoint, "compression_token") != NULL)) continue;
      const char *text = NULL;
      bool raw = false;
      int images = 0;
      for (json *a = json_get(c, "arguments")->child; a; a = a->next) {
        if (strcmp(a->text, "--image") == 0) images++;
        if (strcmp(a->text, "--prompt") == 0) text = a->next->text;
        if (strcmp(a->text, "--raw-prompt") == 0) text = a->next->text, raw = true;
      }
      bool plain = false;  // another template than the default
      json *options = json_get(checkpoint, "compile");
      for (json *o = options ? options->child : NULL; o; o = o->next) plain = plain || strcmp(o->text, "--template") == 0;
      snprintf(path, sizeof path, "%s/%s/tokens.json", folder, json_get(c, "expected")->text);
      json *expected = load(path);
      if (!text || plain || !json_get(expected, "prompt_ids")) continue;
      bool alone = json_get(checkpoint, "decoder_only");  // no vision tower, no template
      model.prompt = alone ? NONE : compressed ? VOCO : VICUNA;
      model.vision_tokens = alone ? 0 : images ? (int32_t)json_get(expected, "visual_tokens")->number / images : 9;
      lmmc_text wanted = {0};
      int image = 0;
      for (json *piece = json_get(expected, "prompt_ids")->child; piece; piece = piece->next) {
        for (json *id = piece->child; id; id = id->next) lmmc_text_format(&wanted, NULL, "%d ", (int)id->number);
        if (piece->next) lmmc_text_format(&wanted, NULL, "I%d ", image++);
      }
      wanted.bytes[wanted.count - 1] = 0;
      lmmc_prompt p = {0};
      lmmc_error e = {0};
      CHECK(lmmc_prompt_build(&p, &model, &tokenizer, text, strlen(text), raw, images, &e), "%s", e.message);
      CHECK(strcmp(show(&p), wanted.bytes) == 0, "'%s':\n  %s\n  wanted %s", text, show(&p), wanted.bytes);
      CHECK(p.text_tokens == json_get(expected, "prompt_tokens")->number && p.images == images, "'%s': %d text tokens", text,
            p.text_tokens);
      lmmc_prompt_free(&p);
      lmmc_text_free(&wanted);
      cases++;
    }
  CHECK(cases >= (compressed ? 3 : 15), "only %d cases found", cases);
}

// ---- rules, with a tokenizer of single characters: piece '_' is the space mark, '^' stands for it in what is shown

enum { UNK, BOS, EOS, EOT, START, END, SPACE, FIRST };  // FIRST + c - 32: the character c

static lmmc_text characters(const blob_piece *more, uint32_t count) {
  static char text[96];
  static blob_piece pieces[FIRST + 96] = {{"<unk>", 5, 0, 2},
                                          {"<s>", 3, 0, 3},
                                          {"</s>", 4, 0, 3},
                                          {"<|eot_id|>", 10, 0, 3},
                                          {"<|start_header_id|>", 19, 0, 3},
                                          {"<|end_header_id|>", 17, 0, 3},
                                          {"\xE2\x96\x81", 3, 0, 1}};
  for (int i = 0; i < 96; i++) {
    text[i] = i == 95 ? '\n' : (char)(i + 32);
    pieces[FIRST + i] = (blob_piece){&text[i], 1, 0, 1};
  }
  blob_piece added[16] = {{"<|begin_of_text|>", 17, 0, LMMC_CONTROL}};
  for (uint32_t i = 0; i < count; i++) added[1 + i] = more[i];
  return tokenizer_blob(pieces, FIRST + 96, LMMC_TOKENIZER_DUMMY_PREFIX, added, 1 + count);
}

static const char *spell(const lmmc_prompt *p) {
  static const char *const names[] = {"?", "<s>", "</s>", "<EOT>", "<SH>", "<EH>", "^"};
  static lmmc_text out;
  out.count = 0;
  for (size_t i = 0; i < p->tokens.count; i++) {
    int32_t v = p->tokens.values[i];
    if (v < 0 && (-1 - v) % model.vision_tokens == 0)
      lmmc_text_format(&out, NULL, "[%d]", (-1 - v) / model.vision_tokens);
    else if (v == FIRST + 96)
      lmmc_text_format(&out, NULL, "<BOT>");
    else if (v == FIRST + 97)
      lmmc_text_format(&out, NULL, "<voco>");
    else if (v >= FIRST)
      lmmc_text_format(&out, NULL, "%c", v == FIRST + 95 ? '\n' : v - FIRST + 32);
    else if (v >= 0)
      lmmc_text_format(&out, NULL, "%s", names[v]);
  }
  lmmc_text_append(&out, "", 1, NULL);
  return out.bytes;
}

static void rule(lmmc_template template, bool raw, int images, const char *text, int code, const char *wanted) {
  lmmc_prompt p = {0};
  lmmc_error e = {0};
  model.prompt = template;
  bool done = lmmc_prompt_build(&p, &model, &tokenizer, text, strlen(text), raw, images, &e);
  const char *got = done ? spell(&p) : e.message;
  CHECK(done == (code == 0) && e.code == code && strcmp(got, wanted) == 0, "'%s' (%d images): %d '%s'\n  wanted %d '%s'", text, images,
        e.code, got, code, wanted);
  int32_t text_tokens = 0;
  for (size_t i = 0; i < p.tokens.count; i++) text_tokens += p.tokens.values[i] >= 0;
  if (done) CHECK(text_tokens == p.text_tokens, "'%s': %d text tokens, counted %d", text, p.text_tokens, text_tokens);
  lmmc_prompt_free(&p);
}

#define V                                                                                                                                  \
  "^A^chat^between^a^curious^user^and^an^artificial^intelligence^assistant.^The^assistant^gives^helpful,^detailed,^and^polite^answers^to^" \
  "the^user's^questions.^USER:^"
#define L                                                                                                                                \
  "^A^chat^between^a^curious^human^and^an^artificial^intelligence^assistant.^The^assistant^gives^helpful,^detailed,^and^polite^answers^" \
  "to^the^human's^questions.^USER:^"
#define S                                                                                                                                  \
  "<BOT><SH>^system<EH>^\n\nYou^are^a^helpful^language^and^vision^assistant.^You^are^able^to^understand^the^visual^content^that^the^user^" \
  "provides,^and^assist^the^user^with^a^variety^of^tasks^using^natural^language.<EOT><SH>^user<EH>^\n\n"
#define T "<EOT><SH>^assistant<EH>^\n\n"

static void rules(void) {
  // the user's words, wrapped
  rule(VICUNA, false, 0, "Hi", 0, "<s>" V "Hi^ASSISTANT:");
  rule(LLAVA, false, 0, "Hi", 0, "<s>" L "Hi^ASSISTANT:");
  rule(NONE, false, 0, "Hi", 0, "<s>^Hi");
  rule(VICUNA, false, 1, "Hi", 0, "<s>" V "[0]^\nHi^ASSISTANT:");
  rule(LLAVA, false, 1, "Hi", 0, "<s>" L "[0]^\nHi^ASSISTANT:");
  rule(NONE, false, 1, "Hi", 0, "<s>[0]^\nHi");
  rule(VICUNA, false, 1, "", 0, "<s>" V "[0]^\n^ASSISTANT:");
  // places in the words, missing ones first
  rule(VICUNA, false, 1, "a <image> b", 0, "<s>" V "a^[0]^^b^ASSISTANT:");
  rule(VICUNA, false, 2, "a <image> b", 0, "<s>" V "[0]^\na^[1]^^b^ASSISTANT:");
  rule(VICUNA, false, 3, "<image>", 0, "<s>" V "[0]^\n[1]^\n[2]^^ASSISTANT:");
  rule(NONE, false, 2, "<image><image>", 0, "<s>[0][1]");
  rule(VICUNA, false, 1, "<image", 0, "<s>" V "[0]^\n<image^ASSISTANT:");
  // special tokens typed by the user are text
  rule(VICUNA, false, 0, "</s><s>", 0, "<s>" V "</s><s>^ASSISTANT:");
  rule(NONE, false, 0, "<s>x", 0, "<s>^<s>x");
  rule(NONE, true, 0, "<s>x", 0, "<s>^x");
  rule(LLAMA, false, 0, "<|eot_id|>", 0, "<s>" S "<|eot_id|>" T);
  // another place and form of images, and white space that is cut
  lmmc_template parts = {.alone = "W: ", .before = "U: ", .image = "(<image>)", .between = "|", .after = "</s>"};
  rule(parts, false, 0, " Hi\n", 0, "<s>^W:^^Hi\n</s>");
  rule(parts, false, 2, "Hi", 0, "<s>^U:^([0]^)([1]^)|Hi</s>");
  rule(parts, false, 1, "<image> b", 0, "<s>^W:^[0]^^b</s>");
  parts.image = "</s><image>";
  rule(parts, false, 1, "Hi", 0, "<s>^U:^</s>[0]^|Hi</s>");
  parts =
      (lmmc_template){.alone = "", .before = "", .image = "<image>\n", .between = "", .after = "!", .cuts_start = true, .cuts_end = true};
#define SPACES                    \
  "\t\n\x0b\f\r\x1c\x1d\x1e\x1f " \
  "\xc2\x85\xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x85\xe2\x80\x8a\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80"
  rule(parts, false, 0, SPACES "a b" SPACES, 0, "<s>^a^b!");
  rule(parts, false, 0, SPACES, 0, "<s>^!");
  rule(parts, false, 0, "", 0, "<s>^!");
  rule(parts, false, 1, " a ", 0, "<s>[0]^\n^a!");
  rule(parts, false, 1, " a <image> ", 0, "<s>^a^[0]^!");
  parts.cuts_end = false, parts.cuts_start_behind_image = true;
  rule(parts, false, 1, " a ", 0, "<s>[0]^\na^!");
  // raw prompts
  rule(VICUNA, true, 0, "Hi", 0, "<s>^Hi");
  rule(VICUNA, true, 0, " Hi ", 0, "<s>^^Hi^");
  rule(VICUNA, true, 2, "A <image> B<image>", 0, "<s>^A^[0]^^B[1]");
  rule(VICUNA, true, 1, "<image>", 0, "<s>[0]");
  rule(VICUNA, true, 0, "a</s>USER: b</s>", 0, "<s>^a</s>^USER:^b</s>");
  rule(VICUNA, true, 0, "<s>", 0, "<s>");
  rule(VICUNA, true, 0, "<s><s>a<s>", 0, "<s><s>^a<s>");
  rule(VICUNA, true, 0, "a<s>b", 0, "<s>^a<s>^b");
  rule(VICUNA, true, 0, "</s>", 0, "<s></s>");
  rule(VICUNA, true, 0, "", 0, "<s>");
  rule(VICUNA, true, 0, "<unk>", 0, "<s>^<unk>");
  // as many places as images
  rule(VICUNA, true, 1, "Hi", 2, "the prompt has 0 '<image>' places for 1 image, '--raw-prompt' wants as many places as '--image'");
  rule(VICUNA, true, 1, "<image><image>", 2,
       "the prompt has 2 '<image>' places for 1 image, '--raw-prompt' wants as many places as '--image'");
  rule(VICUNA, false, 0, "<image>", 2, "the prompt has 1 '<image>' place for 0 images, more places than '--image' fills");
  // a template that writes a place where none is asked for
  parts = (lmmc_template){.alone = "<image>", .before = "", .image = "<image>", .between = "", .after = ""};
#define BY_ITSELF "this program's template writes them by itself"
  rule(parts, false, 0, "x", 2, "the prompt has 1 '<image>' place for 0 images, " BY_ITSELF);
  rule(parts, false, 1, "x", 0, "<s>[0]^x");
  rule(parts, false, 1, "<image>x", 2, "the prompt has 2 '<image>' places for 1 image, " BY_ITSELF);
  parts.alone = "", parts.after = "<image>";
  rule(parts, false, 0, "x", 2, "the prompt has 1 '<image>' place for 0 images, " BY_ITSELF);
  rule(parts, false, 1, "x", 2, "the prompt has 2 '<image>' places for 1 image, " BY_ITSELF);
  rule(VICUNA, false, 4, "x", 1, "4 images are too many, this program was compiled for at most 3");
  // a program that begins Llama-3's way has its BOS in the template
  model.bos = FIRST + 96;
  rule(LLAMA, false, 0, "Hi", 0, S "Hi" T);
  rule(LLAMA, false, 1, "Hi", 0, S "[0]^\nHi" T);
  rule(LLAMA, true, 0, "<|begin_of_text|>Hi", 0, "<BOT>^Hi");
  rule(LLAMA, true, 0, "Hi", 0, "<BOT>^Hi");
  model.bos = BOS;
  model.adds_bos = false;
  rule(NONE, false, 0, "Hi", 0, "^Hi");
  rule(NONE, true, 0, "", 2, "the prompt is empty, at least one token is needed");
  model.adds_bos = true;
  // a special token that the model has no row for is text
  model.vocabulary--;
  rule(NONE, true, 0, "a<|begin_of_text|></s>", 0, "<s>^a<|begin_of_text|></s>");
  // context
  model.context = 9;
  rule(NONE, false, 0, "1234567", 0, "<s>^1234567");
  rule(NONE, false, 0, "12345678", 1, "the prompt is 10 tokens long, 0 of them vision tokens, and the context of this program is 9");
  rule(NONE, true, 2, "<image>1<image>", 0, "<s>[0]^1[1]");
  rule(NONE, true, 2, "<image>12<image>", 1, "the prompt is 10 tokens long, 6 of them vision tokens, and the context of this program is 9");
  model.context = 4096;
  // without a vision tower
  model.vision_tokens = model.max_images = 0;
  rule(NONE, false, 0, "a<image>b", 0, "<s>^a<image>b");
  rule(NONE, false, 1, "a", 2, "this program has no vision tower, '--image' must be left out");
}

// A prompt with compression tokens: where the words' places and line feeds go, and what a raw one must have.
static void compressions(void) {
#define C                                                                                                                            \
  "A^chat^between^a^curious^user^and^an^artificial^intelligence^assistant^of^the^image.^The^assistant^gives^helpful,^detailed,^and^" \
  "polite^answers^to^the^user's^questions.^USER:^"
#define I "<s>[0]^\n<voco><voco>^\n" C
#define WANTED "this program wants 2 side by side behind the image"
  model.vision_tokens = model.max_images = 3;
  model.compression_token = FIRST + 97, model.compression_count = 2;
  rule(VOCO, false, 0, "a\nb", 0, "<s>^" C "a\nb^ASSISTANT:");
  rule(VOCO, false, 1, "a b", 0, I "a^b^ASSISTANT:");
  rule(VOCO, false, 1, " a\n\n<image>\nb\n", 0, I "^ab^ASSISTANT:");
  rule(VOCO, false, 1, "<image>", 0, I "^ASSISTANT:");
  rule(VOCO, false, 1, "", 0, I "^ASSISTANT:");
  rule(VOCO, false, 1, "a<im\nage><im<image>age>b<image", 0, I "ab<image^ASSISTANT:");
  // Typed by the user it is text; its characters look the same.
  rule(VOCO, false, 1, "<voco>", 0, I "<voco>^ASSISTANT:");
  rule(VOCO, false, 2, "a", 2, "2 images are too many, this program's compression tokens stand behind one");
  rule(VOCO, false, 1, "<image><image>", 2, "the prompt has 2 '<image>' places for 1 image, more places than '--image' fills");
  rule(VICUNA, false, 1, "a", 2, "the prompt has 0 compression tokens, " WANTED);
  rule(VICUNA, false, 0, "a", 0, "<s>" V "a^ASSISTANT:");
  rule(VOCO, true, 1, "x<image>y<voco><voco>z", 0, "<s>^x[0]^y<voco><voco>^z");
  rule(VOCO, true, 0, "x<voco><voco>z", 0, "<s>^x<voco><voco>^z");
  rule(VOCO, true, 1, "<image><voco>z", 2, "the prompt has 1 compression token, " WANTED);
  rule(VOCO, true, 1, "<image><voco><voco><voco>z", 2, "the prompt has 3 compression tokens, " WANTED);
  rule(VOCO, true, 1, "<image><voco>-<voco>z", 2, "the prompt has 2 compression tokens in other places, " WANTED);
  rule(VOCO, true, 1, "<voco><voco><image>z", 2, "the prompt has 2 compression tokens in other places, " WANTED);
  rule(VOCO, true, 1, "<image><voco><voco>", 2,
       "the prompt ends with its compression tokens, at least one other token is needed behind them");
  // Where nothing is compressed it is a token like others.
  model.compression_count = 0;
  rule(VOCO, true, 1, "<voco><image>z", 0, "<s><voco>[0]^z");
  model.compression_token = 0;
}

// What an image does not become leaves the prompt, and a reducer that knows one image refuses more.
static void reduced(void) {
  static const struct {
    int32_t rows[3];
    const char *wanted;
  } cases[] = {{{3, 3, 3}, "1 101 -1 -2 -3 102 -4 -5 -6 -7 -8 -9"},
               {{2, 3, 1}, "1 101 -1 -2 102 -4 -5 -6 -7"},
               {{0, 1, 2}, "1 101 102 -4 -7 -8"},
               {{3, 0, 0}, "1 101 -1 -2 -3 102"}};
  const char *text = "a<image>b<image><image>";
  model.prompt = NONE;
  lmmc_error e = {0};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_prompt p = {0};
    CHECK(lmmc_prompt_build(&p, &model, &tokenizer, text, strlen(text), true, 3, &e) && p.visual_tokens == 9, "%s", e.message);
    for (int turn = 0; turn < 2; turn++)
      for (int32_t k = 0; k < 3; k++) lmmc_prompt_trim(&p, &model, k, cases[i].rows[k]);
    lmmc_text out = {0};
    // The characters of the text have other ids than those that are written here.
    for (size_t k = 0; k < p.tokens.count; k++) {
      const int32_t v = p.tokens.values[k];
      if (v == SPACE) continue;
      lmmc_text_format(&out, NULL, out.count ? " %d" : "%d", v >= FIRST ? 101 + v - FIRST - ('a' - 32) : v);
    }
    lmmc_text_append(&out, "", 1, NULL);
    CHECK(strcmp(out.bytes, cases[i].wanted) == 0 && p.visual_tokens == cases[i].rows[0] + cases[i].rows[1] + cases[i].rows[2],
          "'%s', wanted '%s', %d visual tokens", out.bytes, cases[i].wanted, p.visual_tokens);
    CHECK((int32_t)p.tokens.count == p.text_tokens + p.visual_tokens, "%zu tokens", p.tokens.count);
    lmmc_text_free(&out);
    lmmc_prompt_free(&p);
  }
  model.reducer = "fastv:layer=2,keep=144";
  rule(VICUNA, true, 2, "<image><image>", 0, "<s>[0][1]");
  model.one_image = true;
  rule(VICUNA, true, 2, "<image><image>", 1,
       "2 images are too many, the token reducer of this program, 'fastv:layer=2,keep=144', knows prompts of one");
  rule(VICUNA, true, 1, "<image>", 0, "<s>[0]");
  rule(VICUNA, true, 0, "a", 0, "<s>^a");
  model.reducer = NULL, model.one_image = false;
}

// Special tokens, and added words where there are some, that overlap with a place in every way: a place is always an image.
static void overlaps(void) {
  static const char *const specials[] = {"x<image>", "<image>y", "<image>", "x<image>y",      "<ima", "<image",    "image>",
                                         "ge>",      "><",       ">x<",     "<image><image>", "x<",   "<s><image>"};
  static const char *const texts[] = {"x<image>",      "<image>y",           "x<image>y",        "<image>",         "<ima<image>ge>",
                                      "<image<image>", "<image><image>",     "x<image><image>y", "<image>x<image>", "<<image>>",
                                      "<s><image>",    "<s><image>x<image>", "a x<image>y b",    "</s><image></s>"};
  enum { SPECIALS = sizeof specials / sizeof *specials, TEXTS = sizeof texts / sizeof *texts };
  static const lmmc_template templates[] = {TEMPLATE_NONE,
                                            TEMPLATE_VICUNA_V1,
                                            {.alone = "x", .before = "x", .image = "x<image>y", .between = "<ima", .after = "ge>"},
                                            {.alone = "<", .before = "<image", .image = "<image>", .between = "<image", .after = ">"}};
  for (unsigned mask = 0; mask < 1u << SPECIALS; mask = mask < 16 ? mask + 1 : mask * 3 / 2) {
    blob_piece added[SPECIALS];
    uint32_t count = 0;
    for (unsigned i = 0; i < SPECIALS; i++)
      if (mask >> i & 1)
        added[count++] = (blob_piece){specials[i], strlen(specials[i]), 0, mask >> (i + 1) & 1 ? LMMC_USER_DEFINED : LMMC_CONTROL};
    lmmc_text blob = characters(added, count);
    lmmc_error e = {0};
    CHECK(lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
    model.vocabulary = (int32_t)tokenizer.pieces;
    for (int t = 0; t < TEXTS; t++)
      for (int k = 0; k < 8; k++)
        for (int given = 0; given <= model.max_images; given++) {
          bool raw = k >= 4;
          int places = 0;
          for (const char *at = texts[t]; (at = strstr(at, "<image>")); at += 7) places++;
          model.prompt = templates[k % 4];
          lmmc_prompt p = {0};
          bool done = lmmc_prompt_build(&p, &model, &tokenizer, texts[t], strlen(texts[t]), raw, given, &e);
          CHECK(done == (raw ? places == given : places <= given), "'%s' with %d images: %s", texts[t], given, e.message);
          int64_t rows = 0;
          for (size_t i = 0; i < p.tokens.count; i++) rows += p.tokens.values[i] < 0;
          if (done)
            CHECK(p.images == given && rows == (int64_t)given * model.vision_tokens, "'%s': %d places for %d images", texts[t], p.images,
                  given);
          lmmc_prompt_free(&p);
        }
    lmmc_text_free(&blob);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: prompt_test GOLDEN\n"), 2;
  char path[4096];
  snprintf(path, sizeof path, "%s/llava-mlp/tokenizer.model", argv[1]);
  lmmc_error e = {0};
  model = (lmmc_model){
      .vocabulary = FIRST + 97, .vision_tokens = 9, .max_images = 8, .context = 4096, .adds_bos = true, .bos = BOS, .prompt = VICUNA};
  lmmc_text blob = tokenizer_blob_of(path, NULL, 0);
  CHECK(lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  golden(argv[1], false);
  lmmc_text_free(&blob);

  // The token that the golden's files add stands behind the pieces.
  blob = tokenizer_blob_of(path, &(blob_piece){"<voco>", 6, 0, LMMC_CONTROL}, 1);
  CHECK(lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  model.vocabulary = (int32_t)tokenizer.pieces;
  model.compression_token = model.vocabulary - 1, model.compression_count = 2;
  golden(argv[1], true);
  lmmc_text_free(&blob);
  model.compression_count = 0, model.vocabulary = FIRST + 97;

  blob = characters(NULL, 0);
  CHECK(lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  model.vision_tokens = 3;
  model.max_images = 3;
  reduced();
  rules();
  lmmc_text_free(&blob);

  blob = characters(&(blob_piece){"<voco>", 6, 0, LMMC_CONTROL}, 1);
  CHECK(lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);
  model.vocabulary = (int32_t)tokenizer.pieces;
  compressions();
  lmmc_text_free(&blob);
  model.vision_tokens = model.max_images = 3;
  overlaps();
  return check_report();
}
