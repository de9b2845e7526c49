// From an image file to the normalised pixels that the vision tower reads.
// Decoded pixels equal Pillow's `Image.open(path).convert("RGB")`, resized ones its BICUBIC, bit for bit.
// Link with -ljpeg -lpng -lwebpdemux -lwebp -lz -lm (in this order when static).
#ifndef LMMC_IMAGE_IMAGE_H
#define LMMC_IMAGE_IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "contract/preprocess.h"

enum {
  LMMC_IMAGE_MAX_PIXELS = 178956970,   // the usual limit: above it Pillow, too, speaks of a decompression bomb
  LMMC_IMAGE_SERVED_PIXELS = 1 << 26,  // of an image that a stranger sends: 200 MB of pixels
  LMMC_IMAGE_SCANS = 20,               // of a progressive JPEG at the limit; encoders write 10, of four inks 18
  LMMC_IMAGE_MAX_SIDE = 1 << 24,       // Pillow keeps the sides of what it resizes as float32, exact up to here
};

typedef struct {
  int width, height;
  uint8_t *rgb;  // u8 [height, width, 3]
} lmmc_image;

// Reads a JPEG, PNG or WebP file, told apart by content, not by name. EXIF orientation and colour profiles are ignored,
// alpha is dropped, the first frame of an animation is taken. A file that declares more than `most` pixels is refused before any is read,
// and a progressive JPEG that passes over more than LMMC_IMAGE_SCANS times as many. On failure `*out` is empty, and the error names the file.
bool lmmc_image_read(const char *path, int64_t most, lmmc_image *out, lmmc_error *e);

// The same for bytes in memory; `name` is what errors call them.
bool lmmc_image_parse(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e);

// Frees the pixels and empties the image; an empty image is fine.
void lmmc_image_free(lmmc_image *image);

// Writes `out` u8 [S, S, 3]. Fails on an empty or over-long image, on sizes out of range, and when memory runs out.
bool lmmc_preprocess_image(const lmmc_image *in, const lmmc_preprocess *p, uint8_t *out, lmmc_error *e);

// The bars of an image of this size that is padded to a square and resized to S x S, i32 [4]: rows of pixels above and below it, columns left and
// right of it. Their edges are counted as MMTok does, which may differ by a pixel from where resizing blends them.
void lmmc_padding_bars(int width, int height, int size, int32_t bars[4]);

// Resizes u8 [height, width, 3] to u8 [out_height, out_width, 3]; fails like lmmc_preprocess_image.
bool lmmc_resize_bicubic(const uint8_t *rgb, int width, int height, uint8_t *out, int out_width, int out_height, lmmc_error *e);

// u8 [S, S, 3] -> f32 [3, S, S]: v * (1/255) rounded to float32, minus mean, over std, as transformers computes it.
void lmmc_normalize(const uint8_t *rgb, int size, const float mean[3], const float std[3], float *out);

#endif
