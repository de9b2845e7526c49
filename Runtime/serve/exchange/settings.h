// What a server was started with.
#ifndef LMMC_SERVE_EXCHANGE_SETTINGS_H
#define LMMC_SERVE_EXCHANGE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/structure.h"
#include "session/sampler.h"

typedef struct {
  const char *address;   // "ADDR:PORT", "[ADDR]:PORT", "unix:PATH"; NULL: 127.0.0.1:8080, or the sockets that systemd hands over
  const char *key_file;  // a line for each key that is let in; NULL: everybody is
  const char *media;     // the folder below which paths of images may lie; NULL: none may
  const char *cache;     // the folder that the engine's store of images writes to; NULL: none
  int64_t queue;         // requests that may wait, beside those that are answered
  int64_t timeout;       // seconds that a request may take, waiting and all
  int64_t grace;         // seconds that requests get to end in when the server is to stop
  bool logs_json;        // a JSON object for each request in the place of a line

  // What a request means that says nothing of it
  int64_t max_tokens;
  lmmc_sampling sampling;
  const lmmc_stop *stops;  // [stop_count]
  int stop_count;
  bool draws_seed;              // at random, for each that names none
  const char *system;           // NULL: the template's own
  lmmc_structure *structure;    // what answers must be; NULL: anything
  lmmc_structures *structures;  // which may be compiled by the thread that prepares
  int64_t max_image_pixels;

  const char *model_id;  // names the program
  int32_t parallel;      // answers that grow at once
} lmmc_serve_settings;

#endif
