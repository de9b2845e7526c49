// What the readers of formats share. Each gets the whole file, whose signature was checked, the limit of pixels, and an empty image to fill.
#ifndef LMMC_IMAGE_IMAGE_INTERNAL_H
#define LMMC_IMAGE_IMAGE_INTERNAL_H
#include "image.h"

bool lmmc_read_jpeg(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e);
bool lmmc_read_png(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e);
bool lmmc_read_webp(const uint8_t *bytes, size_t size, const char *name, int64_t most, lmmc_image *out, lmmc_error *e);

// Checks the dimensions that a file declares and allocates out->rgb.
bool lmmc_image_allocate(uint32_t width, uint32_t height, const char *name, int64_t most, lmmc_image *out, lmmc_error *e);

#endif
