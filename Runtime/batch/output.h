// Where the lines of a batch go: standard output; a file that appears whole; or, to go on with what was cut, one that grows by whole lines.
#ifndef LMMC_BATCH_OUTPUT_H
#define LMMC_BATCH_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "base/unfinished.h"

typedef struct lmmc_done_id lmmc_done_id;

typedef struct {
  const char *path;  // NULL: standard output
  int fd;
  lmmc_unfinished whole;  // of a file that appears whole; `fd` is its own
  lmmc_done_id **done;    // [places], ids of the lines that are there
  size_t places;
  int64_t done_count;
} lmmc_batch_output;

// With `resume` a file that is there keeps its whole lines, a part of one at its end goes, and nobody else may write to it meanwhile. `input`
// is the descriptor of the requests, whose file it must not be. Code 1 on failure; lmmc_batch_output_close ends it in either case, and leaves
// nothing of a file that was not finished.
bool lmmc_batch_output_open(lmmc_batch_output *o, const char *path, bool resume, int input, lmmc_error *e);
void lmmc_batch_output_close(lmmc_batch_output *o);

// Whether a line of this id is there, each of which answers one line of the input.
bool lmmc_batch_output_has(lmmc_batch_output *o, const char *id);

// LMMC_CLOSED: nobody reads standard output any more. A path whose reader is gone is a failure.
lmmc_write_result lmmc_batch_output_write(lmmc_batch_output *o, const char *bytes, size_t count, lmmc_error *e);

// All lines are written.
bool lmmc_batch_output_finish(lmmc_batch_output *o, lmmc_error *e);

#endif
