#define _GNU_SOURCE  // O_TMPFILE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
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

// The ids of its whole lines; what stands behind the last is cut off.
static bool read_lines(lmmc_batch_output *o, lmmc_error *e) {
  struct stat s;
  if (fstat(o->fd, &s) != 0) return cannot(o, "read", e);
  if (!S_ISREG(s.st_mode)) return lmmc_fail(e, 1, "'%s' is no regular file, '--resume' goes on with one", o->path);
  o->places = (size_t)(s.st_size / 64) + 64;
  if (!(o->done = calloc(o->places, sizeof *o->done))) return lmmc_fail(e, 1, "out of memory for the ids of '%s'", o->path);
  FILE *file = fdopen(dup(o->fd), "r");
  if (!file) return cannot(o, "read", e);
  char *line = NULL;
  size_t room = 0;
  off_t whole = 0;
  ssize_t length;
  bool done = true;
  while (done && (length = getline(&line, &room, file)) > 0 && line[length - 1] == '\n') {
    char *id = lmmc_line_id_of_output(line, (size_t)length);
    if (!id) {
      done = lmmc_fail(e, 1, "'%s' has a line without an id at byte %lld, it is no output of a batch", o->path, (long long)whole);
      break;
    }
    done = remember(o, id, e);
    free(id);
    whole += length;
  }
  free(line);
  if (ferror(file)) done = cannot(o, "read", e);
  fclose(file);
  if (!done) return false;
  return (ftruncate(o->fd, whole) == 0 && lseek(o->fd, whole, SEEK_SET) == whole) || cannot(o, "written", e);
}

static bool open_growing(lmmc_batch_output *o, lmmc_error *e) {
  o->grows = true;
  o->fd = open(o->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (o->fd < 0) return cannot(o, "opened", e);
  if (flock(o->fd, LOCK_EX | LOCK_NB) != 0)
    return errno == EWOULDBLOCK ? lmmc_fail(e, 1, "'%s' is being written by another program", o->path) : cannot(o, "locked", e);
  return read_lines(o, e);
}

// ---- a file that appears whole

// A file beside `path` under a name of its own.
static bool open_named(lmmc_batch_output *o, lmmc_error *e) {
  if (asprintf(&o->temporary, "%s.XXXXXX", o->path) < 0) {
    o->temporary = NULL;
    return lmmc_fail(e, 1, "out of memory for a file name");
  }
  o->fd = mkostemp(o->temporary, O_CLOEXEC);
  if (o->fd >= 0) {
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(o->fd, 0666 & ~mask) == 0) return true;
  }
  return cannot(o, "written", e);
}

bool lmmc_batch_output_open(lmmc_batch_output *o, const char *path, bool resume, lmmc_error *e) {
  *o = (lmmc_batch_output){.path = path, .fd = path ? -1 : STDOUT_FILENO};
  struct stat s;
  if (!path) return true;
  if (resume) return open_growing(o, e);
  // A pipe or a device takes lines as they come.
  if (stat(path, &s) == 0 && !S_ISREG(s.st_mode)) return (o->fd = open(path, O_WRONLY | O_CLOEXEC)) >= 0 || cannot(o, "opened", e);
  return open_named(o, e);
}

void lmmc_batch_output_close(lmmc_batch_output *o) {
  if (o->temporary && o->fd >= 0) unlink(o->temporary);
  if (o->path && o->fd >= 0) close(o->fd);
  for (size_t i = 0; i < o->places; i++)
    for (lmmc_done_id *d = o->done ? o->done[i] : NULL, *next; d; d = next) {
      next = d->next;
      free(d);
    }
  free(o->done);
  free(o->temporary);
  *o = (lmmc_batch_output){.fd = -1};
}

lmmc_write_result lmmc_batch_output_write(lmmc_batch_output *o, const char *bytes, size_t count, lmmc_error *e) {
  return lmmc_write(o->fd, bytes, count, o->path ? o->path : "standard output", e);
}

bool lmmc_batch_output_finish(lmmc_batch_output *o, lmmc_error *e) {
  if (!o->temporary) return true;
  if (fsync(o->fd) != 0 || rename(o->temporary, o->path) != 0) return cannot(o, "written", e);
  free(o->temporary);
  o->temporary = NULL;
  return true;
}
