// Connections as libevent has them, and what it does not: how many there are, how long each may take, how much all of them hold, and
// whether a client that waits is still there.
#ifndef LMMC_SERVE_CONNECTIONS_H
#define LMMC_SERVE_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "serve/exchange/fault.h"
#include "serve/exchange/http_exchange.h"
#include "serve/exchange/server.h"

typedef struct lmmc_connection lmmc_connection;
typedef struct lmmc_connections lmmc_connections;

struct evhttp_request;

// Takes over the connections of s->http, which has accepted none so far. NULL with `*e` filled when memory is out.
lmmc_connections *lmmc_connections_open(lmmc_server *s, lmmc_error *e);

// When s->http is gone.
void lmmc_connections_close(lmmc_connections *all);

// The connection of a request that libevent gives to its handler, which is the exchange's from now on; NULL where the connection is not
// known, and the request must be refused. A client that goes away is told to lmmc_exchange_lost.
lmmc_connection *lmmc_connection_begin(lmmc_server *s, struct evhttp_request *request, lmmc_exchange *x);

// The request of a connection that has begun one.
struct evhttp_request *lmmc_connection_request(const lmmc_connection *c);

// The last of the reply is given to libevent next, and with it the request: the connection then has another, or ends.
void lmmc_connection_end(lmmc_connection *c);

int64_t lmmc_connection_count(const lmmc_connections *all);

// Whether a reply is still being sent.
bool lmmc_connections_send(const lmmc_connections *all);

// Ends those that have no request, when the server is to stop.
void lmmc_connections_end_idle(lmmc_connections *all);

#endif
