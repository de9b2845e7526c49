// The lines of a file descriptor, one at a time.
#ifndef LMMC_BATCH_LINE_READER_H
#define LMMC_BATCH_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum { LMMC_MOST_LINE_BYTES = 64 << 20 };

typedef struct {
  int fd;
  int stop;          // a descriptor that becomes readable when nobody wants lines any more; -1: none
  const char *name;  // for messages, quoted where it is a file's
  lmmc_text held;    // read and not given out
  size_t at;         // how much of it was
  int64_t number;    // of the next line, from 0
  bool ended;
} lmmc_line_reader;

// LMMC_NO_LINE: the end, or nobody wants lines any more.
typedef enum { LMMC_LINE, LMMC_LINE_TOO_LONG, LMMC_NO_LINE, LMMC_LINE_FAILED } lmmc_line_result;

// The next line without its end, in `*line` until the next call. Of one that is too long nothing is given but that.
lmmc_line_result lmmc_line_next(lmmc_line_reader *r, const char **line, size_t *bytes, lmmc_error *e);
void lmmc_line_reader_free(lmmc_line_reader *r);

#endif
