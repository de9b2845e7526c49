// The files of `--dump`: what an answer is made from, as NumPy arrays.
#ifndef LMMC_APP_DUMP_H
#define LMMC_APP_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/npy.h"
#include "contract/program.h"
#include "session/steps.h"

// Without an image there is but the last; VISUAL_ROWS where each image's rows are counted, SELECTED and KEPT of a reducer that says them.
enum {
  LMMC_DUMP_PIXELS,
  LMMC_DUMP_PROJECTED,
  LMMC_DUMP_VISUAL_ROWS,
  LMMC_DUMP_SELECTED,
  LMMC_DUMP_KEPT,
  LMMC_DUMP_LOGITS,
  LMMC_DUMP_FILES
};

// Open files must not move.
typedef struct {
  const lmmc_model *model;
  const lmmc_memory *memory;
  const char *directory;
  int32_t *rows;  // [images], of each that went through the projector
  int32_t images;
  lmmc_npy files[LMMC_DUMP_FILES];
} lmmc_dump;

// Makes the folder and opens the files that a prompt of `images` images gives. Code 1 on failure; lmmc_dump_discard ends it in either case.
bool lmmc_dump_open(lmmc_dump *d, const char *directory, const lmmc_model *model, const lmmc_memory *memory, int32_t images, lmmc_error *e);

// Behind the projector of each picture, in their order.
bool lmmc_dump_picture(lmmc_dump *d, const uint8_t *picture, int32_t rows, lmmc_error *e);

// Behind the prefill.
bool lmmc_dump_prefill(lmmc_dump *d, lmmc_error *e);

// A row of logits.
bool lmmc_dump_logits(lmmc_dump *d, const float *logits, lmmc_error *e);

// Gives the files their names, and removes those of an earlier run that do not belong to this one.
bool lmmc_dump_close(lmmc_dump *d, lmmc_error *e);

// Removes what has no name yet; nothing of one that is {0} or closed.
void lmmc_dump_discard(lmmc_dump *d);

#endif
