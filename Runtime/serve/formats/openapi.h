// The server's own description of its API, by OpenAPI 3.1.
#ifndef LMMC_SERVE_FORMATS_OPENAPI_H
#define LMMC_SERVE_FORMATS_OPENAPI_H

#include <stdbool.h>

#include "serve/exchange/route.h"

// What is the same for all servers, from inside of `components.schemas` on (Tools/make_openapi.py).
extern const char lmmc_openapi_content[];

// /openapi.json
bool lmmc_openapi(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);

#endif
