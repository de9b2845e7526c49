// Where the server listens.
#ifndef LMMC_SERVE_SOCKETS_H
#define LMMC_SERVE_SOCKETS_H

#include <stdbool.h>

#include "base/error.h"

enum { LMMC_MOST_SOCKETS = 16 };

// What is listened on: sockets of the network or one of a path, which goes when they are closed.
typedef struct {
  int fds[LMMC_MOST_SOCKETS];
  int count;
  char names[LMMC_MOST_SOCKETS][160];  // "http://127.0.0.1:8080", "unix:PATH"
  const char *path;                    // of a socket that is removed; NULL: none
  bool is_local, is_for_all;           // has one of the network that this machine alone reaches; that others do
} lmmc_sockets;

// Listens at `address`, or, where that is NULL, at what systemd hands over, else at 127.0.0.1:8080. Code 2 where it is no address, 1 when
// it cannot be had; lmmc_sockets_close ends it in either case. Whoever takes a descriptor over sets it to -1.
bool lmmc_sockets_open(lmmc_sockets *s, const char *address, lmmc_error *e);
void lmmc_sockets_close(lmmc_sockets *s);

#endif
