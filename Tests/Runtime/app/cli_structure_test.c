// Answers that must be texts of a schema, a grammar, a regular expression or a list: valid in each notation, at any temperature, alone and in a
// batch; and what is refused. The toy model says anything.
#define _GNU_SOURCE
#include <math.h>
#include <regex.h>

#include "cli_fixture.h"
#include "cli_npy.h"
#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "grammar/schema.h"

#define SCHEMA                                                                                                     \
  "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 4}, \"n\": {\"type\": " \
  "\"integer\", \"minimum\": 0, \"maximum\": 99}, \"is\": {\"type\": \"boolean\"}}, \"required\": [\"name\", \"n\", \"is\"]}"
#define GRAMMAR "root ::= line line?\nline ::= [0-9]{1,3} \" \" (\"x\" | \"\xC3\xA9\" | \"\xE6\x97\xA5\") \"\\n\"\n"
#define TOKENS "90"

static const char *write_file(const char *name, const char *text) {
  const char *path = in_folder(name);
  FILE *f = fopen(path, "w");
  if (!f || fputs(text, f) < 0 || fclose(f) != 0) perror(path), exit(2);
  char *copy = json_keep(strlen(path) + 1);
  return strcpy(copy, path);
}

// ---- whether a text is what was asked for

static bool is_record(const char *text) {
  const json *v = json_parse(text), *name = json_get(v, "name"), *n = json_get(v, "n"), *is = json_get(v, "is");
  if (!v || v->type != 'o' || v->length != 3 || !name || !n || !is) return false;
  int characters = 0;
  for (const char *c = name->text; name->type == 's' && *c; c++) characters += ((unsigned char)*c & 0xC0) != 0x80;
  return name->type == 's' && characters <= 4 && n->type == 'd' && n->number >= 0 && n->number <= 99 && n->number == floor(n->number) &&
         is->type == 'b';
}

static bool matches(const char *pattern, const char *text) {
  regex_t r;
  if (regcomp(&r, pattern, REG_EXTENDED) != 0) abort();
  const bool does = regexec(&r, text, 0, NULL, 0) == 0;
  regfree(&r);
  return does;
}

static bool is_lines(const char *text) { return matches("^([0-9]{1,3} (x|\xC3\xA9|\xE6\x97\xA5)\n){1,2}$", text); }
static bool is_code(const char *text) { return matches("^[a-c]{3}-[0-9]{2,4}$", text); }
static bool is_choice(const char *text) { return !strcmp(text, "red") || !strcmp(text, "dark green") || !strcmp(text, "blue"); }
static bool is_listed(const char *text) { return !strcmp(text, "yes, but") || !strcmp(text, "\xE6\x97\xA5\xE6\x9C\xAC"); }

static const struct {
  const char *option, *value;
  bool (*is_valid)(const char *text);
} notations[] = {
    {"--json-schema", SCHEMA, is_record},
    {"--grammar", GRAMMAR, is_lines},
    {"--regex", "[a-c]{3}-\\d{2,4}", is_code},
    {"--choices", "red, dark green ,blue", is_choice},
    {"--choices", "[\"yes, but\", \"\\u65e5\\u672c\"]", is_listed},
};
enum { NOTATIONS = sizeof notations / sizeof *notations };

// The value as the command line takes it.
static const char *value_of(int i) {
  return strcmp(notations[i].option, "--grammar") == 0 ? write_file("grammar", GRAMMAR) : notations[i].value;
}

static void each_notation(void) {
  static const char *const settings[][4] = {{"--temperature", "0"},
                                            {"--temperature", "1"},
                                            {"--temperature", "100"},
                                            {"--temperature", "2", "--top-k", "2"},
                                            {"--temperature", "1", "--top-p", "0.1"}};
  for (int i = 0; i < NOTATIONS; i++)
    for (int k = 0; k < 30; k++) {
      const int s = k % 5;
      char seed[16], prompt[16];
      snprintf(seed, sizeof seed, "%d", k);
      snprintf(prompt, sizeof prompt, "A%d", k / 5);
      const char *line[24] = {program, notations[i].option, value_of(i), "--raw-prompt", prompt, "--max-tokens", TOKENS, "--json", "--seed",
                              seed};
      int n = 10;
      for (int o = 0; o < 4 && settings[s][o]; o++) line[n++] = settings[s][o];
      result r = run_list(line);
      const json *v = parse_answer(r), *text = json_get(v, "text");
      CHECK(strcmp(json_get(v, "finish_reason")->text, "stop") == 0 && notations[i].is_valid(text->text), "%s, %d: '%s'",
            notations[i].option, k, r.out);
      CHECK(strlen(text->text) == text->length, "'%s'", r.out);
      if (k >= 5) continue;
      // The same seed, the same answer; and what is streamed is the text.
      result again = run_list(line);
      CHECK(strcmp(json_get(json_parse(again.out), "text")->text, text->text) == 0, "'%s', '%s'", again.out, r.out);
      line[7] = "--threads=1";
      result streamed = run_list(line);
      CHECK(streamed.code == 0 && streamed.out_size == text->length + 1 && memcmp(streamed.out, text->text, text->length) == 0,
            "'%s', '%s'", streamed.out, r.out);
    }
}

// Greedy answers, token by token: the likeliest of those that the grammar allows. The dump has the logits as they were, with a last row.
static void choices_of_tokens(void) {
  lmmc_vocabulary vocabulary;
  lmmc_text tree = {0};
  lmmc_rules rules;
  lmmc_grammar grammar = {0};
  lmmc_machine machine;
  lmmc_matcher matcher;
  lmmc_error e = {0};
  const int32_t ends[] = {FAKE_EOS, FAKE_OTHER_EOS};
  const expected x = simulate("A", true, 0, 1);
  const char *dump = in_folder("dump");
  lmmc_rules_open(&rules);
  bool done = lmmc_vocabulary_of_tokenizer(&tokenizer, FAKE_VOCABULARY, &tree, &e) &&
              lmmc_vocabulary_open(&vocabulary, tree.bytes, tree.count, &e) && lmmc_schema_read(&rules, SCHEMA, strlen(SCHEMA), NULL, &e) &&
              lmmc_grammar_compile(&grammar, &rules, &e) &&
              lmmc_machine_open(&machine, &grammar, &vocabulary, (lmmc_end_tokens){ends, 2}, 0, &e) &&
              lmmc_matcher_open(&matcher, &machine, &e);
  CHECK(done, "%s", e.message);
  if (!done) return;
  result r = run(decoder, "--json-schema", SCHEMA, "--raw-prompt", "A", "--max-tokens", TOKENS, "--json", "--dump", dump);
  const json *v = parse_answer(r), *tokens = json_get(v, "tokens");
  const int count = (int)tokens->length;
  char shape[64];
  snprintf(shape, sizeof shape, "%d, %d", count + 1, FAKE_VOCABULARY);
  const float *logits = read_npy(in_dump(dump, "logits.npy"), "<f4", shape, (size_t)(count + 1) * FAKE_VOCABULARY);
  fake_state state = x.states[0];
  const json *token = tokens->child;
  uint64_t mask[FAKE_VOCABULARY / 64 + 1];
  int wrong = 0, alone = 0, all = 0;
  for (int row = 0; row <= count; row++) {
    int32_t best = -1;
    if (!lmmc_matcher_mask(&matcher, mask, &e)) abort();
    alone += lmmc_mask_single(mask, lmmc_mask_words(&vocabulary)) >= 0;
    for (int32_t i = 0; i < FAKE_VOCABULARY; i++) {
      const float logit = fake_logit(state, i);
      wrong += logits[row * FAKE_VOCABULARY + i] != logit;
      if (mask[i / 64] >> i % 64 & 1 && (best < 0 || logit > fake_logit(state, best))) best = i;
    }
    const int32_t taken = row < count ? (int32_t)token->number : best;
    all += taken != best;
    if (row == count) {
      CHECK(best == FAKE_EOS || best == FAKE_OTHER_EOS, "token %d behind the answer", best);
      break;
    }
    CHECK(lmmc_matcher_take(&matcher, taken, &e), "%s", e.message);
    state = fake_token(state, taken);
    token = token->next;
  }
  CHECK(wrong == 0 && all == 0 && alone > 5, "%d logits, %d of %d tokens, %d of them alone", wrong, all, count, alone);
  // Without a dump nothing is computed behind the last token.
  setup.environment[0] = "FAKE_COUNTS=1";
  r = run(decoder, "--json-schema", SCHEMA, "--raw-prompt", "A", "--max-tokens", TOKENS);
  char calls[64];
  snprintf(calls, sizeof calls, "1 steps, %d decodes, %d wanted", count - 1, count);
  CHECK(strncmp(r.err, calls, strlen(calls)) == 0, "'%s', wanted '%s'", r.err, calls);
  // Where the last token is the last that may be, the answer is whole all the same; one before, it is cut.
  char limit[16];
  for (int cut = 0; cut < 2; cut++) {
    snprintf(limit, sizeof limit, "%d", count - cut);
    r = run(decoder, "--json-schema", SCHEMA, "--raw-prompt", "A", "--max-tokens", limit, "--json");
    CHECK(strcmp(json_get(parse_answer(r), "finish_reason")->text, cut ? "length" : "stop") == 0, "'%s'", r.out);
  }
  lmmc_matcher_close(&matcher);
  lmmc_machine_close(&machine);
  lmmc_grammar_close(&grammar);
  lmmc_rules_close(&rules);
  lmmc_text_free(&tree);
}

// Other options have their say among what is allowed.
static void beside_others(void) {
  result r = run(program, "--choices", "red,blue", "--raw-prompt", "A", "--stop", "d");
  CHECK(r.code == 0 && (strcmp(r.out, "re\n") == 0 || strcmp(r.out, "blue\n") == 0), "'%s' '%s'", r.out, r.err);
  r = run(program, "--regex", "e*", "--raw-prompt", "A", "--max-tokens", "9", "--logit-bias", "2=-inf", "--logit-bias", "440=-inf",
          "--json");
  const json *v = parse_answer(r);
  CHECK(strcmp(json_get(v, "finish_reason")->text, "length") == 0 && json_get(v, "tokens")->length == 9, "'%s'", r.out);
  // The byte pieces are ids 3 to 258; no other piece is of these.
  r = run(program, "--regex", "\\x01\\x01", "--raw-prompt", "A", "--logit-bias", "4=-inf");
  CHECK_ERROR(r, 1, "error: the grammar allows token 4 alone, and a bias bars it\n");
  r = run(program, "--regex", "\\x01|\\x02", "--raw-prompt", "A", "--logit-bias", "4=-inf", "--logit-bias", "5=-inf");
  CHECK_ERROR(r, 1, "error: no token is left that the grammar allows and that is not barred\n");
  r = run(program, "--choices", "red,blue", "--raw-prompt", "A", "--json", "--logprobs", "2");
  CHECK(is_choice(json_get(parse_answer(r), "text")->text) && json_get(json_parse(r.out), "logprobs")->length > 0, "'%s'", r.out);
}

// Several answers to one question, each valid; and answers that are guessed ahead are the same.
static void several(void) {
  result r = run(program, "--n", "6", "--json-schema", SCHEMA, "--raw-prompt", "A", "--max-tokens", TOKENS, "--temperature", "1", "--seed",
                 "3", "--json");
  int i = 0, other = 0;
  const json *first = NULL;
  for (const json *c = json_get(json_parse(r.out), "choices") ? json_get(json_parse(r.out), "choices")->child : NULL; c; c = c->next, i++) {
    const char *text = json_get(c, "text")->text;
    CHECK(is_record(text) && strcmp(json_get(c, "finish_reason")->text, "stop") == 0, "'%s'", text);
    if (!first) first = c;
    other += strcmp(text, json_get(first, "text")->text) != 0;
  }
  CHECK(r.code == 0 && i == 6 && other > 3, "exit %d, %d answers, %d others: '%s'", r.code, i, other, r.err);
  result alone = run(program, "--json-schema", SCHEMA, "--raw-prompt", "A", "--max-tokens", TOKENS, "--temperature", "1", "--seed", "3");
  CHECK(first && strncmp(alone.out, json_get(first, "text")->text, strlen(alone.out) - 1) == 0, "'%s'", alone.out);
  static const char repeats[] = "{\"type\": \"array\", \"items\": {\"enum\": [\"abc\", 1]}, \"minItems\": 9, \"maxItems\": 9}";
  for (int k = 0; k < 8; k++) {
    char seed[16];
    snprintf(seed, sizeof seed, "%d", k);
    result plain = run(program, "--json-schema", repeats, "--raw-prompt", "A", "--temperature", k % 2 ? "1" : "0", "--seed", seed);
    result ahead = run(program, "--json-schema", repeats, "--raw-prompt", "A", "--temperature", k % 2 ? "1" : "0", "--seed", seed,
                       "--speculate", "lookup");
    CHECK(plain.code == 0 && plain.out_size > 9 && strcmp(plain.out, ahead.out) == 0, "'%s', '%s'", plain.out, ahead.out);
  }
}

// From files and standard input.
static void sources(void) {
  const char *schema = write_file("schema", SCHEMA), *grammar = write_file("grammar", GRAMMAR);
  result wanted = run(program, "--json-schema", SCHEMA, "--raw-prompt", "A");
  CHECK(wanted.code == 0 && is_record(wanted.out), "'%s' '%s'", wanted.out, wanted.err);
  CHECK(strcmp(run(program, "--json-schema", schema, "--raw-prompt", "A").out, wanted.out) == 0, "%s", "a file");
  setup.input = SCHEMA;
  CHECK(strcmp(run(program, "--json-schema", "-", "--raw-prompt", "A").out, wanted.out) == 0, "%s", "standard input");
  wanted = run(program, "--grammar", grammar, "--raw-prompt", "A");
  setup.input = GRAMMAR;
  CHECK(strcmp(run(program, "--grammar=-", "--raw-prompt", "A").out, wanted.out) == 0, "%s", "standard input");
}

static void refusals(void) {
  static const struct {
    const char *arguments[6];
    int code;
    const char *message;
  } cases[] = {
      {{"--json-schema", "{}", "--regex", "a"}, 2, "options '--json-schema' and '--regex' exclude each other"},
      {{"--choices", "a", "--grammar", "g"}, 2, "options '--grammar' and '--choices' exclude each other"},
      {{"--json-schema", ""}, 2, "option '--json-schema' wants a JSON Schema or the name of its file, not ''"},
      {{"--regex", ""}, 2, "option '--regex' wants a regular expression, not ''"},
      {{"--json-schema", "/nowhere"}, 1, "option '--json-schema': '/nowhere' cannot be read: no such file or directory"},
      {{"--grammar", "/"}, 1, "option '--grammar': '/' cannot be read: is a directory"},
      {{"--json-schema", "{\"type\": 5}"}, 2, NULL},
      {{"--json-schema", "{\"properties\": {\"a\": {\"contains\": {}}}}"}, 2, NULL},
      {{"--json-schema", "{"}, 2, NULL},
      {{"--json-schema", "[]"}, 2, "option '--json-schema': schema, #: expected an object or a boolean"},
      {{"--grammar", "/dev/null"}, 2, "option '--grammar': grammar: there is no rule 'root', which the text begins with"},
      {{"--regex", "(a"}, 2, NULL},
      {{"--choices", "a,,b"}, 2, "option '--choices': choice 2 is empty"},
      {{"--choices", "["}, 2, NULL},
      {{"--choices", "[5]"}, 2, "option '--choices': choice 1 is no text"},
      {{"--bench", "--regex", "a"}, 2, "option '--bench' answers nothing, '--regex' must be left out"},
      {{"--tokenize", "a", "--choices", "a"}, 2, "option '--tokenize' runs no model, '--choices' must be left out"},
      {{"--batch", "-", "--json-schema", "-"}, 2, "options '--batch' and '--json-schema' cannot both read standard input"},
      {{"--grammar", "-"}, 2, "option '--grammar' reads standard input, so the prompt must be given with '--prompt'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *line[12] = {program};
    int n = 1;
    while (n <= 6 && cases[i].arguments[n - 1]) line[n] = cases[i].arguments[n - 1], n++;
    // An answer wants a prompt, all but the one that has none.
    if (i + 1 < sizeof cases / sizeof *cases && strncmp(line[1], "--b", 3) != 0 && strcmp(line[1], "--tokenize") != 0)
      line[n++] = "--raw-prompt", line[n++] = "A";
    result r = run_list(line);
    char wanted[1024], prefix[64];
    snprintf(wanted, sizeof wanted, "error: %s\n", cases[i].message ? cases[i].message : "");
    snprintf(prefix, sizeof prefix, "error: option '%s': ", line[1]);
    const bool is_one = strchr(r.err, '\n') == r.err + strlen(r.err) - 1;
    CHECK(r.code == cases[i].code && is_one && r.out_size == 0 &&
              (cases[i].message ? strcmp(r.err, wanted) == 0 : strncmp(r.err, prefix, strlen(prefix)) == 0),
          "case %zu: exit %d '%s', wanted %d '%s'", i, r.code, r.err, cases[i].code, wanted);
  }
  result r = run(program, "--json-schema", "{\"properties\": {\"a\": {\"contains\": {}}}}", "--raw-prompt", "A");
  CHECK(strstr(r.err, "#/properties/a/contains") != NULL, "'%s'", r.err);
}

// ---- batches

// The answers of a batch by id.
static const char *line_of(result r, int id) {
  char begin[32];
  snprintf(begin, sizeof begin, "{\"id\": %d, ", id);
  const char *at = strstr(r.out, begin), *end = at ? strchr(at, '\n') : NULL;
  if (!end) return "";
  char *copy = json_keep((size_t)(end - at) + 1);
  return memcpy(copy, at, (size_t)(end - at));
}

static void batches(void) {
  enum { LINES = 60 };
  static const char *const keys[] = {"\"json_schema\": " SCHEMA, "\"grammar\": \"root ::= \\\"ab\\\"+ \\\"c\\\"\"",
                                     "\"regex\": \"[a-c]{3}-\\\\d{2,4}\"", "\"choices\": [\"red\", \"dark green\", \"blue\"]",
                                     "\"json_schema\": null"};
  static char text[1 << 16];
  char *to = text;
  for (int i = 0; i < LINES; i++)
    to += sprintf(to, "{\"raw_prompt\": \"A%d\", \"max_tokens\": 90, \"temperature\": %s, \"seed\": %d, %s}\n", i % 4, i % 3 ? "1" : "0", i,
                  keys[i % 5]);
  const char *in = write_file("requests", text);
  result r = run(program, "--batch", in), one = run(program, "--batch", in, "--parallel", "1");
  CHECK(r.code == 0 && one.code == 0, "exit %d '%s'", r.code, r.err);
  for (int i = 0; i < LINES; i++) {
    const json *v = json_parse(line_of(r, i)), *answer = json_get(v, "text"), *reason = json_get(v, "finish_reason");
    const json *alone = json_get(json_parse(line_of(one, i)), "text");
    CHECK(answer && alone && strcmp(answer->text, alone->text) == 0, "line %d: '%s', '%s'", i, line_of(r, i), line_of(one, i));
    if (!answer || i % 5 == 4) continue;
    const bool is_valid = i % 5 == 0   ? is_record(answer->text)
                          : i % 5 == 1 ? matches("^(ab)+c$", answer->text)
                          : i % 5 == 2 ? is_code(answer->text)
                                       : is_choice(answer->text);
    // Only the repetition has no end of its own.
    CHECK(i % 5 == 1 && strcmp(reason->text, "length") == 0 ? true : is_valid && strcmp(reason->text, "stop") == 0, "line %d: '%s'", i,
          line_of(r, i));
    if (i % 10 != 0) continue;
    char prompt[8], seed[16];
    snprintf(prompt, sizeof prompt, "A%d", i % 4), snprintf(seed, sizeof seed, "%d", i);
    const json *direct = parse_answer(run(program, "--json-schema", SCHEMA, "--raw-prompt", prompt, "--max-tokens", "90", "--temperature",
                                          i % 3 ? "1" : "0", "--seed", seed, "--json"));
    CHECK(strcmp(json_get(direct, "text")->text, answer->text) == 0, "line %d: '%s', '%s'", i, answer->text,
          json_get(direct, "text")->text);
  }
  // An option is of the lines that say nothing.
  setup.input = "{\"raw_prompt\": \"A\"}\n{\"raw_prompt\": \"A\", \"choices\": [\"x\"]}\n{\"question_id\": 5, \"text\": \"A\"}\n";
  r = run(program, "--batch", "-", "--choices", "red,blue");
  CHECK(is_choice(json_get(json_parse(line_of(r, 0)), "text")->text) && strcmp(json_get(json_parse(line_of(r, 1)), "text")->text, "x") == 0,
        "'%s'", r.out);
  CHECK(strstr(r.out, "{\"question_id\": 5, ") &&
            (strstr(r.out, "\"text\": \"red\", \"answer_id\"") || strstr(r.out, "\"text\": \"blue\", \"answer_id\"")),
        "'%s'", r.out);

  // What is wrong with a line is said on it.
  static const struct {
    const char *keys, *message;
  } wrong[] = {
      {"\"json_schema\": 5", "key 'json_schema' wants a JSON Schema: an object, or true or false"},
      {"\"json_schema\": {\"properties\": {\"a\": {\"unevaluatedItems\": false}}}", NULL},
      {"\"json_schema\": false", "key 'json_schema': schema, #: no value is valid under it"},
      {"\"json_schema\": {}, \"regex\": \"a\"", "keys 'json_schema' and 'regex' exclude each other"},
      {"\"grammar\": {}", "key 'grammar' wants a text"},
      {"\"regex\": \"(a\"", NULL},
      {"\"choices\": \"a,b\"", "key 'choices' wants a list of texts"},
      {"\"choices\": []", "key 'choices': there is no choice; expected at least one text"},
  };
  to = text;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) to += sprintf(to, "{\"raw_prompt\": \"A\", %s}\n", wrong[i].keys);
  sprintf(to, "{\"raw_prompt\": \"A\", \"choices\": [\"x\"]}\n");
  setup.input = text;
  r = run(program, "--batch", "-");
  CHECK(r.code == 0, "exit %d '%s'", r.code, r.err);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const json *error = json_get(json_parse(line_of(r, (int)i)), "error"), *message = json_get(error, "message");
    CHECK(message && json_get(error, "code")->number == 2 && (!wrong[i].message || strcmp(message->text, wrong[i].message) == 0),
          "line %zu: '%s'", i, line_of(r, (int)i));
  }
  CHECK(strstr(line_of(r, 1), "key 'json_schema': schema, #/properties/a/unevaluatedItems: "), "'%s'", line_of(r, 1));
  CHECK(strstr(line_of(r, (int)(sizeof wrong / sizeof *wrong)), "\"text\": \"x\""), "'%s'", r.out);
}

// Far more schemas than are kept, each of several lines.
static void many_schemas(void) {
  enum { LINES = 600, SCHEMAS = 150 };
  static char text[1 << 17];
  char *to = text;
  for (int i = 0; i < LINES; i++)
    to += sprintf(
        to,
        "{\"raw_prompt\": \"A\", \"json_schema\": {\"type\": \"array\", \"items\": {\"const\": %d}, \"minItems\": 1, \"maxItems\": 1}}\n",
        i * 7 % SCHEMAS);
  result r = run(program, "--batch", write_file("many", text));
  int wrong = 0;
  for (int i = 0; i < LINES; i++) {
    const json *answer = json_get(json_parse(line_of(r, i)), "text");
    char wanted[16];
    snprintf(wanted, sizeof wanted, "[%d]", i * 7 % SCHEMAS);
    wrong += !answer || strcmp(answer->text, wanted) != 0;
  }
  CHECK(r.code == 0 && wrong == 0, "exit %d, %d wrong, '%s'", r.code, wrong, r.err);
}

// Where each token is the only one that is allowed, many go through one call; what is behind them is as if each had had its own.
static void forced_tokens(void) {
  // Characters that the tokenizer has by bytes alone.
  static const char text[] = "\xCE\x94\xCE\x94\xCE\x94\xCE\x94\xCE\x94\xCE\x94\xCE\x94\xCE\x94";
  char regex[64];
  snprintf(regex, sizeof regex, "%s[ab]{9}", text);
  for (int kind = 0; kind < 2; kind++) {
    setup.environment[0] = "FAKE_COUNTS=1";
    setup.input = kind == 0 ? NULL : "{\"raw_prompt\": \"A\"}\n";
    result r = kind == 0 ? run(program, "--raw-prompt", "A", "--regex", regex, "--json") : run(program, "--batch", "-", "--regex", regex);
    json *v = json_parse(r.out);
    const char *said = v && json_get(v, "text") ? json_get(v, "text")->text : "";
    int steps = 0, decodes = 0;
    const char *counts = strstr(r.err, " steps, ");
    while (counts && counts > r.err && counts[-1] >= '0' && counts[-1] <= '9') counts--;
    CHECK(counts && sscanf(counts, "%d steps, %d decodes", &steps, &decodes) == 2, "'%s'", r.err);
    CHECK(strncmp(said, text, strlen(text)) == 0 && strlen(said) == strlen(text) + 9, "'%s'", said);
    const int tokens = v ? (int)json_get(v, "tokens")->length : 0;
    CHECK(tokens > 16 && steps + decodes <= tokens - 12, "%d tokens, %d steps, %d decodes", tokens, steps, decodes);
  }
}

RUN_TESTS(forced_tokens, each_notation, choices_of_tokens, beside_others, several, sources, refusals, batches, many_schemas)
