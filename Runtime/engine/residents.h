// What each slot holds, token by token and image by image, also behind its answer's end: a prompt that begins as another did takes the rows of
// that one's caches.
#ifndef LMMC_ENGINE_RESIDENTS_H
#define LMMC_ENGINE_RESIDENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "keyed_hash.h"
#include "session/slots.h"

// An image of a prompt.
typedef struct {
  lmmc_hash_value key;
  int32_t rows;  // that it has become; -1 where nobody knows yet
} lmmc_placed_image;

// What a slot has been fed. Position i is a token, or -1 - r for row r % N of image r / N.
typedef struct {
  int32_t *tokens;  // [count], with room for the context
  int64_t count;
  lmmc_placed_image *images;  // [image_count], with room for as many as a prompt may have
  int32_t image_count;
  int64_t least;      // it can be cut back to so many tokens and to more
  uint64_t last_use;  // 0: it was never used
} lmmc_resident;

typedef struct {
  const lmmc_model *model;
  lmmc_slots *slots;
  lmmc_resident *slot;  // [sequences]
  int32_t *mark;
  uint64_t uses;
} lmmc_residents;

// No slot holds anything. Code 1 when memory is out; lmmc_residents_close ends it in either case.
bool lmmc_residents_open(lmmc_residents *r, const lmmc_model *model, lmmc_slots *slots, lmmc_error *e);
void lmmc_residents_close(lmmc_residents *r);

// How many tokens at the front of a prompt slot `slot` holds, of those that it can be cut back to; at most `most`.
int64_t lmmc_shared_prefix(const lmmc_residents *r, int32_t slot, const int32_t *tokens, int64_t most, const lmmc_placed_image *images);

// How many rows an image has become that some slot holds; -1 where none does that knows.
int32_t lmmc_resident_image_rows(const lmmc_residents *r, lmmc_hash_value key);

// Makes slot `to` what `from`, maybe itself, was behind its first `count` tokens.
void lmmc_resident_copy(lmmc_residents *r, int32_t to, int32_t from, int64_t count);

// Makes it hold nothing.
void lmmc_resident_clear(lmmc_residents *r, int32_t slot);

// The images of what it holds and of what comes.
void lmmc_resident_place(lmmc_residents *r, int32_t slot, const lmmc_placed_image *images, int32_t count);

// It has been fed these behind what it holds.
void lmmc_resident_extend(lmmc_residents *r, int32_t slot, const int32_t *tokens, int64_t count);

// Takes back the last `tokens` of an answer that it was fed.
void lmmc_resident_take_back(lmmc_residents *r, int32_t slot, int32_t tokens);

// What it holds now cannot be cut.
void lmmc_resident_seal(lmmc_residents *r, int32_t slot);

#endif
