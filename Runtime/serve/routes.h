// What is answered at which path. A room's file that adds routes adds rows to the table in routes.c.
#ifndef LMMC_SERVE_ROUTES_H
#define LMMC_SERVE_ROUTES_H

#include "serve/exchange/route.h"

// The row of a path; NULL where there is none.
const lmmc_route *lmmc_route_find(const char *path, const char **rest);

#endif
