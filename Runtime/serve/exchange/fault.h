// Why a request is refused, as a status of HTTP and what a client's library looks for.
#ifndef LMMC_SERVE_EXCHANGE_FAULT_H
#define LMMC_SERVE_EXCHANGE_FAULT_H

#include <stdbool.h>

#include "base/error.h"

typedef struct {
  int status;         // 400 to 599
  const char *code;   // a word for programs, as OpenAI's API has it ("context_length_exceeded"); NULL: none
  char param[64];     // the member of the body that is wrong; "": none
  char message[512];  // one line
  int retry_after;    // seconds; 0: nobody knows
} lmmc_fault;

// Fills `*f` and returns false, so that a failing function can end with `return lmmc_refuse(...)`. `param` and `code` may be NULL.
bool lmmc_refuse(lmmc_fault *f, int status, const char *code, const char *param, const char *format, ...)
    __attribute__((format(printf, 5, 6), cold));

// The same of an error of the rest of the runtime: 500 where memory is out, else 400. Returns false.
bool lmmc_refuse_error(lmmc_fault *f, const char *code, const char *param, const lmmc_error *why);

// The name of a status ("Bad Request"), and what OpenAI's API calls its errors ("invalid_request_error").
const char *lmmc_status_name(int status);
const char *lmmc_fault_type(int status);

#endif
