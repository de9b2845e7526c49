// A grammar in the form that texts are matched by: for each frame a nondeterministic automaton over bytes, whose edges may call other
// frames. A frame is a rule, or the body of a repetition with limits too large to write out; a stack of frames, each with how often its
// body has been gone through, is where a text stands. It is read only once it is made, and may be shared by threads.
#ifndef LMMC_GRAMMAR_GRAMMAR_H
#define LMMC_GRAMMAR_GRAMMAR_H

#include "expression.h"

// The deepest stack of frames, and the most stacks that are followed at once; what goes beyond is not taken. No text becomes invalid by
// that, and none ends up where nothing is allowed: a frame is entered only where there is room for all that it needs.
enum { LMMC_DEEPEST_STACK = 512, LMMC_MOST_STACKS = 1024 };
enum { LMMC_MOST_STATES = 1 << 21 };

typedef struct {
  uint32_t to;
  uint8_t low, high;
} lmmc_byte_edge;

typedef struct {
  uint32_t to, frame;
} lmmc_call_edge;

typedef struct {
  uint64_t words[4];
} lmmc_byte_set;

typedef struct {
  uint32_t start, final;  // states
  uint32_t rule;          // that it is, or stands in
  uint32_t least, most;   // how often the body; 1 and 1 for a rule, LMMC_UNLIMITED for no limit
  uint32_t height;        // frames that the least text needs, itself included; UINT32_MAX: there is no text
  bool nullable;
  lmmc_byte_set first, follow;  // bytes that it may begin with, and that may come behind its last round
} lmmc_frame;

typedef struct {
  uint32_t state_count, frame_count;
  lmmc_frame *frames;  // frame 0 is the whole text
  // The edges of state s are those from [s] to [s + 1].
  uint32_t *byte_from, *empty_from, *call_from;
  lmmc_byte_edge *byte_edges;
  uint32_t *empty_edges;
  lmmc_call_edge *call_edges;
  uint32_t *owner;  // the frame of a state
  bool *useful;     // whether the frame's end can be reached from a state
  // Bytes that no edge tells apart are one class.
  uint32_t class_count;
  uint8_t class_of[256], byte_of[256];
} lmmc_grammar;

// Compiles what front ends made. Code 2 when there is no text at all, for a rule that begins with itself, or when the grammar is too large;
// code 1 when memory is out. Starts from {0}; lmmc_grammar_close ends it in either case.
bool lmmc_grammar_compile(lmmc_grammar *g, const lmmc_rules *rules, lmmc_error *e);
void lmmc_grammar_close(lmmc_grammar *g);

static inline void lmmc_byte_set_add(lmmc_byte_set *s, uint8_t byte) { s->words[byte >> 6] |= UINT64_C(1) << (byte & 63); }
static inline bool lmmc_byte_set_has(const lmmc_byte_set *s, uint8_t byte) { return s->words[byte >> 6] >> (byte & 63) & 1; }
static inline bool lmmc_byte_set_join(lmmc_byte_set *s, const lmmc_byte_set *other) {
  bool changed = false;
  for (int i = 0; i < 4; i++) {
    changed |= (other->words[i] & ~s->words[i]) != 0;
    s->words[i] |= other->words[i];
  }
  return changed;
}

#endif
