#define _GNU_SOURCE  // realpath
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "request_line.h"

struct lmmc_done_id {
  lmmc_done_id *next;
  int64_t count;
  char text[];
};

static bool cannot(const lmmc_batch_output *o, const char *what, lmmc_error *e) {
  return lmmc_fail(e, 1, "'%s' cannot be %s: %s", o->path, what, lmmc_reason(errno).text);
}

// ---- ids

static lmmc_done_id **find(const lmmc_batch_output *o, const char *id) {
  uint64_t h = UINT64_C(0xCBF29CE484222325);
  for (const char *c = id; *c; c++) h = (h ^ (unsigned char)*c) * UINT64_C(0x100000001B3);
  lmmc_done_id **at = &o->done[h % o->places];
  while (*at && strcmp((*at)->text, id) != 0) at = &(*at)->next;
  return at;
}

static bool remember(lmmc_batch_output *o, const char *id, lmmc_error *e) {
  lmmc_done_id **at = find(o, id);
  if (!*at) {
    const size_t bytes = strlen(id) + 1;
    if (!(*at = malloc(sizeof **at + bytes))) return lmmc_fail(e, 1, "out of memory for the ids of '%s'", o->path);
    **at = (lmmc_done_id){0};
    memcpy((*at)->text, id, bytes);
  }
  (*at)->count++;
  o->done_count++;
  return true;
}

bool lmmc_batch_output_has(lmmc_batch_output *o, const char *id) {
  if (o->places == 0) return false;
  lmmc_done_id *found = *find(o, id);
  if (!found || found->count == 0) return false;
  found->count--;
  return true;
}

// ---- a file that grows

// Whether what stands behind the last end of a line may be the start of an answer, so that it may be cut off.
static bool may_be_part(const char *text, size_t bytes) {
  static const char *const starts[] = {"{\"id\": ", "{\"question_id\": "};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    const size_t length = strlen(starts[i]);
    if (memcmp(text, starts[i], bytes < length ? bytes : length) == 0) return true;
  }
  return false;
}

static bool is_no_output(const lmmc_batch_output *o, off_t at, lmmc_error *e) {
  return lmmc_fail(e, 1, "'%s' has a line without an id at byte %lld, it is no output of a batch", o->path, (long long)at);
}

// The ids of whole lines; `*whole` is where the last ends.
static bool read_ids(lmmc_batch_output *o, FILE *file, off_t *whole, lmmc_error *e) {
  char *line = NULL;
  size_t room = 0;
  ssize_t length;
  bool done = true;
  errno = 0;
  while (done && (length = getline(&line, &room, file)) > 0) {
    if (line[length - 1] != '\n') {
      done = may_be_part(line, (size_t)length) || is_no_output(o, *whole, e);
      break;
    }
    char *id = lmmc_line_id_of_output(line, (size_t)length);
    done = id ? remember(o, id, e) : is_no_output(o, *whole, e);
    free(id);
    *whole += length;
  }
  if (done && (ferror(file) || !feof(file))) done = cannot(o, "read", e);
  free(line);
  return done;
}

// What stands behind the last whole line is cut off.
static bool take_lines(lmmc_batch_output *o, lmmc_error *e) {
  struct stat s;
  off_t whole = 0;
  if (fstat(o->fd, &s) != 0) return cannot(o, "read", e);
  if (!S_ISREG(s.st_mode)) return lmmc_fail(e, 1, "'%s' is no regular file, '--resume' goes on with one", o->path);
  o->places = (size_t)(s.st_size / 64) + 64;
  if (!(o->done = calloc(o->places, sizeof *o->done))) return lmmc_fail(e, 1, "out of memory for the ids of '%s'", o->path);
  const int fd = dup(o->fd);
  FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
  if (!file) {
    if (fd >= 0) close(fd);
    return cannot(o, "read", e);
  }
  const bool done = read_ids(o, file, &whole, e);
  fclose(file);
  if (!done) return false;
  return (ftruncate(o->fd, whole) == 0 && lseek(o->fd, whole, SEEK_SET) == whole) || cannot(o, "written", e);
}

static bool open_growing(lmmc_batch_output *o, lmmc_error *e) {
  o->fd = open(o->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (o->fd < 0) return cannot(o, "opened", e);
  if (flock(o->fd, LOCK_EX | LOCK_NB) != 0)
    return errno == EWOULDBLOCK ? lmmc_fail(e, 1, "'%s' is being written by another program", o->path) : cannot(o, "locked", e);
  return take_lines(o, e);
}

// ---- opening and closing

bool lmmc_batch_output_open(lmmc_batch_output *o, const char *path, bool resume, int input, lmmc_error *e) {
  *o = (lmmc_batch_output){.path = path, .fd = path ? -1 : STDOUT_FILENO, .whole.fd = -1};
  struct stat s, asked;
  if (!path) return true;
  const bool exists = stat(path, &s) == 0;
  if (exists && fstat(input, &asked) == 0 && s.st_dev == asked.st_dev && s.st_ino == asked.st_ino && S_ISREG(s.st_mode))
    return lmmc_fail(e, 2, "'%s' is the file of requests, the answers want another", path);
  if (resume) return open_growing(o, e);
  // A pipe or a device takes lines as they come.
  if (exists && !S_ISREG(s.st_mode)) return (o->fd = open(path, O_WRONLY | O_CLOEXEC)) >= 0 || cannot(o, "opened", e);
  // What a link leads to is written, and the link stays.
  char *target = exists ? realpath(path, NULL) : NULL;
  const bool done = lmmc_unfinished_open(&o->whole, target ? target : path, e);
  free(target);
  o->fd = o->whole.fd;
  return done;
}

void lmmc_batch_output_close(lmmc_batch_output *o) {
  if (o->path && o->fd >= 0 && o->fd != o->whole.fd) close(o->fd);
  lmmc_unfinished_discard(&o->whole);
  for (size_t i = 0; i < o->places; i++)
    for (lmmc_done_id *d = o->done ? o->done[i] : NULL, *next; d; d = next) {
      next = d->next;
      free(d);
    }
  free(o->done);
  *o = (lmmc_batch_output){.fd = -1, .whole.fd = -1};
}

lmmc_write_result lmmc_batch_output_write(lmmc_batch_output *o, const char *bytes, size_t count, lmmc_error *e) {
  char what[PATH_MAX + 16];
  snprintf(what, sizeof what, "'%s'", o->path ? o->path : "");
  const lmmc_write_result result = lmmc_write(o->fd, bytes, count, o->path ? what : "standard output", e);
  // Who reads standard output may have enough of it; lines that are wanted in a file are lost.
  if (result != LMMC_CLOSED || !o->path) return result;
  lmmc_fail(e, 1, "%s cannot be written: its reader is gone", what);
  return LMMC_WRITE_FAILED;
}

bool lmmc_batch_output_finish(lmmc_batch_output *o, lmmc_error *e) {
  if (!o->path) return true;
  // A full disk or quota may be told of only here; a pipe has nothing to bring to a disk.
  const bool is_synced = fsync(o->fd) == 0 || errno == EINVAL || errno == EROFS;
  if (!is_synced) return cannot(o, "written", e);
  const int fd = o->fd;
  o->fd = -1;
  return o->whole.fd >= 0 ? lmmc_unfinished_finish(&o->whole, e) : close(fd) == 0 || cannot(o, "written", e);
}
