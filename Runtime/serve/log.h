// A line for each request on standard error, which never has anything of what was asked or answered.
#ifndef LMMC_SERVE_LOG_H
#define LMMC_SERVE_LOG_H

#include "serve/exchange/http_exchange.h"

// An exchange is over: its reply was given to the system, or its client has gone.
void lmmc_log_exchange(const lmmc_exchange *x, double seconds);

#endif
