// One error as a value: an exit code (contract: 1 the work failed, 2 the command line is wrong) and one line of text.
#ifndef LMMC_BASE_ERROR_H
#define LMMC_BASE_ERROR_H

#include <stdbool.h>

typedef struct {
  int code;
  char message[512];  // one line, no newline at the end, cut short with "..." when it does not fit
} lmmc_error;

// Fills `*e` (which may be NULL) and returns false, so that a failing function can end with `return lmmc_fail(...)`.
// What in the text cannot be shown (a file name may hold a newline, ESC, or bytes that are no UTF-8) is escaped, so that the message is one line.
bool lmmc_fail(lmmc_error *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

typedef struct {
  char text[128];
} lmmc_reason_text;

// strerror(number) with a small first letter.
lmmc_reason_text lmmc_reason(int number);

#endif
