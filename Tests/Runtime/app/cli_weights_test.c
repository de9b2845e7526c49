// The attached weights: absent, elsewhere, and cut short.
#define _GNU_SOURCE
#include <sys/stat.h>

#include "cli_fixture.h"

static void copy_file(const char *from, const char *to, size_t bytes) {
  size_t size = 0;
  char *all = read_whole(from, &size);
  FILE *f = fopen(to, "w");
  fwrite(all, 1, bytes < size ? bytes : size, f);
  fclose(f);
  chmod(to, 0755);
  free(all);
}

static void weights(void) {
  static char variable[8192], error[9000];
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, "error: this program has no weights attached\n");
  CHECK_ERROR(run(bare, "--tokenize", "x"), 1, "error: this program has no weights attached\n");
  CHECK(run(bare, "--version").code == 0 && run(bare, "--help").code == 0 && run(bare, "--info").code == 0, "%s", "");
  snprintf(variable, sizeof variable, "LMMC_WEIGHTS=%s", blob_path);
  setup.environment[0] = variable;
  expected x = simulate("A", true, 0, 5);
  check_answer(run(bare, "--raw-prompt", "A", "--max-tokens", "5", "--json"), &x);
  setup.environment[0] = "LMMC_WEIGHTS=/nowhere";  // not looked at when weights are attached
  CHECK(run(program, "--tokenize", "x").code == 0, "%s", "");
  setup.environment[0] = "LMMC_WEIGHTS=/nowhere";
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, "error: weights '/nowhere' cannot be opened: no such file or directory\n");
  setup.environment[0] = "LMMC_WEIGHTS=/tmp";
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, "error: weights '/tmp' must be a file that is not empty\n");
  const char *shorter = in_folder("short");
  struct stat s;
  stat(blob_path, &s);
  copy_file(blob_path, shorter, (size_t)s.st_size - 1);
  snprintf(variable, sizeof variable, "LMMC_WEIGHTS=%s", shorter);
  snprintf(error, sizeof error, "error: weights '%s' hold %ld bytes, and this program was compiled for %ld\n", shorter, (long)s.st_size - 1,
           (long)s.st_size);
  setup.environment[0] = variable;
  CHECK_ERROR(run(bare, "--prompt", "x"), 1, error);
  // an executable that was cut short in its weights
  size_t size = 0;
  char *all = read_whole(program, &size), *at = all;
  while ((at = memmem(at, size - (size_t)(at - all), "lmmctok2", 8)) && (at - all) % 4096) at++;
  CHECK(at != NULL, "'%s' has no attached tokenizer", program);
  if (!at) return;
  const char *cut = in_folder("cut");
  copy_file(program, cut, (size_t)(at - all) + 4096);
  result r = run(cut, "--prompt", "x");
  const char *start = "error: the attached weights cannot be read at byte ", *rest = NULL;
  bool begins = strncmp(r.err, start, strlen(start)) == 0;
  long byte = begins ? strtol(r.err + strlen(start), (char **)&rest, 10) : 0;
  CHECK(r.code == 1 && begins && byte >= at - all + 4096 && byte < (long)size && r.out_size == 0 &&
            strcmp(rest, " of their file, the file is cut short or its disk fails\n") == 0,
        "exit %d '%s', cut at %ld", r.code, r.err, (long)(at - all + 4096));
  free(all);
}

RUN_TESTS(weights)
