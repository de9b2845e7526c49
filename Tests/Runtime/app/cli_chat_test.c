// Conversations: keys that are pressed on a pseudo terminal, with an editor and without, and lines that are piped. What was said is read from
// the file that `/save` writes, and what the slot shared from `/stats`. PROGRAM has a context of 256 tokens.
#define _GNU_SOURCE
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

#include "cli_fixture.h"

// Ids of bytes, which are tokens of the small tokenizer.
#define YES "92 104 118 2"
#define NO "81 114 2"

typedef struct {
  pid_t child;
  int terminal, gate;  // what the model waits for a byte of
  char *seen;          // with a NUL
  size_t size, mark;   // behind what was waited for
} talk;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// On a terminal of so many columns, named `name`; `gate` is the variable of what the model waits for, or NULL.
static talk start_talk(int columns, const char *name, const char *tokens, const char *gate, const char *const *arguments) {
  talk t = {.seen = calloc(1, 1)};
  int ends[2];
  if (pipe(ends)) perror("pipe"), exit(2);
  const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
  t.child = forkpty(&t.terminal, NULL, NULL, &size);
  if (t.child < 0) perror("forkpty"), exit(2);
  if (t.child == 0) {
    dup2(ends[0], 40);
    for (int fd = 3; fd < 40; fd++) close(fd);
    if (gate) setenv(gate, "40", 1);
    if (tokens) setenv("FAKE_TOKENS", tokens, 1);
    if (name) setenv("TERM", name, 1);
    if (!name) unsetenv("TERM");
    for (int i = 1; i < 32; i++) signal(i, SIG_DFL);
    execv(arguments[0], (char *const *)arguments);
    _exit(127);
  }
  close(ends[0]);
  t.gate = ends[1];
  return t;
}
#define START(columns, name, tokens, gate, ...) \
  start_talk(columns, name, tokens, gate, (const char *const[]){program, __VA_ARGS__ __VA_OPT__(, ) NULL})

// Reads what is there within a moment; false where nothing comes any more.
static bool take(talk *t, int milliseconds) {
  char buffer[4096];
  struct pollfd open = {t->terminal, POLLIN, 0};
  if (poll(&open, 1, milliseconds) <= 0) return true;
  const ssize_t n = read(t->terminal, buffer, sizeof buffer);
  if (n <= 0) return false;
  append(&t->seen, &t->size, buffer, (size_t)n);
  return true;
}

// Waits until the terminal has shown a text behind the last that was waited for.
static bool await(talk *t, const char *text) {
  const double end = now() + 20;
  for (char *found;;) {
    if ((found = strstr(t->seen + t->mark, text))) return t->mark = (size_t)(found - t->seen) + strlen(text), true;
    if (now() > end || !take(t, 100)) return false;
  }
}

static void press(talk *t, const char *keys) {
  if (write(t->terminal, keys, strlen(keys)) < 0) perror("write");
}

// Text, awaited and reported.
#define AWAIT(t, text)                                                \
  do {                                                                \
    const size_t from = (t)->mark;                                    \
    CHECK(await(t, text), "no '%s' in '%s'", text, (t)->seen + from); \
  } while (0)
// Keys are pressed once the program reads them: what is pressed before has another meaning.
#define PRESS(t, keys) \
  do {                 \
    AWAIT(t, "> ");    \
    usleep(20000);     \
    press(t, keys);    \
  } while (0)

static void open_gate(const talk *t, int count) {
  for (; count > 0; count--)
    if (write(t->gate, "x", 1) != 1) perror("write");
}

// The exit code of one that ends by itself.
static int await_end(talk *t) {
  int status = 0;
  const double end = now() + 20;
  while (take(t, 100) && now() < end) continue;
  while (waitpid(t->child, &status, WNOHANG) == 0) {
    if (now() > end) kill(t->child, SIGKILL);
    usleep(1000);
  }
  close(t->terminal), close(t->gate);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Ctrl-D; the exit code.
static int end_talk(talk *t) {
  PRESS(t, "\004");
  return await_end(t);
}

static const char *saved_path(void) {
  static char path[256];
  snprintf(path, sizeof path, "%s/saved.json", folder);
  return path;
}

// What `/save` writes now.
static json *save(talk *t) {
  char keys[8192];
  size_t size;
  unlink(saved_path());
  snprintf(keys, sizeof keys, "/save %s\r", saved_path());
  PRESS(t, keys);
  AWAIT(t, "has the conversation)");
  char *text = read_whole(saved_path(), &size);
  CHECK(text && size > 0 && text[size - 1] == '\n' && !memchr(text, '\n', size - 1), "'%s'", text ? text : "");
  return text ? json_get(json_parse(text), "messages") : NULL;
}

static const json *at(const json *list, int i) {
  const json *m = list ? list->child : NULL;
  while (m && i-- > 0) m = m->next;
  return m;
}

static const char *said(const json *messages, int i) {
  const json *content = json_get(at(messages, i), "content");
  return content && content->text ? content->text : "";
}

static int count(const json *list) {
  int n = 0;
  for (const json *m = list ? list->child : NULL; m; m = m->next) n++;
  return n;
}

typedef struct {
  int prompt, shared, prefilled, encoded;
} counts;

static counts stats(talk *t) {
  counts c = {-1, -1, -1, -1};
  PRESS(t, "/stats\r");
  AWAIT(t, "last prompt: ");
  const size_t from = t->mark;
  AWAIT(t, "since the start: ");
  sscanf(t->seen + from, "%d tokens, %d shared, %d prefilled, %d image", &c.prompt, &c.shared, &c.prefilled, &c.encoded);
  return c;
}

// ---- on a terminal

// Each turn prefills what is new of it, and an image is encoded once.
static void turns(void) {
  char keys[8192];
  talk t = START(80, "xterm", YES " " NO " " YES " " NO " " YES " " YES, NULL, "--chat");
  PRESS(&t, "Hello\r");
  AWAIT(&t, "Yes\r\n");
  counts first = stats(&t);
  CHECK(first.prompt > 20 && first.shared == 0 && first.prefilled == first.prompt && first.encoded == 0, "%d of %d", first.shared,
        first.prompt);
  PRESS(&t, "Why?\r");
  AWAIT(&t, "No\r\n");
  // The answer's three tokens are in the slot, and the question behind it is not.
  counts second = stats(&t);
  CHECK(second.shared == first.prompt + 3 && second.prefilled == second.prompt - second.shared && second.prefilled < 30, "%d of %d",
        second.shared, second.prompt);
  snprintf(keys, sizeof keys, "/image %s\r", images[0]);
  PRESS(&t, keys);
  AWAIT(&t, "goes with the next question)");
  AWAIT(&t, "(1 image) ");
  PRESS(&t, "And this?\r");
  AWAIT(&t, "Yes\r\n");
  counts third = stats(&t);
  CHECK(third.shared == second.prompt + 2 && third.encoded == 1, "%d of %d, %d", third.shared, third.prompt, third.encoded);
  PRESS(&t, "Sure?\r");
  AWAIT(&t, "No\r\n");
  counts fourth = stats(&t);
  CHECK(fourth.shared == third.prompt + 3 && fourth.encoded == 0, "%d of %d, %d", fourth.shared, fourth.prompt, fourth.encoded);
  // What is taken back is cut off, and the question that comes instead is all that is prefilled.
  PRESS(&t, "/undo\r");
  AWAIT(&t, "taken back)");
  PRESS(&t, "Sure, then?\r");
  AWAIT(&t, "\r\n");
  PRESS(&t, "\r");
  counts fifth = stats(&t);
  CHECK(fifth.shared >= third.prompt + 3 && fifth.shared < fourth.prompt + 2 && fifth.encoded == 0, "%d of %d, %d", fifth.shared,
        fifth.prompt, fifth.encoded);
  json *messages = save(&t);
  CHECK(count(messages) == 8 && strcmp(said(messages, 0), "Hello") == 0 && strcmp(said(messages, 1), "Yes") == 0, "%d", count(messages));
  const json *parts = json_get(at(messages, 4), "content");
  CHECK(count(parts) == 2 && strcmp(json_get(json_get(at(parts, 0), "image_url"), "url")->text, images[0]) == 0 &&
            strcmp(json_get(at(parts, 1), "text")->text, "And this?") == 0,
        "%d parts", count(parts));
  CHECK(strcmp(said(messages, 6), "Sure, then?") == 0, "'%s'", said(messages, 6));
  PRESS(&t, "/reset\r");
  PRESS(&t, keys);
  PRESS(&t, "Again?\r");
  AWAIT(&t, "\r\n");
  counts sixth = stats(&t);
  CHECK(sixth.encoded == 0 && sixth.shared > 8 && sixth.prompt < third.prompt, "%d of %d, %d", sixth.shared, sixth.prompt, sixth.encoded);
  CHECK(count(save(&t)) == 2, "%s", "a conversation that was reset");
  CHECK(end_talk(&t) == 0, "'%s'", t.seen);
}

// Keys of the line editor, in a wide terminal and in one that is narrower than the lines.
static void editing(void) {
  static const struct {
    const char *keys, *wanted;
  } lines[] = {
      {"Hexxo\033[D\b\bll\r", "Hello"},
      {"\033[A\033[A\033[A\r", "Hello"},  // before the commands to save and to begin anew
      {"b\001a\005c\r", "abc"},
      {"\xC3\xA9\xE6\x97\xA5\x7F!\r", "\xC3\xA9!"},
      {"one two\027three\r", "one three"},
      {"all that goes\025stays\r", "stays"},
      {"a line that is far longer than the terminal has columns, and goes on\001So: \005.\r",
       "So: a line that is far longer than the terminal has columns, and goes on."},
      {"first \\\rsecond\r", "first \nsecond"},
      {"\"\"\"\rone\r/two\r\r three\r\"\"\"\r", "one\n/two\n\n three"},
      {"\"\"\"in one\"\"\"\r", "in one"},
      {"\033[200~pasted\rin /two\n\033[201~ lines\r", "pasted\nin /two lines"},
      {" /no command\r", " /no command"},
      {"lost\003kept\r", "kept"},
  };
  for (int columns = 80; columns >= 20; columns -= 60) {
    talk t = START(columns, "xterm", NULL, NULL, "--max-tokens", "1");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
      // A key that ends a line is pressed when the line before it has been read.
      const char *keys = lines[i].keys;
      AWAIT(&t, "> ");
      for (const char *end; *keys; keys = end) {
        char part[256];
        const bool is_pasted = strncmp(keys, "\033[200~", 6) == 0;
        end = is_pasted ? keys + strlen(keys) : keys + strcspn(keys, "\r\003");
        if (!is_pasted) end += *end != 0;
        snprintf(part, sizeof part, "%.*s", (int)(end - keys), keys);
        usleep(20000);
        press(&t, part);
        if (part[strlen(part) - 1] == '\003')
          AWAIT(&t, "> ");
        else if (*end)
          AWAIT(&t, ". ");
      }
      AWAIT(&t, "(cut by '--max-tokens', which is 1)");
      json *messages = save(&t);
      CHECK(count(messages) == 2 && strcmp(said(messages, 0), lines[i].wanted) == 0, "%d columns: '%s', wanted '%s'", columns,
            said(messages, 0), lines[i].wanted);
      PRESS(&t, "/reset\r");
    }
    CHECK(end_talk(&t) == 0, "'%s'", t.seen);
  }
}

// Ctrl-C stops an answer or a prefill, and not the program.
static void interrupts(void) {
  talk t = START(80, "xterm", "92 104 118 118 118 118 118 2 81 114 2", "FAKE_WAIT", "--chat");
  PRESS(&t, "\003");
  AWAIT(&t, "(Ctrl-D ends, ");
  PRESS(&t, "Hello\r");
  AWAIT(&t, "\033[?2004lY");
  open_gate(&t, 1);
  AWAIT(&t, "e");
  press(&t, "\003");
  usleep(300000);
  open_gate(&t, 1);
  // Whether the call that gives the third had begun when the key was pressed, nobody knows.
  AWAIT(&t, "(stopped after ");
  const int told = atoi(t.seen + t.mark);
  AWAIT(&t, " tokens, which stay in the conversation)");
  json *messages = save(&t);
  CHECK(count(messages) == 2 && (told == 2 || told == 3) && strcmp(said(messages, 1), told == 2 ? "Ye" : "Yes") == 0, "%d: '%s'", told,
        said(messages, 1));
  counts first = stats(&t);
  open_gate(&t, 200);
  PRESS(&t, "Go on\r");
  AWAIT(&t, "\n");
  PRESS(&t, "\r");
  // The last of them was sampled and not fed.
  counts second = stats(&t);
  CHECK(second.shared == first.prompt + told - 1, "%d, wanted %d", second.shared, first.prompt + told - 1);
  CHECK(end_talk(&t) == 0, "'%s'", t.seen);

  t = START(80, "xterm", YES, "FAKE_WAIT_STEP", "--chat");
  PRESS(&t, "Hello\r");
  AWAIT(&t, "\n");
  // Two parts of the prompt are read, in the second of which the key is pressed.
  open_gate(&t, 1);
  usleep(300000);
  press(&t, "\003");
  usleep(300000);
  open_gate(&t, 1);
  AWAIT(&t, "(stopped before the answer began, the question is taken back)");
  open_gate(&t, 200);
  CHECK(count(save(&t)) == 0, "%s", "a question without an answer stays");
  PRESS(&t, "Hello again\r");
  AWAIT(&t, "Yes\r\n");
  // What had been read before stays in the slot.
  counts third = stats(&t);
  CHECK(third.shared == 2 * FAKE_CHUNK, "%d", third.shared);
  CHECK(end_talk(&t) == 0, "'%s'", t.seen);
}

// A signal that ends the program leaves the terminal as it was before a line was edited, and one that stops it, which nothing does to a
// program without a shell, too.
static void signals(void) {
  static const int ends[] = {SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    talk t = START(80, "xterm", YES, NULL, "--chat");
    AWAIT(&t, "\033[?2004h");
    AWAIT(&t, "> ");
    usleep(50000);
    kill(t.child, SIGTSTP);
    AWAIT(&t, "\033[?2004l");
    AWAIT(&t, "\033[?2004h");
    press(&t, "Hello\r");
    AWAIT(&t, "Yes\r\n");
    AWAIT(&t, "> ");
    usleep(50000);
    kill(t.child, ends[i]);
    AWAIT(&t, "\033[?2004l");
    CHECK(await_end(&t) == 128 + ends[i], "'%s'", t.seen);
  }
}

// A terminal that is dumb, has no name or one that nobody describes gets lines without an escape.
static void plain_terminals(void) {
  static const char *const names[] = {"dumb", "no-such-terminal", NULL};
  for (int i = 0; i < 3; i++) {
    talk t = START(80, names[i], YES " " NO, NULL, "--chat");
    PRESS(&t, "Hello\r");
    AWAIT(&t, "Yes\r\n");
    PRESS(&t, "\003");
    AWAIT(&t, "(Ctrl-D ends, ");
    PRESS(&t, "\"\"\"\n");
    AWAIT(&t, ". ");
    press(&t, "two\nlines\"\"\"\n");
    AWAIT(&t, "No\r\n");
    json *messages = save(&t);
    CHECK(count(messages) == 4 && strcmp(said(messages, 2), "two\nlines") == 0, "'%s'", said(messages, 2));
    CHECK(end_talk(&t) == 0 && !strchr(t.seen, 033), "'%s'", t.seen);
  }
}

// What is wrong is said, and the conversation goes on as it was.
static void refusals(void) {
  static char question[2048];
  talk t = START(80, "xterm", NULL, NULL, "--chat", "--max-tokens", "1", "--prompt", "Hello", "--image", images[0]);
  AWAIT(&t, "(cut by '--max-tokens', which is 1)");
  PRESS(&t, "/nothing\r");
  AWAIT(&t,
        "error: there is no command '/nothing', those that there are: '/image', '/undo', '/reset', '/save', '/stats', '/help' and '/quit'");
  PRESS(&t, "/image\r");
  AWAIT(&t, "error: command '/image' wants the name of a file behind it");
  PRESS(&t, "/image no such file\r");
  AWAIT(&t, "error: cannot open 'no such file': no such file or directory");
  PRESS(&t, "/save /no/such/folder\r");
  AWAIT(&t, "error: file '/no/such/folder' cannot be created: no such file or directory");
  PRESS(&t, "/help\r");
  AWAIT(&t, "  /image FILE ");
  // A question that is too long, with both numbers.
  for (int i = 0; i < 200; i++) strcat(question, "words ");
  strcat(question, "\r");
  PRESS(&t, question);
  AWAIT(&t, "error: the question does not fit: the prompt is ");
  AWAIT(&t, " tokens long, 4 of them vision tokens, and the context of this program is 256; '/undo' takes a question back");
  json *messages = save(&t);
  CHECK(count(messages) == 2 && count(json_get(at(messages, 0), "content")) == 2, "%d messages", count(messages));
  PRESS(&t, "/undo\r");
  PRESS(&t, "/undo\r");
  AWAIT(&t, "error: nothing was said that '/undo' could take back");
  CHECK(end_talk(&t) == 0, "'%s'", t.seen);

  // The context comes to its end.
  t = START(80, "xterm", NULL, NULL, "--logit-bias", "2=-inf", "--logit-bias", "440=-inf");
  PRESS(&t, "Hello\r");
  AWAIT(&t, "(the context of this program, 256 tokens, is full: '/undo' takes this question back, '/reset' begins anew");
  PRESS(&t, "Go on\r");
  AWAIT(&t, "error: the question does not fit");
  PRESS(&t, "/undo\r");
  AWAIT(&t, "taken back)");
  CHECK(end_talk(&t) == 0, "'%s'", t.seen);

  // A template that knows one turn.
  const char *shown = program;
  program = decoder;
  t = START(80, "xterm", NULL, NULL, "--max-tokens", "1");
  PRESS(&t, "Hello\r");
  AWAIT(&t, "(cut by");
  PRESS(&t, "And?\r");
  AWAIT(&t, "error: the conversation has 2 turns, and this program's template knows one");
  PRESS(&t, "/image x.png\r");
  AWAIT(&t, "error: this program has no vision tower and takes no images");
  CHECK(end_talk(&t) == 0, "'%s'", t.seen);
  program = shown;
}

// ---- lines from a pipe

static result pipe_in(const char *lines, const char *tokens) {
  static char variable[256];
  snprintf(variable, sizeof variable, "FAKE_TOKENS=%s", tokens);
  setup.input = lines;
  setup.environment[0] = variable;
  return run(program, "--chat", "--max-tokens", "20");
}

static void piped(void) {
  result r = pipe_in("Hello\r\n\n/stats\n\"\"\"two\nlines\"\"\"\n/stats", YES " " NO);
  int prompt = 0, shared = 0;
  CHECK(r.code == 0 && strcmp(r.out, "Yes\nNo\n") == 0, "exit %d '%s' '%s'", r.code, r.out, r.err);
  const char *line = strstr(r.err, "last prompt: "), *next = line ? strstr(line + 1, "last prompt: ") : NULL;
  CHECK(line && next && sscanf(line, "last prompt: %d tokens, 0 shared", &prompt) == 1 &&
            sscanf(next, "last prompt: %*d tokens, %d shared", &shared) == 1 && shared == prompt + 3,
        "%d of %d: '%s'", shared, prompt, r.err);
  CHECK(!strchr(r.err, 033) && !strstr(r.err, "> "), "'%s'", r.err);
  // An answer is data: it goes to a file as it is.
  r = pipe_in("Hello\n", "30 94 53 2");
  CHECK(r.code == 0 && strcmp(r.out, "\033[2\n") == 0, "'%s'", r.out);
  // The first error ends it.
  r = pipe_in("Hello\n/image no such file\nNot asked\n", YES);
  CHECK(r.code == 1 && strcmp(r.out, "Yes\n") == 0 && strcmp(r.err, "error: cannot open 'no such file': no such file or directory\n") == 0,
        "'%s'", r.err);
  r = pipe_in("/wrong\nNot asked\n", YES);
  CHECK(r.code == 2 && r.out_size == 0 && strstr(r.err, "error: there is no command '/wrong'") == r.err, "'%s'", r.err);
  r = pipe_in("\"\"\"\nno end\n", YES);
  CHECK(r.code == 2 && strstr(r.err, "has no end, a line that ends with '\"\"\"' is one\n"), "'%s'", r.err);
  // What was taken back leaves nothing: the same question has the same answer, and another image is the first.
  static char taken[16384];
  snprintf(taken, sizeof taken, "/image %s\nWhat?\nWhy?\n/undo\nWhy?\n/undo\n/undo\n/image %s\nWhat?\n", images[0], images[1]);
  setup.input = taken;
  r = run(program, "--chat", "--max-tokens", "6");
  const char *alone[] = {run(program, "--prompt", "What?", "--image", images[0], "--max-tokens", "6").out,
                         run(program, "--prompt", "What?", "--image", images[1], "--max-tokens", "6").out};
  const size_t first = strlen(alone[0]), last = strlen(alone[1]), between = r.out_size - first - last;
  CHECK(r.code == 0 && r.out_size > first + last && strncmp(r.out, alone[0], first) == 0 && strcmp(r.out + first + between, alone[1]) == 0,
        "'%s', '%s' and '%s'", r.out, alone[0], alone[1]);
  CHECK(between % 2 == 0 && memcmp(r.out + first, r.out + first + between / 2, between / 2) == 0, "'%s'", r.out);
  // What a stop text ended is kept as its text.
  char lines[1024], *text;
  size_t size;
  unlink(saved_path());
  snprintf(lines, sizeof lines, "Hello\n/save %s\n", saved_path());
  setup.input = lines;
  setup.environment[0] = "FAKE_TOKENS=92 104 118 118 118 2";
  r = run(program, "--chat", "--stop", "s", "--system", "Be brief.");
  text = read_whole(saved_path(), &size);
  CHECK(r.code == 0 && strcmp(r.out, "Ye\n") == 0 && text &&
            strcmp(text,
                   "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"Hello\"}, "
                   "{\"role\": \"assistant\", \"content\": \"Ye\"}]}\n") == 0,
        "exit %d '%s': '%s'", r.code, r.err, text ? text : "");
  // The same system text in one question.
  setup.input = "Hello\n";
  const char *chat = run(program, "--chat", "--system", "Be brief.", "--max-tokens", "9").out;
  r = run(program, "--prompt", "Hello", "--system", "Be brief.", "--max-tokens", "9");
  CHECK(r.code == 0 && strcmp(r.out, chat) == 0 && strcmp(run(program, "--prompt", "Hello", "--max-tokens", "9").out, chat) != 0,
        "'%s', '%s'", r.out, chat);
  CHECK_ERROR(run(decoder, "--prompt", "x", "--system", "y"), 2,
              "error: the conversation has a system text, which this program's template does not take\n");
  CHECK_ERROR(run(program, "--chat", "--json"), 2, "error: option '--chat' is a conversation, '--json' must be left out\n");
  CHECK_ERROR(run(program, "--raw-prompt", "x", "--system", "y"), 2, "error: options '--system' and '--raw-prompt' exclude each other\n");
  // Who reads no more ends it quietly; a disk that is full does not.
  setup.input = "Hello\n", setup.output = "/dev/full";
  CHECK_ERROR(run(program, "--chat"), 1, "error: standard output cannot be written: no space left on device\n");
}

RUN_TESTS(turns, editing, interrupts, signals, plain_terminals, refusals, piped)
