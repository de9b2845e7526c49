// NumPy files, which appear whole or not at all.
#ifndef LMMC_BASE_NPY_H
#define LMMC_BASE_NPY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

// A C-order little-endian .npy file (format 1.0) whose first axis grows while it is written. It is written
// under a temporary name beside its place and renamed by lmmc_npy_close. lmmc_npy_discard removes it after a failure, and
// so does a signal that ends the program, wherefore an open lmmc_npy must stay where it is in memory.
enum { LMMC_NPY_RANK = 4 };
typedef enum { LMMC_NPY_FLOAT32, LMMC_NPY_INT32 } lmmc_npy_type;

typedef struct {
  int fd;  // -1 when not open
  lmmc_npy_type type;
  int rank;
  int64_t shape[LMMC_NPY_RANK];  // shape[0] counts the rows written so far; the others may change until there is one
  char path[PATH_MAX], temporary[PATH_MAX];
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
// Removes the temporary files of all open ones, for a signal handler that ends the program.
void lmmc_npy_remove_pending(void);

#endif
