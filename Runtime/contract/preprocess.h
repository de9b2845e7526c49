// How an image becomes the pixels that a tower reads, as the checkpoint's processor does it.
#ifndef LMMC_CONTRACT_PREPROCESS_H
#define LMMC_CONTRACT_PREPROCESS_H
#include <stdint.h>

enum { LMMC_PREPROCESS_MAX_SIZE = 1 << 14 };

typedef enum {
  LMMC_RESIZE_PAD,   // centre on a square canvas of `background` (offset floor((long - short) / 2)), resize to S x S
  LMMC_RESIZE_CROP,  // shortest edge to `resize`, long edge to floor(resize * long / short), then centre crop S x S
} lmmc_resize_mode;

typedef struct {
  lmmc_resize_mode mode;
  int resize;             // CROP only: shortest edge in pixels; where it is below `size`, black fills the crop
  int size;               // S
  uint8_t background[3];  // PAD only: int(255 * mean)
} lmmc_preprocess;

#endif
