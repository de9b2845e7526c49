// What may be asked at a path.
#ifndef LMMC_SERVE_EXCHANGE_ROUTE_H
#define LMMC_SERVE_EXCHANGE_ROUTE_H

#include <stdbool.h>

#include "base/text.h"
#include "http_exchange.h"
#include "server.h"

typedef enum { LMMC_GET = 1, LMMC_POST = 2, LMMC_DELETE = 4 } lmmc_methods;  // who may be asked with GET may be with HEAD

// A reply that is made at once, on the thread of the loop: it must take no time.
typedef struct {
  const char *type;  // Content-Type; NULL: application/json
  lmmc_text body;
  // More headers, constant texts; the list ends with a NULL, and is NULL where there are none.
  const char *const (*headers)[2];
  const char *tag;  // of the body, with its quotes: who has that already is told so in its place; NULL: none
} lmmc_instant;

typedef struct {
  lmmc_methods methods;
  const char *path;  // which it begins with, where it ends with '/' and is not that alone; the rest is then `rest`
  bool is_open;      // needs no key
  // One of three: a reply at once; a body that the other threads work on; why this is not here, by what its users call it.
  bool (*instant)(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);
  const lmmc_format *format;
  const char *missing;
  lmmc_fault_writer *fault;  // how refusals are written; NULL: as OpenAI has them
} lmmc_route;

#endif
