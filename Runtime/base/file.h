// Whole reads and writes of descriptors, and folders.
#ifndef LMMC_BASE_FILE_H
#define LMMC_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "text.h"

typedef enum { LMMC_WRITTEN, LMMC_CLOSED, LMMC_WRITE_FAILED } lmmc_write_result;

// Writes all bytes to a file descriptor. LMMC_CLOSED: the reader is gone (EPIPE; SIGPIPE must be ignored). `what` names
// the target in the error.
lmmc_write_result lmmc_write(int fd, const void *bytes, size_t count, const char *what, lmmc_error *e);

typedef enum { LMMC_READ, LMMC_TOO_LONG, LMMC_READ_FAILED } lmmc_read_result;

// Appends all that a file descriptor still gives. LMMC_TOO_LONG, with `*e` as it was: `out` would have more than `most` bytes. `what` names
// the source in the error.
lmmc_read_result lmmc_read_all(int fd, size_t most, lmmc_text *out, const char *what, lmmc_error *e);

// Creates a directory and its parents; code 1 when that is not possible.
bool lmmc_make_directories(const char *path, lmmc_error *e);

#endif
