// The contract between the emitted program (model.c) and the runtime that carries it.
// Everything here is decided by the compiler; the runtime reads it and decides nothing about the model.
#ifndef LMMC_CONTRACT_PROGRAM_H
#define LMMC_CONTRACT_PROGRAM_H
#include <stdbool.h>
#include <stdint.h>

#include "kv_type.h"
#include "level.h"
#include "preprocess.h"

// The two pieces of memory that a program has: the attached bytes (weights and tokenizer, read-only, mapped by the
// kernel with the executable) and the arena (one private mapping made at start; every offset into it is a constant).
typedef struct {
  const uint8_t *weights;
  uint8_t *arena;
  // What else is to be done while an image goes through the tower, called behind each of its blocks by a program of several slots: step() may
  // be called there. NULL: nothing.
  void (*yield)(void *context);
  void *yield_context;
} lmmc_memory;

static inline void lmmc_yield(const lmmc_memory *m) {
  if (m->yield) m->yield(m->yield_context);
}

// What `--prompt` is wrapped in. Its texts hold special tokens and `<image>` places; the user's words stand before
// `after`.
typedef struct {
  const char *alone;    // before words that no image stands before
  const char *before;   // before the images that the words do not place themselves, where there are any
  const char *image;    // for each of those; one place
  const char *between;  // between them and the words
  const char *after;
  // In a conversation of several turns: what stands between `after` and an answer that was given, between that and the words that
  // follow, and between that and images that follow. NULL where the template knows one turn, or images in the first alone.
  const char *before_answer, *next, *next_before;
  // What stands before a system text that is not the template's own, between that and the words, and between that and images: in the place
  // of `alone` and `before`. NULL where the template takes none.
  const char *system_start, *system_alone, *system_before;
  // The system text where a conversation has none of its own, in the place of the template's; NULL: the template's.
  const char *system;
  // White space at the words' ends goes, as Python's str.strip has it.
  bool cuts_start, cuts_start_behind_image, cuts_end;
  bool cuts_answer, cuts_system;  // the same of answers that were given as text, and of a system text
  // Where there are images, the words lose their line feeds and their places, and all images stand before them.
  bool flattens_words;
} lmmc_template;

enum { LMMC_MAX_EOS = 16 };

// A cache of keys or values: `context` rows in each slot, row p of slot s at offset + s * slot_bytes + p * row_bytes.
typedef struct {
  uint64_t offset, row_bytes;  // in the arena, of slot 0
  int32_t block;               // whose rows it holds
} lmmc_cache;

typedef struct {
  const char *version;  // of the compiler
  const char *info;     // JSON object: configuration, precision, sizes, target; `--info` prints it

  // image; vision_tokens is 0 for a decoder alone, and the rest of this group is then unused
  lmmc_preprocess preprocess;
  float mean[3], std[3];
  int32_t vision_tokens;            // N: rows that one image becomes
  int32_t max_images;               // rows that vision_rows has room for, over N
  const char *reducer;              // of vision rows, as `--reduce` names it; NULL without one
  bool one_image;                   // it knows prompts of one image at most
  bool recomputes;                  // each step of a slot with vision rows is a prefill of all that it has been fed; with whole_prompts
  int32_t prefused_rows;            // of the N, the first, on which only blocks ahead of the decoder run
  uint64_t projected_rows;          // in the arena, i32, result of project(): the rows that the image has become; 0 where they are N
  int32_t question_bound;           // of a reducer that reads the question: the most tokens of it; 0 without one
  uint64_t question_tokens;         // in the arena, i32, input of project(): how many `question` has
  bool reads_bars;                  // project() reads `bars`
  int32_t selected_count;           // of a reducer before the decoder: entries of `selected`; 0 without one
  bool protects_rows;               // project() and step() have `key_rows` and `protected_rows`
  int32_t kept_points, kept_bound;  // of a reducer in the decoder: the shape of `kept`; 0 without one
  // The row of `kept` that has the vision rows that each block runs on, -1 where it is all, where a reducer cuts caches behind a prompt; else
  // NULL.
  const int32_t *block_points;  // [blocks]

  // decoder
  int32_t hidden;         // C3
  int32_t vocabulary;     // rows of the head
  int32_t chunk;          // most rows of one step()
  int32_t wanted_rows;    // most rows of one step() whose logits are wanted; at least `sequences`
  bool float32_products;  // some products are of float32 weights, of which OpenBLAS does those of many rows
  bool whole_prompts;     // step() may drop vision rows: all rows of a prompt that has any go into an empty slot by one call

  // slots: the caches of one sequence each, one slot after another
  int32_t sequences;       // slots
  int32_t context;         // rows of a cache in a slot
  int32_t blocks;          // that have caches, those of a block's second ones behind all others
  int32_t counted_blocks;  // the decoder's own, which stand first, where there are others or some have two; else 0
  const lmmc_cache *caches;
  int32_t cache_count;
  uint64_t slots_offset;  // of the first slot in the arena
  uint64_t slot_bytes;    // from slot to slot; a multiple of 2 MiB where it is larger than that

  // prompt
  lmmc_template prompt;
  bool adds_bos;
  int32_t bos, eos_count, eos[LMMC_MAX_EOS];
  // What a prompt has `compression_count` of behind its image, side by side: what stands behind them sees them and nothing before. None
  // where the count is 0.
  int32_t compression_token, compression_count;

  // attached bytes
  uint64_t attachment_bytes, tokenizer_offset, tokenizer_bytes;
  uint64_t token_tree_offset, token_tree_bytes;  // the tree of the tokens' texts (grammar/vocabulary.h), at a multiple of 8
  uint64_t prefix_offset, prefix_bytes;          // the first tokens of prompts and their rows (prefix_layout.h); none where these are 0
  uint64_t sums_offset;                          // of the sums of the bytes before (checksum.h); 0 without any

  // what of the arena comes into use
  uint64_t cache_bytes;  // keys and values of the whole context in one slot
  lmmc_kv_type cache_type;
  uint64_t image_bytes;  // tower and projector at work: activations, image and projected
  uint64_t chunk_bytes;  // a whole chunk at work: activations, inputs and the logits of one row; in part the same memory

  // names in the IR of what products and attentions give, in the order in which they run, each followed by a newline
  const char *vision_products, *project_products, *step_products;

  // arena: byte offsets
  uint64_t arena_bytes;
  uint64_t image;           // u8 [S, S, 3], input of vision()
  uint64_t question;        // i32 [question_bound], input of project(): what the user asked, without the words that say little
  uint64_t bars;            // i32 [4], input of project(): rows of pixels above and below and columns left and right that pad the image
  uint64_t projected;       // f32 [N, hidden], result of project()
  uint64_t key_rows;        // i32 [N], result of project(): 1 for the rows of the image that no threshold of a reducer drops, 0 for others
  uint64_t vision_rows;     // f32 [max_images * N, hidden], read by step() and decode() for negative tokens
  uint64_t protected_rows;  // i32 [max_images * N], read by step(): the same of vision_rows
  uint64_t tokens;          // i32 [chunk], input of step() and decode(); -1 - r stands for row r of vision_rows
  uint64_t slots;           // i32 [chunk], input of step() and decode(): the slot of each row
  uint64_t positions;       // i32 [chunk], input of step() and decode(): what rotary turns each row by
  uint64_t wanted;          // i32 [wanted_rows], input of step(): the rows whose logits are wanted, in ascending order
  uint64_t lengths;         // i32 [blocks, sequences]: rows that the caches of a block hold in a slot; step() and decode() let them grow
  uint64_t logits;          // f32 [wanted_rows, vocabulary], result of step() and decode(); rows behind those wanted stay as they were
  uint64_t selected;        // i32 [selected_count], result of project(): the patches that stand for the image, -1 behind the last
  uint64_t kept;            // i32 [kept_points, kept_bound], result of step(): the vision rows that stay, -1 behind the last
} lmmc_model;

extern const lmmc_model lmmc_program;  // defined by the emitted program.c

// What a program computes; the emitted model.c defines it, once for each level that it is compiled for.
typedef struct {
  void (*vision)(const lmmc_memory *);
  void (*project)(const lmmc_memory *);
  // Rows of any slots, at most `chunk`: each sees the rows that its slot's caches hold and those before it here of the same slot. The
  // logits of `wanted` of them, at most `wanted_rows`, maybe none, are made.
  void (*step)(const lmmc_memory *, int64_t rows, int64_t wanted);
  void (*decode)(const lmmc_memory *);  // step() of one row whose logits are wanted
} lmmc_code;

extern const lmmc_code LMMC_LEVELED(lmmc_code);

#endif
