#include "options.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "image/image.h"
#include "base/printable.h"

typedef enum { FLAG, MODE, TEXT, PATH, IMAGE, WHOLE, SEED, REAL, STOP, BIAS, STRUCTURE, SPECULATION, TOPIC, ADDRESS } kind;

typedef struct {
  const char *name, *value, *help;  // without help: for the compiler alone
  kind kind;
  size_t field;
  double least, most;  // WHOLE and REAL
  const char *wanted;  // what a value must be; NULL where there is none
} option;

#define FIELD(f) offsetof(lmmc_options, f)

static const option table[] = {
    {"--image", "FILE", "an image (JPEG, PNG or WebP); may be repeated; fills the <image> places in order", IMAGE, 0, 0, 0, "a file name"},
    {"--max-image-pixels", "N", "refuse an image that declares more than N pixels (178956970, with --serve 67108864), before it is decoded",
     WHOLE, FIELD(max_image_pixels), 1, INT32_MAX, "a whole number from 1 to 2147483647"},
    {"--prompt", "TEXT",
     "your words, wrapped in the model's conversation template; images without an\n"
     "<image> place come first; without a prompt option, standard input is the prompt",
     TEXT, FIELD(prompt), 0, 0, "a text"},
    {"--chat", NULL, "hold a conversation; what is done without a prompt where standard input is a terminal", MODE, 0, 0, 0, NULL},
    {"--raw-prompt", "TEXT", "the whole prompt verbatim, special tokens included, <image> where an image goes", TEXT, FIELD(raw_prompt), 0,
     0, "a text"},
    {"--question", "TEXT", "with --raw-prompt: what is asked in it, where the program chooses vision tokens by the question", TEXT,
     FIELD(question), 0, 0, "a text"},
    {"--system", "TEXT", "the system text of a conversation, in the place of the template's own", TEXT, FIELD(system), 0, 0, "a text"},
    {"--max-tokens", "N", "stop after N tokens (512); of --bench: decode N tokens (32)", WHOLE, FIELD(max_tokens), 1, INT32_MAX,
     "a whole number from 1 to 2147483647"},
    {"--temperature", "T", "0, the default, always takes the likeliest token", REAL, FIELD(sampling.temperature), 0, 100,
     "a number from 0 to 100"},
    {"--top-k", "K", "sample from the K likeliest tokens only; 0, the default: from all", WHOLE, FIELD(sampling.top_k), 0, INT32_MAX,
     "a whole number from 0 to 2147483647"},
    {"--top-p", "P", "sample from the likeliest tokens that make up the share P (1)", REAL, FIELD(sampling.top_p), DBL_TRUE_MIN, 1,
     "a number above 0 and at most 1"},
    {"--seed", "N", "of the random numbers (0): the same seed gives the same answer", SEED, FIELD(sampling.seed), 0, 0,
     "a whole number from 0 to 18446744073709551615"},
    {"--min-p", "P", "sample from tokens at least P times as likely as the likeliest only; 0, the default: from all", REAL,
     FIELD(sampling.min_p), 0, 1, "a number from 0 to 1"},
    {"--repeat-penalty", "R", "divide positive logits of tokens that prompt or answer have by R, and multiply negative ones (1)", REAL,
     FIELD(sampling.repeat_penalty), 1e-3, 1e3, "a number from 0.001 to 1000"},
    {"--presence-penalty", "P", "take P off the logits of tokens that the answer has (0)", REAL, FIELD(sampling.presence_penalty), -100,
     100, "a number from -100 to 100"},
    {"--frequency-penalty", "P", "take P off the logits of tokens for each time that the answer has them (0)", REAL,
     FIELD(sampling.frequency_penalty), -100, 100, "a number from -100 to 100"},
    {"--logit-bias", "ID=V", "add V to the logit of a token, '-inf' bars it; may be repeated", BIAS, 0, 0, 0,
     "a token and a number, as '13=-2.5'"},
    {"--stop", "TEXT", "end the answer before this text; may be repeated", STOP, 0, 0, 0, "a text"},
    {"--json-schema", "FILE|TEXT",
     "make the answer JSON that is valid under this JSON Schema; what begins with '{' or '[' is the\n"
     "schema itself, '-' standard input",
     STRUCTURE, LMMC_NOTATION_SCHEMA, 0, 0, "a JSON Schema or the name of its file"},
    {"--grammar", "FILE", "make the answer a text of this grammar, in llama.cpp's notation GBNF; '-' is standard input", STRUCTURE,
     LMMC_NOTATION_GBNF, 0, 0, "a file name"},
    {"--regex", "TEXT", "make the whole answer match this regular expression", STRUCTURE, LMMC_NOTATION_REGEX, 0, 0,
     "a regular expression"},
    {"--choices", "A,B,...", "make the answer one of these; a JSON array of them where one holds a comma", STRUCTURE, LMMC_NOTATION_CHOICES,
     0, 0, "texts with commas between them"},
    {"--logprobs", "N", "with --json: the N likeliest tokens for each of the answer, with the logarithms of their probabilities", WHOLE,
     FIELD(log_probabilities), 1, LMMC_MOST_LOG_PROBABILITIES, "a whole number from 1 to 20"},
    {"--n", "N", "N answers to the question, the seed of each one above that of the one before (1)", WHOLE, FIELD(answers), 1, 1000,
     "a whole number from 1 to 1000"},
    {"--speculate", "lookup|none",
     "guess what the answer goes on with from what was said before, and look at several tokens in\n"
     "one call: the answer is the same, sooner where it repeats its prompt or itself (none)",
     SPECULATION, 0, 0, 0, "'lookup' or 'none'"},
    {"--threads", "N", "default: the cores this process may run on", WHOLE, FIELD(threads), 1, 1024, "a whole number from 1 to 1024"},
    {"--decode-threads", "N", "of those, for each token of the answer: all by default, where fewer can keep the memory busy", WHOLE,
     FIELD(decode_threads), 1, 1024, "a whole number from 1 to 1024"},
    {"--context", "N", "use at most N of the positions that this program was compiled for: less memory", WHOLE, FIELD(context), 1,
     INT32_MAX, "a whole number from 1 to 2147483647"},
    {"--cache-dir", "DIR",
     "keep what images have become in DIR, for the next run that is asked about one of them;\n"
     "its owner alone can read it",
     PATH, FIELD(cache), 0, 0, "the name of a folder"},
    {"--mlock", NULL, "keep the weights in memory, whatever else needs it; the process must be allowed to", FLAG, FIELD(mlock), 0, 0, NULL},
    {"--json", NULL, "print one JSON object with text, tokens and timings instead of the text", FLAG, FIELD(json), 0, 0, NULL},
    {"--profile", NULL, "print time, work and bytes per operation to standard error", FLAG, FIELD(profile), 0, 0, NULL},
    {"--bench", NULL,
     "print the time of each stage, median, least and most of some runs after one to warm up, and\n"
     "end; without prompt and image, those that are built in; --json for one object",
     MODE, 0, 0, 0, NULL},
    {"--runs", "N", "of --bench (5)", WHOLE, FIELD(runs), 1, 100000, "a whole number from 1 to 100000"},
    {"--prompt-tokens", "N", "of --bench: repeat the prompt's last token until it has N, vision tokens included", WHOLE,
     FIELD(prompt_tokens), 1, INT32_MAX, "a whole number from 1 to 2147483647"},
    {"--sequences", "N", "of --bench: decode N copies of the prompt together (1); this program has room for as many as it was compiled for",
     WHOLE, FIELD(sequences), 1, 1024, "a whole number from 1 to 1024"},
    {"--batch", "FILE",
     "answer a file of requests, a JSON object on each line, '-' for standard input; one JSON object\n"
     "on standard output for each",
     PATH, FIELD(batch), 0, 0, "a file name"},
    {"--output", "FILE", "of --batch: write the answers to FILE", PATH, FIELD(output), 0, 0, "a file name"},
    {"--resume", NULL, "of --batch: let --output grow, and go on with one that was cut: give it from the first run on", FLAG, FIELD(resume),
     0, 0, NULL},
    {"--unordered", NULL, "of --batch: write answers as they are done, not in the order of the requests", FLAG, FIELD(unordered), 0, 0,
     NULL},
    {"--image-folder", "DIR", "of --batch: where its images are", PATH, FIELD(image_folder), 0, 0, "the name of a folder"},
    {"--parallel", "N", "of --batch and --serve: answer N requests at once; default: as many as program and memory have room for", WHOLE,
     FIELD(parallel), 1, 1024, "a whole number from 1 to 1024"},
    {"--serve", "ADDR:PORT",
     "answer over HTTP, as OpenAI's API has it, at this address, or at a socket as unix:PATH;\n"
     "default: 127.0.0.1:8080",
     ADDRESS, FIELD(address), 0, 0, "an address"},
    {"--api-key", "FILE", "of --serve: let in who knows a key of this file, which has one on each line", PATH, FIELD(key_file), 0, 0,
     "a file name"},
    {"--queue", "N", "of --serve: let N requests wait beside those that are answered (64), and refuse more", WHOLE, FIELD(queue), 0, 100000,
     "a whole number from 0 to 100000"},
    {"--timeout", "S", "of --serve: seconds that a request may take, waiting and all (600)", WHOLE, FIELD(timeout), 1, 1000000,
     "a whole number from 1 to 1000000"},
    {"--grace", "S", "of --serve: seconds that requests get to end in when the server is asked to stop (30)", WHOLE, FIELD(grace), 0,
     1000000, "a whole number from 0 to 1000000"},
    {"--media-path", "DIR", "of --serve: let requests name images by their paths below DIR", PATH, FIELD(media), 0, 0,
     "the name of a folder"},
    {"--log-json", NULL, "of --serve: log a JSON object for each request in the place of a line", FLAG, FIELD(log_json), 0, 0, NULL},
    {"--dump", "DIR", "write pixels.npy, projected.npy and logits.npy into DIR, and which vision tokens a reducer keeps", PATH, FIELD(dump),
     0, 0, "the name of a folder"},
    {"--dump-tensors", "DIR",
     "write what each product and attention up to the first token gives into DIR, by its name in\n"
     "the IR; without prompt and image, for those that are built in",
     PATH, FIELD(dump_tensors), 0, 0, "the name of a folder"},
    {"--tokenize", "TEXT", "print the ids of TEXT as a JSON array and end", TEXT, FIELD(tokenize), 0, 0, "a text"},
    {"--perplexity", "FILE", "print the perplexity of a text file under the decoder and end", PATH, FIELD(perplexity), 0, 0, "a file name"},
    {"--window", "N", "of --perplexity (512): tokens that are read at a time, the second half scored", WHOLE, FIELD(window), 4, INT32_MAX,
     "a whole number from 4 to 2147483647"},
    {"--check", NULL, "read all of the attached weights, say whether they are as they were compiled, and end", MODE, 0, 0, 0, NULL},
    {"--info", NULL, "print what this program is as JSON and end", MODE, 0, 0, 0, NULL},
    {"--fold-prefix", "FILE", NULL, PATH, FIELD(fold), 0, 0, "a file name"},
    {"--help", "TOPIC", "print this, or the options of a topic, and end", TOPIC, FIELD(topic), 0, 0, NULL},
    {"--version", NULL, "print the version and end", MODE, 0, 0, 0, NULL},
};
enum { OPTIONS = sizeof table / sizeof *table, NAME_MAX_LENGTH = 32 };

// What the help shows together: first what is needed every day. Those that no topic has are shown with all.
static const struct {
  const char *name, *what;
  const char *options[12];
} topics[] = {
    {"everyday",
     "what is needed every day",
     {"--image", "--prompt", "--chat", "--system", "--batch", "--serve", "--max-tokens", "--temperature", "--stop", "--json", "--help"}},
    {"prompts", "prompts and images", {"--raw-prompt", "--question", "--max-image-pixels", "--tokenize"}},
    {"sampling",
     "how a token is chosen",
     {"--top-k", "--top-p", "--min-p", "--seed", "--repeat-penalty", "--presence-penalty", "--frequency-penalty", "--logit-bias",
      "--logprobs", "--n"}},
    {"structure", "what the answer must be", {"--json-schema", "--grammar", "--regex", "--choices"}},
    {"batch", "files of requests", {"--output", "--resume", "--unordered", "--image-folder", "--parallel"}},
    {"serving",
     "the program as a service",
     {"--serve", "--parallel", "--api-key", "--queue", "--timeout", "--grace", "--media-path", "--log-json"}},
    {"machine", "threads, memory and speed", {"--threads", "--decode-threads", "--context", "--mlock", "--speculate", "--cache-dir"}},
    {"measuring", "time and quality", {"--profile", "--bench", "--runs", "--prompt-tokens", "--sequences", "--perplexity", "--window"}},
    {"inspecting", "what the program is and does inside", {"--info", "--check", "--dump", "--dump-tensors", "--version"}},
};
enum { TOPICS = sizeof topics / sizeof *topics, TOPIC_OPTIONS = sizeof topics->options / sizeof *topics->options };

static int find_topic(const char *name) {
  for (int i = 0; i < TOPICS; i++)
    if (strcmp(topics[i].name, name) == 0) return i;
  return -1;
}

static bool is_in_topic(int topic, const char *option) {
  for (int i = 0; i < TOPIC_OPTIONS && topics[topic].options[i]; i++)
    if (strcmp(topics[topic].options[i], option) == 0) return true;
  return false;
}

// Edit distance with swaps of neighbours, for names of the table against what was typed (cut to NAME_MAX_LENGTH).
static int distance(const char *a, const char *b) {
  int m = (int)strnlen(a, NAME_MAX_LENGTH), n = (int)strnlen(b, NAME_MAX_LENGTH);
  int d[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
  for (int i = 0; i <= m; i++)
    for (int j = 0; j <= n; j++) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
      if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
      d[i][j] = best;
    }
  return d[m][n];
}

static bool unknown(const char *typed, int length, lmmc_error *e) {
  char name[NAME_MAX_LENGTH + 1];
  snprintf(name, sizeof name, "%.*s", length, typed);
  const char *nearest = NULL;
  int least = length > 8 ? 4 : length > 4 ? 3 : 1;  // anything farther is another word
  for (int i = 0; i < OPTIONS; i++) {
    int d = distance(name, table[i].name);
    if (d < least) least = d, nearest = table[i].name;
  }
  if (nearest) return lmmc_fail(e, 2, "unknown option '%.*s', did you mean '%s'?", length, typed, nearest);
  return lmmc_fail(e, 2, "unknown option '%.*s', '--help' lists those that there are", length, typed);
}

static bool parse_whole(const char *text, uint64_t *out) {
  uint64_t value = 0;
  if (!*text) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    uint64_t digit = (uint64_t)(*text - '0');
    if (__builtin_mul_overflow(value, (uint64_t)10, &value) || __builtin_add_overflow(value, digit, &value)) return false;
  }
  *out = value;
  return true;
}

static bool parse_real(const char *text, double *out) {
  if (!*text || text[strspn(text, "0123456789.eE+-")]) return false;  // no hexadecimal, names or spaces
  char *end;
  *out = strtod(text, &end);
  return *end == 0;
}

// "ID=V"
static bool parse_bias(const char *text, lmmc_logit_bias *out) {
  char digits[12];
  uint64_t id;
  double value = -INFINITY;
  const size_t length = strcspn(text, "=");
  if (text[length] == 0 || length >= sizeof digits) return false;
  memcpy(digits, text, length);
  digits[length] = 0;
  if (!parse_whole(digits, &id) || id > INT32_MAX) return false;
  if (strcmp(text + length + 1, "-inf") != 0 && !(parse_real(text + length + 1, &value) && fabs(value) <= 1e4)) return false;
  *out = (lmmc_logit_bias){(int32_t)id, (float)value};
  return true;
}

static bool unknown_topic(const char *name, lmmc_error *e) {
  char names[128] = "";
  size_t at = 0;
  for (int i = 0; i < TOPICS; i++) at += (size_t)snprintf(names + at, sizeof names - at, "'%s', ", topics[i].name);
  return lmmc_fail(e, 2, "option '--help' wants one of %sor 'all', not '%s'", names, name);
}

static bool assign(lmmc_options *o, const option *s, const char *value, lmmc_error *e) {
  void *field = (char *)o + s->field;
  uint64_t whole = 0;
  double real = 0;
  bool good = true;
  switch (s->kind) {
    case FLAG: *(bool *)field = true; break;
    case MODE: break;
    case TOPIC:
      if (value && strcmp(value, "all") != 0 && find_topic(value) < 0) return unknown_topic(value, e);
      *(const char **)field = value;
      break;
    case TEXT: *(const char **)field = value; break;
    case ADDRESS:
    case PATH:
      good = !value || *value;
      *(const char **)field = value;
      break;
    case IMAGE:
      good = *value;
      o->images[o->image_count++] = value;
      break;
    case STOP:
      good = *value;
      o->stops[o->stop_count++] = (lmmc_stop){value, strlen(value)};
      break;
    case SPECULATION:
      good = strcmp(value, "lookup") == 0 || strcmp(value, "none") == 0;
      o->speculation = strcmp(value, "lookup") == 0 ? LMMC_SPECULATE_LOOKUP : LMMC_SPECULATE_NONE;
      break;
    case STRUCTURE:
      good = *value;
      o->notation = (lmmc_notation)s->field;
      o->structure = value;
      break;
    case BIAS: good = parse_bias(value, &o->biases[o->sampling.bias_count++]); break;
    case WHOLE:
      good = parse_whole(value, &whole) && (double)whole >= s->least && (double)whole <= s->most;
      if (good) *(int64_t *)field = (int64_t)whole;
      break;
    case SEED:
      good = parse_whole(value, &whole);
      *(uint64_t *)field = whole;
      o->has_seed = true;
      break;
    case REAL:
      good = parse_real(value, &real) && real >= s->least && real <= s->most;
      *(double *)field = real;
      break;
  }
  return good || lmmc_fail(e, 2, "option '%s' wants %s, not '%s'", s->name, s->wanted, value);
}

enum { MOST_REFUSED = 16 };

// What chooses a mode, and the options that it does not take, of which the first that is given is named. The modes are checked in this
// order, and where several may stand together the run has the last.
static const struct {
  lmmc_mode mode;
  const char *chosen_by, *reason;
  const char *refused[MOST_REFUSED];
} modes[] = {
    {LMMC_MODE_SEVERAL,
     "--n",
     "gives several answers",
     {"--dump", "--dump-tensors", "--profile", "--logprobs", "--decode-threads", "--batch", "--bench", "--chat", "--tokenize",
      "--perplexity", "--check"}},
    {LMMC_MODE_TOKENIZE, "--tokenize", "runs no model", {"--prompt", "--raw-prompt", "--image", "--dump", "--dump-tensors", "--system"}},
    {LMMC_MODE_PERPLEXITY,
     "--perplexity",
     "answers nothing",
     {"--prompt", "--raw-prompt", "--image", "--dump", "--dump-tensors", "--tokenize", "--system"}},
    {LMMC_MODE_BENCH, "--bench", "answers nothing", {"--tokenize", "--perplexity", "--dump", "--dump-tensors"}},
    {LMMC_MODE_BATCH,
     "--batch",
     "has its own requests",
     {"--prompt", "--raw-prompt", "--image", "--dump", "--dump-tensors", "--json", "--tokenize", "--perplexity", "--bench", "--profile",
      "--decode-threads"}},
    {LMMC_MODE_SERVE,
     "--serve",
     "has its own requests",
     {"--prompt", "--raw-prompt", "--image", "--dump", "--dump-tensors", "--json", "--tokenize", "--perplexity", "--bench", "--profile",
      "--decode-threads", "--batch", "--n"}},
    {LMMC_MODE_CHAT,
     "--chat",
     "is a conversation",
     {"--raw-prompt", "--dump", "--dump-tensors", "--json", "--tokenize", "--perplexity", "--bench", "--batch", "--serve", "--profile",
      "--json-schema", "--grammar", "--regex", "--choices", "--decode-threads"}},
    {LMMC_MODE_CHECK,
     "--check",
     "answers nothing",
     {"--tokenize", "--perplexity", "--dump", "--dump-tensors", "--bench", "--prompt", "--raw-prompt", "--image", "--chat"}},
    {LMMC_MODE_INFO, "--info", NULL, {NULL}},
    {LMMC_MODE_FOLD, "--fold-prefix", NULL, {NULL}},
};

// Options that another one alone takes.
static const struct {
  const char *name, *belongs_to;
} belonging[] = {{"--runs", "--bench"},         {"--prompt-tokens", "--bench"}, {"--sequences", "--bench"}, {"--question", "--raw-prompt"},
                 {"--logprobs", "--json"},      {"--output", "--batch"},        {"--resume", "--output"},   {"--unordered", "--batch"},
                 {"--image-folder", "--batch"}, {"--api-key", "--serve"},       {"--queue", "--serve"},     {"--timeout", "--serve"},
                 {"--grace", "--serve"},        {"--media-path", "--serve"},    {"--log-json", "--serve"}};

static bool is_given(const bool given[OPTIONS], const char *name) {
  for (int i = 0; i < OPTIONS; i++)
    if (strcmp(table[i].name, name) == 0) return given[i];
  return false;
}

static const option *structure_option(const lmmc_options *o) {
  for (int i = 0; i < OPTIONS; i++)
    if (table[i].kind == STRUCTURE && table[i].field == (size_t)o->notation) return &table[i];
  return NULL;
}

const char *lmmc_structure_option(const lmmc_options *o) { return structure_option(o)->name; }

bool lmmc_structure_is_text(const lmmc_options *o) {
  switch (o->notation) {
    case LMMC_NOTATION_SCHEMA: return o->structure[0] == '{' || o->structure[0] == '[';
    case LMMC_NOTATION_GBNF: return false;
    case LMMC_NO_NOTATION:
    case LMMC_NOTATION_REGEX:
    case LMMC_NOTATION_CHOICES: break;
  }
  return true;
}

// What an answer must be is said once, and where one is made; and standard input is one thing alone.
static bool check_structure(const bool given[OPTIONS], const lmmc_options *o, lmmc_error *e) {
  const option *first = NULL;
  for (int i = 0; i < OPTIONS; i++) {
    if (!given[i] || table[i].kind != STRUCTURE) continue;
    if (first) return lmmc_fail(e, 2, "options '%s' and '%s' exclude each other", first->name, table[i].name);
    first = &table[i];
  }
  if (!first) return true;
  const bool answers = o->mode == LMMC_MODE_ANSWER || o->mode == LMMC_MODE_SEVERAL;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (o->mode == modes[i].mode && !answers && o->mode != LMMC_MODE_BATCH && o->mode != LMMC_MODE_SERVE && modes[i].reason)
      return lmmc_fail(e, 2, "option '%s' %s, '%s' must be left out", modes[i].chosen_by, modes[i].reason, first->name);
  if (lmmc_structure_is_text(o) || strcmp(o->structure, "-") != 0) return true;
  if (o->mode == LMMC_MODE_BATCH && strcmp(o->batch, "-") == 0)
    return lmmc_fail(e, 2, "options '--batch' and '%s' cannot both read standard input", first->name);
  if (answers && !o->prompt && !o->raw_prompt)
    return lmmc_fail(e, 2, "option '%s' reads standard input, so the prompt must be given with '--prompt'", first->name);
  return true;
}

// The mode of the options that were given, and whether it takes the others.
static bool choose_mode(const bool given[OPTIONS], lmmc_mode *mode, lmmc_error *e) {
  if (is_given(given, "--prompt") && is_given(given, "--raw-prompt"))
    return lmmc_fail(e, 2, "options '--prompt' and '--raw-prompt' exclude each other");
  if (is_given(given, "--system") && is_given(given, "--raw-prompt"))
    return lmmc_fail(e, 2, "options '--system' and '--raw-prompt' exclude each other");
  *mode = LMMC_MODE_ANSWER;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (!is_given(given, modes[i].chosen_by)) continue;
    *mode = modes[i].mode;
    for (int k = 0; k < MOST_REFUSED && modes[i].refused[k]; k++)
      if (is_given(given, modes[i].refused[k]))
        return lmmc_fail(e, 2, "option '%s' %s, '%s' must be left out", modes[i].chosen_by, modes[i].reason, modes[i].refused[k]);
  }
  if (is_given(given, "--parallel") && !is_given(given, "--batch") && !is_given(given, "--serve"))
    return lmmc_fail(e, 2, "option '--parallel' belongs to '--batch' and '--serve', of which none is given");
  for (size_t i = 0; i < sizeof belonging / sizeof *belonging; i++)
    if (is_given(given, belonging[i].name) && !is_given(given, belonging[i].belongs_to))
      return lmmc_fail(e, 2, "option '%s' belongs to '%s', which is not given", belonging[i].name, belonging[i].belongs_to);
  return true;
}

// What options mean that are not given, where it depends on others.
static void complete(lmmc_options *o) {
  if (o->max_tokens == 0) o->max_tokens = o->mode == LMMC_MODE_BENCH ? LMMC_BENCH_TOKENS : 512;
  if (o->max_image_pixels == 0) o->max_image_pixels = o->mode == LMMC_MODE_SERVE ? LMMC_IMAGE_SERVED_PIXELS : LMMC_IMAGE_MAX_PIXELS;
  if (o->runs == 0) o->runs = 5;
  if (o->sequences == 0) o->sequences = 1;
  if (o->answers == 0) o->answers = 1;
}

bool lmmc_options_parse(lmmc_options *o, int argc, char **argv, lmmc_error *e) {
  *o = (lmmc_options){.sampling = LMMC_GREEDY, .window = 512, .queue = 64, .timeout = 600, .grace = 30};
  const size_t most = (size_t)(argc > 0 ? argc : 1);
  o->images = malloc(most * sizeof *o->images);
  o->stops = malloc(most * sizeof *o->stops);
  o->sampling.biases = o->biases = malloc(most * sizeof *o->biases);
  if (!o->images || !o->stops || !o->biases) return lmmc_fail(e, 1, "out of memory for the command line");
  bool given[OPTIONS] = {false};
  for (int i = 1; i < argc; i++) {
    const char *word = strcmp(argv[i], "-h") == 0 ? "--help" : argv[i];
    if (word[0] != '-' || word[1] == 0)
      return lmmc_fail(e, 2, "unexpected argument '%s', a prompt is given with '--prompt' and an image with '--image'", word);
    size_t length = strcspn(word, "=");
    const option *s = NULL;
    for (int k = 0; k < OPTIONS && !s; k++)
      if (strlen(table[k].name) == length && memcmp(table[k].name, word, length) == 0) s = &table[k];
    if (!s) return unknown(word, length < 100 ? (int)length : 100, e);
    const char *value = word[length] ? word + length + 1 : NULL;
    const bool takes_value = s->kind != FLAG && s->kind != MODE && s->kind != TOPIC && s->kind != ADDRESS;
    if ((s->kind == TOPIC || s->kind == ADDRESS) && !value && i + 1 < argc && argv[i + 1][0] != '-') value = argv[++i];
    if ((s->kind == FLAG || s->kind == MODE) && value)
      return lmmc_fail(e, 2, "option '%s' takes no value, '%s' must be left out", s->name, value);
    if (takes_value && !value) {
      if (i + 1 == argc) return lmmc_fail(e, 2, "option '%s' wants %s after it", s->name, s->wanted);
      value = argv[++i];
    }
    if (!assign(o, s, value, e)) return false;
    given[s - table] = true;
    if (is_given(given, "--help")) return o->mode = LMMC_MODE_HELP, true;
    if (is_given(given, "--version")) return o->mode = LMMC_MODE_VERSION, true;
  }
  if (!choose_mode(given, &o->mode, e) || !check_structure(given, o, e)) return false;
  complete(o);
  return true;
}

void lmmc_options_free(lmmc_options *o) {
  free(o->images);
  free(o->stops);
  free(o->biases);
  o->images = NULL, o->stops = NULL, o->biases = NULL;
}

static void print_option(FILE *to, const option *o) {
  char left[64];
  snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
  for (const char *line = o->help; line;) {
    const char *end = strchr(line, '\n');
    fprintf(to, "  %-18s %.*s\n", left, end ? (int)(end - line) : (int)strlen(line), line);
    left[0] = 0;
    line = end ? end + 1 : NULL;
  }
}

static void print_topic(FILE *to, int topic) {
  for (int i = 0; i < OPTIONS; i++)
    if (is_in_topic(topic, table[i].name)) print_option(to, &table[i]);
}

// A line for each topic.
static void list_topics(FILE *to) {
  fprintf(to, "\nmore options:\n");
  for (int i = 1; i < TOPICS; i++) {
    fprintf(to, "  --help %-11s %s:", topics[i].name, topics[i].what);
    for (int k = 0; k < TOPIC_OPTIONS && topics[i].options[k]; k++) fprintf(to, "%s %s", k ? "," : "", topics[i].options[k]);
    fprintf(to, "\n");
  }
  fprintf(to, "  --help all         every option\n");
}

static void print_all(FILE *to) {
  for (int i = 0; i < TOPICS; i++) {
    fprintf(to, "%s%s:\n", i ? "\n" : "", topics[i].what);
    print_topic(to, i);
  }
  for (int i = 0; i < OPTIONS; i++) {
    bool has_topic = false;
    for (int k = 0; k < TOPICS; k++) has_topic = has_topic || is_in_topic(k, table[i].name);
    if (!has_topic) print_option(to, &table[i]);
  }
}

void lmmc_options_help(FILE *to, const char *program, const char *topic) {
  char name[256];
  lmmc_printable(name, sizeof name, program);
  fprintf(to, "usage: %s [options]\n\n", name);
  if (topic && strcmp(topic, "all") == 0)
    print_all(to);
  else if (topic)
    print_topic(to, find_topic(topic));
  else
    print_topic(to, 0), list_topics(to);
}
