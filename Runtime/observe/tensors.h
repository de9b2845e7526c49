// `--dump-tensors`: the result of every product and attention of tower, projector and prefill, as NumPy files named as in the IR.
#ifndef LMMC_OBSERVE_TENSORS_H
#define LMMC_OBSERVE_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "contract/program.h"

typedef struct {
  const char *directory, *next;  // name of the next result; NULL: none is awaited
  lmmc_error error;              // the first, with `failed`
  bool failed;
} lmmc_tensors;

// Makes the folder; where the prompt has one of `images` writes `image.npy` f32 [S, S, 3] of `picture`. Code 2 for a prompt of several images
// or of more `tokens` than a chunk, of which one call alone could be written, 1 when a file cannot be written.
bool lmmc_tensors_start(lmmc_tensors *t, const char *directory, const lmmc_model *model, int64_t tokens, int32_t images,
                        const uint8_t *picture, lmmc_error *e);

// Writes an input of the program that is a list, as `NAME.npy` f32 [count]: the tokens as step() takes them, say. Code 1 when it cannot be written.
bool lmmc_tensors_list(const lmmc_tensors *t, const char *name, const int32_t *list, size_t count, lmmc_error *e);

// The kernels that run now make the tensors of `names`, one after the other, each name followed by a newline; NULL: what is not written.
void lmmc_tensors_entry(lmmc_tensors *t, const char *names);

// The next result, f32 [rows, columns], rows `stride` floats apart.
void lmmc_tensors_take(lmmc_tensors *t, const float *values, int64_t rows, int64_t columns, int64_t stride);

// False when a file could not be written, or when there were more or fewer results than names.
bool lmmc_tensors_end(lmmc_tensors *t, lmmc_error *e);

#endif
