#define _GNU_SOURCE  // getrandom, futimens
#include "image_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program/arithmetic.h"
#include "base/file.h"
#include "base/unfinished.h"
#include "contract/checksum.h"

// Beyond them the files that were used longest ago leave.
#define MOST_BYTES (UINT64_C(1) << 30)
#define MAGIC "lmmcimg1"
#define ENDING ".rows"

// A file is one of these, the rows, and of a program that protects rows which of them.
typedef struct {
  char magic[8];
  lmmc_hash_value image, sum;  // the image's key, and the hash of all that follows the header
  int32_t rows, hidden;
} header;

static uint64_t payload_bytes(const lmmc_image_files *f, int32_t rows) {
  return (uint64_t)rows * ((uint64_t)f->hidden * sizeof(float) + (f->protects ? sizeof(int32_t) : 0));
}

static bool name(const lmmc_image_files *f, lmmc_hash_value key, char path[PATH_MAX]) {
  const int n = snprintf(path, PATH_MAX, "%s/%016" PRIx64 "%016" PRIx64 ENDING, f->folder, key.words[1], key.words[0]);
  return n > 0 && n < PATH_MAX;
}

static bool read_bytes(int fd, void *to, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    const ssize_t n = read(fd, (char *)to + at, bytes - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += (size_t)n;
  }
  return true;
}

static lmmc_hash_value sum(const lmmc_image_files *f, const void *values, size_t bytes, const void *protects, size_t more) {
  lmmc_keyed_hash h;
  lmmc_hash_begin(&h, f->secret);
  lmmc_hash_add(&h, values, bytes);
  if (more > 0) lmmc_hash_add(&h, protects, more);
  return lmmc_hash_end(&h);
}

// A file that is not what it should be counts as none, and the next that is kept takes its place.
static int32_t find(void *context, lmmc_hash_value key, float *values, int32_t *protects, int32_t most) {
  const lmmc_image_files *f = context;
  char path[PATH_MAX];
  header h;
  const int fd = name(f, key, path) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
  struct stat s;
  if (fd < 0) return -1;
  bool is_good = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() && read_bytes(fd, &h, sizeof h) &&
                 memcmp(h.magic, MAGIC, sizeof h.magic) == 0 && lmmc_hashes_equal(h.image, key) && h.hidden == f->hidden && h.rows >= 0 &&
                 h.rows <= most && (uint64_t)s.st_size == sizeof h + payload_bytes(f, h.rows);
  const size_t bytes = is_good ? (size_t)h.rows * (size_t)f->hidden * sizeof *values : 0;
  const size_t more = is_good && f->protects ? (size_t)h.rows * sizeof *protects : 0;
  is_good = is_good && read_bytes(fd, values, bytes) && read_bytes(fd, protects, more) &&
            lmmc_hashes_equal(h.sum, sum(f, values, bytes, protects, more));
  if (is_good) futimens(fd, NULL);
  close(fd);
  return is_good ? h.rows : -1;
}

// ---- room

typedef struct {
  char name[64];
  struct timespec used;
  uint64_t bytes;
} entry;

static int by_use(const void *a, const void *b) {
  const struct timespec x = ((const entry *)a)->used, y = ((const entry *)b)->used;
  if (x.tv_sec != y.tv_sec) return x.tv_sec < y.tv_sec ? -1 : 1;
  return (x.tv_nsec > y.tv_nsec) - (x.tv_nsec < y.tv_nsec);
}

// A name that `name` gives, or that of such a file before it is whole.
static bool is_ours(const char *text) {
  if (*text == '.') text++;
  return strspn(text, "0123456789abcdef") == 32 && strncmp(text + 32, ENDING, sizeof ENDING - 1) == 0 &&
         (text[31 + sizeof ENDING] == 0 || text[31 + sizeof ENDING] == '.');
}

// Counts the files' bytes, and where they are more than `most`, removes those that were used longest ago.
static void make_room(lmmc_image_files *f, uint64_t most) {
  DIR *folder = opendir(f->folder);
  entry *list = NULL;
  size_t count = 0, room = 0;
  f->held = 0;
  if (!folder) return;
  for (struct dirent *d; (d = readdir(folder));) {
    struct stat s;
    if (!is_ours(d->d_name) || strlen(d->d_name) >= sizeof list->name || fstatat(dirfd(folder), d->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (count == room) {
      entry *more = realloc(list, (room = 2 * room + 64) * sizeof *list);
      if (!more) break;
      list = more;
    }
    list[count] = (entry){.used = s.st_mtim, .bytes = (uint64_t)s.st_size};
    memcpy(list[count].name, d->d_name, strlen(d->d_name) + 1);
    f->held += list[count++].bytes;
  }
  if (count > 0) qsort(list, count, sizeof *list, by_use);
  for (size_t i = 0; i < count && f->held > most; i++)
    if (unlinkat(dirfd(folder), list[i].name, 0) == 0 || errno == ENOENT) f->held -= list[i].bytes;
  free(list);
  closedir(folder);
}

// What cannot be written is not kept: the answer does not need it.
static void keep(void *context, lmmc_hash_value key, lmmc_image_rows rows) {
  lmmc_image_files *f = context;
  char path[PATH_MAX];
  lmmc_unfinished file;
  lmmc_error ignored;
  const size_t bytes = (size_t)rows.count * (size_t)f->hidden * sizeof *rows.values;
  const size_t more = f->protects ? (size_t)rows.count * sizeof *rows.protects : 0;
  const uint64_t whole = sizeof(header) + payload_bytes(f, rows.count);
  header h = {.image = key, .sum = sum(f, rows.values, bytes, rows.protects, more), .rows = rows.count, .hidden = f->hidden};
  memcpy(h.magic, MAGIC, sizeof h.magic);
  if (whole > MOST_BYTES || !name(f, key, path)) return;
  // Other runs may have added to it.
  if (f->held + whole > MOST_BYTES) make_room(f, MOST_BYTES - whole - MOST_BYTES / 8);
  if (!lmmc_unfinished_open(&file, path, &ignored)) return;
  if (fchmod(file.fd, 0600) == 0 && lmmc_unfinished_write(&file, &h, sizeof h, &ignored) &&
      lmmc_unfinished_write(&file, rows.values, bytes, &ignored) && lmmc_unfinished_write(&file, rows.protects, more, &ignored) &&
      lmmc_unfinished_finish(&file, &ignored))
    f->held += whole;
  else
    lmmc_unfinished_discard(&file);
}

// ---- the folder

static bool cannot(const char *folder, const char *what, lmmc_error *e) { return lmmc_fail(e, 1, "folder '%s' %s", folder, what); }

// Pictures of strangers must not be read from it, nor rows of theirs believed.
static bool check_folder(const char *folder, lmmc_error *e) {
  struct stat s;
  if (stat(folder, &s) != 0 || !S_ISDIR(s.st_mode)) return cannot(folder, "of '--cache-dir' is none", e);
  if (s.st_uid != geteuid()) return cannot(folder, "of '--cache-dir' belongs to somebody else", e);
  return (s.st_mode & 077) == 0 ||
         cannot(folder, "of '--cache-dir' is open to others, its owner alone may have rights to it (mode 700)", e);
}

// The folder's own secret, drawn by the first that uses it.
static bool read_secret(lmmc_image_files *f, lmmc_error *e) {
  char path[PATH_MAX];
  const int n = snprintf(path, sizeof path, "%s/key", f->folder);
  if (n < 0 || n >= PATH_MAX) return cannot(f->folder, "of '--cache-dir' has too long a name", e);
  for (int tries = 0; tries < 2; tries++) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat s;
    const bool is_read =
        fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size == sizeof f->secret && read_bytes(fd, f->secret, sizeof f->secret);
    if (fd >= 0) close(fd);
    if (is_read) return true;
    uint64_t drawn[2];
    lmmc_unfinished file;
    if (getrandom(drawn, sizeof drawn, 0) != sizeof drawn) return cannot(f->folder, "can have no key: no random numbers can be had", e);
    if (!lmmc_unfinished_open(&file, path, e)) return false;
    const bool done =
        fchmod(file.fd, 0600) == 0 && lmmc_unfinished_write(&file, drawn, sizeof drawn, e) && lmmc_unfinished_finish(&file, e);
    if (!done) return lmmc_unfinished_discard(&file), false;
  }
  return cannot(f->folder, "of '--cache-dir' has a key that cannot be read", e);
}

// The sums of the weights say which they are.
static bool make_key(lmmc_image_files *f, const lmmc_model *m, const uint8_t *attached, lmmc_error *e) {
  lmmc_text arithmetic = {0};
  lmmc_keyed_hash h;
  if (!lmmc_arithmetic(&arithmetic, e)) return lmmc_text_free(&arithmetic), false;
  lmmc_hash_begin(&h, f->secret);
  lmmc_hash_add(&h, m->info, strlen(m->info) + 1);
  lmmc_hash_add(&h, arithmetic.bytes, arithmetic.count);
  if (m->sums_offset) lmmc_hash_add(&h, attached + m->sums_offset, lmmc_sum_count(m->sums_offset) * sizeof(uint64_t));
  const lmmc_hash_value key = lmmc_hash_end(&h);
  memcpy(f->key, key.words, sizeof f->key);
  lmmc_text_free(&arithmetic);
  return true;
}

bool lmmc_image_files_open(lmmc_image_files *f, const char *folder, const lmmc_model *model, const uint8_t *attached, lmmc_error *e) {
  *f = (lmmc_image_files){.store = {f, find, keep}, .folder = folder, .hidden = model->hidden, .protects = model->protects_rows};
  struct stat s;
  if (stat(folder, &s) != 0) {
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    const char *slash = memrchr(folder, '/', length);
    if (slash && slash > folder) {
      char *parent = strndup(folder, (size_t)(slash - folder));
      const bool done = parent && lmmc_make_directories(parent, e);
      free(parent);
      if (!done) return parent != NULL ? false : lmmc_fail(e, 1, "out of memory for a name");
    }
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
      return lmmc_fail(e, 1, "folder '%s' cannot be created: %s", folder, lmmc_reason(errno).text);
  }
  if (!check_folder(folder, e) || !read_secret(f, e) || !make_key(f, model, attached, e)) return false;
  make_room(f, MOST_BYTES);
  return true;
}
