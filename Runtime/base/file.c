#include "file.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

lmmc_write_result lmmc_write(int fd, const void *bytes, size_t count, const char *what, lmmc_error *e) {
  for (const char *p = bytes; count > 0;) {
    ssize_t n = write(fd, p, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) return LMMC_CLOSED;
    if (n <= 0) {
      lmmc_fail(e, 1, "%s cannot be written: %s", what, lmmc_reason(n < 0 ? errno : EIO).text);
      return LMMC_WRITE_FAILED;
    }
    p += n;
    count -= (size_t)n;
  }
  return LMMC_WRITTEN;
}

lmmc_read_result lmmc_read_all(int fd, size_t most, lmmc_text *out, const char *what, lmmc_error *e) {
  char buffer[65536];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      lmmc_fail(e, 1, "%s cannot be read: %s", what, lmmc_reason(errno).text);
      return LMMC_READ_FAILED;
    }
    if (out->count + (size_t)n > most) return LMMC_TOO_LONG;
    if (!lmmc_text_append(out, buffer, (size_t)n, e)) return LMMC_READ_FAILED;
  }
  return LMMC_READ;
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
  return lmmc_fail(e, 1, "folder '%s' cannot be created: %s", path, lmmc_reason(error).text);
}
