// Answers of a program: their tokens and text, their endings, and sampling.
#define _GNU_SOURCE
#include "cli_fixture.h"

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
  CHECK(strcmp(SAMPLE("--temperature", "1", "--min-p", "1"), greedy) == 0, "min-p 1");
  CHECK(strcmp(SAMPLE("--frequency-penalty", "100"), greedy) != 0, "a token twice");
  CHECK_ERROR(run(program, "--prompt", "x", "--logit-bias", "448=1"), 2,
              "error: a logit bias is of token 448, this program knows tokens from 0 to 447\n");

  // A token that is barred, and one that a bias makes the likeliest, with what the model thought of it.
  setup.environment[0] = "FAKE_TOKENS=72 73 74 75 2";
  result r =
      run(program, "--prompt", "x", "--logit-bias", "73=-inf", "--logit-bias", "80=109", "--max-tokens", "2", "--json", "--logprobs", "2");
  json *v = parse_answer(r);
  CHECK(strcmp(json_get(v, "text")->text, "MM") == 0, "'%s'", json_get(v, "text")->text);
  CHECK(strstr(r.out, "\"logprobs\": [{\"id\": 80, \"logprob\": -") &&
            strstr(r.out, "\"top\": [{\"id\": 72, \"logprob\": 0.000000}, {\"id\": "),
        "%s", r.out);
  // Nothing of a stop text is printed.
  setup.environment[0] = "FAKE_TOKENS=72 73 74 75 2";
  r = run(program, "--prompt", "x", "--stop", "GI", "--stop", "GH");
  CHECK(strcmp(r.out, "EF\n") == 0 && r.code == 0, "'%s'", r.out);
  setup.environment[0] = "FAKE_LOGIT=2 nan";
  r = run(program, "--raw-prompt", "A", "--json");
  CHECK_ERROR(r, 1, "error: the model gave a NaN as the logit of token 5\n");
}

RUN_TESTS(answers, endings, text_forms, sampling)
