#include "error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool lmmc_fail(lmmc_error *e, int code, const char *format, ...) {
  if (!e) return false;
  va_list args;
  va_start(args, format);
  // A copy, because an argument may point into e->message when an error is given more context.
  char text[sizeof e->message];
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) snprintf(text, sizeof text, "error text could not be formatted");
  if (n >= (int)sizeof text) {
    size_t end = sizeof text - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;  // do not cut inside a UTF-8 character
    memcpy(text + end, "...", 4);
  }
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7F) *c = '?';
  e->code = code;
  memcpy(e->message, text, sizeof text);
  return false;
}

const char *lmmc_reason(int number) {
  static char text[128];
  snprintf(text, sizeof text, "%s", strerror(number));
  text[0] = (char)tolower((unsigned char)text[0]);
  return text;
}
