// What is read whole from a descriptor, up to a limit.
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check.h"

// A pipe that holds `bytes`, its writing end closed.
static int piped(const char *bytes, size_t count) {
  int ends[2];
  if (pipe(ends) != 0 || write(ends[1], bytes, count) != (ssize_t)count || close(ends[1]) != 0) abort();
  return ends[0];
}

int main(void) {
  static const struct {
    const char *before;
    size_t most;
    lmmc_read_result wanted;
  } cases[] = {{"", 6, LMMC_READ}, {"", 5, LMMC_TOO_LONG}, {"ab", 8, LMMC_READ}, {"ab", 7, LMMC_TOO_LONG}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_text t = {0};
    lmmc_error e = {0};
    int fd = piped("one\0tw", 6);
    lmmc_text_append(&t, cases[i].before, strlen(cases[i].before), &e);
    lmmc_read_result r = lmmc_read_all(fd, cases[i].most, &t, "a pipe", &e);
    CHECK(r == cases[i].wanted && e.code == 0, "case %zu: %d '%s'", i, (int)r, e.message);
    size_t before = strlen(cases[i].before);
    if (r == LMMC_READ) CHECK(t.count == before + 6 && memcmp(t.bytes + before, "one\0tw", 6) == 0, "case %zu: %zu bytes", i, t.count);
    lmmc_text_free(&t);
    close(fd);
  }
  lmmc_text t = {0};
  lmmc_error e = {0};
  CHECK(
      lmmc_read_all(-1, 9, &t, "nothing", &e) == LMMC_READ_FAILED && strcmp(e.message, "nothing cannot be read: bad file descriptor") == 0,
      "'%s'", e.message);
  lmmc_text_free(&t);
  return check_report();
}
