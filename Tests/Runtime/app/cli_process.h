// Runs a program and keeps what it wrote.
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
  int code;         // exit code; 128 + number when a signal ended it
  char *out, *err;  // with a NUL; leaked on purpose
  size_t out_size;
} result;

// What the next run has beside its arguments; reset after it.
static struct {
  const char *environment[8];  // "NAME=value"
  const char *input;           // standard input; NULL: nothing
  size_t input_size;           // 0: strlen(input)
  const char *output;          // file for standard output instead of a pipe
  bool close_output;
  rlim_t file_limit;  // bytes that a file may have; 0: no limit
} setup;

static void child_setup(int in, int out, int err) {
  if (in >= 0) dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  if (setup.output) dup2(open(setup.output, O_WRONLY), 1);
  if (setup.close_output) close(1);
  for (int fd = 3; fd < 64; fd++)
    if (!getenv("FAKE_WAIT") || fd != atoi(getenv("FAKE_WAIT"))) close(fd);
  for (int i = 0; i < 8 && setup.environment[i]; i++) putenv((char *)setup.environment[i]);
  // What is started in the background inherits that some are ignored.
  static const int signals[] = {SIGPIPE, SIGINT, SIGQUIT, SIGHUP, SIGTERM};
  for (int i = 0; i < 5; i++) signal(signals[i], SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  if (setup.file_limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){setup.file_limit, setup.file_limit});
}

// What a run gave is kept until the end; the programs that are run do look for leaks.
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static void append(char **text, size_t *size, const char *bytes, size_t count) {
  *text = realloc(*text, *size + count + 1);
  memcpy(*text + *size, bytes, count);
  (*text)[ *size += count] = 0;
}

static result finish(pid_t child, int out, int err) {
  result r = {0};
  size_t err_size = 0;
  char buffer[65536];
  append(&r.out, &r.out_size, "", 0);
  append(&r.err, &err_size, "", 0);
  struct pollfd open[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    poll(open, 2, -1);
    for (int i = 0; i < 2; i++) {
      if (open[i].fd < 0 || !open[i].revents) continue;
      ssize_t n = read(open[i].fd, buffer, sizeof buffer);
      if (n > 0 && i == 0) append(&r.out, &r.out_size, buffer, (size_t)n);
      if (n > 0 && i == 1) append(&r.err, &err_size, buffer, (size_t)n);
      if (n <= 0) close(open[i].fd), open[i].fd = -1;
    }
  }
  int status;
  waitpid(child, &status, 0);
  r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  memset(&setup, 0, sizeof setup);
  return r;
}

static result run_list(const char *const *arguments) {
  int in[2], out[2], err[2];
  if (pipe(in) || pipe(out) || pipe(err)) perror("pipe"), exit(2);
  pid_t child = fork();
  if (child == 0) {
    child_setup(in[0], out[1], err[1]);
    execv(arguments[0], (char *const *)arguments);
    _exit(127);
  }
  close(in[0]), close(out[1]), close(err[1]);
  size_t size = setup.input_size ? setup.input_size : setup.input ? strlen(setup.input) : 0;
  signal(SIGPIPE, SIG_IGN);
  if (size && write(in[1], setup.input, size) < 0 && errno != EPIPE) perror("write");
  close(in[1]);
  return finish(child, out[0], err[0]);
}

// run(PROGRAM, ARGUMENT, ...)
#define run(...) run_list((const char *const[]){__VA_ARGS__, NULL})

#endif
