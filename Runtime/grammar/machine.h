// What is found of a grammar while texts are matched, over one vocabulary: its states are made when a text first reaches them, and with
// each the tokens that it allows. All of it can be dropped and found again, so its memory is bounded.
//
// A local state is a set of automaton states in one frame. A stack is a frame, how often it has been gone through, and where it goes back
// to. A configuration is all places (local state, stack) at which a text may stand, since a grammar need not be deterministic.
#ifndef LMMC_GRAMMAR_MACHINE_H
#define LMMC_GRAMMAR_MACHINE_H

#include "grammar.h"
#include "vocabulary.h"

// Reserved ids of local states and configurations.
enum { LMMC_UNKNOWN_STATE = 0, LMMC_DEAD_STATE = 1 };

typedef struct {
  uint32_t frame, back;   // that is called, and the local state behind it; LMMC_UNKNOWN_STATE as long as nobody asked
  uint32_t first, count;  // the automaton states behind it
} lmmc_local_call;

typedef struct lmmc_walk lmmc_walk;

typedef struct {
  uint32_t first, count;  // automaton states
  uint32_t frame;
  uint32_t first_call, call_count;
  bool final;             // the frame may end here
  lmmc_byte_set accepts;  // bytes that go on in the frame
  lmmc_byte_set after;    // bytes that go on by a call, or behind the frame
  uint32_t *row;          // [classes], NULL as long as no byte was tried
  lmmc_walk *walk;        // the tokens that it allows, NULL as long as nobody asked
} lmmc_local;

typedef struct {
  uint32_t frame, rounds, back, below, depth;
} lmmc_stack;

typedef struct {
  uint32_t local, stack;
} lmmc_place;

typedef struct {
  uint32_t first, count;  // places
  bool ends;              // the text may end here
  lmmc_byte_set accepts;
  uint32_t *row;
} lmmc_configuration;

// Ids by what they stand for; open addressing, 0 is an empty slot.
typedef struct {
  uint32_t *ids, *hashes, count, slots;
} lmmc_id_table;

typedef struct lmmc_matcher lmmc_matcher;

// The tokens that end an answer. They are never taken for their text.
typedef struct {
  const int32_t *ids;
  size_t count;
} lmmc_end_tokens;

typedef struct lmmc_machine {
  const lmmc_grammar *grammar;
  const lmmc_vocabulary *vocabulary;
  lmmc_end_tokens ends;
  lmmc_local *locals;
  lmmc_local_call *calls;
  uint32_t *states;
  lmmc_stack *stacks;
  lmmc_configuration *configurations;
  lmmc_place *places;
  uint32_t local_count, call_count, state_count, stack_count, configuration_count, place_count;
  uint32_t local_room, call_room, state_room, stack_room, configuration_room, place_room;
  lmmc_id_table local_table, stack_table, configuration_table;
  uint32_t *start;             // [frames], local states; LMMC_UNKNOWN_STATE as long as nobody asked
  uint8_t *run;                // [frames], lmmc_run_kind
  uint32_t *called;            // [frames], which call of the local state that is being made it is, from 1 on; 0: none
  uint64_t *seen;              // [automaton states], the search that last came by
  uint32_t *work, work_count;  // [automaton states]
  uint64_t search;
  struct lmmc_pending *pending;  // the places of a configuration that is being made
  size_t bytes, limit;           // that have been taken, and that may be before all is dropped
  lmmc_matcher *matchers;
  lmmc_error error;
  bool failed;
  bool lossy;  // a place was left out since there were too many, or a frame since the stack was too deep
} lmmc_machine;

// A repetition of what calls nothing and ends where nothing can follow it, as a character does: how often it was gone through is told by
// the bytes.
enum lmmc_run_kind { LMMC_RUN_UNKNOWN, LMMC_RUN_NOT, LMMC_RUN };

// The machine holds what it is given, which must outlive it. `limit`: bytes that what it finds may take, 0 for 64 MiB; the texts that are
// being matched come on top. Not to be used by several threads at once. Code 1 when memory is out; lmmc_machine_close ends it in either
// case.
bool lmmc_machine_open(lmmc_machine *m, const lmmc_grammar *grammar, const lmmc_vocabulary *vocabulary, lmmc_end_tokens ends, size_t limit,
                       lmmc_error *e);
void lmmc_machine_close(lmmc_machine *m);

// What follows is for the room's own files.

// Memory that counts; NULL with the machine failed when there is none.
void *lmmc_machine_allocate(lmmc_machine *m, size_t count, size_t size);
bool lmmc_machine_grow(lmmc_machine *m, void **array, uint32_t *room, uint32_t count, size_t more, size_t size);

// Where a frame begins; where a byte of a class leads; where a call comes back to; both sets of states.
uint32_t lmmc_local_start(lmmc_machine *m, uint32_t frame);
uint32_t lmmc_local_step(lmmc_machine *m, uint32_t local, uint32_t class);
uint32_t lmmc_local_back(lmmc_machine *m, uint32_t local, uint32_t call);
uint32_t lmmc_local_union(lmmc_machine *m, uint32_t a, uint32_t b);
// The local state of these automaton states, sorted, as they stand in another machine's list.
uint32_t lmmc_local_intern(lmmc_machine *m, const uint32_t *states, uint32_t count);
bool lmmc_frame_is_run(lmmc_machine *m, uint32_t frame);

uint32_t lmmc_stack_intern(lmmc_machine *m, lmmc_stack stack);

uint32_t lmmc_configuration_start(lmmc_machine *m);
uint32_t lmmc_configuration_step(lmmc_machine *m, uint32_t configuration, uint32_t class);
// Where a text goes on from a place but not in its frame: by what the local state calls, and, where it is final, behind the frame.
uint32_t lmmc_configuration_after(lmmc_machine *m, lmmc_place place);
// From a place on, whatever it is.
uint32_t lmmc_configuration_at(lmmc_machine *m, lmmc_place place);
// Behind the last round of a run.
uint32_t lmmc_configuration_behind(lmmc_machine *m, uint32_t stack);
uint32_t lmmc_configuration_intern(lmmc_machine *m, const lmmc_place *places, uint32_t count, bool ends);

// Drops all that no matcher stands on, when more than the limit has been taken.
bool lmmc_machine_tidy(lmmc_machine *m);

// Adds the tokens that a place allows, or those that a configuration allows below nodes [begin, end) of the tree, whose paths have been
// taken but for their last byte.
void lmmc_walk_place(lmmc_machine *m, lmmc_place place, uint64_t *mask);
void lmmc_walk_configuration(lmmc_machine *m, uint32_t configuration, uint32_t begin, uint32_t end, uint64_t *mask);
void lmmc_walk_free(lmmc_walk *w);

void lmmc_table_free(lmmc_id_table *t);
bool lmmc_table_add(lmmc_machine *m, lmmc_id_table *t, uint32_t hash, uint32_t id);

static inline uint32_t lmmc_hash_words(const uint32_t *words, size_t count, uint32_t seed) {
  uint64_t h = seed * UINT64_C(0x9E3779B97F4A7C15) + count;
  for (size_t i = 0; i < count; i++) h = (h ^ words[i]) * UINT64_C(0xff51afd7ed558ccd), h ^= h >> 32;
  return (uint32_t)(h ^ h >> 29) | 1;
}

#endif
