// How exchanges go, on the thread of the loop: a request becomes one, is answered or handed to the other threads, and what they tell is
// sent.
#ifndef LMMC_SERVE_EXCHANGES_H
#define LMMC_SERVE_EXCHANGES_H

#include "serve/exchange/http_exchange.h"
#include "serve/exchange/server.h"

struct evhttp_request;

// The handler of all requests; `server` is a lmmc_server.
void lmmc_exchange_handle(struct evhttp_request *request, void *server);

// Its connection, which is gone, was this.
void lmmc_exchange_lost(lmmc_exchange *x);

// The other threads have told something.
void lmmc_exchanges_changed(lmmc_server *s);

// All that wait for an answer are told that the server stops.
void lmmc_exchanges_cut(lmmc_server *s);

#endif
