// Text in memory that grows.
#ifndef LMMC_BASE_TEXT_H
#define LMMC_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

// Growing bytes; start from {0}, end with lmmc_text_free. Appending fails (code 1) only when memory is short.
typedef struct {
  char *bytes;
  size_t count, capacity;
} lmmc_text;

bool lmmc_text_append(lmmc_text *t, const void *bytes, size_t count, lmmc_error *e);
bool lmmc_text_format(lmmc_text *t, lmmc_error *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
void lmmc_text_free(lmmc_text *t);

#endif
