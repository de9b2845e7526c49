// What a server gives up once it serves. Whoever takes over the process by a request finds no way to start a program, to make a connection,
// or to reach files that the server has no need of.
#ifndef LMMC_SERVE_SANDBOX_SANDBOX_H
#define LMMC_SERVE_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef struct {
  const char *media_path;   // files below this folder may be read; NULL: none
  const char *cache_dir;    // files below this folder may be read, made, renamed and removed; NULL: none. It exists
  const char *socket_path;  // the name of a UNIX socket, in whose folder names may be removed at the end; NULL: none
} lmmc_sandbox_rules;

// From now on, for every thread that there is and that will be: no new privileges; a filter of system calls, without new programs,
// processes, sockets, executable memory and traces of others; and, where the kernel has Landlock, no file but those of `rules` and the few
// that the C library and the runtime read late. Sockets, files and memory that are open stay so.
//
// Called once, when sockets listen, the engine is open and the threads are there (more may follow; none may block SIGURG, by which they are
// asked), before the first request. A file that is read later and is not below `media_path` is opened before. `note` gets one line that says
// what the kernel or an emulator has none of, empty where everything is in force. Code 1 when a folder of `rules` cannot be opened or a
// thread does not obey: serving would then be less safe than was asked for. Programs with a sanitizer, whose runtime needs what is given up,
// get a note and nothing else.
bool lmmc_sandbox_enter(const lmmc_sandbox_rules *rules, char *note, size_t size, lmmc_error *e);

#endif
