// What a client asks for, whatever the form of its body: each wire format fills one of these, and all that follows knows this alone.
#ifndef LMMC_SERVE_EXCHANGE_ASKED_H
#define LMMC_SERVE_EXCHANGE_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "engine/structure.h"
#include "fault.h"
#include "settings.h"
#include "session/prompt.h"
#include "session/sampler.h"

enum {
  LMMC_MOST_MESSAGES = 1024,
  LMMC_MOST_STOP_TEXTS = 16,
  LMMC_MOST_BIASES = 1024,
  LMMC_MOST_ANSWERS = 32,  // to one request
};

typedef struct {
  lmmc_role role;
  lmmc_text text;
  int images;  // of a user
} lmmc_asked_message;

// The bytes of a file, or the path of one below --media-path.
typedef struct {
  uint8_t *bytes;
  size_t count;
  char *path;  // NULL where there are bytes
} lmmc_asked_image;

// Start from lmmc_asked_open, end with lmmc_asked_free.
typedef struct {
  lmmc_asked_message *messages;  // [message_count]; where there are none, `prompt` is asked
  int message_count;
  lmmc_text prompt;
  bool is_raw;               // the prompt is fed verbatim, its special tokens read as ids, and no template is put around it
  lmmc_asked_image *images;  // [image_count], of all messages in their order
  int image_count;

  int64_t max_tokens;
  lmmc_sampling sampling;  // whose biases are these
  lmmc_logit_bias *biases;
  lmmc_stop *stops;  // [stop_count], each text its own
  int stop_count;
  lmmc_notation notation;  // of what the answer must be
  lmmc_text structure;     // its text
  int32_t answers;         // how many; the seed of each is one above that of the one before
  int32_t top;             // of each token so many of the likeliest are told, 0: its own probability alone; -1: none is
  bool streams;            // the answer is sent as it grows
  bool streams_usage;      // and its counts at the end
} lmmc_asked;

// What the server's defaults say. False with `*f` filled when memory is out; lmmc_asked_free ends it in either case.
bool lmmc_asked_open(lmmc_asked *a, const lmmc_serve_settings *s, lmmc_fault *f);
void lmmc_asked_free(lmmc_asked *a);

// ---- for those that fill it; each returns false with `*f` filled

// A message to which text and images are then added; they stand in the text in the place of `<image>` nowhere: places that are missing
// stand before the words.
bool lmmc_asked_add_message(lmmc_asked *a, lmmc_role role, lmmc_fault *f);

// More text of the last message.
bool lmmc_asked_add_text(lmmc_asked *a, const char *text, size_t bytes, lmmc_fault *f);

// An image of the last message, else of the prompt: "data:image/...;base64,...", or a path (maybe "file://...") below `media`. Those that
// would have to be fetched are refused. `param`: the member that has it.
bool lmmc_asked_add_image_url(lmmc_asked *a, const char *url, size_t bytes, const char *media, const char *param, lmmc_fault *f);

// The same of plain base64.
bool lmmc_asked_add_image_base64(lmmc_asked *a, const char *text, size_t bytes, const char *param, lmmc_fault *f);

// Replaces the stops of the defaults when it is called first after lmmc_asked_clear_stops. An empty text is refused.
void lmmc_asked_clear_stops(lmmc_asked *a);
bool lmmc_asked_add_stop(lmmc_asked *a, const char *text, size_t bytes, lmmc_fault *f);

bool lmmc_asked_add_bias(lmmc_asked *a, int32_t id, double value, lmmc_fault *f);

// What the answer must be, in the place of what the defaults say.
bool lmmc_asked_restrict(lmmc_asked *a, lmmc_notation notation, const char *text, size_t bytes, lmmc_fault *f);

#endif
