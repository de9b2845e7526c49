// The slots of a program: which are in use, how far each has been fed, and what may be done with their rows beside feeding.
#ifndef LMMC_SESSION_SLOTS_H
#define LMMC_SESSION_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "contract/program.h"

typedef struct {
  const lmmc_model *model;
  const lmmc_memory *memory;
  int32_t *positions;  // [sequences], of the next row: as many as the slot has been fed
  bool *used, *huge;   // [sequences], whether it is in use, and whether huge pages were asked for under it
  int64_t huge_rows;   // from which on they are
  int32_t *fed;        // [sequences, context], the tokens that each slot has been fed, of a program that recomputes; else NULL
} lmmc_slots;

// None is in use. Code 1 when memory is out; lmmc_slots_close ends it in either case, and leaves the arena as it is.
bool lmmc_slots_open(lmmc_slots *s, const lmmc_model *model, const lmmc_memory *memory, lmmc_error *e);
void lmmc_slots_close(lmmc_slots *s);

// The first that is free, now in use and empty; -1 where there is none.
int32_t lmmc_slot_take(lmmc_slots *s);

// No longer in use; its memory goes back.
void lmmc_slot_release(lmmc_slots *s, int32_t slot);

// Makes it empty; its memory stays.
void lmmc_slot_clear(lmmc_slots *s, int32_t slot);

// Is told before it comes to hold `rows`, so that memory for as many is asked for.
void lmmc_slot_expect(lmmc_slots *s, int32_t slot, int64_t rows);

// The tokens that a slot has been fed, as many as its position says, and room for those to come; of a program that recomputes.
int32_t *lmmc_slot_fed(const lmmc_slots *s, int32_t slot);

// Rows that it can still be fed: its caches have room for them, and the context has positions.
int64_t lmmc_slot_room(const lmmc_slots *s, int32_t slot);

// How far a slot has been fed: its next position, then the rows in each block's caches, i32 [1 + blocks]. A value, of which a caller may
// keep any number.
int64_t lmmc_mark_length(const lmmc_model *model);
void lmmc_slot_mark(const lmmc_slots *s, int32_t slot, int32_t *mark);

// Makes it what it was at `mark`, since when it has only been fed.
void lmmc_slot_cut(lmmc_slots *s, int32_t slot, const int32_t *mark);

// Takes back the last `tokens` that it was fed behind its prompt: each has left a row in every block.
void lmmc_slot_take_back(lmmc_slots *s, int32_t slot, int32_t tokens);

// Makes slot `to`, whatever it holds, what another, `from`, was at `mark`, since when that has only been fed.
void lmmc_slot_copy(lmmc_slots *s, int32_t to, int32_t from, const int32_t *mark);

// Makes an empty one whose caches hold the rows of these tokens what it is when it has been fed them.
void lmmc_slot_advance(lmmc_slots *s, int32_t slot, const int32_t *tokens, int32_t count);

// Drops the first `rows` rows of each block's caches, all where a block holds fewer, and moves the others to the front. Positions go on as if
// they were still there. Marks of this slot that were taken before are void.
void lmmc_slot_forget(lmmc_slots *s, int32_t slot, int32_t rows);

#endif
