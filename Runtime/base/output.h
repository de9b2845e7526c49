// What the program writes: text in memory, JSON, standard output, and NumPy files that appear whole or not at all.
#ifndef LMMC_BASE_OUTPUT_H
#define LMMC_BASE_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

// Growing bytes; start from {0}, end with lmmc_text_free. Appending fails (code 1) only when memory is short.
typedef struct {
  char *bytes;
  size_t count, capacity;
} lmmc_text;

bool lmmc_text_append(lmmc_text *t, const void *bytes, size_t count, lmmc_error *e);
bool lmmc_text_format(lmmc_text *t, lmmc_error *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
void lmmc_text_free(lmmc_text *t);

// Appends a JSON string literal of UTF-8 bytes: quotes, backslashes and what cannot be shown escaped, a byte that is no UTF-8 as U+FFFD.
bool lmmc_json_string(lmmc_text *t, const char *bytes, size_t count, lmmc_error *e);
// Appends a JSON array of ids.
bool lmmc_json_ids(lmmc_text *t, const int32_t *ids, size_t count, lmmc_error *e);

typedef enum { LMMC_WRITTEN, LMMC_CLOSED, LMMC_WRITE_FAILED } lmmc_write_result;

// Writes all bytes to a file descriptor. LMMC_CLOSED: the reader is gone (EPIPE; SIGPIPE must be ignored). `what` names
// the target in the error.
lmmc_write_result lmmc_write(int fd, const void *bytes, size_t count, const char *what, lmmc_error *e);

// Creates a directory and its parents; code 1 when that is not possible.
bool lmmc_make_directories(const char *path, lmmc_error *e);

// A C-order little-endian float32 .npy file (format 1.0) whose first axis grows while it is written. It is written
// under a temporary name beside its place and renamed by lmmc_npy_close. lmmc_npy_discard removes it after a failure, and
// so does a signal that ends the program, wherefore an open lmmc_npy must stay where it is in memory.
enum { LMMC_NPY_RANK = 4 };

typedef struct {
  int fd;  // -1 when not open
  int rank;
  int64_t shape[LMMC_NPY_RANK];  // shape[0] counts the rows written so far
  char path[PATH_MAX], temporary[PATH_MAX];
} lmmc_npy;

// Opens DIRECTORY/NAME with axes [rows, inner[0], ..., inner[inner_rank - 1]], inner_rank 1 to 3.
bool lmmc_npy_open(lmmc_npy *f, const char *directory, const char *name, int inner_rank, const int64_t *inner, lmmc_error *e);
// Appends one row: product of the inner axes values.
bool lmmc_npy_row(lmmc_npy *f, const float *values, lmmc_error *e);
// Writes the final header and gives the file its name.
bool lmmc_npy_close(lmmc_npy *f, lmmc_error *e);
// Removes the temporary file of an open one; nothing otherwise.
void lmmc_npy_discard(lmmc_npy *f);
// Removes the temporary files of all open ones, for a signal handler that ends the program.
void lmmc_npy_remove_pending(void);

#endif
