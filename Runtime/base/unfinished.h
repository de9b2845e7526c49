// A file that appears whole, by rename, or not at all: also where a signal ends the program.
#ifndef LMMC_BASE_UNFINISHED_H
#define LMMC_BASE_UNFINISHED_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "error.h"

// It must stay where it is in memory while it is open.
typedef struct {
  int fd;  // -1 when not open
  char path[PATH_MAX], temporary[PATH_MAX];
} lmmc_unfinished;

// A new file beside `path`, under a name that nobody can know before. Code 1 on failure.
bool lmmc_unfinished_open(lmmc_unfinished *f, const char *path, lmmc_error *e);

// Writes all bytes; the error speaks of the final name.
bool lmmc_unfinished_write(lmmc_unfinished *f, const void *bytes, size_t count, lmmc_error *e);

// Gives the file its name.
bool lmmc_unfinished_finish(lmmc_unfinished *f, lmmc_error *e);

// Removes it if it is open; nothing otherwise.
void lmmc_unfinished_discard(lmmc_unfinished *f);

// Removes all that are open, for a signal handler that ends the program.
void lmmc_unfinished_remove_all(void);

#endif
