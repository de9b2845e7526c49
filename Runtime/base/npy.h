// NumPy files, which appear whole or not at all.
#ifndef LMMC_BASE_NPY_H
#define LMMC_BASE_NPY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "unfinished.h"

// A C-order little-endian .npy file (format 1.0) whose first axis grows while it is written. lmmc_npy_close gives it its name, and
// lmmc_npy_discard removes it after a failure. An open one must stay where it is in memory.
enum { LMMC_NPY_RANK = 4 };
typedef enum { LMMC_NPY_FLOAT32, LMMC_NPY_INT32 } lmmc_npy_type;

typedef struct {
  lmmc_unfinished file;
  lmmc_npy_type type;
  int rank;
  int64_t shape[LMMC_NPY_RANK];  // shape[0] counts the rows written so far; the others may change until there is one
} lmmc_npy;

// Opens DIRECTORY/NAME with axes [rows, inner[0], ..., inner[inner_rank - 1]], inner_rank 0 to 3.
bool lmmc_npy_open(lmmc_npy *f, const char *directory, const char *name, lmmc_npy_type type, int inner_rank, const int64_t *inner,
                   lmmc_error *e);
// Appends one row: product of the inner axes values.
bool lmmc_npy_row(lmmc_npy *f, const void *values, lmmc_error *e);
// Writes the final header and gives the file its name.
bool lmmc_npy_close(lmmc_npy *f, lmmc_error *e);
// Removes the temporary file of an open one; nothing otherwise.
void lmmc_npy_discard(lmmc_npy *f);

#endif
