// The server itself, as its files share it.
#ifndef LMMC_SERVE_EXCHANGE_SERVER_H
#define LMMC_SERVE_EXCHANGE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "contract/program.h"
#include "engine/engine.h"
#include "http_exchange.h"
#include "settings.h"
#include "tokenizer/tokenizer.h"

enum {
  LMMC_MOST_BODY = 32 << 20,     // bytes of one body
  LMMC_MOST_HEADERS = 16 << 10,  // bytes of a request's line and headers
  LMMC_MOST_KEYS = 64,
};
// Bytes of all that is being received, and of all bodies that wait.
#define LMMC_MOST_RECEIVED (UINT64_C(256) << 20)

// Tests make these smaller: how many connections there may be; the seconds that a whole request may take to arrive, or that a connection may be
// idle; and those that a client may leave unread what is sent.
#ifndef LMMC_MOST_CONNECTIONS
#define LMMC_MOST_CONNECTIONS 1000
#endif
#ifndef LMMC_RECEIVE_SECONDS
#define LMMC_RECEIVE_SECONDS 60
#endif
#ifndef LMMC_WRITE_SECONDS
#define LMMC_WRITE_SECONDS 30
#endif

struct event_base;
struct evhttp;
struct event;

struct lmmc_server {
  const lmmc_serve_settings *settings;
  // Read by all threads, and changed by none: the engine's model, and its tokenizer.
  const lmmc_model *model;
  const lmmc_tokenizer *tokenizer;
  time_t started;
  struct lmmc_work *work;
  struct lmmc_keys *keys;            // NULL: everybody is let in
  bool checks_hosts;                 // whether a request must name this machine
  int media;                         // the folder of --media-path, opened; -1: none
  const lmmc_exchange_watch *watch;  // NULL: nobody watches

  // The thread of the loop
  struct event_base *base;
  struct evhttp *http;
  struct lmmc_connections *connections;
  lmmc_exchange *first;  // of those that are open
  int64_t open;          // how many
  bool stopping;         // nothing new is let in
  struct event *signals[2], *stop, *wake;
  double stops_at;  // when what is open is cut, once it is stopping (lmmc_clock)
  bool is_cut;
  void *sockets[16];  // of evhttp, which are listened on
  int socket_count;
};

// The program's information as one JSON object, constant: lmmc_program.info.
const char *lmmc_server_info(const lmmc_server *s);

#endif
