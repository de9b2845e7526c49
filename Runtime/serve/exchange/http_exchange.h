// A request of HTTP and its reply, from the moment that its body is there. A wire format reads the body and writes what is sent; it is a
// struct of functions, and the exchange knows none by name.
#ifndef LMMC_SERVE_EXCHANGE_HTTP_EXCHANGE_H
#define LMMC_SERVE_EXCHANGE_HTTP_EXCHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "asked.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/structure.h"
#include "fault.h"
#include "session/sampler.h"

typedef struct lmmc_exchange lmmc_exchange;
typedef struct lmmc_server lmmc_server;  // server.h

// A token that was told.
typedef struct {
  int32_t id;
  float value;     // the logarithm of its probability, where that was asked for
  double at;       // when it was sampled (lmmc_clock)
  size_t text_at;  // in the text that came with it and those beside it, how much there was before it
} lmmc_told_token;

// What an answer has grown by.
typedef struct {
  lmmc_text text;  // whole characters
  lmmc_told_token *tokens;
  size_t token_count, token_room;
  lmmc_log_probability *top;  // [token_count, asked.top], the likeliest of each token
  size_t top_count, top_room;
} lmmc_grown;

// One of the answers of an exchange, as the thread of the loop sees it.
typedef struct {
  lmmc_grown all;            // of a reply that is sent whole; of a stream it stays empty
  int64_t told;              // tokens so far
  size_t text_bytes;         // of its text, so far, without what a piece brings
  double first_at, last_at;  // when the first and the last so far were sampled (lmmc_clock); 0 before
  bool ended;
  bool begun;  // something of it was sent; the format's own

  // What is known when it has ended
  lmmc_ending ending;
  bool stopped;  // by the model, a stop text or what it had to be, and not by a limit
  lmmc_error error;
  int64_t tokens;                                       // without one that ends the text
  int64_t prompt_tokens, visual_tokens;                 // of the prompt: those of text with BOS, and those of images
  int64_t shared_tokens;                                // whose rows another request's caches had
  int32_t images, encoded_images;                       // those of the prompt, and those that went through the tower
  double submitted, begun_at, prompt_at;                // lmmc_clock: handed to the engine; given a slot; the first token
  double preprocess, vision, project, prefill, decode;  // seconds
} lmmc_told_answer;

// How requests of one kind are read, and replies to them written. What is appended to `out` is sent as it is. A false means that memory is
// out.
typedef struct lmmc_format {
  const char *name;         // for the log and the metrics: "chat.completions"
  const char *stream_type;  // Content-Type of a stream; NULL: nothing streams

  // The thread that prepares: fills x->asked, which holds the defaults, from a body, which is an object. Or answers at once, where nothing
  // is to be asked of the engine: by text in x->reply, JSON. False with `*f` filled refuses.
  bool (*read)(lmmc_exchange *x, const json_t *body, lmmc_fault *f);

  // The thread of the loop, of a stream: an answer has grown, has ended, and all have.
  bool (*piece)(lmmc_exchange *x, int32_t answer, const lmmc_grown *grown, lmmc_text *out);
  bool (*end)(lmmc_exchange *x, int32_t answer, lmmc_text *out);
  bool (*finish)(lmmc_exchange *x, lmmc_text *out);

  // The same thread, of a reply that is sent whole: its body.
  bool (*whole)(lmmc_exchange *x, lmmc_text *out);
} lmmc_format;

// Writes the body of a refusal, or with `in_stream` what ends a stream that has begun.
typedef bool lmmc_fault_writer(const lmmc_fault *f, bool in_stream, lmmc_text *out);

struct lmmc_exchange {
  lmmc_server *server;
  const lmmc_format *format;
  char id[40];                // 32 hexadecimal digits, random
  time_t created;             // seconds of the epoch
  double began;               // lmmc_clock, when the body was there
  const char *path;           // of its route
  lmmc_asked asked;           // written by the thread that prepares, and constant from then on
  lmmc_text reply;            // the same, where nothing is asked of the engine
  uint64_t own[4];            // the format's; starts as zeros
  lmmc_fault fault;           // why there is no answer; status 0 while there is none
  int status;                 // that was sent; 0 before
  bool streaming;             // the head of a stream was sent
  lmmc_told_answer *answers;  // [asked.answers], of the thread of the loop; NULL: it may not look at `asked` yet
  int32_t ended;              // how many of them have

  struct lmmc_work_item *work;         // what the other threads have of it (work.h)
  struct lmmc_connection *connection;  // NULL when the client is gone, or has its reply (connections.h)
  struct event *timer;                 // of --timeout
  char peer[48];                       // who asks, for the log
  bool is_by_path;                     // over a socket of a path, which no browser reaches
  uint64_t sent;                       // bytes of the reply
  const char *method;                  // of HTTP
  lmmc_fault_writer *writes_fault;     // of its route; NULL: as OpenAI has it (lmmc_openai_fault)
  char asked_path[128];                // as it may be shown
  lmmc_exchange *next, *before;        // of all that are open
};

// Who wants to hear of exchanges: metrics. All is called on the thread of the loop.
typedef struct {
  void *context;
  void (*grown)(void *context, const lmmc_exchange *x, int32_t answer, const lmmc_grown *grown);
  void (*ended)(void *context, const lmmc_exchange *x, double seconds);  // the reply was handed over, or nobody waits for it any more
} lmmc_exchange_watch;

// The text of a token by itself, its space in front kept; bytes that are no character yet as they are. For texts of log probabilities.
bool lmmc_told_bytes(const lmmc_server *server, int32_t id, lmmc_text *out);

// Whether tokens are counted in for images and text together: what clients call the prompt's tokens.
int64_t lmmc_all_prompt_tokens(const lmmc_told_answer *a);

#endif
