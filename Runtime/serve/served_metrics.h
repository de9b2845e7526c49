// The metrics of a server: what its exchanges come to, and /metrics.
#ifndef LMMC_SERVE_SERVED_METRICS_H
#define LMMC_SERVE_SERVED_METRICS_H

#include <stdbool.h>

#include "base/error.h"
#include "serve/exchange/route.h"

// Makes the server's exchanges be watched. Code 1 when memory is out; lmmc_served_metrics_close ends it in either case.
bool lmmc_served_metrics_open(lmmc_server *s, lmmc_error *e);
void lmmc_served_metrics_close(lmmc_server *s);

// /metrics
bool lmmc_served_metrics(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);

#endif
