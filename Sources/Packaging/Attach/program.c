// `attach EXECUTABLE BYTES OUTPUT`: the packager as a program, for C sources that are built by hand.
// The Swift package compiles this folder as a library, which has no main (and calls a file named main.c an executable).
#ifndef SWIFT_PACKAGE
#define _GNU_SOURCE  // mkostemp
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"

static bool report(const char *what, const char *name) {
  fprintf(stderr, "error: cannot %s '%s': %s\n", what, name, strerror(errno));
  return false;
}

static bool copy(int from, const char *from_name, int to, const char *to_name, uint64_t offset, uint64_t bytes) {
  enum { BLOCK = 1 << 20 };
  char *block = malloc(BLOCK);
  if (!block) return report("read", from_name);
  bool ok = true;
  while (ok && bytes > 0) {
    ssize_t got = read(from, block, bytes < BLOCK ? bytes : BLOCK);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = EIO;  // shorter than it was a moment ago
    if (got <= 0) {
      ok = report("read", from_name);
      break;
    }
    for (ssize_t done = 0; ok && done < got;) {
      ssize_t n = pwrite(to, block + done, (size_t)(got - done), (off_t)offset);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        ok = report("write", to_name);
        break;
      }
      done += n;
      offset += (uint64_t)n;
    }
    bytes -= (uint64_t)got;
  }
  free(block);
  return ok;
}

static bool attach(const char *executable, const char *bytes_name, int from, const char *output, int to) {
  struct stat status;
  if (fstat(from, &status) != 0) return report("read", bytes_name);
  if (!S_ISREG(status.st_mode)) {
    fprintf(stderr, "error: '%s' is not a regular file\n", bytes_name);
    return false;
  }
  char error[LMMC_ATTACH_ERROR];
  uint64_t offset, bytes = (uint64_t)status.st_size;
  lmmc_attach *a = lmmc_attach_begin(executable, to, bytes, &offset, error);
  if (a && !copy(from, bytes_name, to, output, offset, bytes)) {
    lmmc_attach_abandon(a);
    return false;
  }
  if (!a || !lmmc_attach_finish(a, error)) {
    fprintf(stderr, "error: %s\n", error);
    return false;
  }
  return fsync(to) == 0 || report("write", output);
}

// Removed when a signal ends the program; NULL while there is none.
static char *volatile pending;

static void remove_pending(int number) {
  if (pending) unlink(pending);
  signal(number, SIG_DFL);
  raise(number);
}

// Makes a file of a new name beside `output`, open to write; -1 after a report. `name` is the caller's to free.
static int create_beside(const char *output, char **name) {
  static const char pattern[] = "/.lmmc-XXXXXX";
  struct stat status;
  // Renaming over a device would replace the device.
  if (stat(output, &status) == 0 && !S_ISREG(status.st_mode)) {
    fprintf(stderr, "error: '%s' is not a regular file\n", output);
    return -1;
  }
  char *copy = strdup(output);
  if (!copy) return report("create", output), -1;
  const char *folder = dirname(copy);
  size_t length = strlen(folder) + sizeof pattern;
  int fd = -1;
  if ((*name = malloc(length)) != NULL) {
    snprintf(*name, length, "%s%s", folder, pattern);
    fd = mkostemp(*name, O_CLOEXEC);
  }
  free(copy);
  if (fd < 0) return report("create", output), -1;
  pending = *name;
  const int endings[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (signal(endings[i], remove_pending) == SIG_IGN) signal(endings[i], SIG_IGN);
  mode_t mask = umask(0);
  umask(mask);
  if (fchmod(fd, 0777 & ~mask) == 0) return fd;
  report("create", output);
  unlink(*name);
  pending = NULL;
  close(fd);
  return -1;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "error: %d arguments; expected %s EXECUTABLE BYTES OUTPUT\n", argc - 1, argv[0]);
    return 2;
  }
  signal(SIGXFSZ, SIG_IGN);  // a file that grows past a limit is an error of the write
  int from = open(argv[2], O_RDONLY | O_CLOEXEC);
  if (from < 0) return report("open", argv[2]), 1;
  char *temporary = NULL;
  int to = create_beside(argv[3], &temporary);
  bool ok = to >= 0;
  if (ok) {
    ok = attach(argv[1], argv[2], from, argv[3], to);
    close(to);
    if (ok && rename(temporary, argv[3]) != 0) ok = report("create", argv[3]);
    pending = NULL;
    if (!ok) unlink(temporary);
  }
  close(from);
  free(temporary);
  return ok ? 0 : 1;
}
#else
typedef int lmmc_attach_has_no_main;
#endif
