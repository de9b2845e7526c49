// A file of requests to a file of answers: order, errors that end a line alone, resumption after kills, and answers equal to those of a
// program that is asked one question. PROGRAM drops vision rows alone, if any.
#define _GNU_SOURCE
#include <sys/file.h>
#include <sys/stat.h>

#include "cli_fixture.h"
#include "system/threads.h"

enum { LINES = 240, MOST_LINES = 400 };

static char *file_of(const char *path) {
  size_t size;
  char *text = read_whole(path, &size);
  return text ? text : "";
}

// A path that stays.
static const char *path_of(const char *name) {
  const char *path = in_folder(name);
  char *copy = json_keep(strlen(path) + 1);
  return strcpy(copy, path);
}

static const char *write_file(const char *name, const char *text) {
  const char *path = path_of(name);
  FILE *f = fopen(path, "w");
  if (!f || fputs(text, f) < 0 || fclose(f) != 0) perror(path), exit(2);
  return path;
}

// The lines of a text without what differs from run to run.
static int split(const char *text, char *lines[MOST_LINES]) {
  int count = 0;
  for (const char *end; (end = strchr(text, '\n')) && count < MOST_LINES; text = end + 1) {
    lines[count] = strndup(text, (size_t)(end - text));
    char *times = strstr(lines[count], ", \"timings\"");
    if (times) *times = 0;
    count++;
  }
  return count;
}

static bool are_same(const char *a, const char *b) {
  static char *left[MOST_LINES], *right[MOST_LINES];
  const int count = split(a, left);
  if (count != split(b, right)) return false;
  for (int i = 0; i < count; i++)
    if (strcmp(left[i], right[i]) != 0) return printf("'%s' and '%s'\n", left[i], right[i]), false;
  return true;
}

static uint64_t seed = 1;

static int draw(int below) {
  seed = fake_mix(seed, 7);
  return (int)((seed >> 33) % (uint64_t)below);
}

// Questions about pictures, of few beginnings, some in LLaVA's form, and some that are refused.
static const char *requests(void) {
  static const char *const words[] = {"What is there to see?", "Where does it stand, and why?", "How many?"};
  static char text[1 << 20];
  if (text[0]) return text;
  char *to = text;
  for (int i = 0; i < LINES; i++) {
    const char *image = strrchr(images[draw(3)], '/') + 1, *word = words[draw(3)];
    const int tokens = 1 + draw(12);
    switch (draw(8)) {
      case 0:
        to += sprintf(to, "{\"question_id\": \"q%d\", \"text\": \"%s\", \"image\": \"%s\", \"category\": \"x\"}\n", i, word, image);
        break;
      case 1: to += sprintf(to, "{\"id\": \"none %d\", \"prompt\": \"%s\", \"image\": \"no such file\"}\n", i, word); break;
      case 2: to += sprintf(to, "{\"prompt\": \"%s\", \"temperature\": 0.9, \"seed\": %d, \"max_tokens\": %d}\n", word, i, tokens); break;
      default:
        to += sprintf(to, "{\"id\": %d, \"prompt\": \"%s\", \"images\": [\"%s\"], \"max_tokens\": %d}\n", 1000 + i, word, image, tokens);
    }
  }
  return text;
}

static const char *picture_folder(void) {
  static char path[4096];
  snprintf(path, sizeof path, "%.*s", (int)(strrchr(images[0], '/') - images[0]), images[0]);
  return path;
}

#define BATCH(...) run(program, "--batch", __VA_ARGS__, "--image-folder", picture_folder(), "--max-tokens", "9")

// Without ASCII's white space at its ends.
static const char *stripped(const char *text) {
  char *copy = json_keep(strlen(text) + 1);
  strcpy(copy, text + strspn(text, " \t\n\v\f\r\x1C\x1D\x1E\x1F"));
  for (size_t n = strlen(copy); n > 0 && strchr(" \t\n\v\f\r\x1C\x1D\x1E\x1F", copy[n - 1]);) copy[--n] = 0;
  return copy;
}

// Each line has what the program answers to one question.
static void answers(void) {
  const char *in = write_file("requests", requests());
  result r = BATCH(in);
  CHECK(r.code == 0, "exit %d '%s'", r.code, r.err);
  static char *asked[MOST_LINES], *lines[MOST_LINES];
  CHECK(split(requests(), asked) == LINES && split(r.out, lines) == LINES, "'%s'", r.err);
  for (int i = 0; i < LINES; i++) {
    json *q = json_parse(asked[i]);
    char line[8192];
    snprintf(line, sizeof line, "%s%s", lines[i], strstr(lines[i], "metadata") || strstr(lines[i], "\"error\"") ? "" : "}");
    json *a = json_parse(line), *id = json_get(q, "id"), *question_id = json_get(q, "question_id");
    CHECK(a != NULL, "'%s'", lines[i]);
    if (!a) continue;
    if (question_id)
      CHECK(strcmp(json_get(a, "question_id")->text, question_id->text) == 0, "'%s'", lines[i]);
    else if (!id || id->type == 'd')
      CHECK((int)json_get(a, "id")->number == (id ? (int)id->number : i), "'%s'", lines[i]);
    if (i % 8 != 0 || json_get(a, "error")) continue;
    const char *one[16] = {program, "--json", "--prompt", json_get(q, question_id ? "text" : "prompt")->text, "--max-tokens", "9"};
    int n = 6;
    char number[32];
    json *image = json_get(q, "image"), *list = json_get(q, "images"), *tokens = json_get(q, "max_tokens"), *drawn = json_get(q, "seed");
    if (image || list) {
      one[n++] = "--image";
      char *path = malloc(8192);
      snprintf(path, 8192, "%s/%s", picture_folder(), image ? image->text : list->child->text);
      one[n++] = path;
    }
    if (tokens) snprintf(number, sizeof number, "%d", (int)tokens->number), one[5] = number;
    char random[32];
    if (drawn) {
      snprintf(random, sizeof random, "%d", (int)drawn->number);
      one[n++] = "--seed", one[n++] = random, one[n++] = "--temperature", one[n++] = "0.9";
    }
    json *alone = json_parse(run_list(one).out);
    const char *wanted = !alone ? "" : question_id ? stripped(json_get(alone, "text")->text) : json_get(alone, "text")->text;
    CHECK(alone && strcmp(wanted, json_get(a, "text")->text) == 0, "'%s', alone '%s'", lines[i], wanted);
    if (question_id) continue;
    CHECK(json_get(alone, "tokens")->length == json_get(a, "tokens")->length &&
              json_get(alone, "visual_tokens")->number == json_get(a, "visual_tokens")->number &&
              json_get(alone, "prompt_tokens")->number == json_get(a, "prompt_tokens")->number,
          "'%s'", lines[i]);
  }
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// LLaVA's question files go in as they are, and what comes out are the keys of its answer files, in their order, by its own rules: the question as
// it stood, and the answer without white space around it.
static void question_files(void) {
  static const struct {
    const char *line, *id, *prompt;
  } lines[] = {
      {"{\"question_id\": 262144000, \"image\": \"wide.png\", \"text\": \"What?\\nAnswer the question using a single word or phrase.\", "
       "\"category\": \"default\"}",
       "262144000", "What?\\nAnswer the question using a single word or phrase."},
      {"{\"image\": \"photo.jpg\", \"text\": \"What?\", \"question_id\": \"201307251\"}", "\"201307251\"", "What?"},
      {"{\"question_id\": \"OCR/0006.jpg\", \"image\": \"photo.jpg\", \"text\": \"Is it \\\"A\\\"?\"}", "\"OCR/0006.jpg\"",
       "Is it \\\"A\\\"?"},
      {"{\"question_id\": 3, \"image\": \"lossy.webp\", \"text\": \"\\u8bf7\\nA. \\u00e9\", \"answer\": \"A\", \"n\": 1}", "3",
       "\xE8\xAF\xB7\\nA. \xC3\xA9"},
      {"{\"question_id\": \"4\", \"image\": \"wide.png\", \"text\": \"<image>\\nWhich?\\nA. a\"}", "\"4\"", "<image>\\nWhich?\\nA. a"},
      {"{\"question_id\": \"5\", \"text\": \"Which?\\nA. a\"}", "\"5\"", "Which?\\nA. a"},
  };
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    setup.environment[0] = "FAKE_TOKENS=35 13 72 35 108 197 163 13 2";  // " \nE i", no-break space, line feed
    setup.input = lines[i].line;
    result r = BATCH("-");
    char start[512];
    snprintf(start, sizeof start, "{\"question_id\": %s, \"prompt\": \"%s\", \"text\": \"E i\", \"answer_id\": \"", lines[i].id,
             lines[i].prompt);
    const size_t before = strlen(start), digits = strlen(r.out) > before ? strcspn(r.out + before, "\"") : 0;
    CHECK(r.code == 0 && strncmp(r.out, start, before) == 0 && digits == 22 &&
              strcmp(r.out + before + digits, "\", \"model_id\": \"program-batch\", \"metadata\": {}}\n") == 0,
          "line %zu: '%s', wanted '%s'", i, r.out, start);
  }
  // Questions of one id are lines of their own, also in a run that goes on.
  const char *in = write_file("twice", "{\"question_id\": \"a\", \"text\": \"one\"}\n{\"question_id\": \"a\", \"text\": \"two\"}\n");
  const char *wanted = BATCH(in).out;
  char *lines_of[MOST_LINES];
  CHECK(split(wanted, lines_of) == 2 && strstr(lines_of[0], "\"one\"") && strstr(lines_of[1], "\"two\""), "'%s'", wanted);
  static char first[4096];
  snprintf(first, sizeof first, "%s\n", lines_of[0]);
  const char *out = write_file("once", first);
  result r = BATCH(in, "--output", out, "--resume");
  CHECK(r.code == 0 && strcmp(file_of(out), wanted) == 0, "exit %d '%s'", r.code, file_of(out));
}

// A conversation is the prompt that LLaVA's own code makes of it.
static void conversations(void) {
  static const struct {
    const char *messages, *prompt;
    int images;
  } cases[] = {
      {"{\"role\": \"user\", \"content\": \"one\"}", "A CHAT USER: one ASSISTANT:", 0},
      {"{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": \"two\"}, {\"role\": \"user\", \"content\": "
       "\"three\"}",
       "A CHAT USER: one ASSISTANT: two</s>USER: three ASSISTANT:", 0},
      {"{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"one\"}",
       "Be brief. USER: one ASSISTANT:", 0},
      {"{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"o\"}, {\"type\": \"image\", \"image\": \"wide.png\"}, "
       "{\"type\": \"text\", \"text\": \"ne\"}]}, "
       "{\"role\": \"assistant\", \"content\": \"two\"}, {\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": "
       "{\"url\": \"photo.jpg\"}}, "
       "{\"type\": \"text\", \"text\": \"three\"}]}",
       "A CHAT USER: <image>\none ASSISTANT: two</s>USER: <image>\nthree ASSISTANT:", 2},
  };
  static const char chat[] =
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and "
      "polite answers to the user's questions.";
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char line[4096], prompt[4096];
    snprintf(line, sizeof line, "{\"messages\": [%s]}", cases[i].messages);
    const bool is_own = strncmp(cases[i].prompt, "A CHAT", 6) == 0;
    snprintf(prompt, sizeof prompt, "%s%s", is_own ? chat : "", cases[i].prompt + (is_own ? 6 : 0));
    setup.input = line;
    json *a = json_parse(BATCH("-").out);
    result alone = cases[i].images == 0
                       ? run(program, "--json", "--raw-prompt", prompt, "--max-tokens", "9")
                       : run(program, "--json", "--raw-prompt", prompt, "--max-tokens", "9", "--image", images[0], "--image", images[1]);
    json *b = json_parse(alone.out);
    CHECK(a && b && json_get(a, "text") && strcmp(json_get(a, "text")->text, json_get(b, "text")->text) == 0 &&
              json_get(a, "prompt_tokens")->number == json_get(b, "prompt_tokens")->number &&
              json_get(a, "visual_tokens")->number == json_get(b, "visual_tokens")->number,
          "case %zu: '%s', '%s'", i, alone.out, alone.err);
  }
}

// The same lines, however many are answered at once, wherever they come from and go to.
static void forms(void) {
  const char *in = write_file("requests", requests());
  const char *wanted = BATCH(in).out;
  CHECK(are_same(BATCH(in, "--parallel", "1").out, wanted), "%s", "one at once");
  setup.input = requests();
  CHECK(are_same(BATCH("-", "--parallel", "3").out, wanted), "%s", "standard input");
  result r = BATCH(in, "--output", in_folder("out"));
  CHECK(r.code == 0 && r.out_size == 0 && are_same(file_of(in_folder("out")), wanted), "exit %d '%s'", r.code, r.err);
  CHECK(strstr(r.err, "240 of 240 lines, ") && strstr(r.err, "/s in "), "'%s'", r.err);
  static char *left[MOST_LINES], *right[MOST_LINES];
  const int count = split(BATCH(in, "--unordered").out, left);
  CHECK(count == split(wanted, right), "%d lines", count);
  qsort(left, (size_t)count, sizeof *left, by_text);
  qsort(right, (size_t)count, sizeof *right, by_text);
  for (int i = 0; i < count; i++) CHECK(strcmp(left[i], right[i]) == 0, "'%s'", left[i]);
}

// Nothing is lost and nothing comes twice when it is killed, whenever that is.
static void kills(void) {
  const char *in = write_file("requests", requests());
  const double began = lmmc_clock();
  const char *wanted = BATCH(in).out;
  const int whole = (int)((lmmc_clock() - began) * 1e6);
  const char *out = path_of("grows");
  int killed = 0, lines = 0, cut = 0, partial = 0;
  unlink(out);
  for (int turn = 0; turn < 400 && killed < 50; turn++) {
    const pid_t child = fork();
    if (child == 0) {
      fclose(stderr);
      execl(program, program, "--batch", in, "--image-folder", picture_folder(), "--max-tokens", "9", "--output", out, "--resume", NULL);
      _exit(127);
    }
    usleep((useconds_t)draw(whole));
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      killed++;
      const char *text = file_of(out);
      cut += *text && text[strlen(text) - 1] != '\n';
      partial += *text && strlen(text) < strlen(wanted);
      continue;
    }
    // It came to its end: from the beginning once more, where a part of a line was left.
    CHECK(WEXITSTATUS(status) == 0 && are_same(file_of(out), wanted), "exit %d", WEXITSTATUS(status));
    const size_t bytes = strlen(wanted) / 2 + (size_t)draw(100);
    if (truncate(out, (off_t)(draw(2) ? bytes : 0)) != 0) perror(out);
    lines++;
  }
  CHECK(killed == 50 && partial > 10, "%d killed, %d in the middle, %d ends, %d parts of lines", killed, partial, lines, cut);
  result r = BATCH(in, "--output", out, "--resume");
  CHECK(r.code == 0 && are_same(file_of(out), wanted), "exit %d '%s'", r.code, r.err);
  // All is there: nothing is asked again.
  r = BATCH(in, "--output", out, "--resume");
  CHECK(r.code == 0 && strstr(r.err, "240 of 240 lines, 0/s"), "'%s'", r.err);
}

static void refusals(void) {
  static const struct {
    const char *line, *wanted;
  } lines[] = {
      {"nonsense", "the line is no JSON: '[' or '{' expected near 'nonsense', at its byte 8"},
      {"[1]", "the line is no JSON object"},
      {"{\"prompt\": \"a\"} x", "the line is no JSON: end of file expected near 'x', at its byte 17"},
      {"{\"prompt\": \"a\", \"prompt\": \"b\"}", "the line is no JSON: duplicate object key near '\"prompt\"', at its byte 24"},
      {"{}", "the line has no prompt, expected a key 'prompt', 'raw_prompt', 'messages' or 'text' beside 'question_id'"},
      {"{\"text\": \"a\"}", "the line has no prompt, expected a key 'prompt', 'raw_prompt', 'messages' or 'text' beside 'question_id'"},
      {"{\"prompt\": 5}", "key 'prompt' wants a text"},
      {"{\"prompt\": \"a\", \"raw_prompt\": \"a\"}", "keys 'prompt' and 'raw_prompt' exclude each other"},
      {"{\"prompt\": \"a\", \"image\": \"b\", \"images\": []}", "keys 'image' and 'images' exclude each other"},
      {"{\"prompt\": \"a\", \"image\": 5}", "key 'image' wants the path of a file, or a list of them"},
      {"{\"prompt\": \"a\", \"images\": [\"\"]}", "key 'images' wants the path of a file, or a list of them"},
      {"{\"prompt\": \"a\", \"max_tokens\": 0}", "key 'max_tokens' wants a whole number from 1 to 2147483647"},
      {"{\"prompt\": \"a\", \"max_tokens\": 1.5}", "key 'max_tokens' wants a whole number from 1 to 2147483647"},
      {"{\"prompt\": \"a\", \"top_k\": -1}", "key 'top_k' wants a whole number from 0 to 2147483647"},
      {"{\"prompt\": \"a\", \"temperature\": \"hot\"}", "key 'temperature' wants a number from 0 to 100"},
      {"{\"prompt\": \"a\", \"top_p\": 0}", "key 'top_p' wants a number above 0 and at most 1"},
      {"{\"prompt\": \"a\", \"seed\": -1}", "key 'seed' wants a whole number of 0 or more"},
      {"{\"prompt\": \"a\", \"stop\": [5]}", "key 'stop' wants a text, or a list of texts"},
      {"{\"prompt\": \"a\", \"response_format\": {}}", "key 'response_format' is not known to a batch"},
      {"{\"messages\": []}", "key 'messages' wants a list of messages"},
      {"{\"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}", "message 0 has no role 'system', 'user' or 'assistant'"},
      {"{\"messages\": [{\"role\": \"user\"}]}", "message 0 has a text that is none"},
      {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"prompt\": \"b\"}", "keys 'messages' and 'prompt' exclude each other"},
      {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"image\": \"b\"}", "keys 'messages' and 'image' exclude each other"},
      {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"audio\"}]}]}",
       "message 0 has a part that is neither a text nor the path of an image"},
      {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"http://x/y.png\"}}]}]}",
       "message 0 has an image that is no path of a file"},
      {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}", "message 0 of the conversation is not the user's, who is next"},
      {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}",
       "the conversation does not end with a user's message"},
      {"{\"raw_prompt\": \"<image>\"}", "the prompt has 1 '<image>' place for 0 images, '--raw-prompt' wants as many places as '--image'"},
  };
  // What may never come to its end is not read.
  setup.input = "{\"prompt\": \"a\", \"image\": \"/dev/zero\"}\n";
  CHECK(strstr(BATCH("-").out, "\"error\": {\"message\": \"'/dev/zero' is no regular file\", \"code\": 1}"), "a device");
  static char text[1 << 16];
  char *to = text;
  const int count = sizeof lines / sizeof *lines;
  for (int i = 0; i < count; i++) to += sprintf(to, "%s\n%s", lines[i].line, i % 5 ? "" : " \t\r\n");
  sprintf(to, "{\"prompt\": \"the last, without an end\"}");
  result r = BATCH(write_file("refused", text));
  static char *out[MOST_LINES];
  CHECK(r.code == 0 && split(r.out, out) == count + 1, "exit %d '%s'", r.code, r.err);
  for (int i = 0, line = 0; i < count; i++, line += 1 + (i % 5 == 1)) {
    json *v = json_parse(out[i]), *error = json_get(v, "error");
    CHECK(error && strcmp(json_get(error, "message")->text, lines[i].wanted) == 0 && json_get(error, "code")->number == 2, "'%s'", out[i]);
    CHECK((int)json_get(v, "id")->number == line, "'%s', line %d", out[i], line);
  }
  CHECK(strstr(out[count], "\"text\"") != NULL, "'%s'", out[count]);

  // What ends the whole: nothing is left of the output.
  const char *in = write_file("requests", requests()), *no = path_of("no/out");
  char message[8192 + 128];
  CHECK_ERROR(
      BATCH(in_folder("nothing")), 1,
      (snprintf(message, sizeof message, "error: '%s' cannot be read: no such file or directory\n", in_folder("nothing")), message));
  snprintf(message, sizeof message, "error: file '%s' cannot be created: no such file or directory\n", no);
  CHECK_ERROR(BATCH(in, "--output", no), 1, message);
  snprintf(message, sizeof message, "error: '%s' has a line without an id at byte 0, it is no output of a batch\n", in_folder("refused"));
  CHECK_ERROR(BATCH(in, "--output", in_folder("refused"), "--resume"), 1, message);
  CHECK_ERROR(BATCH(in, "--resume"), 2, "error: option '--resume' belongs to '--output', which is not given\n");
  CHECK_ERROR(BATCH(in, "--parallel", "5"), 2, "error: option '--parallel' wants at most the sequences of this program, 4, not 5\n");
  const int before = entries(folder);
  setup.file_limit = 4096;
  r = BATCH(in, "--output", in_folder("limited"));
  CHECK(r.code == 1 && strstr(r.err, "cannot be written: file too large\n") && entries(folder) == before, "exit %d '%s'", r.code, r.err);
  // One writes at a time.
  const int fd = open(in_folder("locked"), O_RDWR | O_CREAT, 0600);
  CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0, "%d", fd);
  snprintf(message, sizeof message, "error: '%s' is being written by another program\n", in_folder("locked"));
  CHECK_ERROR(BATCH(in, "--output", in_folder("locked"), "--resume"), 1, message);
  close(fd);
  // Who reads no more ends it quietly.
  setup.output = "/dev/full";
  r = BATCH(in);
  CHECK(r.code == 1 && strstr(r.err, "standard output cannot be written: no space left on device\n"), "exit %d '%s'", r.code, r.err);
}

// What ends a run from outside, and files that are not a batch's.
static void edges(void) {
  const char *in = write_file("requests", requests()), *out = path_of("edge");
  char message[8192 + 128];
  // An answer may have a zero, and the run goes on behind it.
  setup.environment[0] = "FAKE_TOKENS=3 72 2";
  setup.input = "{\"prompt\": \"a\"}\n";
  result r = BATCH("-", "--output", out, "--resume");
  CHECK(r.code == 0 && strstr(file_of(out), "\"text\": \"\\u0000E\""), "'%s'", file_of(out));
  setup.input = "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n";
  r = BATCH("-", "--output", out, "--resume");
  CHECK(r.code == 0 && strstr(r.err, "2 lines, ") && strstr(file_of(out), "{\"id\": 1, "), "%d '%s'", r.code, r.err);
  // No output of a batch is cut, without an end of a line either.
  const char *other = write_file("settings", "{\"important\": true}");
  snprintf(message, sizeof message, "error: '%s' has a line without an id at byte 0, it is no output of a batch\n", other);
  CHECK_ERROR(BATCH(in, "--output", other, "--resume"), 1, message);
  CHECK(strcmp(file_of(other), "{\"important\": true}") == 0, "'%s'", file_of(other));
  snprintf(message, sizeof message, "error: '%s' is the file of requests, the answers want another\n", in);
  CHECK_ERROR(BATCH(in, "--output", in, "--resume"), 2, message);
  CHECK_ERROR(BATCH(in, "--output", in), 2, message);
  CHECK(strcmp(file_of(in), requests()) == 0, "%s", "the requests are changed");
  // A link stays one.
  const char *link = path_of("link"), *target = write_file("target", "old\n");
  CHECK(symlink(target, link) == 0, "%s", link);
  r = BATCH(in, "--output", link);
  struct stat s;
  CHECK(r.code == 0 && lstat(link, &s) == 0 && S_ISLNK(s.st_mode) && strlen(file_of(target)) > 1000, "exit %d '%s'", r.code, r.err);
  CHECK_ERROR(BATCH(in, "--logit-bias", "999999=1"), 2,
              "error: a logit bias is of token 999999, this program knows tokens from 0 to 447\n");

  // Lines that come no more do not keep a run that cannot write, nor one that is told to end; that leaves nothing behind.
  for (int kind = 0; kind < 2; kind++) {
    const int before = entries(folder);
    int lines[2], errors[2];
    if (pipe(lines) || pipe(errors)) perror("pipe"), exit(2);
    const pid_t child = fork();
    if (child == 0) {
      dup2(lines[0], 0), dup2(errors[1], 2);
      close(lines[1]);
      execl(program, program, "--batch", "-", "--output", kind == 0 ? "/dev/full" : path_of("told"), NULL);
      _exit(127);
    }
    close(lines[0]), close(errors[1]);
    if (write(lines[1], "{\"prompt\": \"a\"}\n", 16) != 16) perror("write");
    if (kind == 1) {
      for (int i = 0; i < 500 && entries(folder) == before; i++) usleep(10000);
      kill(child, SIGTERM);
    }
    char text[512] = "";
    ssize_t n = read(errors[0], text, sizeof text - 1);
    int status;
    waitpid(child, &status, 0);
    if (kind == 0)
      CHECK(n > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1, "'%s'", text);
    else
      CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && entries(folder) == before, "status %d, %d files", status,
            entries(folder));
    close(lines[1]), close(errors[0]);
  }
}

// What is guessed ahead changes no answer, and takes fewer calls where it is right.
static void guesses(void) {
  int fewer = 0;
  for (int i = 0; i < 24; i++) {
    char number[16], image[4096];
    snprintf(number, sizeof number, "%d", i);
    snprintf(image, sizeof image, "%s", images[i % 3]);
    int calls[2];
    char answers[2][4096];
    for (int k = 0; k < 2; k++) {
      setup.environment[0] = "FAKE_COUNTS=1";
      const result r = run(program, "--image", image, "--prompt", "What?", "--seed", number, "--temperature", i % 4 ? "20" : "0",
                           "--logit-bias", "300=1000", "--logit-bias", "301=1000", "--logit-bias", "302=1000", "--repeat-penalty",
                           i % 3 ? "1" : "1.1", "--max-tokens", i % 5 ? "30" : "500", "--speculate", k ? "lookup" : "none");
      int steps = 0, decodes = 0;
      CHECK(r.code == 0 && sscanf(r.err, "%d steps, %d decodes", &steps, &decodes) == 2, "exit %d '%s'", r.code, r.err);
      calls[k] = steps + decodes;
      snprintf(answers[k], sizeof *answers, "%s", r.out);
    }
    CHECK(strcmp(answers[0], answers[1]) == 0 && calls[1] <= calls[0], "seed %d: '%s', '%s', %d and %d calls", i, answers[0], answers[1],
          calls[0], calls[1]);
    fewer += calls[1] < calls[0];
  }
  CHECK(fewer > 12, "%d took fewer calls", fewer);
  CHECK_ERROR(run(program, "--prompt", "x", "--speculate", "often"), 2,
              "error: option '--speculate' wants 'lookup' or 'none', not 'often'\n");
}

// Several answers to a question are those of its seeds, and share what is read of it.
static void several(void) {
  setup.environment[0] = "FAKE_COUNTS=1";
  result r = run(program, "--image", images[0], "--prompt", "What is there to see?", "--n", "3", "--seed", "5", "--temperature", "9",
                 "--max-tokens", "7", "--json");
  json *v = json_parse(r.out), *choices = json_get(v, "choices");
  CHECK(r.code == 0 && choices && choices->length == 3, "exit %d '%s' '%s'", r.code, r.out, r.err);
  int i = 0;
  for (json *c = choices ? choices->child : NULL; c; c = c->next, i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", 5 + i);
    result one = run(program, "--image", images[0], "--prompt", "What is there to see?", "--seed", number, "--temperature", "9",
                     "--max-tokens", "7", "--json");
    json *alone = json_parse(one.out);
    CHECK(alone && strcmp(json_get(alone, "text")->text, json_get(c, "text")->text) == 0 &&
              json_get(alone, "tokens")->length == json_get(c, "tokens")->length &&
              strcmp(json_get(alone, "finish_reason")->text, json_get(c, "finish_reason")->text) == 0 &&
              json_get(alone, "prompt_tokens")->number == json_get(v, "prompt_tokens")->number &&
              json_get(alone, "visual_tokens")->number == json_get(v, "visual_tokens")->number,
          "answer %d: '%s'", i, one.out);
  }
  // The second and the third read the last token of the prompt alone, and what they answer.
  const char *said = strstr(r.err, "rows");
  int first, second, third, most;
  CHECK(said && sscanf(said, "rows %d (%d) %d (%d) %d", &first, &most, &second, &most, &third) == 5 && first > 20 && second <= 8 &&
            third <= 8,
        "'%s'", r.err);
  r = run(program, "--prompt", "x", "--n", "2", "--max-tokens", "3");
  CHECK(r.code == 0 && strncmp(r.out, "[1]\n", 4) == 0 && strstr(r.out, "\n[2]\n"), "'%s'", r.out);
  CHECK_ERROR(run(program, "--prompt", "x", "--n", "2", "--dump", in_folder("d")), 2,
              "error: option '--n' gives several answers, '--dump' must be left out\n");
}

RUN_TESTS(answers, question_files, conversations, forms, kills, refusals, edges, guesses, several)
