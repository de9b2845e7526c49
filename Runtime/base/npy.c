#define _GNU_SOURCE  // getrandom
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "file.h"

enum { NPY_HEADER = 192, OPEN_FILES = 8 };  // room for four 19-digit axes, a multiple of 64

// Temporary files to remove when a signal ends the program. The process has them and no run, since a signal is the process's.
static char *volatile pending[OPEN_FILES];

void lmmc_npy_remove_pending(void) {
  for (int i = 0; i < OPEN_FILES; i++)
    if (pending[i]) unlink(pending[i]);
}

static void remove_pending(int number) {
  lmmc_npy_remove_pending();
  signal(number, SIG_DFL);
  raise(number);
}

static void remember(char *path) {
  static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGABRT, SIGSEGV};
  for (int i = 0; i < OPEN_FILES; i++) {
    if (pending[i]) continue;
    pending[i] = path;
    break;
  }
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    struct sigaction old;
    if (sigaction(endings[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) signal(endings[i], remove_pending);
  }
}

static void forget(const char *path) {
  for (int i = 0; i < OPEN_FILES; i++)
    if (pending[i] == path) pending[i] = NULL;
}

static void make_header(const lmmc_npy *f, char header[NPY_HEADER + 1]) {
  memcpy(header, "\x93NUMPY\x01\x00", 8);
  header[8] = (char)(NPY_HEADER - 10);
  header[9] = 0;
  _Static_assert(NPY_HEADER - 10 < 256, "the length is written as one byte");
  char shape[128];
  int n = 0;
  for (int i = 0; i < f->rank; i++) n += snprintf(shape + n, sizeof shape - (size_t)n, "%" PRId64 ", ", f->shape[i]);
  shape[n - (f->rank > 1 ? 2 : 1)] = 0;  // Python's tuple of one has a comma
  n = snprintf(header + 10, NPY_HEADER - 9, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
               f->type == LMMC_NPY_INT32 ? "<i4" : "<f4", shape);
  memset(header + 10 + n, ' ', (size_t)(NPY_HEADER - 11 - n));
  header[NPY_HEADER - 1] = '\n';
}

// Writes to the file; its error speaks of the final name.
static bool put(lmmc_npy *f, const void *bytes, size_t count, lmmc_error *e) {
  char what[PATH_MAX + 16];
  snprintf(what, sizeof what, "file '%s'", f->path);
  lmmc_write_result r = lmmc_write(f->fd, bytes, count, what, e);
  if (r == LMMC_CLOSED) lmmc_fail(e, 1, "%s cannot be written: its reader is gone", what);
  return r == LMMC_WRITTEN;
}

bool lmmc_npy_open(lmmc_npy *f, const char *directory, const char *name, lmmc_npy_type type, int inner_rank, const int64_t *inner,
                   lmmc_error *e) {
  f->fd = -1;
  f->type = type;
  f->rank = inner_rank + 1;
  f->shape[0] = 0;
  for (int i = 0; i < inner_rank; i++) f->shape[1 + i] = inner[i];
  int n = snprintf(f->path, sizeof f->path, "%s/%s", directory, name);
  // In a folder of others a known name could be taken before, or be a link; a new file of a new name is ours.
  for (int tries = 0; tries < 100 && f->fd < 0; tries++) {
    uint64_t mark;
    if (getrandom(&mark, sizeof mark, GRND_NONBLOCK) != sizeof mark) {
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      mark = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 16;
    }
    int m = snprintf(f->temporary, sizeof f->temporary, "%s/.%s.%" PRIx64 ".tmp", directory, name, mark);
    if (n < 0 || m < 0 || n >= PATH_MAX || m >= PATH_MAX) return lmmc_fail(e, 1, "the name of '%s' in its folder is too long", name);
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno != EEXIST) break;
  }
  if (f->fd < 0) return lmmc_fail(e, 1, "file '%s' cannot be created: %s", f->path, lmmc_reason(errno).text);
  remember(f->temporary);
  char header[NPY_HEADER + 1];
  make_header(f, header);
  return put(f, header, NPY_HEADER, e);
}

bool lmmc_npy_row(lmmc_npy *f, const void *values, lmmc_error *e) {
  size_t bytes = 4;
  for (int i = 1; i < f->rank; i++) bytes *= (size_t)f->shape[i];
  if (!put(f, values, bytes, e)) return false;
  f->shape[0]++;
  return true;
}

bool lmmc_npy_close(lmmc_npy *f, lmmc_error *e) {
  char header[NPY_HEADER + 1];
  make_header(f, header);
  if (lseek(f->fd, 0, SEEK_SET) != 0) return lmmc_fail(e, 1, "file '%s' cannot be written: %s", f->path, lmmc_reason(errno).text);
  if (!put(f, header, NPY_HEADER, e)) return false;
  int fd = f->fd;
  f->fd = -1;
  // Some file systems speak of a full disk only here.
  if (close(fd) != 0 || rename(f->temporary, f->path) != 0) {
    lmmc_fail(e, 1, "file '%s' cannot be written: %s", f->path, lmmc_reason(errno).text);
    unlink(f->temporary);
    forget(f->temporary);
    return false;
  }
  forget(f->temporary);
  return true;
}

void lmmc_npy_discard(lmmc_npy *f) {
  if (f->fd < 0) return;
  close(f->fd);
  f->fd = -1;
  unlink(f->temporary);
  forget(f->temporary);
}
