#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "image_internal.h"

typedef struct {
  const uint8_t *bytes;
  size_t size, at;
  const char *name;
  int64_t most;
  lmmc_image *out;
  lmmc_error *e;
  png_structp png;
  png_infop info;
  bool truncated;
  char message[160];
} reader;

static void on_error(png_structp png, png_const_charp message) {
  reader *d = png_get_error_ptr(png);
  snprintf(d->message, sizeof d->message, "%s", message);
  if (islower((unsigned char)d->message[1])) d->message[0] = (char)tolower((unsigned char)d->message[0]);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void on_read(png_structp png, png_bytep to, size_t count) {
  reader *d = png_get_io_ptr(png);
  if (count > d->size - d->at) {
    d->truncated = true;
    png_error(png, "truncated");
  }
  memcpy(to, d->bytes + d->at, count);
  d->at += count;
}

static bool fail_truncated(reader *d) { return lmmc_fail(d->e, 1, "'%s' is truncated: its PNG data ends at byte %zu", d->name, d->size); }

static uint32_t big_endian(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

// Walks the chunks as Pillow does: checksums count up to the first IDAT (the pixels have zlib's own), and chunks behind
// the pixels must be whole, but neither right nor there.
static bool check_chunks(reader *d) {
  const uint8_t *b = d->bytes;
  bool pixels = false;
  for (size_t at = 8;;) {
    size_t left = d->size - at;
    if (left < 8) return pixels || fail_truncated(d);
    uint32_t length = big_endian(b + at);
    const uint8_t *type = b + at + 4;
    for (int i = 0; i < 4; i++)
      if (!((type[i] | 0x20) >= 'a' && (type[i] | 0x20) <= 'z'))
        return pixels || lmmc_fail(d->e, 1, "'%s' is not a valid PNG image: no chunk begins at byte %zu", d->name, at);
    if (!memcmp(type, "IEND", 4)) return true;            // without pixels, libpng says so
    if (pixels && !memcmp(type, "fcTL", 4)) return true;  // the second frame of an animation
    bool idat = !memcmp(type, "IDAT", 4);
    if (left - 8 < length) return idat || fail_truncated(d);  // libpng finds out how much of an IDAT is needed
    if (left - 8 - length < 4) return pixels || idat || fail_truncated(d);
    pixels |= idat;
    if (!pixels && crc32(crc32(0, NULL, 0), type, 4 + length) != big_endian(type + 4 + length))
      return lmmc_fail(d->e, 1, "'%s' is not a valid PNG image: wrong checksum of chunk '%.4s' at byte %zu", d->name, (const char *)type,
                       at);
    at += 12 + (size_t)length;
  }
}

// Sixteen bits of grey saturate at 255, because Pillow opens them as 32-bit integers and clips (it does not scale).
// 16-bit RGB and anything with alpha keep the high byte.
static void expand_grey16(uint8_t *row, int width) {
  for (int x = width; x-- > 0;) memset(row + 3 * (size_t)x, row[2 * (size_t)x] ? 255 : row[2 * (size_t)x + 1], 3);
}

static void expand_palette(uint8_t *row, int width, const uint8_t palette[256][3]) {
  for (int x = width; x-- > 0;) memcpy(row + 3 * (size_t)x, palette[row[x]], 3);
}

// Everything that may longjmp. No local is read after a jump, so none needs to be volatile.
static bool read_image(reader *d) {
  png_structp png = d->png;
  png_set_read_fn(png, d, on_read);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);          // lmmc_image_allocate has ours
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);  // gamma, profiles and text change no pixel
  png_set_benign_errors(png, 1);
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);   // checked above, where they count
  png_set_option(png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);  // some writers declare too small a window
  png_read_info(png, d->info);

  uint32_t width = png_get_image_width(png, d->info), height = png_get_image_height(png, d->info);
  if (!lmmc_image_allocate(width, height, d->name, d->most, d->out, d->e)) return false;
  int colour = png_get_color_type(png, d->info), depth = png_get_bit_depth(png, d->info);
  bool indexed = colour == PNG_COLOR_TYPE_PALETTE, grey16 = colour == PNG_COLOR_TYPE_GRAY && depth == 16;
  uint8_t palette[256][3];
  if (indexed) {
    png_colorp entries = NULL;
    int count = 0;
    png_get_PLTE(png, d->info, &entries, &count);
    for (int i = 0; i < 256; i++) {  // an index behind the palette is grey
      palette[i][0] = i < count ? entries[i].red : (uint8_t)i;
      palette[i][1] = i < count ? entries[i].green : (uint8_t)i;
      palette[i][2] = i < count ? entries[i].blue : (uint8_t)i;
    }
    png_set_packing(png);
  } else if (!grey16) {
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_gray_to_rgb(png);
  }

  // Rows of one or two bytes a pixel are read into the space of three and expanded there.
  int passes = png_set_interlace_handling(png);
  size_t stride = (size_t)width * 3;
  png_read_update_info(png, d->info);
  if (png_get_rowbytes(png, d->info) > stride) png_error(png, "rows are longer than expected");
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < height; y++) png_read_row(png, d->out->rgb + y * stride, NULL);
  for (uint32_t y = 0; y < height; y++) {
    if (indexed) expand_palette(d->out->rgb + y * stride, (int)width, palette);
    if (grey16) expand_grey16(d->out->rgb + y * stride, (int)width);
  }
  return true;
}

static bool read_or_escape(reader *d) {
  if (setjmp(png_jmpbuf(d->png))) {
    if (d->truncated) return fail_truncated(d);
    return lmmc_fail(d->e, 1, "'%s' is not a valid PNG image: %s", d->name, d->message);
  }
  return read_image(d);
}

bool lmmc_read_png(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  reader d = {.bytes = bytes, .size = size, .name = name, .most = most, .out = out, .e = e};
  if (!check_chunks(&d)) return false;
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
  if (!d.png) return lmmc_fail(e, 1, "out of memory for '%s'", name);
  d.info = png_create_info_struct(d.png);
  bool ok = d.info ? read_or_escape(&d) : lmmc_fail(e, 1, "out of memory for '%s'", name);
  png_destroy_read_struct(&d.png, &d.info, NULL);
  return ok;
}
