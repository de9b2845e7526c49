#define _GNU_SOURCE  // strerror_r that returns the text
#include "error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "printable.h"

bool lmmc_fail(lmmc_error *e, int code, const char *format, ...) {
  if (!e) return false;
  va_list args;
  va_start(args, format);
  // A copy, because an argument may point into e->message when an error is given more context.
  char text[4 * sizeof e->message];
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) snprintf(text, sizeof text, "error text could not be formatted");
  e->code = code;
  lmmc_printable(e->message, sizeof e->message, text);
  return false;
}

lmmc_reason_text lmmc_reason(int number) {
  char buffer[sizeof(lmmc_reason_text)];
  lmmc_reason_text reason;
  snprintf(reason.text, sizeof reason.text, "%s", strerror_r(number, buffer, sizeof buffer));
  reason.text[0] = (char)tolower((unsigned char)reason.text[0]);
  return reason;
}
