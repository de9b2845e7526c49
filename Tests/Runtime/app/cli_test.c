// The command line of a compiled program, end to end, on the toy model of cli_fake_model.c.
//   cli_test PROGRAM BARE DECODER BLOB GOLDEN
// PROGRAM and DECODER (no vision tower) have the tokenizer BLOB attached, BARE has nothing attached. GOLDEN: Tests/Golden.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/json.h"
#include "image/image.h"
#include "session/prompt.h"
#include "../check.h"
#include "cli_fake_model.h"
#include "cli_json.h"
#include "cli_process.h"
#include "../session/prompt_templates.h"

static const char *program, *bare, *decoder, *blob_path;
static char folder[] = "/tmp/lmmc-cli-XXXXXX";
static char images[4][4096];  // paths of pictures
static lmmc_tokenizer tokenizer;

static const char *in_folder(const char *name) {
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
  uint64_t states[FAKE_CONTEXT + 1];  // states[i] made the logits of token i
  bool stopped;
  lmmc_text text;
} expected;

static void detokenize_all(expected *x) {
  lmmc_detokenizer d = {0};
  for (int i = 0; i < x->count; i++) lmmc_detokenize(&tokenizer, &d, x->tokens[i], &x->text, NULL);
  lmmc_detokenize_end(&d, &x->text, NULL);
}

static expected simulate(const char *text, bool raw, int image_count, int max_tokens) {
  static const lmmc_model model = {.vocabulary = FAKE_VOCABULARY,
                                   .vision_tokens = FAKE_VISION_TOKENS,
                                   .max_images = FAKE_MAX_IMAGES,
                                   .context = FAKE_CONTEXT,
                                   .adds_bos = true,
                                   .bos = 1,
                                   .prompt = TEMPLATE_VICUNA_V1};
  expected x = {0};
  lmmc_prompt p = {0};
  lmmc_error e = {0};
  float rows[FAKE_MAX_IMAGES * FAKE_VISION_TOKENS][FAKE_HIDDEN];
  for (int i = 0; i < image_count; i++) {
    lmmc_image image;
    uint8_t picture[FAKE_SIZE * FAKE_SIZE * 3];
    lmmc_preprocess pad = {.mode = LMMC_RESIZE_PAD, .size = FAKE_SIZE, .background = {122, 116, 104}};
    CHECK(lmmc_image_read(images[i], LMMC_IMAGE_MAX_PIXELS, &image, &e) && lmmc_preprocess_image(&image, &pad, picture, &e), "%s",
          e.message);
    lmmc_image_free(&image);
    for (int r = 0; r < FAKE_VISION_TOKENS; r++)
      for (int k = 0; k < FAKE_HIDDEN; k++) rows[i * FAKE_VISION_TOKENS + r][k] = fake_projected(picture, r, k);
  }
  CHECK(lmmc_prompt_build(&p, &model, &tokenizer, text, strlen(text), raw, image_count, &e), "%s", e.message);
  uint64_t state = 1;
  for (size_t i = 0; i < p.tokens.count; i++) {
    int32_t v = p.tokens.values[i];
    state = v < 0 ? fake_row(state, rows[-1 - v]) : fake_token(state, v);
  }
  x.text_tokens = p.text_tokens;
  x.visual_tokens = p.images * FAKE_VISION_TOKENS;
  for (size_t position = p.tokens.count;; position++) {
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
static json *parse_answer(result r) {
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

static bool same_tokens(const json *answer, const int32_t *tokens, int count) {
  const json *list = json_get(answer, "tokens");
  int i = 0;
  for (const json *t = list ? list->child : NULL; t; t = t->next, i++)
    if (i >= count || (int32_t)t->number != tokens[i]) return false;
  return list && list->type == 'a' && i == count;
}

static void check_answer(result r, const expected *x) {
  json *v = parse_answer(r);
  CHECK(same_tokens(v, x->tokens, x->count), "%d tokens wanted: '%s'", x->count, r.out);
  CHECK(strcmp(json_get(v, "text")->text, x->text.bytes) == 0, "'%s', wanted '%s'", json_get(v, "text")->text, x->text.bytes);
  CHECK(json_get(v, "prompt_tokens")->number == x->text_tokens && json_get(v, "visual_tokens")->number == x->visual_tokens, "'%s'", r.out);
  CHECK(strcmp(json_get(v, "finish_reason")->text, x->stopped ? "stop" : "length") == 0, "'%s'", r.out);
}

// ---- answers

static void answers(void) {
  static const char *const raw[] = {
      "A", "The picture of the", "one two three four five six seven eight nine ten", "USER: hi</s>ASSISTANT:", "", "<s>x"};
  for (int i = 0; i < 6; i++) {
    expected x = simulate(raw[i], true, 0, 20);
    check_answer(run(program, "--raw-prompt", raw[i], "--max-tokens", "20", "--json"), &x);
    result r = run(program, "--raw-prompt", raw[i], "--max-tokens=20");
    lmmc_text line = {0};
    lmmc_text_format(&line, NULL, "%s\n", x.text.bytes);
    CHECK(r.code == 0 && strcmp(r.out, line.bytes) == 0 && !r.err[0], "exit %d '%s', wanted '%s'", r.code, r.out, line.bytes);
  }
  expected x = simulate("a<image>b", true, 1, 9);
  check_answer(run(program, "--image", images[0], "--raw-prompt", "a<image>b", "--max-tokens", "9", "--json"), &x);
  x = simulate("<image>", true, 1, 9);
  check_answer(run(program, "--raw-prompt=<image>", "--json", "--max-tokens", "9", "--image", images[0]), &x);
  x = simulate("<image>12345<image><image>", true, 3, 9);
  check_answer(run(program, "--image", images[0], "--image", images[1], "--image", images[2], "--raw-prompt", "<image>12345<image><image>",
                   "--json", "--max-tokens", "9"),
               &x);
  x = simulate("hi", false, 2, 5);
  check_answer(run(program, "--image", images[0], "--image", images[1], "--prompt", "hi", "--json", "--max-tokens", "5"), &x);
  // A special token 'x<image>' takes no place away.
  x = simulate("x<image> x<image>", true, 2, 9);
  CHECK(x.visual_tokens == 2 * FAKE_VISION_TOKENS, "%d", x.visual_tokens);
  check_answer(run(program, "--image", images[0], "--image", images[1], "--raw-prompt", "x<image> x<image>", "--json", "--max-tokens", "9"),
               &x);
  // A full context: the token after its last position needs no place in it. BOS and the prefix stand before the lines.
  for (int lines = FAKE_CONTEXT - 4; lines <= FAKE_CONTEXT - 2; lines++) {
    char text[FAKE_CONTEXT] = {0};
    memset(text, '\n', (size_t)lines);
    x = simulate(text, true, 0, 512);
    CHECK(x.text_tokens == lines + 2 && !x.stopped && x.count == FAKE_CONTEXT - 1 - lines, "%d tokens after %d", x.count, x.text_tokens);
    check_answer(run(program, "--raw-prompt", text, "--json"), &x);
  }
}

static void endings(void) {
  static const struct {
    const char *tokens;
    int count;
    const char *reason;
  } cases[] = {{"FAKE_TOKENS=300 301 302 303", 3, "length"},
               {"FAKE_TOKENS=300 301 2", 2, "stop"},
               {"FAKE_TOKENS=300 440", 1, "stop"},
               {"FAKE_TOKENS=2", 0, "stop"},
               {"FAKE_TOKENS=300 301 302 2", 3, "length"}};
  static const int32_t tokens[] = {300, 301, 302};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    setup.environment[0] = cases[i].tokens;
    json *v = parse_answer(run(program, "--prompt", "x", "--max-tokens", "3", "--json"));
    CHECK(same_tokens(v, tokens, cases[i].count) && strcmp(json_get(v, "finish_reason")->text, cases[i].reason) == 0, "case %zu", i);
  }
  // rows of the head beyond the tokenizer's pieces say nothing
  setup.environment[0] = "FAKE_TOKENS=447 72 446 108 2";
  result r = run(program, "--prompt", "x");
  CHECK(strcmp(r.out, "Ei\n") == 0 && r.code == 0, "'%s'", r.out);
  setup.environment[0] = "FAKE_TOKENS=2";
  r = run(program, "--prompt", "x");
  CHECK(strcmp(r.out, "\n") == 0 && r.code == 0, "'%s'", r.out);
}

// Byte pieces are ids 3 to 258: quotes, control characters, a two-byte character, and one that is never finished.
static void text_forms(void) {
  setup.environment[0] = "FAKE_TOKENS=37 95 13 4 11 12 14 15 16 34 198 172 233 154 2";
  json *v = parse_answer(run(program, "--prompt", "x", "--json"));
  const char *wanted = "\"\\\n\x01\b\t\v\f\r\x1F\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD";
  CHECK(strcmp(json_get(v, "text")->text, wanted) == 0, "'%s'", json_get(v, "text")->text);
  setup.environment[0] = "FAKE_TOKENS=37 95 13 4 11 12 14 15 16 34 198 172 233 154 2";
  result r = run(program, "--prompt", "x");
  CHECK(strncmp(r.out, wanted, strlen(wanted)) == 0 && strcmp(r.out + strlen(wanted), "\n") == 0, "'%s'", r.out);
}

static void sampling(void) {
#define SAMPLE(...) run(program, "--raw-prompt", "A", "--max-tokens", "12", __VA_ARGS__).out
  const char *greedy = SAMPLE("--seed", "5"), *hot = SAMPLE("--temperature", "1.5", "--seed", "5");
  CHECK(strcmp(SAMPLE("--temperature=0", "--seed", "9"), greedy) == 0, "'%s'", greedy);
  CHECK(strcmp(SAMPLE("--temperature", "1.5", "--seed", "5"), hot) == 0, "'%s'", hot);
  CHECK(strcmp(hot, greedy) != 0, "'%s'", hot);
  CHECK(strcmp(SAMPLE("--temperature", "1.5", "--seed", "6"), hot) != 0, "'%s'", hot);
  CHECK(strcmp(SAMPLE("--temperature", "1.5"), SAMPLE("--temperature", "1.5", "--seed", "0")) == 0, "the default seed is 0");
  CHECK(strcmp(SAMPLE("--temperature", "50", "--top-k", "1"), greedy) == 0, "top-k 1");
  CHECK(strcmp(SAMPLE("--temperature", "1", "--top-p", "1e-9"), greedy) == 0, "top-p 1e-9");
  setup.environment[0] = "FAKE_LOGIT=2 nan";
  result r = run(program, "--raw-prompt", "A", "--json");
  CHECK_ERROR(r, 1, "error: the model gave a NaN as the logit of token 5\n");
}

// ---- dump

static const float *read_npy(const char *path, const char *shape, size_t values) {
  size_t size;
  char *bytes = read_whole(path, &size), wanted[256];
  CHECK(bytes != NULL, "no '%s'", path);
  if (!bytes) return calloc(values, sizeof(float));
  snprintf(wanted, sizeof wanted, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
  size_t header = 10 + (size_t)(uint8_t)bytes[8] + 256 * (size_t)(uint8_t)bytes[9];
  CHECK(memcmp(bytes, "\x93NUMPY\x01\x00", 8) == 0 && header % 64 == 0 && bytes[header - 1] == '\n', "'%s' has a header of %zu bytes", path,
        header);
  CHECK(memcmp(bytes + 10, wanted, strlen(wanted)) == 0, "'%s': %.80s, wanted %s", path, bytes + 10, wanted);
  CHECK(strspn(bytes + 10 + strlen(wanted), " ") == header - 11 - strlen(wanted), "padding of '%s'", path);
  CHECK(size == header + 4 * values, "'%s' has %zu bytes, wanted %zu", path, size, header + 4 * values);
  float *copy = malloc(4 * values);
  if (size == header + 4 * values) memcpy(copy, bytes + header, 4 * values);
  free(bytes);
  return copy;
}

static int entries(const char *path) {
  DIR *d = opendir(path);
  int count = 0;
  for (struct dirent *f; d && (f = readdir(d));) count += strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0;
  if (d) closedir(d);
  return d ? count : -1;
}

static const char *in_dump(const char *dump, const char *name) {
  static char path[2][8192];
  static int next;
  next = !next;
  snprintf(path[next], sizeof *path, "%s/%s", dump, name);
  return path[next];
}

static void check_logits(const char *dump, const expected *x) {
  char shape[64];
  int rows = x->count + x->stopped;
  snprintf(shape, sizeof shape, "%d, %d", rows, FAKE_VOCABULARY);
  const float *logits = read_npy(in_dump(dump, "logits.npy"), shape, (size_t)rows * FAKE_VOCABULARY);
  int wrong = 0;
  for (int r = 0; r < rows; r++)
    for (int i = 0; i < FAKE_VOCABULARY; i++) wrong += logits[r * FAKE_VOCABULARY + i] != fake_logit(x->states[r], i);
  CHECK(wrong == 0, "%d of %d logits", wrong, rows * FAKE_VOCABULARY);
}

static void dumps(void) {
  char dump[8192];
  snprintf(dump, sizeof dump, "%s/a/b//c/", folder);
  expected x = simulate("<image> and <image>", true, 2, 6);
  check_answer(run(program, "--dump", dump, "--image", images[0], "--image", images[1], "--raw-prompt", "<image> and <image>",
                   "--max-tokens", "6", "--json"),
               &x);
  check_logits(dump, &x);
  const float *pixels = read_npy(in_dump(dump, "pixels.npy"), "2, 3, 12, 12", 2 * 3 * FAKE_SIZE * FAKE_SIZE);
  const float *projected = read_npy(in_dump(dump, "projected.npy"), "2, 4, 6", 2 * FAKE_VISION_TOKENS * FAKE_HIDDEN);
  static const float mean[] = {0.48145466f, 0.4578275f, 0.40821073f}, std[] = {0.26862954f, 0.26130258f, 0.27577711f};
  int wrong = 0;
  for (int i = 0; i < 2; i++) {
    lmmc_image image;
    uint8_t picture[FAKE_SIZE * FAKE_SIZE * 3];
    lmmc_preprocess pad = {.mode = LMMC_RESIZE_PAD, .size = FAKE_SIZE, .background = {122, 116, 104}};
    if (!lmmc_image_read(images[i], LMMC_IMAGE_MAX_PIXELS, &image, NULL) || !lmmc_preprocess_image(&image, &pad, picture, NULL)) abort();
    lmmc_image_free(&image);
    for (int c = 0; c < 3; c++)
      for (int k = 0; k < FAKE_SIZE * FAKE_SIZE; k++)
        wrong += fabs((double)pixels[(i * 3 + c) * FAKE_SIZE * FAKE_SIZE + k] -
                      (picture[3 * k + c] / 255.0 - (double)mean[c]) / (double)std[c]) > 1e-6;
    for (int k = 0; k < FAKE_VISION_TOKENS * FAKE_HIDDEN; k++)
      wrong += projected[i * FAKE_VISION_TOKENS * FAKE_HIDDEN + k] != fake_projected(picture, k / FAKE_HIDDEN, k % FAKE_HIDDEN);
  }
  CHECK(wrong == 0, "%d values of pixels and projected", wrong);
  CHECK(entries(dump) == 3, "%d files", entries(dump));
  // no image, no such files; and one more row when an eos ends it
  setup.environment[0] = "FAKE_TOKENS=300 301 2";
  result r = run(program, "--dump", dump, "--prompt", "x");
  CHECK(r.code == 0 && entries(dump) == 1, "exit %d, %d files", r.code, entries(dump));
  read_npy(in_dump(dump, "logits.npy"), "3, 448", 3 * FAKE_VOCABULARY);
  x = simulate("text", true, 0, 8);
  check_answer(run(program, "--raw-prompt", "text", "--max-tokens", "8", "--json", "--dump", dump), &x);
  check_logits(dump, &x);
}

static void failing_dumps(void) {
  const char *whole = in_folder("whole"), *file = in_folder("file");
  char error[9000], again[8800];
  // a full disk (a limit on file sizes) leaves no file, and what was there before stays
  run(program, "--dump", whole, "--prompt", "x", "--max-tokens", "1");
  CHECK(entries(whole) == 1, "%d files", entries(whole));
  setup.file_limit = 5000;
  snprintf(error, sizeof error, "error: file '%s/logits.npy' cannot be written: file too large\n", whole);
  result r = run(program, "--dump", whole, "--image", images[0], "--prompt", "x", "--json");
  CHECK_ERROR(r, 1, error);
  CHECK(entries(whole) == 1, "%d files", entries(whole));
  read_npy(in_dump(whole, "logits.npy"), "1, 448", FAKE_VOCABULARY);
  // names that cannot be folders
  fclose(fopen(file, "w"));
  snprintf(error, sizeof error, "error: folder '%s' cannot be created: not a directory\n", file);
  CHECK_ERROR(run(program, "--dump", file, "--prompt", "x"), 1, error);
  snprintf(again, sizeof again, "%s/below", file);
  snprintf(error, sizeof error, "error: folder '%s' cannot be created: not a directory\n", again);
  CHECK_ERROR(run(program, "--dump", again, "--prompt", "x"), 1, error);
  // a name that others can foresee: what they put there stays as it is, and is not in the way
  char command[9000];
  snprintf(
      command, sizeof command,
      "cd '%s' && mkdir foreseen && echo mine >mine && ln -s ../mine foreseen/.logits.npy.$$.tmp && exec '%s' --dump foreseen --prompt x",
      folder, program);
  r = run("/bin/sh", "-c", command);
  CHECK(r.code == 0 && entries(in_folder("foreseen")) == 2, "exit %d '%s', %d files", r.code, r.err, entries(in_folder("foreseen")));
  // a failure in the middle
  setup.environment[0] = "FAKE_LOGIT=3 nan";
  r = run(program, "--dump", whole, "--image", images[0], "--prompt", "x", "--json");
  CHECK_ERROR(r, 1, "error: the model gave a NaN as the logit of token 5\n");
  CHECK(entries(whole) == 1, "%d files", entries(whole));
}

// ---- processes that wait

// Starts a run whose decode() waits for bytes on descriptor 50; `*gate` lets it go on.
static pid_t start_waiting(int *gate, int *out, int *err, const char *const *arguments) {
  int wait[2], o[2], r[2];
  if (pipe(wait) || pipe(o) || pipe(r)) exit(2);
  pid_t child = fork();
  if (child == 0) {
    putenv("FAKE_WAIT=50");
    putenv("FAKE_TOKENS=72 73 74 75 2");
    dup2(wait[0], 50);
    child_setup(-1, o[1], r[1]);
    execv(arguments[0], (char *const *)arguments);
    _exit(127);
  }
  close(wait[0]), close(o[1]), close(r[1]);
  *gate = wait[1], *out = o[0], *err = r[0];
  return child;
}

static bool readable(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, 20000) == 1 && (p.revents & POLLIN);
}

static void streaming(void) {
  int gate, out, err;
  pid_t child = start_waiting(&gate, &out, &err, (const char *const[]){program, "--prompt", "x", NULL});
  for (int i = 0; i < 4; i++) {  // each token is there before the next one is computed
    char seen[16] = {0};
    ssize_t n = readable(out) ? read(out, seen, sizeof seen - 1) : 0;
    CHECK(n == 1 && seen[0] == 'E' + i, "token %d: %zd bytes '%s'", i, n, seen);
    if (n != 1 || write(gate, "x", 1) != 1) break;
  }
  close(gate);  // what still waits goes on
  result r = finish(child, out, err);
  CHECK(r.code == 0 && strcmp(r.out, "\n") == 0, "exit %d '%s' '%s'", r.code, r.out, r.err);
  // a reader that goes away ends it quietly
  child = start_waiting(&gate, &out, &err, (const char *const[]){program, "--prompt", "x", NULL});
  CHECK(readable(out), "%s", "nothing comes");
  close(out);
  if (write(gate, "xxxxxx", 6) != 6) perror("gate");
  r = finish(child, open("/dev/null", O_RDONLY), err);
  CHECK(r.code == 0 && r.err[0] == 0, "exit %d '%s'", r.code, r.err);
  close(gate);
  // a signal leaves no half of a dump
  const char *dump = in_folder("killed");
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT};
  for (int i = 0; i < 5; i++) {
    child = start_waiting(&gate, &out, &err, (const char *const[]){program, "--prompt", "x", "--dump", dump, "--image", images[0], NULL});
    CHECK(readable(out), "%s", "nothing comes");
    CHECK(entries(dump) == 3, "%d files while it runs", entries(dump));
    kill(child, signals[i]);
    r = finish(child, out, err);
    CHECK(r.code == 128 + signals[i] && entries(dump) == 0, "exit %d, %d files", r.code, entries(dump));
    close(gate);
  }
}

static void standard_streams(void) {
  setup.output = "/dev/full";
  CHECK_ERROR(run(program, "--prompt", "x"), 1, "error: standard output cannot be written: no space left on device\n");
  setup.output = "/dev/full";
  CHECK_ERROR(run(program, "--prompt", "x", "--json"), 1, "error: standard output cannot be written: no space left on device\n");
  setup.output = "/dev/full";
  CHECK_ERROR(run(program, "--help"), 1, "error: standard output cannot be written: no space left on device\n");
  setup.close_output = true;
  CHECK_ERROR(run(program, "--prompt", "x"), 1, "error: standard output cannot be written: bad file descriptor\n");
  setup.close_output = true;
  const char *dump = in_folder("closed");
  CHECK_ERROR(run(program, "--prompt", "x", "--dump", dump), 1, "error: standard output cannot be written: bad file descriptor\n");
  CHECK(entries(dump) == 0, "%d files, the text may have gone into one of them", entries(dump));
  // the prompt on standard input, with and without the newline of its last line
  static const char *const typed[] = {"Two\nlines", "Two\nlines\n", "Two\nlines\r\n"};
  const char *wanted = run(program, "--prompt", typed[0], "--max-tokens", "5").out;
  for (int i = 0; i < 3; i++) {
    setup.input = typed[i];
    result r = run(program, "--max-tokens", "5");
    CHECK(r.code == 0 && strcmp(r.out, wanted) == 0, "exit %d '%s' '%s', wanted '%s'", r.code, r.out, r.err, wanted);
  }
  CHECK_ERROR(run(program), 2, "error: no prompt, '--prompt' is not given and standard input is empty\n");
  // a prompt without end
  static char endless[2 << 20];
  memset(endless, 'a', sizeof endless);
  setup.input = endless, setup.input_size = sizeof endless;
  CHECK_ERROR(run(program), 1,
              "error: the prompt on standard input is longer than 1054720 bytes, and the context of this program is 96 tokens\n");
  setup.input = "\n";
  CHECK_ERROR(run(program, "--json"), 2, "error: no prompt, '--prompt' is not given and standard input is empty\n");
}

static void on_terminal(void) {
  int terminal = posix_openpt(O_RDWR | O_NOCTTY), out[2], err[2];
  if (terminal < 0 || grantpt(terminal) || unlockpt(terminal) || pipe(out) || pipe(err)) {
    printf("no pseudo terminal here, its checks are left out\n");
    return;
  }
  for (int i = 0; i < 2; i++) {
    if (i && (pipe(out) || pipe(err))) return;
    pid_t child = fork();
    if (child == 0) {
      int in = open(ptsname(terminal), O_RDWR | O_NOCTTY);
      child_setup(in, out[1], err[1]);
      execl(program, program, i ? "--json" : NULL, NULL);
      _exit(127);
    }
    close(out[1]), close(err[1]);
    result r = finish(child, out[0], err[0]);
    CHECK(r.code == 2 && r.out_size == 0 && strstr(r.err, "error: no prompt, '--prompt' gives one\n"), "exit %d '%s'", r.code, r.err);
    CHECK((strstr(r.err, "usage: ") != NULL) == (i == 0), "'%s'", r.err);
  }
  // Controls in an answer are shown, but for the line's end and the tab; with --json they are JSON's.
  char shown[512];
  int held = open(ptsname(terminal), O_RDWR | O_NOCTTY);                                        // what is not read yet stays
  setup.environment[0] = "FAKE_TOKENS=30 94 53 13 12 16 197 158 130 198 172 229 131 177 72 2";  // ESC [ 2 \n \t \r C1 DEL e-acute U+202E H
  setup.output = ptsname(terminal);
  CHECK(run(program, "--prompt", "x").code == 0, "%s", "");
  ssize_t n = read(terminal, shown, sizeof shown - 1);
  shown[n < 0 ? 0 : n] = 0;
  CHECK(strstr(shown,
               "\\u{1b}[2\r\n\t\\r\\u{9b}\\u{7f}\xC3\xA9\xE2\x80\xAE"
               "E\r\n") == shown,
        "'%s'", shown);
  close(held);
  close(terminal);
}

// ---- weights

static void copy_file(const char *from, const char *to, size_t bytes) {
  size_t size;
  char *all = read_whole(from, &size);
  FILE *f = fopen(to, "w");
  fwrite(all, 1, bytes < size ? bytes : size, f);
  fclose(f);
  chmod(to, 0755);
  free(all);
}

static void weights(void) {
  static char variable[8192], error[9000];
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, "error: this program has no weights attached\n");
  CHECK_ERROR(run(bare, "--tokenize", "x"), 1, "error: this program has no weights attached\n");
  CHECK(run(bare, "--version").code == 0 && run(bare, "--help").code == 0 && run(bare, "--info").code == 0, "%s", "");
  snprintf(variable, sizeof variable, "LMMC_WEIGHTS=%s", blob_path);
  setup.environment[0] = variable;
  expected x = simulate("A", true, 0, 5);
  check_answer(run(bare, "--raw-prompt", "A", "--max-tokens", "5", "--json"), &x);
  setup.environment[0] = "LMMC_WEIGHTS=/nowhere";  // not looked at when weights are attached
  CHECK(run(program, "--tokenize", "x").code == 0, "%s", "");
  setup.environment[0] = "LMMC_WEIGHTS=/nowhere";
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, "error: weights '/nowhere' cannot be opened: no such file or directory\n");
  setup.environment[0] = "LMMC_WEIGHTS=/tmp";
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, "error: weights '/tmp' must be a file that is not empty\n");
  const char *shorter = in_folder("short");
  struct stat s;
  stat(blob_path, &s);
  copy_file(blob_path, shorter, (size_t)s.st_size - 1);
  snprintf(variable, sizeof variable, "LMMC_WEIGHTS=%s", shorter);
  snprintf(error, sizeof error, "error: weights '%s' hold %ld bytes, and this program was compiled for %ld\n", shorter, (long)s.st_size - 1,
           (long)s.st_size);
  setup.environment[0] = variable;
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, error);
  // an executable that was cut short in its weights
  size_t size;
  char *all = read_whole(program, &size), *at = all;
  while ((at = memmem(at, size - (size_t)(at - all), "lmmctok2", 8)) && (at - all) % 4096) at++;
  CHECK(at != NULL, "'%s' has no attached tokenizer", program);
  if (!at) return;
  const char *cut = in_folder("cut");
  copy_file(program, cut, (size_t)(at - all) + 4096);
  result r = run(cut, "--prompt", "x");
  const char *start = "error: the attached weights cannot be read at byte ", *rest = NULL;
  bool begins = strncmp(r.err, start, strlen(start)) == 0;
  long byte = begins ? strtol(r.err + strlen(start), (char **)&rest, 10) : 0;
  CHECK(r.code == 1 && begins && byte >= at - all + 4096 && byte < (long)size && r.out_size == 0 &&
            strcmp(rest, " of their file, the file is cut short or its disk fails\n") == 0,
        "exit %d '%s', cut at %ld", r.code, r.err, (long)(at - all + 4096));
  free(all);
}

// ---- command line

static void wrong_lines(void) {
#define NEAR(typed, meant) \
  { {typed}, 2, "unknown option '" typed "', did you mean '" meant "'?" }
#define FAR(typed) \
  { {typed}, 2, "unknown option '" typed "', '--help' lists those that there are" }
#define WANTS(option, value, wants) \
  { {option, value}, 2, "option '" option "' wants " wants ", not '" value "'" }
#define TOKENS "a whole number from 1 to 2147483647"
#define THREADS "a whole number from 1 to 1024"
#define SHARE "a number above 0 and at most 1"
#define DEGREES "a number from 0 to 100"
#define SEEDS "a whole number from 0 to 18446744073709551615"
  static const struct {
    const char *arguments[8];
    int code;
    const char *message;
  } cases[] = {
      NEAR("--promt", "--prompt"),
      NEAR("--Json", "--json"),
      NEAR("--max-token", "--max-tokens"),
      NEAR("--max_tokens", "--max-tokens"),
      NEAR("--top-q", "--top-k"),
      NEAR("--imgae", "--image"),
      NEAR("-help", "--help"),
      NEAR("--treads", "--threads"),
      NEAR("--raw-prompts", "--raw-prompt"),
      FAR("--quantise"),
      FAR("-x"),
      FAR("--"),
      FAR("--frobnicate"),
      {{"--promt=secret"}, 2, "unknown option '--promt', did you mean '--prompt'?"},
      WANTS("--max-tokens", "0", TOKENS),
      WANTS("--max-tokens", "-1", TOKENS),
      WANTS("--max-tokens", "", TOKENS),
      WANTS("--max-tokens", "1.5", TOKENS),
      WANTS("--max-tokens", "2147483648", TOKENS),
      WANTS("--max-tokens", "99999999999999999999999", TOKENS),
      WANTS("--max-tokens", " 5", TOKENS),
      WANTS("--max-tokens", "5x", TOKENS),
      WANTS("--max-tokens", "0x10", TOKENS),
      WANTS("--max-image-pixels", "0", TOKENS),
      WANTS("--max-image-pixels", "2147483648", TOKENS),
      WANTS("--threads", "0", THREADS),
      WANTS("--threads", "1025", THREADS),
      WANTS("--threads", "two", THREADS),
      WANTS("--temperature", "-0.1", DEGREES),
      WANTS("--temperature", "nan", DEGREES),
      WANTS("--temperature", "101", DEGREES),
      WANTS("--temperature", "inf", DEGREES),
      WANTS("--temperature", "0x1", DEGREES),
      WANTS("--temperature", "1e", DEGREES),
      WANTS("--top-p", "0", SHARE),
      WANTS("--top-p", "1.01", SHARE),
      WANTS("--top-p", "-1", SHARE),
      WANTS("--top-p", "", SHARE),
      WANTS("--top-k", "-1", "a whole number from 0 to 2147483647"),
      WANTS("--seed", "-1", SEEDS),
      WANTS("--seed", "18446744073709551616", SEEDS),
      WANTS("--dump", "", "the name of a folder"),
      WANTS("--image", "", "a file name"),
      {{"--max-tokens"}, 2, "option '--max-tokens' wants " TOKENS " after it"},
      {{"--prompt"}, 2, "option '--prompt' wants a text after it"},
      {{"--json=yes"}, 2, "option '--json' takes no value, 'yes' must be left out"},
      {{"picture.png"}, 2, "unexpected argument 'picture.png', a prompt is given with '--prompt' and an image with '--image'"},
      {{"--prompt", "a", "b"}, 2, "unexpected argument 'b', a prompt is given with '--prompt' and an image with '--image'"},
      {{"--prompt", "a", "--raw-prompt", "b"}, 2, "options '--prompt' and '--raw-prompt' exclude each other"},
      {{"--tokenize", "a", "--prompt", "b"}, 2, "option '--tokenize' runs no model, '--prompt' must be left out"},
      {{"--perplexity", "a", "--prompt", "b"}, 2, "option '--perplexity' answers nothing, '--prompt' must be left out"},
      {{"--perplexity", "a", "--tokenize", "b"}, 2, "option '--perplexity' answers nothing, '--tokenize' must be left out"},
      {{"--perplexity", ""}, 2, "option '--perplexity' wants a file name, not ''"},
      {{"--window", "3"}, 2, "option '--window' wants a whole number from 4 to 2147483647, not '3'"},
      {{"--perplexity", "/dev/null"}, 2, "option '--window' wants at most the context of this program, 96, not 512"},
      {{"--perplexity", "/dev/null", "--window", "8"}, 1, "text '/dev/null' has 1 tokens, and a window takes 8"},
      {{"--perplexity", "/", "--window", "8"}, 1, "text '/' cannot be read: is a directory"},
      {{"--tokenize", "a", "--dump", "b"}, 2, "option '--tokenize' runs no model, '--dump' must be left out"},
      {{"--prompt", "<image>"}, 2, "the prompt has 1 '<image>' place for 0 images, more places than '--image' fills"},
      {{"--raw-prompt", "a", "--image", "x.png"},
       2,
       "the prompt has 0 '<image>' places for 1 image, '--raw-prompt' wants as many places as '--image'"},
      {{"--prompt", "a", "--image", "/nowhere.png"}, 1, NULL},
      {{"--prompt", "a", "--image", "1", "--image", "2", "--image=3"}, 1, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *line[10] = {program};
    memcpy(line + 1, cases[i].arguments, sizeof cases[i].arguments);
    result r = run_list(line);
    char wanted[1024];
    snprintf(wanted, sizeof wanted, "error: %s\n", cases[i].message ? cases[i].message : "");
    bool one_line = strncmp(r.err, "error: ", 7) == 0 && strchr(r.err, '\n') == r.err + strlen(r.err) - 1;
    CHECK(r.code == cases[i].code && one_line && r.out_size == 0 && (!cases[i].message || strcmp(r.err, wanted) == 0),
          "'%s': exit %d '%s'\n  wanted %d '%s'", cases[i].arguments[0], r.code, r.err, cases[i].code, wanted);
  }
  const char *long_text = in_folder("long");
  char expected_error[8300];
  fclose(fopen(long_text, "w"));
  CHECK(truncate(long_text, (1 << 28) + 1) == 0, "a file that is long");
  snprintf(expected_error, sizeof expected_error, "error: text '%s' is longer than 268435456 bytes\n", long_text);
  CHECK_ERROR(run(program, "--perplexity", long_text, "--window", "8"), 1, expected_error);
  unlink(long_text);
  char text[2048] = "";
  for (int i = 0; i < 100; i++) strcat(text, "word \xE6\x97\xA5 ");
  result r = run(program, "--raw-prompt", text);
  CHECK(r.code == 1 && strstr(r.err, "tokens long, 0 of them vision tokens, and the context of this program is 96\n") && r.out_size == 0,
        "'%s'", r.err);
  r = run(program, "--prompt", "a", "--image", "1", "--image", "2", "--image", "3", "--image", "4");
  CHECK_ERROR(r, 1, "error: 4 images are too many, this program was compiled for at most 3\n");
  r = run(program, "--prompt", "a", "--image", images[0], "--max-image-pixels", "20");
  CHECK(r.code == 1 && strstr(r.err, " pixels, over the limit of 20 that '--max-image-pixels' sets\n") && r.out_size == 0, "'%s'", r.err);
  CHECK_ERROR(run(decoder, "--prompt", "a", "--image", "1"), 2, "error: this program has no vision tower, '--image' must be left out\n");
  r = run(decoder, "--prompt", "a <image>", "--max-tokens", "3", "--json");
  CHECK(json_get(parse_answer(r), "visual_tokens")->number == 0, "'%s'", r.out);
}

static void facts(void) {
  result r = run(program, "--version");
  CHECK(r.code == 0 && strcmp(r.out, "lmmc 1.2.3\n") == 0, "'%s'", r.out);
  r = run(program, "--prompt", "x", "--help", "--nonsense");
  CHECK(r.code == 0 && strstr(r.out, "usage: ") == r.out && !r.err[0], "'%s'", r.err);
  static const char *const names[] = {"--image FILE",
                                      "--max-image-pixels N",
                                      "--prompt TEXT",
                                      "--raw-prompt TEXT",
                                      "--max-tokens N",
                                      "--temperature T",
                                      "--top-k K",
                                      "--top-p P",
                                      "--seed N",
                                      "--threads N",
                                      "--decode-threads N",
                                      "--json",
                                      "--dump DIR",
                                      "--tokenize TEXT",
                                      "--perplexity FILE",
                                      "--window N",
                                      "--info",
                                      "--help",
                                      "--version"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(strstr(r.out, names[i]), "no '%s' in the help", names[i]);
  r = run(program, "-h");
  CHECK(r.code == 0 && strstr(r.out, "usage: ") == r.out, "'%s'", r.err);
  r = run(program, "--info", "--threads", "3");
  json *v = json_parse(r.out), *runtime = json_get(v, "runtime");
  CHECK(r.code == 0 && v && strcmp(json_get(v, "precision")->text, "f32") == 0 && json_get(v, "layers")->number == 2, "'%s'", r.out);
  CHECK(runtime && json_get(runtime, "threads")->number == 3 && json_get(runtime, "blas_core")->type == 'n', "'%s'", r.out);
  CHECK(runtime && json_get(runtime, "attached_bytes")->number > 1000 && json_get(runtime, "arena_bytes")->number == 40960, "'%s'", r.out);

  static const char *const texts[] = {"", " ", "The picture", "</s><s> a", "\xFF\xC3 \xE6\x97\xA5", "<image>"};
  for (int i = 0; i < 6; i++) {
    lmmc_ids ids = {0};
    lmmc_text wanted = {0};
    lmmc_tokenize(&tokenizer, texts[i], strlen(texts[i]), &ids, NULL);
    lmmc_json_ids(&wanted, ids.values, ids.count, NULL);
    lmmc_text_append(&wanted, "\n", 2, NULL);
    r = run(program, "--tokenize", texts[i]);
    CHECK(r.code == 0 && strcmp(r.out, wanted.bytes) == 0, "'%s', wanted '%s'", r.out, wanted.bytes);
    lmmc_ids_free(&ids);
    lmmc_text_free(&wanted);
  }
}

// The sum over the second half of each window, in the way of the definition: every token's state from the window's start.
static void perplexity(void) {
  const char *path = in_folder("text");
  FILE *file = fopen(path, "w");
  lmmc_text text = {0};
  for (int i = 0; i < 40; i++) lmmc_text_format(&text, NULL, "The picture %d has</s>\n", i * i);
  if (!file || fwrite(text.bytes, 1, text.count, file) != text.count || fclose(file) != 0) abort();
  lmmc_ids ids = {0};
  lmmc_ids_append(&ids, 1, NULL);
  lmmc_tokenize(&tokenizer, text.bytes, text.count, &ids, NULL);
  static const int windows[] = {4, 15, 32, 96};
  for (int k = 0; k < 4; k++) {
    int window = windows[k];
    double sum = 0, squares = 0;
    int64_t count = 0, number = (int64_t)ids.count / window;
    for (int64_t start = 0; start < number * window; start += window) {
      uint64_t state = 1;
      for (int i = 0; i < window - 1; i++) {
        state = fake_token(state, i == 0 ? 1 : ids.values[start + i]);
        if (i < window / 2) continue;
        double total = 0;
        for (int v = 0; v < FAKE_VOCABULARY; v++) total += exp((double)fake_logit(state, v));
        double nll = log(total) - (double)fake_logit(state, ids.values[start + i + 1]);
        sum += nll, squares += nll * nll, count++;
      }
    }
    double mean = sum / (double)count, error = sqrt((squares / (double)count - mean * mean) / (double)(count - 1));
    char typed[16];
    snprintf(typed, sizeof typed, "%d", window);
    result r = run(program, "--perplexity", path, "--window", typed, "--json");
    json *v = json_parse(r.out);
    CHECK(r.code == 0 && v, "%d: '%s'", window, r.err);
    if (!v) continue;
    CHECK(fabs(json_get(v, "nll")->number / mean - 1) < 1e-11, "%d: '%s', wanted %.12g", window, r.out, mean);
    CHECK(fabs(json_get(v, "perplexity")->number / exp(mean) - 1) < 1e-8, "%d: '%s'", window, r.out);
    CHECK(fabs(json_get(v, "standard_error")->number / (exp(mean) * error) - 1) < 1e-3, "%d: '%s'", window, r.out);
    CHECK((int64_t)json_get(v, "tokens")->number == count && (int64_t)json_get(v, "windows")->number == number, "%d: '%s'", window, r.out);
  }
  result r = run(program, "--perplexity", path, "--window", "32");
  CHECK(r.code == 0 && strncmp(r.out, "perplexity ", 11) == 0 && strstr(r.out, " windows of 32, "), "'%s'", r.out);
  setenv("FAKE_LOGIT", "0 nan", 1);
  CHECK_ERROR(run(program, "--perplexity", path, "--window", "32"), 1, "error: the logits are not numbers, so there is no perplexity\n");
  unsetenv("FAKE_LOGIT");
  lmmc_ids_free(&ids);
  lmmc_text_free(&text);
}

int main(int argc, char **argv) {
  if (argc != 6) return fprintf(stderr, "usage: cli_test PROGRAM BARE DECODER BLOB GOLDEN\n"), 2;
  program = argv[1], bare = argv[2], decoder = argv[3], blob_path = argv[4];
  static const char *const names[] = {"wide.png", "photo.jpg", "lossy.webp"};
  for (int i = 0; i < 3; i++) snprintf(images[i], sizeof *images, "%s/images/%s", argv[5], names[i]);
  size_t size;
  lmmc_error e = {0};
  char *blob = read_whole(blob_path, &size);
  if (!mkdtemp(folder) || !blob || !lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob, size, &e))
    return fprintf(stderr, "cli_test: %s\n", e.message), 2;
  answers();
  endings();
  text_forms();
  sampling();
  dumps();
  failing_dumps();
  streaming();
  standard_streams();
  on_terminal();
  weights();
  wrong_lines();
  perplexity();
  facts();
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  if (system(command) != 0) perror(folder);
  return check_report();
}
