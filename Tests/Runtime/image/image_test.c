// gcc -std=gnu11 -O2 -Wall -Wextra -fopenmp -I Runtime Tests/Runtime/image/image_test.c Runtime/image*.c Runtime/base/error.c Runtime/base/printable.c -ljpeg -lpng -lwebpdemux -lwebp -lz -lm -o /tmp/image_test && /tmp/image_test
// Reading, resizing and normalising of images against what Pillow gives (image_golden/, written by image_golden.py), and
// every way to damage a file. An argument names the golden folder if it has moved since compilation.
#include "image/image.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../check.h"

static char folder[4096];

static uint64_t fnv(const void *data, size_t size) {
  uint64_t h = 0xCBF29CE484222325;
  for (size_t i = 0; i < size; i++) h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001B3;
  return h;
}

static uint32_t next_random(uint32_t *state) { return (*state = *state * 1664525 + 1013904223) >> 8; }

// The noise of image_golden.py.
static uint8_t *make_noise(int seed, int width, int height) {
  static uint8_t table[4093];
  uint32_t x = 1;
  for (size_t i = 0; i < sizeof table; i++) table[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
  size_t n = (size_t)width * (size_t)height * 3;
  uint8_t *rgb = malloc(n);
  for (size_t i = 0; i < n; i++) {
    uint8_t v = table[(i + 31 * (size_t)seed) % sizeof table];
    rgb[i] = seed & 1 ? (v > 127 ? 255 : 0) : v;
  }
  return rgb;
}

static uint8_t *load(const char *file, size_t *size, char path[4400]) {
  snprintf(path, 4400, "%s/%s", folder, file);
  FILE *f = fopen(path, "rb");
  uint8_t *bytes = malloc(1 << 16);
  *size = f ? fread(bytes, 1, 1 << 16, f) : 0;
  CHECK(f != NULL, "cannot open %s", path);
  if (f) fclose(f);
  return bytes;
}

// An error is one line that names the file and begins in lower case (or with the name), and leaves no image behind.
static bool good_error(const lmmc_error *e, const lmmc_image *image, const char *name) {
  const char *m = e->message;
  return e->code == 1 && !image->rgb && !image->width && !image->height && strstr(m, name) && strlen(m) > strlen(name) + 4 &&
         !isupper((unsigned char)m[0]) && !strchr(m, '\n') && m[strlen(m) - 1] != '.';
}

// "593-609,640-": is n in one of the ranges?
static bool in_ranges(const char *ranges, size_t n) {
  for (const char *p = ranges; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
    char *end;
    unsigned long from = strtoul(p, &end, 10), to = end[1] >= '0' && end[1] <= '9' ? strtoul(end + 1, NULL, 10) : ~0UL;
    if (n >= from && n <= to) return true;
  }
  return false;
}

// Decodes a copy of exactly this size, so that a sanitizer sees each byte read too many.
static bool parse_copy(const uint8_t *bytes, size_t size, lmmc_image *image, lmmc_error *e) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, bytes, size);
  bool ok = lmmc_image_parse(copy, size, "some name", LMMC_IMAGE_MAX_PIXELS, image, e);
  free(copy);
  return ok;
}

static uint64_t hash_image(const lmmc_image *i) { return fnv(i->rgb, (size_t)i->width * (size_t)i->height * 3); }

static void test_parse(const char *file, int width, int height, uint64_t hash, const char *ranges) {
  char path[4400];
  size_t size;
  uint8_t *bytes = load(file, &size, path);
  lmmc_image image;
  lmmc_error e = {0};
  bool ok = lmmc_image_read(path, LMMC_IMAGE_MAX_PIXELS, &image, &e);
  CHECK(ok, "%s", e.message);
  CHECK(ok && image.width == width && image.height == height, "%s is %d x %d", file, image.width, image.height);
  CHECK(ok && hash_image(&image) == hash, "%s", file);
  lmmc_image_free(&image);

  for (size_t n = 0; n<size; n += size> 800 && n + 60 < size ? 7 : 1) {
    ok = parse_copy(bytes, n, &image, &e);
    CHECK(ok == in_ranges(ranges, n), "%s cut to %zu bytes: %s", file, n, ok ? "accepted" : e.message);
    CHECK(ok ? hash_image(&image) == hash : good_error(&e, &image, "some name"), "%s cut to %zu bytes: %s", file, n, e.message);
    lmmc_image_free(&image);
  }

  // Damage: any result will do that is an image or an error. The dimensions are left alone, to keep the test short.
  uint32_t state = (uint32_t)hash;
  for (int round = 0; round < 120; round++) {
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    for (uint32_t i = 0, n = 1 + next_random(&state) % 4; i < n; i++) {
      uint32_t at = next_random(&state) % (uint32_t)size;
      copy[at] = next_random(&state) & 1 ? (uint8_t)next_random(&state) : copy[at] ^ (uint8_t)(1 << next_random(&state) % 8);
    }
    ok = lmmc_image_parse(copy, size, "some name", LMMC_IMAGE_MAX_PIXELS, &image, &e);
    CHECK(ok ? image.rgb && image.width > 0 && image.height > 0 : good_error(&e, &image, "some name"), "%s damaged: %s", file, e.message);
    lmmc_image_free(&image);
    free(copy);
  }
  free(bytes);
}

static void test_refuse(const char *file, const char *expected) {
  char path[4400];
  size_t size, n = strlen(expected);
  uint8_t *bytes = load(file, &size, path);
  lmmc_image image;
  lmmc_error e = {0};
  bool ok = lmmc_image_parse(bytes, size, file, LMMC_IMAGE_MAX_PIXELS, &image, &e);
  CHECK(!ok && good_error(&e, &image, file), "%s: %s", file, ok ? "accepted" : e.message);
  bool open_end = n > 0 && expected[n - 1] == '*';
  CHECK(open_end ? !strncmp(e.message, expected, n - 1) && strlen(e.message) > n : !strcmp(e.message, expected), "%s", e.message);
  CHECK(!lmmc_image_read(path, LMMC_IMAGE_MAX_PIXELS, &image, NULL) && !image.rgb, "%s", file);
  lmmc_image_free(&image);
  free(bytes);
}

// A small file may not ask for endless work: its last scan, again and again. A thousand are too many for any picture, fewer for a large one.
static void test_scans(void) {
  char path[4400], expected[256];
  size_t size, scan = 0;
  uint8_t *bytes = load("grey-progressive.jpg", &size, path);
  for (size_t i = 0; i + 1 < size; i++)
    if (bytes[i] == 0xFF && bytes[i + 1] == 0xDA) scan = i;
  size_t length = size - 2 - scan;
  lmmc_image image;
  lmmc_error e = {0};
  CHECK(lmmc_image_parse(bytes, size, "scans", LMMC_IMAGE_MAX_PIXELS, &image, &e), "%s", e.message);
  const int width = image.width, height = image.height;
  lmmc_image_free(&image);
  const int64_t blocks = (int64_t)((width + 31) / 32 * 32) * ((height + 31) / 32 * 32);
  const struct {
    int copies;
    int64_t most;
    const char *why;
  } cases[] = {
      {900, LMMC_IMAGE_MAX_PIXELS, NULL},
      {1100, LMMC_IMAGE_MAX_PIXELS, "1000 scans of %d x %d pixels"},
      {40, blocks * 50 / LMMC_IMAGE_SCANS, NULL},
      {60, blocks * 50 / LMMC_IMAGE_SCANS, "50 scans of %d x %d pixels, over the limit of work that '--max-image-pixels' sets"},
      {5, blocks, NULL},
      {30, blocks, "20 scans of %d x %d pixels, over the limit of work that '--max-image-pixels' sets"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const int copies = cases[c].copies;
    uint8_t *longer = malloc(size + (size_t)copies * length);
    memcpy(longer, bytes, size - 2);
    for (int i = 0; i < copies; i++) memcpy(longer + size - 2 + (size_t)i * length, bytes + scan, length);
    memcpy(longer + size - 2 + (size_t)copies * length, bytes + size - 2, 2);
    bool ok = lmmc_image_parse(longer, size + (size_t)copies * length, "scans", cases[c].most, &image, &e);
    CHECK(ok == !cases[c].why, "%d copies: %s", copies, e.message);
    int n = snprintf(expected, sizeof expected, "'scans' has more than ");
    if (cases[c].why) snprintf(expected + n, sizeof expected - (size_t)n, cases[c].why, width, height);
    CHECK(ok || !strcmp(e.message, expected), "%s", e.message);
    lmmc_image_free(&image);
    free(longer);
  }
  free(bytes);
}

// The limit of pixels holds before any pixel is read, in each format.
static void test_limit(void) {
  static const char *const files[] = {"rgb-420.jpg", "progressive.jpg", "rgb8.png", "lossy.webp"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[4400], expected[256];
    size_t size;
    uint8_t *bytes = load(files[i], &size, path);
    lmmc_image image;
    lmmc_error e = {0};
    CHECK(lmmc_image_parse(bytes, size, files[i], LMMC_IMAGE_MAX_PIXELS, &image, &e), "%s", e.message);
    const int width = image.width, height = image.height;
    lmmc_image_free(&image);
    CHECK(lmmc_image_parse(bytes, size, files[i], width * height, &image, &e), "%s", e.message);
    lmmc_image_free(&image);
    CHECK(!lmmc_image_parse(bytes, size, files[i], width * height - 1, &image, &e) && !image.rgb, "%s was read", files[i]);
    snprintf(expected, sizeof expected, "'%s' declares %d x %d = %d pixels, over the limit of %d that '--max-image-pixels' sets", files[i],
             width, height, width * height, width * height - 1);
    CHECK(!strcmp(e.message, expected), "%s", e.message);
    free(bytes);
  }
  // A row costs time however short it is: sides have a limit of their own, before the work.
  uint8_t png[] = {"\x89PNG\r\n\x1A\n\0\0\0\15IHDR\0\0\0\1\1\0\0\1\10\0\0\0\0SUMS\0\0\0\0IDATSUMS"};
  for (int at = 12; at <= 37; at += 25) {
    const uint32_t sum = (uint32_t)crc32(0, png + at, at == 12 ? 17 : 4);
    for (int i = 0; i < 4; i++) png[at + (at == 12 ? 17 : 4) + i] = (uint8_t)(sum >> (24 - 8 * i));
  }
  lmmc_image image;
  lmmc_error e = {0};
  CHECK(!lmmc_image_parse(png, sizeof png - 1, "tall", LMMC_IMAGE_MAX_PIXELS, &image, &e) &&
            !strcmp(e.message, "'tall' declares 1 x 16777217 pixels, over the limit of 16777216 for a side"),
        "%s", e.message);
}

// A picture that is one pixel wide takes time by its pixels, not by the canvas: once this took minutes, and the alarm would end it.
static void test_narrow(void) {
  const int side = LMMC_IMAGE_MAX_SIDE, size = 336;
  lmmc_image image = {1, side, calloc((size_t)side, 3)};
  uint8_t *out = malloc((size_t)size * (size_t)size * 3);
  const lmmc_preprocess p = {LMMC_RESIZE_PAD, 0, size, {200, 100, 50}};
  lmmc_error e = {0};
  alarm(100);
  CHECK(lmmc_preprocess_image(&image, &p, out, &e), "%s", e.message);
  alarm(0);
  // The black line is too thin to be seen, so that the background is everywhere.
  int differing = 0;
  for (int i = 0; i < size * size * 3; i++) differing += out[i] != p.background[i % 3];
  CHECK(differing == 0, "%d values", differing);
  lmmc_image_free(&image);
  free(out);
}

// What a file is that people give in an image's place.
static void test_other_kinds(void) {
  static const struct {
    const char *bytes, *kind;
    size_t size;
  } cases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", "a Git LFS pointer ('git lfs pull' brings the file), ", 0},
      {"\xEF\xBB\xBF\r\n <!DOCTYPE HTML><title>404</title>", "an HTML page, ", 0},
      {"<html lang=en>", "an HTML page, ", 0},
      {"<?xml version='1.0'?>\n<svg width='1'/>", "an SVG image, ", 0},
      {"data:image/png;base64,iVBORw0KGgo=", "a data URL, ", 0},
      {"{\"error\": \"not found\"}", "text, ", 0},
      {"caf\xC3\xA9\n", "text, ", 0},
      {"GIF89a\1\0\1\0", "a GIF image, ", 10},
      {"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0", "a BMP image, ", 26},
      {"II*\0\10\0\0\0", "a TIFF image, ", 8},
      {"\0\0\0\x18"
       "ftypheic\0\0\0\0",
       "a HEIC image, ", 16},
      {"\0\0\0\x18"
       "ftypavif\0\0\0\0",
       "an AVIF image, ", 16},
      {"%PDF-1.7\n\1", "a PDF file, ", 0},
      {"\1\2\3\4", "", 4},
      {"text and\0", "", 9},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_image image;
    lmmc_error e = {0};
    char expected[256];
    const size_t size = cases[i].size ? cases[i].size : strlen(cases[i].bytes);
    uint8_t *copy = malloc(size);
    memcpy(copy, cases[i].bytes, size);
    CHECK(!lmmc_image_parse(copy, size, "name", LMMC_IMAGE_MAX_PIXELS, &image, &e), "case %zu", i);
    snprintf(expected, sizeof expected, "'name' is %snot a JPEG, PNG or WebP image", cases[i].kind);
    CHECK(!strcmp(e.message, expected), "%s", e.message);
    free(copy);
  }
}

static void test_resize(int seed, int width, int height, int out_width, int out_height, uint64_t hash) {
  size_t n = (size_t)out_width * (size_t)out_height * 3;
  uint8_t *rgb = make_noise(seed, width, height), *out = malloc(n);
  lmmc_error e = {0};
  bool ok = lmmc_resize_bicubic(rgb, width, height, out, out_width, out_height, &e);
  CHECK(ok && fnv(out, n) == hash, "%d x %d to %d x %d: %s", width, height, out_width, out_height, e.message);
  free(rgb);
  free(out);
}

static void test_preprocess(int seed, int width, int height, const lmmc_preprocess *p, uint64_t hash) {
  size_t n = (size_t)p->size * (size_t)p->size * 3;
  lmmc_image image = {width, height, make_noise(seed, width, height)};
  uint8_t *out = malloc(n);
  memset(out, 0x55, n);
  lmmc_error e = {0};
  bool ok = lmmc_preprocess_image(&image, p, out, &e);
  CHECK(ok && fnv(out, n) == hash, "%s %d x %d to %d by %d: %s", p->mode == LMMC_RESIZE_PAD ? "pad" : "crop", width, height, p->size,
        p->resize, e.message);
  lmmc_image_free(&image);
  free(out);
}

static void test_normalize(int size, uint64_t hash) {
  const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f}, std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
  uint8_t *rgb = make_noise(0, size, size);
  size_t bytes = (size_t)size * (size_t)size * 3 * sizeof(float);
  float *out = malloc(bytes);
  lmmc_normalize(rgb, size, mean, std, out);
  CHECK(fnv(out, bytes) == hash, "size %d", size);
  free(rgb);
  free(out);
}

// Every line of expected.txt is one of these.
static bool test_line(char *line) {
  char file[128], ranges[128];
  int v[7], used = 0;
  unsigned long long hash;
  if (line[0] == '#' || line[0] == 0) return true;
  if (sscanf(line, "decode %127s %d %d %llx %127s", file, v, v + 1, &hash, ranges) == 5)
    return test_parse(file, v[0], v[1], hash, ranges), true;
  if (sscanf(line, "refuse %127s %n", file, &used) == 1 && used) return test_refuse(file, line + used), true;
  if (sscanf(line, "resize %d %d %d %d %d %llx", v, v + 1, v + 2, v + 3, v + 4, &hash) == 6)
    return test_resize(v[0], v[1], v[2], v[3], v[4], hash), true;
  if (sscanf(line, "pad %d %d %d %d %d %d %d %llx", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, &hash) == 8) {
    lmmc_preprocess p = {LMMC_RESIZE_PAD, 0, v[3], {(uint8_t)v[4], (uint8_t)v[5], (uint8_t)v[6]}};
    return test_preprocess(v[0], v[1], v[2], &p, hash), true;
  }
  if (sscanf(line, "crop %d %d %d %d %d %llx", v, v + 1, v + 2, v + 3, v + 4, &hash) == 6) {
    lmmc_preprocess p = {LMMC_RESIZE_CROP, v[3], v[4], {0}};
    return test_preprocess(v[0], v[1], v[2], &p, hash), true;
  }
  if (sscanf(line, "normalize %d %llx", v, &hash) == 2) return test_normalize(v[0], hash), true;
  return false;
}

static void test_golden(void) {
  char path[4400], line[512];
  snprintf(path, sizeof path, "%s/expected.txt", folder);
  FILE *f = fopen(path, "r");
  CHECK(f != NULL, "cannot open %s", path);
  int lines = 0;
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    CHECK(test_line(line), "not understood: %s", line);
    lines++;
  }
  CHECK(lines > 500, "only %d lines in %s", lines, path);
  if (f) fclose(f);
}

static void expect_read_error(const char *path, const char *expected) {
  lmmc_image image;
  lmmc_error e = {0};
  CHECK(!lmmc_image_read(path, LMMC_IMAGE_MAX_PIXELS, &image, &e), "%s was read", path);
  CHECK(e.code == 1 && !image.rgb && !strcmp(e.message, expected), "%s", e.message);
}

static void test_paths(void) {
  expect_read_error("/no/such/image.png", "cannot open '/no/such/image.png': no such file or directory");
  expect_read_error("", "cannot open '': no such file or directory");
  expect_read_error("/", "'/' is a directory, not a JPEG, PNG or WebP image");
  expect_read_error("/dev/null", "'/dev/null' is empty, not a JPEG, PNG or WebP image");
  expect_read_error("/dev/zero", "'/dev/zero' is not a JPEG, PNG or WebP image");  // without reading it to its end
  expect_read_error("a\nb\x7f.png", "cannot open 'a\\nb\\u{7f}.png': no such file or directory");

  // The end of a long path is shown, from a whole character on.
  lmmc_image image;
  lmmc_error e = {0};
  for (int shift = 0; shift < 2; shift++) {
    char path[600] = "/no";
    if (shift) strcat(path, "t");
    for (int i = 0; i < 200; i++) strcat(path, "\xC3\xA9");
    CHECK(!lmmc_image_read(path, LMMC_IMAGE_MAX_PIXELS, &image, &e), "read");
    CHECK(!strncmp(e.message, "cannot open '...\xC3\xA9\xC3", 19) && strstr(e.message, "\xC3\xA9': file name too long"), "%s", e.message);
    strcat(path, ".");
    CHECK(!lmmc_image_read(path, LMMC_IMAGE_MAX_PIXELS, &image, &e), "read");
    CHECK(!strncmp(e.message, "cannot open '...\xC3\xA9\xC3", 19) && strstr(e.message, "\xC3\xA9.': file name too long"), "%s", e.message);
  }

  // A pipe has no length to ask for; it is larger than the first guess.
  int ends[2];
  size_t size;
  char name[64], golden[4400];
  uint8_t *bytes = load("garbage-behind.webp", &size, golden);
  CHECK(pipe(ends) == 0, "no pipe");
  ssize_t written = 0;
  for (int i = 0; i < 20; i++) written += write(ends[1], i ? (uint8_t[1024]){0} : bytes, i ? 1024 : size);
  close(ends[1]);
  snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
  CHECK(written == (ssize_t)(size + 19 * 1024), "wrote %zd", written);
  CHECK(lmmc_image_read(name, LMMC_IMAGE_MAX_PIXELS, &image, &e) && image.width == 37, "%s", e.message);
  lmmc_image_free(&image);
  lmmc_image_free(&image);  // an empty image may be freed
  close(ends[0]);
  free(bytes);
}

static void expect_preprocess_error(int width, int height, lmmc_preprocess p, const char *expected) {
  uint8_t pixel[3] = {0}, out[3];
  lmmc_image image = {width, height, pixel};
  lmmc_error e = {0};
  CHECK(!lmmc_preprocess_image(&image, &p, out, &e), "accepted where expected: %s", expected);
  CHECK(!strcmp(e.message, expected), "%s", e.message);
}

// round(short * (S / long)), halves to the even number, and the odd pixel of the rest behind the image.
static void test_bars(void) {
  static const struct {
    int width, height, size, bars[4];
  } cases[] = {{640, 480, 336, {42, 42, 0, 0}},
               {480, 640, 336, {0, 0, 42, 42}},
               {640, 427, 336, {56, 56, 0, 0}},
               {427, 640, 336, {0, 0, 56, 56}},
               {9, 9, 336, {0}},
               {1000, 1, 336, {168, 168, 0, 0}},
               {8, 7, 4, {0}},
               {8, 5, 4, {1, 1, 0, 0}},
               {3, 8, 4, {0, 0, 1, 1}},
               {8, 1, 4, {2, 2, 0, 0}},
               {10, 4, 5, {1, 2, 0, 0}},
               {4, 10, 5, {0, 0, 1, 2}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int32_t bars[4];
    lmmc_padding_bars(cases[i].width, cases[i].height, cases[i].size, bars);
    CHECK(memcmp(bars, cases[i].bars, sizeof bars) == 0, "%d x %d: %d, %d, %d, %d", cases[i].width, cases[i].height, bars[0], bars[1],
          bars[2], bars[3]);
  }
}

static void test_limits(void) {
  lmmc_preprocess pad = {LMMC_RESIZE_PAD, 0, 1, {0}}, crop = {LMMC_RESIZE_CROP, 0, 1, {0}}, none = {LMMC_RESIZE_PAD, 0, 0, {0}};
  expect_preprocess_error(0, 4, pad, "an image width of 0 pixels cannot be resized: 1 to 16777216 are supported");
  expect_preprocess_error(4, 1 << 25, pad, "an image height of 33554432 pixels cannot be resized: 1 to 16777216 are supported");
  expect_preprocess_error(1, 1, none, "image size 0 is not supported: 1 to 16384 are");
  expect_preprocess_error(1, 1, crop, "shortest edge 0 is not supported: 1 to 16384 are");

  // The longest lines that there may be, one pixel wide: no canvas is made of them.
  int side = LMMC_IMAGE_MAX_SIDE;
  lmmc_image line = {side, 1, malloc((size_t)side * 3)};
  memset(line.rgb, 200, (size_t)side * 3);
  lmmc_error e = {0};
  uint8_t out[4 * 4 * 3];
  pad.size = 4;
  memset(pad.background, 9, 3);
  CHECK(lmmc_preprocess_image(&line, &pad, out, &e), "%s", e.message);
  CHECK(abs(out[0] - 9) < 4 && abs(out[47] - 9) < 4, "%d %d", out[0], out[47]);  // weights this small round coarsely
  crop.size = crop.resize = 4;
  CHECK(lmmc_preprocess_image(&line, &crop, out, &e), "%s", e.message);
  CHECK(out[0] == 200 && out[47] == 200, "%d %d", out[0], out[47]);
  lmmc_image_free(&line);
}

static void test_error(void) {
  lmmc_error e = {0};
  CHECK(!lmmc_fail(&e, 2, "option '%s' needs %d", "--x", 3), "true");
  CHECK(e.code == 2 && !strcmp(e.message, "option '--x' needs 3"), "%s", e.message);
  lmmc_fail(&e, 1, "in 'f': %s", e.message);
  CHECK(e.code == 1 && !strcmp(e.message, "in 'f': option '--x' needs 3"), "%s", e.message);
  CHECK(!lmmc_fail(NULL, 1, "%d", 1), "true");
  for (int shift = 0; shift < 4; shift++) {  // a long text is cut between characters
    char text[2000] = "";
    memset(text, 'a', (size_t)shift);
    for (int i = 0; i < 500; i++) strcat(text, "\xE2\x82\xAC");
    lmmc_fail(&e, 1, "%s", text);
    size_t n = strlen(e.message);
    CHECK(n > 500 && !strcmp(e.message + n - 3, "...") && (n - 3 - (size_t)shift) % 3 == 0, "%zu bytes", n);
  }
}

extern void __sanitizer_set_report_fd(void *) __attribute__((weak));

int main(int argc, char **argv) {
  snprintf(folder, sizeof folder, "%s", argc > 1 ? argv[1] : __FILE__);
  if (argc <= 1) {
    char *slash = strrchr(folder, '/');
    snprintf(slash ? slash + 1 : folder, 32, "image_golden");
  }

  // The libraries must not write anything; a sanitizer still may.
  FILE *spoken = tmpfile();
  int console = dup(2);
  if (__sanitizer_set_report_fd) __sanitizer_set_report_fd((void *)(intptr_t)console);
  CHECK(spoken && dup2(fileno(spoken), 2) == 2, "standard error cannot be caught");
  test_error();
  test_paths();
  test_golden();
  test_scans();
  test_limit();
  test_narrow();
  test_other_kinds();
  test_bars();
  test_limits();
  dup2(console, 2);
  struct stat info;
  CHECK(spoken && fstat(fileno(spoken), &info) == 0 && info.st_size == 0, "%ld bytes on standard error", (long)info.st_size);
  return check_report();
}
