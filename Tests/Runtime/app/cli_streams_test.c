// Standard input and output of a program, a terminal's too, and what signals leave behind.
#define _GNU_SOURCE
#include "cli_fixture.h"

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
  // Without a prompt it is a conversation, which the end of what is typed ends; what speaks of one answer wants a prompt.
  const int typed = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  if (write(terminal, "\004", 1) != 1) perror("write");
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
    const char *wanted = i ? "error: no prompt, '--prompt' gives one\n" : "'/help' lists the commands, ";
    CHECK(r.code == 2 * i && r.out_size == 0 && strncmp(r.err, wanted, strlen(wanted)) == 0, "exit %d '%s'", r.code, r.err);
  }
  close(typed);
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

RUN_TESTS(streaming, standard_streams, on_terminal)
