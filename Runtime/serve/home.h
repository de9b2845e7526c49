// The page at `/`, as a reply.
#ifndef LMMC_SERVE_HOME_H
#define LMMC_SERVE_HOME_H

#include <stdbool.h>

#include "serve/exchange/route.h"

bool lmmc_home(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);

#endif
