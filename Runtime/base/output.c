#define _GNU_SOURCE  // getrandom
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "printable.h"

// ---- text

static bool reserve(lmmc_text *t, size_t more, lmmc_error *e) {
  if (t->capacity - t->count >= more) return true;
  size_t wanted = t->count + more, capacity = t->capacity ? t->capacity : 256;
  while (wanted > t->count && capacity < wanted && capacity <= SIZE_MAX / 2) capacity *= 2;
  char *bytes = capacity < wanted || wanted < more ? NULL : realloc(t->bytes, capacity);
  if (!bytes) return lmmc_fail(e, 1, "out of memory for a text of %zu bytes", wanted);
  t->bytes = bytes;
  t->capacity = capacity;
  return true;
}

bool lmmc_text_append(lmmc_text *t, const void *bytes, size_t count, lmmc_error *e) {
  if (count == 0) return true;
  if (!reserve(t, count, e)) return false;
  memcpy(t->bytes + t->count, bytes, count);
  t->count += count;
  return true;
}

bool lmmc_text_format(lmmc_text *t, lmmc_error *e, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  bool done = n >= 0 && reserve(t, (size_t)n + 1, e);
  if (done) {
    vsnprintf(t->bytes + t->count, (size_t)n + 1, format, again);
    t->count += (size_t)n;
  }
  va_end(again);
  return done;
}

void lmmc_text_free(lmmc_text *t) {
  free(t->bytes);
  *t = (lmmc_text){0};
}

bool lmmc_json_string(lmmc_text *t, const char *bytes, size_t count, lmmc_error *e) {
  static const char names[] = "btnvfr";  // of 0x08 to 0x0D; JSON has no \v
  bool done = lmmc_text_append(t, "\"", 1, e);
  for (size_t i = 0, length; done && i < count; i += length) {
    uint32_t c = lmmc_character(bytes + i, count - i, &length);
    if (c == LMMC_NO_CHARACTER)
      c = 0xFFFD;
    else if (c != '"' && c != '\\' && !lmmc_unprintable(c)) {
      done = lmmc_text_append(t, bytes + i, length, e);
      continue;
    }
    char escape[16] = {'\\', (char)c, 0};
    if (c >= 8 && c <= 13 && c != 11)
      escape[1] = names[c - 8];
    else if (c > 0xFFFF)
      snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
    else if (c != '"' && c != '\\')
      snprintf(escape, sizeof escape, "\\u%04x", c);
    done = lmmc_text_append(t, escape, strlen(escape), e);
  }
  return done && lmmc_text_append(t, "\"", 1, e);
}

bool lmmc_json_ids(lmmc_text *t, const int32_t *ids, size_t count, lmmc_error *e) {
  bool done = lmmc_text_append(t, "[", 1, e);
  for (size_t i = 0; done && i < count; i++) done = lmmc_text_format(t, e, i ? ", %" PRId32 : "%" PRId32, ids[i]);
  return done && lmmc_text_append(t, "]", 1, e);
}

// ---- files

lmmc_write_result lmmc_write(int fd, const void *bytes, size_t count, const char *what, lmmc_error *e) {
  for (const char *p = bytes; count > 0;) {
    ssize_t n = write(fd, p, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) return LMMC_CLOSED;
    if (n <= 0) {
      lmmc_fail(e, 1, "%s cannot be written: %s", what, lmmc_reason(n < 0 ? errno : EIO));
      return LMMC_WRITE_FAILED;
    }
    p += n;
    count -= (size_t)n;
  }
  return LMMC_WRITTEN;
}

bool lmmc_make_directories(const char *path, lmmc_error *e) {
  char prefix[PATH_MAX];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof prefix)
    return lmmc_fail(e, 1, "folder name of %zu bytes, wanted 1 to %zu", length, sizeof prefix - 1);
  int error = 0;
  for (size_t i = 1; i <= length; i++) {
    if (i < length && path[i] != '/') continue;
    memcpy(prefix, path, i);
    prefix[i] = 0;
    error = mkdir(prefix, 0777) == 0 ? 0 : errno;  // a parent's failure shows in the last one's
  }
  struct stat s;
  if (stat(path, &s) == 0) {
    if (S_ISDIR(s.st_mode)) return true;
    error = ENOTDIR;
  }
  return lmmc_fail(e, 1, "folder '%s' cannot be created: %s", path, lmmc_reason(error));
}

// ---- NumPy files

enum { NPY_HEADER = 192, OPEN_FILES = 8 };  // room for four 19-digit axes, a multiple of 64

// Temporary files to remove when a signal ends the program.
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
  shape[n - 2] = 0;
  n = snprintf(header + 10, NPY_HEADER - 9, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
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

bool lmmc_npy_open(lmmc_npy *f, const char *directory, const char *name, int inner_rank, const int64_t *inner, lmmc_error *e) {
  f->fd = -1;
  f->rank = inner_rank + 1;
  f->shape[0] = 0;
  memcpy(f->shape + 1, inner, (size_t)inner_rank * sizeof *inner);
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
  if (f->fd < 0) return lmmc_fail(e, 1, "file '%s' cannot be created: %s", f->path, lmmc_reason(errno));
  remember(f->temporary);
  char header[NPY_HEADER + 1];
  make_header(f, header);
  return put(f, header, NPY_HEADER, e);
}

bool lmmc_npy_row(lmmc_npy *f, const float *values, lmmc_error *e) {
  size_t bytes = sizeof *values;
  for (int i = 1; i < f->rank; i++) bytes *= (size_t)f->shape[i];
  if (!put(f, values, bytes, e)) return false;
  f->shape[0]++;
  return true;
}

bool lmmc_npy_close(lmmc_npy *f, lmmc_error *e) {
  char header[NPY_HEADER + 1];
  make_header(f, header);
  if (lseek(f->fd, 0, SEEK_SET) != 0) return lmmc_fail(e, 1, "file '%s' cannot be written: %s", f->path, lmmc_reason(errno));
  if (!put(f, header, NPY_HEADER, e)) return false;
  int fd = f->fd;
  f->fd = -1;
  // Some file systems speak of a full disk only here.
  if (close(fd) != 0 || rename(f->temporary, f->path) != 0) {
    lmmc_fail(e, 1, "file '%s' cannot be written: %s", f->path, lmmc_reason(errno));
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
