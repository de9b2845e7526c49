#define _GNU_SOURCE  // getrandom
#include "unfinished.h"

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

enum { OPEN_FILES = 8 };

// Temporary files to remove when a signal ends the program. The process has them and no run, since a signal is the process's.
static char *volatile pending[OPEN_FILES];

void lmmc_unfinished_remove_all(void) {
  for (int i = 0; i < OPEN_FILES; i++)
    if (pending[i]) unlink(pending[i]);
}

static void remove_pending(int number) {
  lmmc_unfinished_remove_all();
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

static bool cannot(const lmmc_unfinished *f, const char *what, lmmc_error *e) {
  return lmmc_fail(e, 1, "file '%s' cannot be %s: %s", f->path, what, lmmc_reason(errno).text);
}

bool lmmc_unfinished_open(lmmc_unfinished *f, const char *path, lmmc_error *e) {
  f->fd = -1;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const int folder = (int)(name - path), n = snprintf(f->path, sizeof f->path, "%s", path);
  // In a folder of others a known name could be taken before, or be a link; a new file of a new name is ours.
  for (int tries = 0; tries < 100 && f->fd < 0; tries++) {
    uint64_t mark;
    if (getrandom(&mark, sizeof mark, GRND_NONBLOCK) != sizeof mark) {
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      mark = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 16;
    }
    int m = snprintf(f->temporary, sizeof f->temporary, "%.*s.%s.%" PRIx64 ".tmp", folder, path, name, mark);
    if (n < 0 || m < 0 || n >= PATH_MAX || m >= PATH_MAX) return lmmc_fail(e, 1, "the name of '%s' in its folder is too long", name);
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno != EEXIST) break;
  }
  if (f->fd < 0) return cannot(f, "created", e);
  remember(f->temporary);
  return true;
}

bool lmmc_unfinished_write(lmmc_unfinished *f, const void *bytes, size_t count, lmmc_error *e) {
  char what[PATH_MAX + 16];
  snprintf(what, sizeof what, "file '%s'", f->path);
  lmmc_write_result r = lmmc_write(f->fd, bytes, count, what, e);
  if (r == LMMC_CLOSED) lmmc_fail(e, 1, "%s cannot be written: its reader is gone", what);
  return r == LMMC_WRITTEN;
}

bool lmmc_unfinished_finish(lmmc_unfinished *f, lmmc_error *e) {
  int fd = f->fd;
  f->fd = -1;
  // Some file systems speak of a full disk only here.
  bool done = close(fd) == 0 && rename(f->temporary, f->path) == 0;
  if (!done) {
    cannot(f, "written", e);
    unlink(f->temporary);
  }
  forget(f->temporary);
  return done;
}

void lmmc_unfinished_discard(lmmc_unfinished *f) {
  if (f->fd < 0) return;
  close(f->fd);
  f->fd = -1;
  unlink(f->temporary);
  forget(f->temporary);
}
