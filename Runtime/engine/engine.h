// Many requests over the slots of one program. They wait in the order in which they came; one is read at a time, in chunks, beside the answers
// that grow, a token of each, and all of these rows go through one call of the program's code a turn. It knows no files, terminals or
// sockets.
#ifndef LMMC_ENGINE_ENGINE_H
#define LMMC_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image_cache.h"
#include "residents.h"
#include "session/generation.h"
#include "session/prompt.h"
#include "session/sampler.h"
#include "session/steps.h"

typedef enum { LMMC_ENDED_BY_MODEL, LMMC_ENDED_BY_LIMIT, LMMC_ENDED_BY_SINK, LMMC_ENDED_BY_CANCEL, LMMC_ENDED_BY_FAILURE } lmmc_ending;

typedef struct lmmc_request lmmc_request;

// A request stays where it is until `ended` has been called.
struct lmmc_request {
  // What is asked; the caller's. The prompt is trimmed where its images have become fewer rows.
  lmmc_prompt prompt;
  lmmc_pictures pictures;
  lmmc_sampler sampler;
  int64_t max_tokens;
  const lmmc_stop *stops;  // [stop_count]
  int stop_count;
  lmmc_constraint constraint;  // {0}: none; else the sampler has been restricted
  lmmc_sink sink;
  void (*ended)(lmmc_request *r);  // the last that is heard of it

  // What has become of it
  lmmc_ending ending;
  lmmc_error error;                 // of a failure
  int64_t shared;                   // tokens of the prompt whose rows another one's caches had
  int32_t encoded;                  // images that went through the tower
  double submitted, begun;          // lmmc_clock
  double vision, project, prefill;  // seconds; of calls that read a part of the prompt, whatever else went through them
  lmmc_answer answer;

  // The engine's own
  struct {
    lmmc_request *next;
    lmmc_placed_image *images;  // [prompt.images]
    int32_t slot;               // -1: it waits
    int32_t seen;               // images whose rows stand where they are read
    int64_t fed;                // tokens of the prompt
    int32_t token;              // the last of the answer
    lmmc_guess guess;
    int32_t row;  // where among the wanted rows of a call its first stands
    bool cancelled;
  } own;
};

typedef struct {
  lmmc_session *session;
  const lmmc_tokenizer *tokenizer;
  int32_t parallel;
  uint64_t key[2];  // of the hashes of images
  lmmc_image_cache images;
  bool drafts;                    // whether answers are guessed ahead; whoever opened the engine may set it
  const lmmc_image_store *store;  // NULL: none; whoever opened the engine may give one
  lmmc_residents residents;
  lmmc_request **answering;  // [sequences], by slot
  lmmc_request *reading, *first, *last;
  lmmc_feed *feeds;      // [sequences]
  lmmc_request **asked;  // [sequences], whose logits the next step makes
} lmmc_engine;

// Fills what is asked for one of several answers to a prompt, all but its sink, limits, stop texts, constraint and `ended`: tokens of its
// own, since the engine trims them, the pictures of all, and a sampler whose seed is as far above that of `sampling` as it stands in the
// row. Code 1 when memory is out, 2 as of lmmc_sampler_open; lmmc_request_close ends it in either case.
bool lmmc_request_open(lmmc_request *r, const lmmc_model *model, const lmmc_prompt *prompt, const lmmc_pictures *pictures,
                       const lmmc_sampling *sampling, int64_t index, lmmc_error *e);
void lmmc_request_close(lmmc_request *r);

// At most `parallel` slots are used of those of the session, none of which is in use; `image_bytes`: what images have become is
// kept in so much memory. `key`: random. Code 1 when memory is out; lmmc_engine_close ends it in either case, when all requests have ended.
bool lmmc_engine_open(lmmc_engine *g, lmmc_session *session, const lmmc_tokenizer *tokenizer, int32_t parallel, uint64_t image_bytes,
                      const uint64_t key[2], lmmc_error *e);
void lmmc_engine_close(lmmc_engine *g);

// The key of a picture's rows: a hash, under `key`, of all that tower and projector read.
lmmc_hash_value lmmc_picture_key(const lmmc_model *model, const uint64_t key[2], const lmmc_pictures *pictures, int32_t image,
                                 const lmmc_ids *question);

// Puts the rows of a picture where step() reads them: those that `store`, if there is one, has, else the tower's and the projector's, which it
// is then given. How many; adds the seconds of both.
int32_t lmmc_place_picture(const lmmc_session *session, const lmmc_image_store *store, lmmc_hash_value key, const lmmc_pictures *pictures,
                           int32_t image, const lmmc_ids *question, double *vision, double *project, bool *is_stored);

// All that follows is for one thread at a time.

// Puts a request behind those that wait.
void lmmc_engine_submit(lmmc_engine *g, lmmc_request *r);

// Ends it before the next turn.
void lmmc_engine_cancel(lmmc_engine *g, lmmc_request *r);

// One turn: an image through the tower, where the request that is read needs it, between whose blocks the others' answers go on, and one call of the program's code. False when nothing was
// left to do.
bool lmmc_engine_turn(lmmc_engine *g);

#endif
