#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "image_internal.h"

// Each scan passes over the whole picture, whatever it holds of it: thousands in a small file are an attack on time.
enum { MAX_SCANS = 1000 };

typedef struct {
  struct jpeg_decompress_struct codec;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
  int scans;  // at most
  bool has_more;
  uint8_t *cmyk;  // one row, [width, 4]
} reader;

static void on_error(j_common_ptr c) {
  reader *d = c->client_data;
  c->err->format_message(c, d->message);
  d->message[0] = (char)tolower((unsigned char)d->message[0]);
  longjmp(d->escape, 1);
}

static void on_message(j_common_ptr c) { (void)c; }  // warnings do not fail a file (nor do they in Pillow)

static void on_source(j_decompress_ptr c) { (void)c; }

// The whole file is in the buffer at the start: no more data means that it is cut short. Suspending, unlike libjpeg's
// own sources, does not invent an end marker, behind which the rest of a truncated picture would be grey.
static boolean on_fill(j_decompress_ptr c) {
  (void)c;
  return FALSE;
}

static void on_skip(j_decompress_ptr c, long count) {
  if (count <= 0) return;
  size_t n = (size_t)count < c->src->bytes_in_buffer ? (size_t)count : c->src->bytes_in_buffer;
  c->src->next_input_byte += n;
  c->src->bytes_in_buffer -= n;
}

static void on_progress(j_common_ptr c) {
  reader *d = c->client_data;
  if (d->codec.input_scan_number <= d->scans) return;
  d->has_more = true;
  longjmp(d->escape, 1);
}

// Inks in Adobe's sense (255 = none), which Pillow takes every four-component file to have, to RGB: each product over 255
// is rounded to nearest.
static void cmyk_row(const uint8_t *cmyk, int width, uint8_t *rgb) {
  for (int x = 0; x < width; x++, cmyk += 4, rgb += 3) {
    int white = cmyk[3];
    for (int i = 0; i < 3; i++) {
      int t = (255 - cmyk[i]) * white + 128;
      int v = white - ((t + (t >> 8)) >> 8);
      rgb[i] = (uint8_t)(v < 0 ? 0 : v);
    }
  }
}

// Scans that the limit of pixels allows. Blocks are whole, and a component may be given four times as wide and high as the others.
static int most_scans(const reader *d, int64_t most) {
  const int64_t pixels = ((int64_t)d->codec.image_width + 31) / 32 * 32 * (((int64_t)d->codec.image_height + 31) / 32 * 32);
  const int64_t scans = LMMC_IMAGE_SCANS * most / pixels;
  return scans > MAX_SCANS ? MAX_SCANS : scans > 1 ? (int)scans : 1;
}

static bool fail_truncated(const char *name, size_t size, lmmc_error *e) {
  return lmmc_fail(e, 1, "'%s' is truncated: its JPEG data ends at byte %zu", name, size);
}

// Everything that may longjmp. No local is read after a jump, so none needs to be volatile.
static bool read_image(reader *d, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  j_decompress_ptr c = &d->codec;
  int status;
  do status = jpeg_read_header(c, FALSE);
  while (status == JPEG_HEADER_TABLES_ONLY);
  if (status == JPEG_SUSPENDED) return fail_truncated(name, size, e);

  switch (c->num_components) {
    case 1: c->out_color_space = JCS_GRAYSCALE; break;
    case 3: c->out_color_space = JCS_RGB; break;
    case 4: c->out_color_space = JCS_CMYK; break;
    default: return lmmc_fail(e, 1, "'%s' is a JPEG image of %d components: 1, 3 or 4 are supported", name, c->num_components);
  }
  if (!lmmc_image_allocate(c->image_width, c->image_height, name, most, out, e)) return false;
  d->scans = most_scans(d, most);
  if (!jpeg_start_decompress(c)) return fail_truncated(name, size, e);

  size_t stride = (size_t)out->width * 3;
  if (c->num_components == 4 && !(d->cmyk = malloc((size_t)out->width * 4))) return lmmc_fail(e, 1, "out of memory for '%s'", name);
  while (c->output_scanline < c->output_height) {
    uint8_t *rgb = out->rgb + c->output_scanline * stride;
    JSAMPROW row = d->cmyk ? d->cmyk : rgb;
    if (jpeg_read_scanlines(c, &row, 1) != 1) return fail_truncated(name, size, e);
    if (d->cmyk) cmyk_row(d->cmyk, out->width, rgb);
    if (c->num_components == 1)
      for (int x = out->width; x-- > 0;) memset(rgb + 3 * (size_t)x, rgb[x], 3);  // in place, from the end
  }
  jpeg_finish_decompress(c);  // an error behind the pixels counts, an end that is missing does not
  return true;
}

static bool read_or_escape(reader *d, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  if (setjmp(d->escape)) {
    if (d->has_more)
      return lmmc_fail(e, 1, "'%s' has more than %d scans of %u x %u pixels%s", name, d->scans, d->codec.image_width, d->codec.image_height,
                       d->scans < MAX_SCANS ? ", over the limit of work that '--max-image-pixels' sets" : "");
    return lmmc_fail(e, 1, "'%s' is not a valid JPEG image: %s", name, d->message);
  }
  jpeg_create_decompress(&d->codec);
  d->codec.src = &d->source;
  d->codec.progress = &d->progress;
  return read_image(d, size, name, most, out, e);
}

bool lmmc_read_jpeg(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e) {
  reader *d = calloc(1, sizeof *d);
  if (!d) return lmmc_fail(e, 1, "out of memory for '%s'", name);
  d->codec.err = jpeg_std_error(&d->errors);
  d->codec.client_data = d;
  d->errors.error_exit = on_error;
  d->errors.output_message = on_message;
  d->source = (struct jpeg_source_mgr){.next_input_byte = bytes,
                                       .bytes_in_buffer = size,
                                       .init_source = on_source,
                                       .fill_input_buffer = on_fill,
                                       .skip_input_data = on_skip,
                                       .resync_to_restart = jpeg_resync_to_restart,
                                       .term_source = on_source};
  d->progress.progress_monitor = on_progress;
  d->scans = MAX_SCANS;
  bool ok = read_or_escape(d, size, name, most, out, e);
  jpeg_destroy_decompress(&d->codec);
  free(d->cmyk);
  free(d);
  return ok;
}
