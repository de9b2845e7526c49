// `--cache-dir`: pictures that another run has seen ask the tower nothing, a file that is not as it was written counts as none, and others have
// no part in it. PROGRAM drops vision rows alone, if any.
#define _GNU_SOURCE
#include <sys/stat.h>
#include <unistd.h>

#include "cli_fixture.h"

static char cache[4096];

static const char *requests(void) {
  static char text[16384];
  char *to = text;
  for (int i = 0; i < 6; i++) to += sprintf(to, "{\"prompt\": \"What is it?\", \"image\": \"%s\", \"max_tokens\": 5}\n", images[i % 3]);
  return text;
}

// The pictures that the tower saw, and the texts of the answers.
static int ask(char *texts, size_t room) {
  setup.environment[0] = "FAKE_PICTURES=1";
  setup.input = requests();
  const result r = run(program, "--batch", "-", "--cache-dir", cache);
  int pictures = -1;
  const char *said = strstr(r.err, " pictures");
  while (said && said > r.err && said[-1] >= '0' && said[-1] <= '9') said--;
  if (said) pictures = atoi(said);
  texts[0] = 0;
  for (const char *line = r.out; (line = strstr(line, "\"text\": ")); line++) {
    const char *end = strstr(line, ", \"finish_reason\"");
    snprintf(texts + strlen(texts), room - strlen(texts), "%.*s\n", (int)(end - line), line);
  }
  CHECK(r.code == 0, "exit %d '%s'", r.code, r.err);
  return pictures;
}

// Calls `change` for each file of rows.
static int each_file(void (*change)(const char *path)) {
  DIR *d = opendir(cache);
  int count = 0;
  for (struct dirent *f; d && (f = readdir(d));) {
    char path[8192];
    if (!strstr(f->d_name, ".rows")) continue;
    snprintf(path, sizeof path, "%s/%s", cache, f->d_name);
    struct stat s;
    CHECK(stat(path, &s) == 0 && (s.st_mode & 07777) == 0600, "'%s' has mode %o", path, (unsigned)s.st_mode);
    if (change) change(path);
    count++;
  }
  if (d) closedir(d);
  return count;
}

static void flip_byte(const char *path) {
  FILE *f = fopen(path, "r+");
  fseek(f, -3, SEEK_END);
  const int byte = fgetc(f);
  fseek(f, -3, SEEK_END);
  fputc(byte ^ 1, f);
  fclose(f);
}

static void cut_short(const char *path) { CHECK(truncate(path, 100) == 0, "'%s'", path); }

static void make_link(const char *path) { CHECK(unlink(path) == 0 && symlink("/dev/zero", path) == 0, "'%s'", path); }

static void kept(void) {
  static char first[1 << 16], again[1 << 16];
  snprintf(cache, sizeof cache, "%s", in_folder("new/folder/kept/"));
  CHECK(ask(first, sizeof first) == 3 && strlen(first) > 60, "'%s'", first);
  struct stat s;
  CHECK(stat(cache, &s) == 0 && (s.st_mode & 07777) == 0700, "mode %o", (unsigned)s.st_mode);
  CHECK(each_file(NULL) == 3 && entries(cache) == 4, "%d files", entries(cache));
  CHECK(ask(again, sizeof again) == 0 && strcmp(first, again) == 0, "'%s'", again);

  void (*const changes[])(const char *) = {flip_byte, cut_short, make_link};
  for (int i = 0; i < 3; i++) {
    CHECK(each_file(changes[i]) == 3, "change %d", i);
    CHECK(ask(again, sizeof again) == 3 && strcmp(first, again) == 0, "change %d: '%s'", i, again);
    CHECK(ask(again, sizeof again) == 0 && entries(cache) == 4, "change %d: %d files", i, entries(cache));
  }

  // A question by itself reads and keeps the same files, but where a dump wants what tower and projector make.
  const char *plain =
      json_get(json_parse(run(program, "--image", images[0], "--image", images[1], "--prompt", "hi", "--json").out), "text")->text;
  for (int i = 0; i < 2; i++) {
    json *v = json_parse(run(program, "--image", images[0], "--image", images[1], "--prompt", "hi", "--json", "--cache-dir", cache).out);
    CHECK(v && strcmp(json_get(v, "text")->text, plain) == 0 && json_get(json_get(v, "timings"), "vision")->number == 0, "'%s'", plain);
  }
  setup.environment[0] = "FAKE_PICTURES=1";
  result r = run(program, "--image", images[0], "--prompt", "hi", "--max-tokens", "5", "--cache-dir", cache);
  CHECK(r.code == 0 && strcmp(r.err, "0 pictures\n") == 0, "'%s'", r.err);
  setup.environment[0] = "FAKE_PICTURES=1";
  r = run(program, "--image", images[0], "--prompt", "hi", "--max-tokens", "5", "--cache-dir", cache, "--dump", in_folder("dump"));
  CHECK(r.code == 0 && strcmp(r.err, "1 pictures\n") == 0, "'%s'", r.err);
}

static void refused(void) {
  char message[8192 + 256];
  snprintf(message, sizeof message,
           "error: folder '%s' of '--cache-dir' is open to others, its owner alone may have rights to it (mode 700)\n", cache);
  CHECK(chmod(cache, 0750) == 0, "'%s'", cache);
  CHECK_ERROR(run(program, "--image", images[0], "--prompt", "hi", "--cache-dir", cache), 1, message);
  CHECK(chmod(cache, 0700) == 0, "'%s'", cache);
  snprintf(message, sizeof message, "error: folder '%s' of '--cache-dir' is none\n", images[0]);
  CHECK_ERROR(run(program, "--image", images[0], "--prompt", "hi", "--cache-dir", images[0]), 1, message);
  CHECK_ERROR(run(program, "--prompt", "hi", "--cache-dir", ""), 2, "error: option '--cache-dir' wants the name of a folder, not ''\n");
}

// A system text of an option is that of messages.
static void system_texts(void) {
  setup.input =
      "{\"prompt\": \"one\", \"max_tokens\": 5}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}], \"max_tokens\": 5}\n"
      "{\"messages\": [{\"role\": \"system\", \"content\": \"Own.\"}, {\"role\": \"user\", \"content\": \"one\"}], \"max_tokens\": 5}\n";
  const result r = run(program, "--batch", "-", "--system", "Be brief.");
  const char *texts[3];
  static char all[1 << 16];
  snprintf(all, sizeof all, "%s", r.out);
  int count = 0;
  for (char *line = strtok(all, "\n"); line && count < 3; line = strtok(NULL, "\n"))
    texts[count++] = json_get(json_parse(line), "text") ? json_get(json_parse(line), "text")->text : "";
  CHECK(r.code == 0 && count == 3, "'%s' '%s'", r.out, r.err);
  if (count < 3) return;
  const char *const prompts[] = {"Be brief. USER: one ASSISTANT:", "Be brief. USER: one ASSISTANT:", "Own. USER: one ASSISTANT:"};
  for (int i = 0; i < 3; i++) {
    json *alone = json_parse(run(program, "--json", "--raw-prompt", prompts[i], "--max-tokens", "5").out);
    CHECK(strcmp(json_get(alone, "text")->text, texts[i]) == 0, "line %d: '%s'", i, texts[i]);
  }
  json *one = json_parse(run(program, "--json", "--system", "Be brief.", "--prompt", "one", "--max-tokens", "5").out);
  CHECK(strcmp(json_get(one, "text")->text, texts[0]) == 0, "'%s'", texts[0]);
  CHECK_ERROR(run(program, "--system", "x", "--raw-prompt", "y"), 2, "error: options '--system' and '--raw-prompt' exclude each other\n");
  // Messages are counted as they were sent.
  setup.input = "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}\n";
  const char *out = run(program, "--batch", "-", "--system", "Be brief.").out;
  CHECK(strstr(out, "message 0 of the conversation is not the user's"), "'%s'", out);
}

RUN_TESTS(kept, refused, system_texts)
