// What images have become, in a folder of `--cache-dir`: another run of the program asks the tower nothing about an image that one has seen.
#ifndef LMMC_APP_IMAGE_FILES_H
#define LMMC_APP_IMAGE_FILES_H

#include <stdint.h>

#include "base/error.h"
#include "contract/program.h"
#include "engine/image_cache.h"

// It must stay where it is in memory. Files are named by the images' keys, so that programs share a folder.
typedef struct {
  lmmc_image_store store;
  uint64_t secret[2];  // kept in the folder
  uint64_t key[2];     // of the images' hashes: made of the secret, the program and its arithmetic
  const char *folder;
  int32_t hidden;
  bool protects;
  uint64_t held;  // bytes of the folder's files, as far as this run knows
} lmmc_image_files;

// Makes the folder where there is none, for its owner alone. `attached`: the program's bytes. Code 1 when the folder
// cannot be used, or is open to others.
bool lmmc_image_files_open(lmmc_image_files *f, const char *folder, const lmmc_model *model, const uint8_t *attached, lmmc_error *e);

#endif
