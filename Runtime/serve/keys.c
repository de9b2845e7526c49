#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "serve/exchange/server.h"

enum { MOST_FILE = 64 << 10 };

struct lmmc_keys {
  lmmc_text file;  // with a zero behind each key
  const char *keys[LMMC_MOST_KEYS];
  int count;
};

static bool split(lmmc_keys *k, const char *path, lmmc_error *e) {
  char *rest = k->file.bytes;
  for (char *line; (line = strsep(&rest, "\n"));) {
    line += strspn(line, " \t\r");
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r", line[length - 1])) line[--length] = 0;
    if (length == 0 || line[0] == '#') continue;
    if (k->count == LMMC_MOST_KEYS) return lmmc_fail(e, 1, "'%s' has more than %d keys", path, LMMC_MOST_KEYS);
    k->keys[k->count++] = line;
  }
  return k->count > 0 || lmmc_fail(e, 1, "'%s' has no key", path);
}

lmmc_keys *lmmc_keys_open(const char *path, lmmc_error *e) {
  lmmc_keys *k = calloc(1, sizeof *k);
  const int fd = k ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  bool done = k || lmmc_fail(e, 1, "out of memory for keys");
  if (done && fd < 0) done = lmmc_fail(e, 1, "'%s' cannot be read: %s", path, lmmc_reason(errno).text);
  if (done) {
    const lmmc_read_result r = lmmc_read_all(fd, MOST_FILE, &k->file, path, e);
    if (r == LMMC_TOO_LONG) lmmc_fail(e, 1, "'%s' is longer than %d bytes", path, MOST_FILE);
    done = r == LMMC_READ && lmmc_text_append(&k->file, "", 1, e) && split(k, path, e);
  }
  if (fd >= 0) close(fd);
  if (done) return k;
  lmmc_keys_close(k);
  return NULL;
}

void lmmc_keys_close(lmmc_keys *k) {
  if (!k) return;
  if (k->file.bytes) explicit_bzero(k->file.bytes, k->file.count);
  lmmc_text_free(&k->file);
  free(k);
}

bool lmmc_keys_admit(const lmmc_keys *k, const char *authorization) {
  static const char scheme[] = "Bearer ";
  const bool is_bearer = authorization && strncasecmp(authorization, scheme, sizeof scheme - 1) == 0;
  const char *given = is_bearer ? authorization + sizeof scheme - 1 : "";
  while (*given == ' ') given++;
  const size_t length = strlen(given);
  unsigned found = 0;
  for (int i = 0; i < k->count; i++) {
    const char *key = k->keys[i];
    const size_t wanted = strlen(key);
    unsigned differs = length != wanted;
    for (size_t c = 0; c < length; c++) differs |= (unsigned char)(given[c] ^ key[c % wanted]);
    found |= differs == 0;
  }
  return found;
}
