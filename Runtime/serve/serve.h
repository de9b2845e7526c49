// The program as a service: HTTP on a socket, answered by the engine. Three threads: one moves bytes (an event loop of libevent), one reads
// bodies, images and prompts, and the caller's turns the engine. No object of the engine or of the loop is touched by another thread.
#ifndef LMMC_SERVE_SERVE_H
#define LMMC_SERVE_SERVE_H

#include <stdbool.h>

#include "base/error.h"
#include "engine/engine.h"
#include "serve/exchange/settings.h"

// Serves until SIGTERM or SIGINT. `engine` is at rest, and is so again. Code 2 where the address is none, 1 when it cannot be had, a file
// cannot be read or memory is out.
bool lmmc_serve(lmmc_engine *engine, const lmmc_serve_settings *settings, lmmc_error *e);

#endif
