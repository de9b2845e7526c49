// An answer as it grows: a token is sampled and told to a sink with the text that it makes, until the model, a limit or the sink ends it.
#ifndef LMMC_SESSION_GENERATION_H
#define LMMC_SESSION_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "draft.h"
#include "sampler.h"
#include "steps.h"
#include "tokenizer/tokenizer.h"

// Who an answer is told to. A false, and LMMC_WRITE_FAILED, come with `*e` filled and end the answer as a failure.
typedef struct {
  void *context;
  // f32 [vocabulary], of which each token was sampled, also one that ends the text; NULL where nobody asks.
  bool (*logits)(void *context, const float *logits, lmmc_error *e);
  // A token, and the text that is ready with it: whole characters, or nothing yet. LMMC_CLOSED: nobody listens any more.
  lmmc_write_result (*token)(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e);
  // The answer ends with what was still held of a character.
  bool (*end)(void *context, const char *text, size_t bytes, lmmc_error *e);
} lmmc_sink;

// What a sink that keeps all of an answer has of it. Start from {0}, end with lmmc_kept_free, which makes it empty again.
typedef struct {
  lmmc_ids tokens;
  lmmc_text text;
} lmmc_kept_answer;

// The sink, which holds `kept`.
lmmc_sink lmmc_keeping_sink(lmmc_kept_answer *kept);
void lmmc_kept_free(lmmc_kept_answer *kept);

// What ends an answer where its text comes to have it, and is not told any more.
typedef struct {
  const char *text;
  size_t bytes;  // above 0
} lmmc_stop;

// What an answer must be, told token by token by whoever knows: which tokens may come next. A failure comes with `*e` filled.
typedef struct {
  void *context;
  // The tokens that may come next, a bit for each row of the head, the lowest of a word first; those that end a text are among them where the
  // answer may end. Stays as it is until the next call for any answer. Where there is one alone, `*only` is that, else -1. NULL on failure.
  const uint64_t *(*allowed)(void *context, int32_t *only, lmmc_error *e);
  // One of them, which ends no text, was taken.
  bool (*take)(void *context, int32_t token, lmmc_error *e);
  // The tokens that must come next, one behind another, at most `most`, into `out`; how many, 0 where there is a choice. Takes none of them.
  int32_t (*forced)(void *context, int32_t most, int32_t *out);
  // Whether the answer is whole, and nothing may come behind it.
  bool (*is_over)(void *context);
} lmmc_constraint;

typedef struct {
  bool stopped;           // by a token that ends the text, a stop text or a constraint that is met, and not by a limit or the sink
  bool closed;            // by the sink
  int64_t tokens, steps;  // without such a token; those of them that were decoded
  double first_token;     // when the first was sampled (lmmc_clock)
  double seconds;         // from then on
} lmmc_generation;

// One answer. Start from {0} with the first group filled, end with lmmc_answer_free.
typedef struct {
  const lmmc_model *model;
  const lmmc_tokenizer *tokenizer;
  lmmc_sampler *sampler;
  const lmmc_sink *sink;
  int64_t max_tokens;      // above 0
  const lmmc_stop *stops;  // [stop_count]
  int stop_count;
  lmmc_ids *said;  // what was fed before, to which lmmc_generate appends and from which it drafts; NULL: it drafts nothing
  const lmmc_constraint *constraint;  // NULL: any tokens; else the sampler has been restricted

  lmmc_generation made;
  lmmc_detokenizer detokenizer;
  lmmc_text text;  // that is not told yet: a stop text may begin there
} lmmc_answer;

typedef enum { LMMC_ANSWER_GOES_ON, LMMC_ANSWER_ENDS, LMMC_ANSWER_FAILS } lmmc_answer_state;

// The next token by `logits` [vocabulary], behind what the slot holds, which has room for `room` rows more. While the answer goes on, `*token`
// is to be decoded. Fails with code 1.
lmmc_answer_state lmmc_answer_next(lmmc_answer *a, const float *logits, int64_t room, int32_t *token, lmmc_error *e);
void lmmc_answer_free(lmmc_answer *a);

// A token that is fed, and what the answer is sure or likely to go on with. Start from {0}.
typedef struct {
  int32_t rows[1 + LMMC_MOST_DRAFTED];  // the token, then what is guessed behind it
  int32_t guessed;
  bool is_forced;  // by a constraint, and no draft that could be wrong
  lmmc_draft draft;
} lmmc_guess;

// Guesses what comes behind a token that its slot, with room for `room` rows, is fed next, at most `most` tokens: what the constraint leaves no
// choice about, else what is found in `said` [count], where that is not NULL; the token is its last.
void lmmc_guess_next(lmmc_guess *g, const lmmc_answer *a, int32_t token, const int32_t *said, int64_t count, int64_t most, int64_t room);

// What the slot is fed of it.
lmmc_feed lmmc_guess_feed(const lmmc_guess *g, int32_t slot);

// Goes through the logits of these rows, wanted rows of the last step from `row` on, as far as the guess is what the model chooses; `*chosen`:
// how many of its tokens are. `room`: that the slot has left behind all rows. The others are to be taken back.
lmmc_answer_state lmmc_guess_judge(lmmc_guess *g, lmmc_answer *a, const lmmc_session *session, int64_t row, int64_t room, int32_t *token,
                                   int32_t *chosen, lmmc_error *e);

// All of an answer, while `slot` has room, behind the prompt that the last step fed it. Code 1 on failure.
bool lmmc_generate(lmmc_session *session, int32_t slot, lmmc_answer *answer, lmmc_error *e);

#endif
