// What the tests of the command line share: the programs, and what the toy model of cli_fake_model.c must answer. Each is run as
//   cli_NAME_test PROGRAM BARE DECODER BLOB GOLDEN
// PROGRAM and DECODER (no vision tower, or in cli_reducer_test PROGRAM without a reducer) have the tokenizer BLOB attached, BARE has nothing attached. GOLDEN: Tests/Golden.
#ifndef CLI_FIXTURE_H
#define CLI_FIXTURE_H
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "session/prompt.h"
#include "session/question.h"
#include "../check.h"
#include "cli_fake_model.h"
#include "cli_json.h"
#include "cli_process.h"
#include "../session/prompt_templates.h"

static const char *program, *bare, *decoder, *blob_path;
static char folder[] = "/tmp/lmmc-cli-XXXXXX";
static char images[4][4096];  // paths of pictures
static lmmc_tokenizer tokenizer;
static bool reduces;          // PROGRAM has a reducer
static const char *question;  // of a raw prompt

static inline const char *in_folder(const char *name) {
  static char path[4][8192];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof *path, "%s/%s", folder, name);
  return path[next];
}

#define CHECK_ERROR(r, wanted_code, wanted)                                                                                           \
  do {                                                                                                                                \
    result r_ = (r);                                                                                                                  \
    CHECK(r_.code == (wanted_code) && strcmp(r_.err, wanted) == 0 && r_.out_size == 0, "exit %d '%s', output '%s'\n  wanted %d '%s'", \
          r_.code, r_.err, r_.out, wanted_code, wanted);                                                                              \
  } while (0)

// ---- what the toy model must answer

typedef struct {
  int32_t tokens[FAKE_CONTEXT];
  int count, text_tokens, visual_tokens;
  int lengths[FAKE_BLOCKS];             // rows of the blocks behind the prompt
  fake_state states[FAKE_CONTEXT + 1];  // states[i] made the logits of token i
  bool stopped;
  lmmc_text text;
} expected;

static inline void detokenize_all(expected *x) {
  lmmc_detokenizer d = {0};
  for (int i = 0; i < x->count; i++) lmmc_detokenize(&tokenizer, &d, x->tokens[i], &x->text, NULL);
  lmmc_detokenize_end(&d, &x->text, NULL);
}

static inline expected simulate(const char *text, bool raw, int image_count, int max_tokens) {
  static const lmmc_model model = {.vocabulary = FAKE_VOCABULARY,
                                   .vision_tokens = FAKE_VISION_TOKENS,
                                   .max_images = FAKE_MAX_IMAGES,
                                   .context = FAKE_CONTEXT,
                                   .adds_bos = true,
                                   .bos = 1,
                                   .prompt = TEMPLATE_VICUNA_V1,
                                   .question_bound = FAKE_MOST_ASKED};
  expected x = {0};
  lmmc_prompt p = {0};
  lmmc_error e = {0};
  float rows[FAKE_MAX_IMAGES * FAKE_VISION_TOKENS][FAKE_HIDDEN];
  int counts[FAKE_MAX_IMAGES] = {0};
  size_t position = 0;
  const char *asked_text = raw ? question : text;
  CHECK(lmmc_prompt_ask(&p, &model, &tokenizer, asked_text, asked_text ? strlen(asked_text) : 0, &e), "%s", e.message);
  for (int i = 0; i < image_count; i++) {
    lmmc_image image;
    uint8_t picture[FAKE_SIZE * FAKE_SIZE * 3];
    lmmc_preprocess pad = {.mode = LMMC_RESIZE_PAD, .size = FAKE_SIZE, .background = {122, 116, 104}};
    CHECK(lmmc_image_read(images[i], LMMC_IMAGE_MAX_PIXELS, &image, &e) && lmmc_preprocess_image(&image, &pad, picture, &e), "%s",
          e.message);
    int32_t bars[4];
    lmmc_padding_bars(image.width, image.height, FAKE_SIZE, bars);
    lmmc_image_free(&image);
    const float asked = reduces ? fake_asked(p.question.values, (int64_t)p.question.count, bars) : 0;
    for (int r = 0; r < FAKE_VISION_TOKENS; r++)
      for (int k = 0; k < FAKE_HIDDEN; k++) rows[i * FAKE_VISION_TOKENS + r][k] = fake_projected(picture, r, k) + asked;
    counts[i] = reduces ? fake_rows(picture) : FAKE_VISION_TOKENS;
  }
  CHECK(lmmc_prompt_build(&p, &model, &tokenizer, text, strlen(text), raw, image_count, &e), "%s", e.message);
  fake_state state = {0};
  for (size_t i = 0; i < p.tokens.count; i++) {
    int32_t v = p.tokens.values[i];
    if (v < 0 && (-1 - v) % FAKE_VISION_TOKENS >= counts[(-1 - v) / FAKE_VISION_TOKENS]) continue;
    state = v < 0 ? fake_row(state, rows[-1 - v]) : fake_token(state, v);
    x.visual_tokens += v < 0;
    x.lengths[0]++;
    x.lengths[1] += (v < 0 ? fake_row_value(rows[-1 - v]) : fake_token_value(v)) & 1;
    position++;
  }
  x.text_tokens = p.text_tokens;
  for (;; position++) {
    x.states[x.count] = state;
    int32_t best = 0;
    for (int32_t i = 1; i < FAKE_VOCABULARY; i++)
      if (fake_logit(state, i) > fake_logit(state, best)) best = i;
    x.stopped = best == FAKE_EOS || best == FAKE_OTHER_EOS;
    if (x.stopped) break;
    x.tokens[x.count++] = best;
    if (x.count == max_tokens || position == FAKE_CONTEXT) break;
    state = fake_token(state, best);
  }
  lmmc_prompt_free(&p);
  detokenize_all(&x);
  lmmc_text_append(&x.text, "", 1, NULL);
  return x;
}

// The one JSON object of a run, with its fixed members checked.
static inline json *parse_answer(result r) {
  CHECK(r.code == 0 && r.err[0] == 0, "exit %d '%s'", r.code, r.err);
  json *v = json_parse(r.out);
  CHECK(v && v->type == 'o', "not one JSON object: '%s'", r.out);
  if (!v || v->type != 'o') exit(check_report());
  static const char *const times[] = {"load", "vision", "project", "prefill", "decode", "total", "time_to_first_token"};
  double sum = 0, total = 0, first = 0, before = 0;
  for (int i = 0; i < 7; i++) {
    json *t = json_get(json_get(v, "timings"), times[i]);
    CHECK(t && t->type == 'd' && t->number >= 0, "no time '%s': '%s'", times[i], r.out);
    double ms = t ? t->number : 0;
    if (i < 5) sum += ms;
    if (i > 0 && i < 4) before += ms;
    if (i == 5) total = ms;
    if (i == 6) first = ms;
  }
  CHECK(total > 0 && sum <= total + 0.01 && first <= total && before <= first + 0.01, "times do not add up: '%s'", r.out);
  json *rate = json_get(v, "tokens_per_second"), *peak = json_get(v, "peak_rss_bytes");
  CHECK(rate && rate->type == 'd' && rate->number >= 0, "'%s'", r.out);
  CHECK(peak && peak->type == 'd' && peak->number > 500e3 && peak->number < 1e12, "'%s'", r.out);
  return v;
}

static inline bool same_tokens(const json *answer, const int32_t *tokens, int count) {
  const json *list = json_get(answer, "tokens");
  int i = 0;
  for (const json *t = list ? list->child : NULL; t; t = t->next, i++)
    if (i >= count || (int32_t)t->number != tokens[i]) return false;
  return list && list->type == 'a' && i == count;
}

static inline void check_answer(result r, const expected *x) {
  json *v = parse_answer(r);
  CHECK(same_tokens(v, x->tokens, x->count), "%d tokens wanted: '%s'", x->count, r.out);
  CHECK(strcmp(json_get(v, "text")->text, x->text.bytes) == 0, "'%s', wanted '%s'", json_get(v, "text")->text, x->text.bytes);
  CHECK(json_get(v, "prompt_tokens")->number == x->text_tokens && json_get(v, "visual_tokens")->number == x->visual_tokens, "'%s'", r.out);
  CHECK(strcmp(json_get(v, "finish_reason")->text, x->stopped ? "stop" : "length") == 0, "'%s'", r.out);
}

// Files in a folder; -1 where there is none.
static inline int entries(const char *path) {
  DIR *d = opendir(path);
  int count = 0;
  for (struct dirent *f; d && (f = readdir(d));) count += strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0;
  if (d) closedir(d);
  return d ? count : -1;
}

// Runs the tests; main's result.
static inline int run_tests(int argc, char **argv, void (*const *tests)(void), size_t count) {
  if (argc != 6) return fprintf(stderr, "usage: %s PROGRAM BARE DECODER BLOB GOLDEN\n", argv[0]), 2;
  program = argv[1], bare = argv[2], decoder = argv[3], blob_path = argv[4];
  static const char *const names[] = {"wide.png", "photo.jpg", "lossy.webp"};
  for (int i = 0; i < 3; i++) snprintf(images[i], sizeof *images, "%s/images/%s", argv[5], names[i]);
  size_t size;
  lmmc_error e = {0};
  char *blob = read_whole(blob_path, &size);
  if (!mkdtemp(folder) || !blob || !lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob, size, &e))
    return fprintf(stderr, "%s: %s\n", argv[0], e.message), 2;
  for (size_t i = 0; i < count; i++) tests[i]();
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  if (system(command) != 0) perror(folder);
  return check_report();
}

// RUN_TESTS(test, ...): main.
#define RUN_TESTS(...)                                                 \
  int main(int argc, char **argv) {                                    \
    static void (*const tests[])(void) = {__VA_ARGS__};                \
    return run_tests(argc, argv, tests, sizeof tests / sizeof *tests); \
  }

#endif
