// `--bench` of a compiled program, on the toy model of cli_fake_model.c.
//   cli_bench_test PROGRAM DECODER GOLDEN      DECODER has no vision tower; GOLDEN: Tests/Golden
#define _GNU_SOURCE
#include <math.h>

#include "../check.h"
#include "cli_fake_model.h"
#include "cli_json.h"
#include "cli_process.h"

static double number(const json *v, const char *name) {
  const json *n = json_get(v, name);
  CHECK(n && n->type == 'd', "no number '%s'", name);
  return n ? n->number : -1;
}

// Half of the last of the four decimals that figures are printed with.
static const double ROUNDING = 0.5e-4;

// Whether what was rounded to x and y has this product: it lies between (x - ROUNDING) (y - ROUNDING) and (x + ROUNDING) (y + ROUNDING).
static bool have_product(double x, double y, double product) { return fabs(x * y - product) <= ROUNDING * (x + y) + ROUNDING * ROUNDING; }

// The object of a run, with what must hold of any.
static json *parse(result r) {
  static const char *const figures[] = {
      "preprocess", "vision", "project", "prefill", "time_to_first_token", "decode_step", "prefill_tokens_per_second", "tokens_per_second"};
  json *v = json_parse(r.out);
  CHECK(r.code == 0 && v && v->type == 'o' && !r.err[0], "exit %d '%s' '%s'", r.code, r.err, r.out);
  if (!v || v->type != 'o') exit(check_report());
  double most[8];
  for (int i = 0; i < 8; i++) {
    json *f = json_get(v, figures[i]);
    double least = number(f, "min"), median = number(f, "median");
    most[i] = number(f, "max");
    CHECK(least >= 0 && least <= median && median <= most[i], "'%s' in '%s'", figures[i], r.out);
  }
  CHECK(number(json_get(v, "time_to_first_token"), "min") >= number(json_get(v, "prefill"), "min"), "'%s'", r.out);
  CHECK(number(json_get(v, "tokens_per_second"), "min") > 0 && number(v, "peak_rss_bytes") > 500e3, "'%s'", r.out);
  return v;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: cli_bench_test PROGRAM DECODER GOLDEN\n"), 2;
  const char *program = argv[1], *decoder = argv[2];
  char image[4096];
  snprintf(image, sizeof image, "%s/images/wide.png", argv[3]);

  json *v = parse(run(program, "--bench", "--json", "--raw-prompt", "a<image>b", "--image", image, "--max-tokens", "4", "--runs", "3"));
  CHECK(number(v, "visual_tokens") == FAKE_VISION_TOKENS && number(v, "decoded_tokens") == 4 && number(v, "runs") == 3, "%s", "");
  CHECK(number(json_get(v, "preprocess"), "min") > 0 && number(json_get(v, "project"), "min") > 0, "%s", "");

  v = parse(run(program, "--bench", "--json", "--raw-prompt", "x<image>x<image>", "--image", image, "--image", image, "--max-tokens", "1",
                "--runs", "1"));
  CHECK(number(v, "visual_tokens") == 2 * FAKE_VISION_TOKENS, "%s", "");

  v = parse(run(program, "--bench", "--json", "--raw-prompt", "ab", "--prompt-tokens", "60"));
  CHECK(number(v, "visual_tokens") == 0 && number(v, "prompt_tokens") == 60 && number(v, "decoded_tokens") == 32 && number(v, "runs") == 5,
        "%s", "");
  CHECK(number(json_get(v, "vision"), "max") == 0 && number(json_get(v, "preprocess"), "max") == 0, "%s", "");

  v = parse(run(program, "--bench", "--json", "--raw-prompt", "ab", "--threads", "3", "--decode-threads", "2", "--runs", "2"));
  CHECK(number(v, "threads") == 3 && number(v, "decode_threads") == 2, "%s", "");
  v = parse(run(program, "--bench", "--json", "--raw-prompt", "ab", "--threads", "3", "--runs", "1"));
  CHECK(number(v, "threads") == 3 && number(v, "decode_threads") == 3, "%s", "");

  // Several sequences: a token of each at a step, then all prompts at once and one as long where there is room for it.
  CHECK(number(v, "sequences") == 1 && !json_get(v, "copy") && !json_get(v, "prefill_long"), "%s", "one sequence");
  static const char *const several[] = {"copy", "prefill_together", "prefill_long", "prefill_together_tokens_per_second",
                                        "prefill_long_tokens_per_second"};
  for (int length = 10; length <= 40; length += 15) {  // the context is 96
    char typed[16];
    snprintf(typed, sizeof typed, "%d", length);
    setup.environment[0] = "FAKE_COUNTS=1";
    result r = run(program, "--bench", "--json", "--raw-prompt", "ab", "--prompt-tokens", typed, "--sequences", "3", "--max-tokens", "5",
                   "--runs", "1");
    const bool has_long = 3 * length <= FAKE_CONTEXT;
    const int alone = (length + FAKE_CHUNK - 1) / FAKE_CHUNK, all = (3 * length + FAKE_CHUNK - 1) / FAKE_CHUNK;
    const int single = (length % FAKE_CHUNK == 1) + 2 * has_long * (3 * length % FAKE_CHUNK == 1);  // last chunks of one row
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%d steps, %d decodes, %d wanted, 10 alike, rows %d (%d) %d (%d) %d (%d) 0 (0)\n",
             2 * (alone + 5 + 2 * has_long * all - single), 2 * single, 2 * (1 + 5 * 3 + has_long * 4),
             2 * (length + 5 + has_long * 4 * length), has_long ? 3 * length : length + 5, 2 * (5 + has_long * length), length + 5,
             2 * (5 + has_long * length), length + 5);
    CHECK(strcmp(r.err, wanted) == 0, "'%s', wanted '%s'", r.err, wanted);
    r.err[0] = 0;
    v = parse(r);
    CHECK(number(v, "sequences") == 3 && number(v, "prompt_tokens") == length, "%s", r.out);
    for (int i = 0; i < 5; i++)
      CHECK((number(json_get(v, several[i]), "min") > 0) == (has_long || i == 0), "'%s' in '%s'", several[i], r.out);
    CHECK(have_product(number(json_get(v, "tokens_per_second"), "min"), number(json_get(v, "decode_step"), "max"), 3000), "'%s'", r.out);
    CHECK(!has_long || have_product(number(json_get(v, "prefill_together_tokens_per_second"), "min"),
                                    number(json_get(v, "prefill_together"), "max"), 3000 * length),
          "'%s'", r.out);
  }

  // A context of fewer positions than sequences: a step takes a row of each all the same.
  setup.environment[0] = "FAKE_COUNTS=1";
  result few = run(program, "--bench", "--raw-prompt", "a", "--context", "3", "--sequences", "4", "--max-tokens", "1", "--runs", "1");
  CHECK(few.code == 0 && strncmp(few.err, "4 steps, 0 decodes, ", 20) == 0, "exit %d '%s'", few.code, few.err);

  // What is built in: an image for a program with a tower, none for one without.
  v = parse(run(program, "--bench", "--json", "--prompt=", "--image", image, "--max-tokens", "1", "--runs", "1", "--prompt-tokens", "94"));
  CHECK(number(v, "visual_tokens") == FAKE_VISION_TOKENS && number(v, "prompt_tokens") == 90, "%s", "");
  result r = run(program, "--bench", "--raw-prompt", "ab", "--max-tokens", "5", "--runs", "1", "--sequences", "4");
  CHECK(r.code == 0 && strstr(r.out, " and 5 decoded, in each of 4 sequences; ") && strstr(r.out, "\ndecode, one token of each ") &&
            strstr(r.out, "\nall prompts, tokens/s ") && strstr(r.out, "\none as long, tokens/s "),
        "'%s' '%s'", r.out, r.err);
  // All of it belongs to the two stages that a question has.
  r = run(program, "--bench", "--raw-prompt", "ab", "--max-tokens", "5", "--runs", "1", "--sequences", "4", "--profile");
  int stages = 0;
  for (const char *at = r.err; (at = strstr(at, " ms\n")); at++) stages++;
  CHECK(r.code == 0 && stages == 2 && strstr(r.err, "\nprefill: ") && strstr(r.err, "\ndecode: "), "'%s'", r.err);
  r = run(program, "--bench");
  CHECK(r.code == 1 && strstr(r.err, ", 4 of them vision tokens, and the context of this program is 96\n"), "'%s'", r.err);
  v = parse(run(decoder, "--bench", "--json", "--max-tokens", "1", "--runs", "2"));
  CHECK(number(v, "visual_tokens") == 0 && number(v, "prompt_tokens") > 10, "%s", "");

  // Every step is taken, past an end of text, in each run, and no more than that: its logits would be no numbers.
  setenv("FAKE_TOKENS", "2 2 2 2", 1);
  setenv("FAKE_LOGIT", "4 nan", 1);
  r = run(program, "--bench", "--raw-prompt", "a", "--max-tokens", "4", "--runs", "1");
  CHECK(r.code == 1 && !r.out[0] && strstr(r.err, "error: ") == r.err, "exit %d '%s'", r.code, r.err);
  r = run(program, "--bench", "--raw-prompt", "a", "--max-tokens", "3", "--runs", "2");
  CHECK(r.code == 0 && strstr(r.out, "0 of them vision tokens, and 3 decoded; ") && strstr(r.out, "2 runs after one to warm up"),
        "'%s' '%s'", r.out, r.err);
  CHECK(strstr(r.out, "\nprefill, tokens/s ") && strstr(r.out, "\ndecode, one token ") && !strstr(r.out, "vision tower"), "'%s'", r.out);
  unsetenv("FAKE_TOKENS");
  unsetenv("FAKE_LOGIT");

  static const struct {
    const char *arguments[6];
    int code;
    const char *message;
  } wrong[] = {
      {{"--bench", "--dump", "d"}, 2, "option '--bench' answers nothing, '--dump' must be left out"},
      {{"--bench", "--tokenize", "d"}, 2, "option '--bench' answers nothing, '--tokenize' must be left out"},
      {{"--bench", "--perplexity", "d"}, 2, "option '--bench' answers nothing, '--perplexity' must be left out"},
      {{"--runs", "2", "--prompt", "d"}, 2, "option '--runs' belongs to '--bench', which is not given"},
      {{"--prompt-tokens=2", "--prompt", "d"}, 2, "option '--prompt-tokens' belongs to '--bench', which is not given"},
      {{"--sequences", "2", "--prompt", "d"}, 2, "option '--sequences' belongs to '--bench', which is not given"},
      {{"--bench", "--sequences", "0"}, 2, "option '--sequences' wants a whole number from 1 to 1024, not '0'"},
      {{"--bench", "--raw-prompt", "a", "--sequences", "5"},
       2,
       "option '--sequences' wants at most the sequences of this program, 4, not 5"},
      {{"--bench", "--raw-prompt", "a", "--prompt-tokens", "1"},
       2,
       "option '--prompt-tokens' wants at least the 2 tokens of the prompt, not 1"},
      {{"--bench", "--raw-prompt", "a", "--max-tokens", "95"},
       1,
       "the prompt of 2 tokens and 95 decoded ones do not fit the context of this program, 96"},
      {{"--raw-prompt=a", "--threads", "2", "--decode-threads=3"},
       2,
       "option '--decode-threads' wants at most the threads in use, 2, not 3"},
      {{"--bench", "--image", "/nowhere.png", "--raw-prompt", "<image>"}, 1, "cannot open '/nowhere.png': no such file or directory"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const char *line[8] = {program};
    char wanted[512];
    memcpy(line + 1, wrong[i].arguments, sizeof wrong[i].arguments);
    r = run_list(line);
    snprintf(wanted, sizeof wanted, "error: %s\n", wrong[i].message);
    CHECK(r.code == wrong[i].code && strcmp(r.err, wanted) == 0 && r.out_size == 0, "exit %d '%s'\n  wanted %d '%s'", r.code, r.err,
          wrong[i].code, wanted);
  }
  return check_report();
}
