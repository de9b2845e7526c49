// Where an answer stands in its grammar, token by token: which tokens may come next, whether it may end, and what it must go on with. A
// matcher sees the bytes that each token adds to the answer's text, so that characters split over tokens and byte tokens are as any others.
#ifndef LMMC_GRAMMAR_MATCHER_H
#define LMMC_GRAMMAR_MATCHER_H

#include "machine.h"

typedef struct {
  uint32_t configuration;
} lmmc_matcher_step;

// Ids into the machine, one for each token taken, so that taking tokens back costs nothing and a copy little.
struct lmmc_matcher {
  lmmc_machine *machine;
  lmmc_matcher_step *history;  // [count], the first before any token
  size_t count, room;
  lmmc_matcher *before, *next;  // in the machine's list
};

// Stands before the answer. The matcher must stay at its address, and be closed before its machine. Code 1 when memory is out;
// lmmc_matcher_close ends it in either case.
bool lmmc_matcher_open(lmmc_matcher *x, lmmc_machine *machine, lmmc_error *e);
// Another that stands where `from` stands, with its past.
bool lmmc_matcher_copy(lmmc_matcher *x, const lmmc_matcher *from, lmmc_error *e);
void lmmc_matcher_close(lmmc_matcher *x);

// The tokens that may come next: fills mask [lmmc_mask_words of the vocabulary]. The tokens that end an answer are in it where it may end.
// It is never empty while the vocabulary has all bytes. Code 1 when memory is out.
bool lmmc_matcher_mask(lmmc_matcher *x, uint64_t *mask, lmmc_error *e);

// Takes a token. False, with the matcher as it was, for one that is not allowed (code 2) and when memory is out (code 1).
bool lmmc_matcher_take(lmmc_matcher *x, int32_t token, lmmc_error *e);

// Tokens taken so far, and taking back the last `tokens` of them.
size_t lmmc_matcher_taken(const lmmc_matcher *x);
void lmmc_matcher_cut(lmmc_matcher *x, size_t tokens);

// Whether the answer may end here.
bool lmmc_matcher_may_end(const lmmc_matcher *x);

// Whether it may end here and nothing may come behind it.
bool lmmc_matcher_is_over(const lmmc_matcher *x);

// The longest bytes, up to `room`, that every text of the grammar goes on with from here; how many. 0 where the answer may also end.
size_t lmmc_matcher_forced(lmmc_matcher *x, uint8_t *out, size_t room);

// Whether these bytes may come next, without taking them.
bool lmmc_matcher_allows(lmmc_matcher *x, const uint8_t *bytes, size_t count);

// The only token of a mask; -1 where it has none or several.
int32_t lmmc_mask_single(const uint64_t *mask, size_t words);

#endif
