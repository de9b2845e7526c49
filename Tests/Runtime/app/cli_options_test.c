// The command line of a program: what is wrong with it, what goes together, and what is printed without a model.
#define _GNU_SOURCE
#include <ctype.h>

#include "base/json.h"
#include "cli_fixture.h"

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
#define BIASES "a token and a number, as '13=-2.5'"
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
      WANTS("--min-p", "1.5", "a number from 0 to 1"),
      WANTS("--repeat-penalty", "0", "a number from 0.001 to 1000"),
      WANTS("--presence-penalty", "-101", "a number from -100 to 100"),
      WANTS("--frequency-penalty", "x", "a number from -100 to 100"),
      WANTS("--logit-bias", "5", BIASES),
      WANTS("--logit-bias", "=5", BIASES),
      WANTS("--logit-bias", "5=", BIASES),
      WANTS("--logit-bias", "-5=1", BIASES),
      WANTS("--logit-bias", "5=inf", BIASES),
      WANTS("--logit-bias", "5=1e5", BIASES),
      WANTS("--logit-bias", "2147483648=1", BIASES),
      WANTS("--logit-bias", "12345678901234=1", BIASES),
      WANTS("--stop", "", "a text"),
      WANTS("--logprobs", "21", "a whole number from 1 to 20"),
      {{"--parallel", "2"}, 2, "option '--parallel' belongs to '--batch' and '--serve', of which none is given"},
      {{"--serve=", "--parallel=2"}, 2, "option '--serve' wants an address, not ''"},
      {{"--serve", "--json"}, 2, "option '--serve' has its own requests, '--json' must be left out"},
      {{"--serve", "--parallel=2"}, 2, "this program was compiled without the server"},
      {{"--logprobs", "2"}, 2, "option '--logprobs' belongs to '--json', which is not given"},
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

// Every pair of the options that choose or belong to a mode, in both orders: which mode ran, or which refused the other.
static void pairs(void) {
  static const char *words[][2] = {
      {"--prompt", "x"},   {"--raw-prompt", "x"},         {"--image", NULL},    {"--dump", NULL},  {"--dump-tensors", NULL},
      {"--tokenize", "x"}, {"--perplexity", "/dev/null"}, {"--bench", NULL},    {"--check", NULL}, {"--info", NULL},
      {"--runs", "1"},     {"--prompt-tokens", "60"},     {"--sequences", "2"}, {"--help", NULL},  {"--version", NULL}};
  enum { COUNT = sizeof words / sizeof *words };
  words[2][1] = images[0];
  words[3][1] = words[4][1] = in_folder("pairs");
  // Small letters: the mode that ran (bench, check, info, help, version; answer where it is none of these; this program takes no image).
  // Capitals: the mode whose option refuses the other one. '!': both are prompts. '?': it belongs to --bench, which is not given.
  static const char *const wanted[COUNT] = {
      "",         "!",         "aa",         "aaa",         "aaaa",         "TTTTT",         "PPPPPP",         "bbaBBBB",
      "CCCCCCCC", "iiiiiiiii", "???????b??", "???????b???", "???????b????", "hhhhhhhhhhhhh", "vvvvvvvvvvvvvx",
  };
  for (int i = 0; i < COUNT; i++)
    for (int k = 0; k < COUNT; k++) {
      if (i == k) continue;
      const char *line[10] = {decoder, words[i][0]};
      int n = 2;
      if (words[i][1]) line[n++] = words[i][1];
      line[n++] = words[k][0];
      if (words[k][1]) line[n++] = words[k][1];
      line[n++] = "--max-tokens", line[n++] = "3";
      result r = run_list(line);
      const char *later = words[i > k ? i : k][0], *earlier = words[i > k ? k : i][0];
      char refuses[128], belongs[128];
      snprintf(refuses, sizeof refuses, "error: option '%s' %s, '%s' must be left out\n", later,
               strcmp(later, "--tokenize") == 0 ? "runs no model" : "answers nothing", earlier);
      snprintf(belongs, sizeof belongs, "error: option '%s' belongs to '--bench', which is not given\n",
               strncmp(earlier, "--runs", 6) == 0 || strncmp(earlier, "--prompt-tokens", 15) == 0 ? earlier : later);
      char seen = strcmp(r.err, refuses) == 0                                                               ? (char)toupper(later[2])
                  : strcmp(r.err, belongs) == 0                                                             ? '?'
                  : strcmp(r.err, "error: options '--prompt' and '--raw-prompt' exclude each other\n") == 0 ? '!'
                  : strncmp(r.out, "usage: ", 7) == 0                                                       ? 'h'
                  : strcmp(r.out, "lmmc 1.2.3\n") == 0                                                      ? 'v'
                  : strncmp(r.out, "{\"precision\"", 12) == 0                                               ? 'i'
                  : strstr(r.out, " tokens of prompt, ")                                                    ? 'b'
                  : strcmp(r.err, "error: this program has no sums to check its bytes by\n") == 0           ? 'c'
                                                                                                            : 'a';
      // The first of help and version ends the reading.
      char expected_one = i > 12 && k > 12 ? (i == 13 ? 'h' : 'v') : wanted[i > k ? i : k][i > k ? k : i];
      CHECK(seen == expected_one, "'%s' with '%s': %c, wanted %c, exit %d '%s'", words[i][0], words[k][0], seen, expected_one, r.code,
            r.err);
      CHECK(strchr("TPBC!?", seen) == NULL || (r.code == 2 && r.out_size == 0), "'%s' with '%s': exit %d", words[i][0], words[k][0],
            r.code);
    }
}

static void facts(void) {
  result r = run(program, "--version");
  CHECK(r.code == 0 && strcmp(r.out, "lmmc 1.2.3\n") == 0, "'%s'", r.out);
  r = run(program, "--prompt", "x", "--help", "--nonsense");
  // A newcomer finds what is needed every day, and where the rest is.
  int shown = 0;
  for (const char *line = r.out; line && strstr(r.out, "\nmore options:\n") > line; line = strchr(line, '\n') + 1)
    shown += strncmp(line, "  --", 4) == 0;
  CHECK(r.code == 0 && shown == 11 && strstr(r.out, "--help sampling") && strstr(r.out, "--top-k, --top-p"), "%d: '%s'", shown, r.out);
  CHECK(strstr(r.out, "--image FILE") && !strstr(r.out, "--runs N") && !r.err[0], "'%s'", r.out);
  r = run(program, "--help", "measuring", "--nonsense");
  CHECK(r.code == 0 && strstr(r.out, "--runs N") && !strstr(r.out, "--image FILE"), "'%s'", r.out);
  CHECK_ERROR(run(program, "--help", "x"), 2,
              "error: option '--help' wants one of 'everyday', 'prompts', 'sampling', 'structure', 'batch', 'serving', 'machine', "
              "'measuring', 'inspecting', or 'all', "
              "not 'x'\n");
  r = run(program, "--help=all");
  CHECK(r.code == 0 && strstr(r.out, "usage: ") == r.out && !r.err[0], "'%s'", r.err);
  static const char *const names[] = {"--image FILE",
                                      "--max-image-pixels N",
                                      "--prompt TEXT",
                                      "--raw-prompt TEXT",
                                      "--max-tokens N",
                                      "--temperature T",
                                      "--top-k K",
                                      "--top-p P",
                                      "--min-p P",
                                      "--repeat-penalty R",
                                      "--logit-bias ID=V",
                                      "--stop TEXT",
                                      "--json-schema FILE|TEXT",
                                      "--grammar FILE",
                                      "--regex TEXT",
                                      "--choices A,B,...",
                                      "--logprobs N",
                                      "--seed N",
                                      "--threads N",
                                      "--decode-threads N",
                                      "--sequences N",
                                      "--json",
                                      "--dump DIR",
                                      "--tokenize TEXT",
                                      "--perplexity FILE",
                                      "--window N",
                                      "--info",
                                      "--chat",
                                      "--system TEXT",
                                      "--help TOPIC",
                                      "--version"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(strstr(r.out, names[i]), "no '%s' in the help", names[i]);
  r = run(program, "-h");
  CHECK(r.code == 0 && strstr(r.out, "usage: ") == r.out, "'%s'", r.err);
  r = run(program, "--info", "--threads", "3");
  json *v = json_parse(r.out), *runtime = json_get(v, "runtime");
  CHECK(r.code == 0 && v && strcmp(json_get(v, "precision")->text, "f32") == 0 && json_get(v, "layers")->number == 2, "'%s'", r.out);
  CHECK(runtime && json_get(runtime, "threads")->number == 3 && json_get(runtime, "blas_core")->type == 'n', "'%s'", r.out);
  CHECK(runtime && json_get(runtime, "attached_bytes")->number > 1000 && json_get(runtime, "arena_bytes")->number == 77760, "'%s'", r.out);

  // What decides the bits of a result; kernels that multiply are not in these programs.
  const json *arithmetic = json_get(runtime, "arithmetic"), *invariant = json_get(runtime, "batch_invariant");
  char level[256];
  snprintf(level, sizeof level, "level %s", json_get(runtime, "level") ? json_get(runtime, "level")->text : "");
  CHECK(arithmetic && strcmp(arithmetic->text, level) == 0, "'%s', wanted '%s'", r.out, level);
  CHECK(invariant && invariant->type == 'b' && invariant->number == 1 && !json_get(runtime, "batch_variant_by"), "'%s'", r.out);
  r = run(decoder, "--info");
  v = json_parse(r.out), runtime = json_get(v, "runtime"), invariant = json_get(runtime, "batch_invariant");
  strcat(level,
         ", bf16 avx2, q8 avxvnni, q4 avx2, quantize_q8 avx2, quantize_bf16 avx2, attention_f32 avx512, attention_bf16 avx512bf16, "
         "f32 OpenBLAS Haswell");
  CHECK(strcmp(json_get(runtime, "arithmetic")->text, level) == 0, "'%s', wanted '%s'", r.out, level);
  CHECK(strcmp(json_get(json_get(runtime, "kernels"), "q8")->text, "avxvnni") == 0, "'%s'", r.out);
  CHECK(invariant && invariant->type == 'b' && invariant->number == 0 && strstr(json_get(runtime, "batch_variant_by")->text, "OpenBLAS"),
        "'%s'", r.out);

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

RUN_TESTS(wrong_lines, pairs, facts)
