#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(lmmc_text *t, size_t more, lmmc_error *e) {
  if (t->capacity - t->count >= more) return true;
  size_t wanted = t->count + more, capacity = t->capacity ? t->capacity : 256;
  while (wanted > t->count && capacity < wanted && capacity <= SIZE_MAX / 2) capacity *= 2;
  char *bytes = capacity < wanted || wanted < more ? NULL : realloc(t->bytes, capacity);
  if (!bytes) return lmmc_fail(e, 1, "out of memory for a text of %zu bytes", wanted);
  t->bytes = bytes;
  t->capacity = capacity;
  return true;
}

bool lmmc_text_append(lmmc_text *t, const void *bytes, size_t count, lmmc_error *e) {
  if (count == 0) return true;
  if (!reserve(t, count, e)) return false;
  memcpy(t->bytes + t->count, bytes, count);
  t->count += count;
  return true;
}

bool lmmc_text_format(lmmc_text *t, lmmc_error *e, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  bool done = n >= 0 && reserve(t, (size_t)n + 1, e);
  if (done) {
    vsnprintf(t->bytes + t->count, (size_t)n + 1, format, again);
    t->count += (size_t)n;
  }
  va_end(again);
  return done;
}

void lmmc_text_free(lmmc_text *t) {
  free(t->bytes);
  *t = (lmmc_text){0};
}
