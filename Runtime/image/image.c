#define _GNU_SOURCE  // memmem
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_internal.h"

// A path can be longer than an error message: its end says more than its beginning.
typedef struct {
  char text[240];
} short_name;

static short_name shorten(const char *name) {
  short_name s;
  size_t n = strlen(name);
  if (n < sizeof s.text) {
    memcpy(s.text, name, n + 1);
  } else {
    const char *tail = name + n - (sizeof s.text - 4);
    while (((unsigned char)*tail & 0xC0) == 0x80) tail++;  // do not start inside a UTF-8 character
    snprintf(s.text, sizeof s.text, "...%s", tail);
  }
  return s;
}

typedef enum { KIND_NONE, KIND_JPEG, KIND_PNG, KIND_WEBP } kind;

enum { HEAD_BYTES = 512 };  // what tells a file's kind

static kind identify(const uint8_t *b, size_t size) {
  if (size >= 3 && !memcmp(b, "\xFF\xD8\xFF", 3)) return KIND_JPEG;
  if (size >= 8 && !memcmp(b, "\x89PNG\r\n\x1A\n", 8)) return KIND_PNG;
  if (size >= 12 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4)) return KIND_WEBP;
  return KIND_NONE;
}

// Whether a text begins with lower-case `word`, in either case.
static bool begins(const char *text, size_t size, const char *word) {
  return size >= strlen(word) && !strncasecmp(text, word, strlen(word));
}

static const char *text_kind(const char *text, size_t size) {
  if (begins(text, size, "\xEF\xBB\xBF")) text += 3, size -= 3;
  while (size > 0 && strchr(" \t\r\n", *text)) text++, size--;
  if (begins(text, size, "version https://git-lfs.github.com/")) return "a Git LFS pointer ('git lfs pull' brings the file)";
  if (begins(text, size, "<!doctype html") || begins(text, size, "<html")) return "an HTML page";
  if (begins(text, size, "<svg") || (begins(text, size, "<?xml") && memmem(text, size, "<svg", 4))) return "an SVG image";
  if (begins(text, size, "data:")) return "a data URL";
  return "text";
}

// What another file is, by its first bytes; NULL where they say nothing.
static const char *other_kind(const uint8_t *b, size_t size) {
  static const struct {
    int at, count;
    const char *bytes, *kind;
  } table[] = {
      {0, 4, "GIF8", "a GIF image"},
      {0, 4, "II*\0", "a TIFF image"},
      {0, 4, "MM\0*", "a TIFF image"},
      {4, 8, "ftypavif", "an AVIF image"},
      {4, 8, "ftypavis", "an AVIF image"},
      {4, 7, "ftyphei", "a HEIC image"},
      {4, 7, "ftyphev", "a HEIC image"},
      {4, 8, "ftypmif1", "a HEIC image"},
      {4, 4, "ftyp", "an MP4 file"},
      {0, 2, "\xFF\x0A", "a JPEG XL image"},
      {4, 4, "JXL ", "a JPEG XL image"},
      {4, 4, "jP  ", "a JPEG 2000 image"},
      {0, 5, "%PDF-", "a PDF file"},
      {0, 4, "PK\3\4", "a ZIP archive"},
      {0, 2, "\x1F\x8B", "a gzip file"},
      {0, 4,
       "\x7F"
       "ELF",
       "a program"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (size >= (size_t)(table[i].at + table[i].count) && !memcmp(b + table[i].at, table[i].bytes, (size_t)table[i].count))
      return table[i].kind;
  if (size >= 26 && !memcmp(b, "BM", 2) && !memcmp(b + 6, "\0\0\0", 4)) return "a BMP image";
  for (size_t i = 0; i < size && i < HEAD_BYTES; i++)
    if (b[i] == 0 || (b[i] < 0x20 && !strchr("\t\n\v\f\r\33", b[i]))) return NULL;
  return text_kind((const char *)b, size < HEAD_BYTES ? size : HEAD_BYTES);
}

static bool fail_kind(const char *name, const uint8_t *bytes, size_t size, lmmc_error *e) {
  const char *kind = size == 0 ? "empty" : other_kind(bytes, size);
  return lmmc_fail(e, 1, "'%s' is %s%snot a JPEG, PNG or WebP image", name, kind ? kind : "", kind ? ", " : "");
}

bool lmmc_image_allocate(uint32_t width, uint32_t height, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  if (width == 0 || height == 0 || width > INT_MAX || height > INT_MAX)
    return lmmc_fail(e, 1, "'%s' is damaged: it declares an image of %u x %u pixels", name, width, height);
  uint64_t pixels = (uint64_t)width * height;
  if (pixels > (uint64_t)most)
    return lmmc_fail(e, 1, "'%s' declares %u x %u = %llu pixels, over the limit of %lld that '--max-image-pixels' sets", name, width,
                     height, (unsigned long long)pixels, (long long)most);
  // Before the work: a row costs time however short it is.
  if (width > LMMC_IMAGE_MAX_SIDE || height > LMMC_IMAGE_MAX_SIDE)
    return lmmc_fail(e, 1, "'%s' declares %u x %u pixels, over the limit of %d for a side", name, width, height, LMMC_IMAGE_MAX_SIDE);
  out->rgb = malloc((size_t)pixels * 3);
  if (!out->rgb) return lmmc_fail(e, 1, "out of memory for '%s': %llu bytes are needed", name, (unsigned long long)pixels * 3);
  out->width = (int)width;
  out->height = (int)height;
  return true;
}

void lmmc_image_free(lmmc_image *image) {
  free(image->rgb);
  *image = (lmmc_image){0};
}

bool lmmc_image_parse(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  *out = (lmmc_image){0};
  short_name s = shorten(name);
  bool ok = false;
  switch (identify(bytes, size)) {
    case KIND_NONE: return fail_kind(s.text, bytes, size, e);
    case KIND_JPEG: ok = lmmc_read_jpeg(bytes, size, s.text, most, out, e); break;
    case KIND_PNG: ok = lmmc_read_png(bytes, size, s.text, most, out, e); break;
    case KIND_WEBP: ok = lmmc_read_webp(bytes, size, s.text, most, out, e); break;
  }
  if (!ok) lmmc_image_free(out);
  return ok;
}

static bool fail_errno(const char *what, const char *name, int error, lmmc_error *e) {
  return lmmc_fail(e, 1, "cannot %s '%s': %s", what, name, lmmc_reason(error).text);
}

// Reads until `*size` reaches `limit` or the file ends. Pipes and /proc have no usable length, so none is asked for.
static bool read_up_to(int fd, uint8_t *buffer, size_t *size, size_t limit, const char *name, lmmc_error *e) {
  while (*size < limit) {
    ssize_t n = read(fd, buffer + *size, limit - *size);
    if (n == 0) break;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", name, errno, e);
    *size += (size_t)n;
  }
  return true;
}

static bool read_all(int fd, size_t expected, uint8_t **buffer, size_t *size, const char *name, lmmc_error *e) {
  const size_t limit = INT_MAX;  // any image within the pixel limit is smaller, and no endless device fills memory
  size_t capacity = HEAD_BYTES;
  for (;;) {
    uint8_t *larger = realloc(*buffer, capacity);
    if (!larger) return lmmc_fail(e, 1, "out of memory for '%s': %zu bytes are needed", name, capacity);
    *buffer = larger;
    if (!read_up_to(fd, *buffer, size, capacity, name, e)) return false;
    if (*size < capacity) return true;
    if (capacity == HEAD_BYTES && identify(*buffer, *size) == KIND_NONE) return fail_kind(name, *buffer, *size, e);
    if (capacity > limit) return lmmc_fail(e, 1, "'%s' is 2 GiB or larger, too large for an image", name);
    // One byte more than expected, so that the end of the file shows in the first read.
    capacity = expected > capacity ? expected + 1 : 2 * capacity;
    if (capacity > limit) capacity = limit + 1;
  }
}

bool lmmc_image_read(const char *path, int64_t most, lmmc_image *out, lmmc_error *e) {
  *out = (lmmc_image){0};
  short_name s = shorten(path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open", s.text, errno, e);
  struct stat info;
  uint8_t *buffer = NULL;
  size_t size = 0;
  bool ok;
  if (fstat(fd, &info) != 0) {
    ok = fail_errno("read", s.text, errno, e);
  } else if (S_ISDIR(info.st_mode)) {
    ok = lmmc_fail(e, 1, "'%s' is a directory, not a JPEG, PNG or WebP image", s.text);
  } else {
    size_t expected = S_ISREG(info.st_mode) && info.st_size > 0 && info.st_size < INT_MAX ? (size_t)info.st_size : 1 << 16;
    ok = read_all(fd, expected, &buffer, &size, s.text, e) && lmmc_image_parse(buffer, size, path, most, out, e);
  }
  free(buffer);
  close(fd);
  return ok;
}
