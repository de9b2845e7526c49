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
} lmmc_memory;

// What `--prompt` is wrapped in. Its texts hold special tokens and `<image>` places; the user's words stand before
// `after`.
typedef struct {
  const char *alone;    // before words that no image stands before
  const char *before;   // before the images that the words do not place themselves, where there are any
  const char *image;    // for each of those; one place
  const char *between;  // between them and the words
  const char *after;
  // White space at the words' ends goes, as Python's str.strip has it.
  bool cuts_start, cuts_start_behind_image, cuts_end;
} lmmc_template;

enum { LMMC_MAX_EOS = 16 };

typedef struct {
  const char *version;  // of the compiler
  const char *info;     // JSON object: configuration, precision, sizes, target; `--info` prints it

  // image; vision_tokens is 0 for a decoder alone, and the rest of this group is then unused
  lmmc_preprocess preprocess;
  float mean[3], std[3];
  int32_t vision_tokens;  // N: rows that one image becomes
  int32_t max_images;     // rows that vision_rows has room for, over N

  // decoder
  int32_t hidden;      // C3
  int32_t vocabulary;  // rows of the head
  int32_t context;     // positions that the KV cache holds
  int32_t chunk;       // longest sequence that one prefill call takes
  int32_t score_rows;  // longest sequence that one score call takes; 0 without score()

  // prompt
  lmmc_template prompt;
  bool adds_bos;
  int32_t bos, eos_count, eos[LMMC_MAX_EOS];

  // attached bytes
  uint64_t attachment_bytes, tokenizer_offset, tokenizer_bytes;
  uint64_t sums_offset;  // of the sums of the bytes before (checksum.h); 0 without any

  // what of the arena comes into use
  uint64_t cache_bytes;  // keys and values of the whole context
  lmmc_kv_type cache_type;
  uint64_t image_bytes;  // tower and projector at work: activations, image and projected
  uint64_t chunk_bytes;  // a whole chunk at work: activations, tokens and logits, without score()'s; in part the same memory

  // names in the IR of what products and attentions give, in the order in which they run, each followed by a newline
  const char *vision_products, *project_products, *prefill_products;

  // arena: byte offsets
  uint64_t arena_bytes;
  uint64_t image;        // u8 [S, S, 3], input of vision()
  uint64_t projected;    // f32 [N, hidden], result of project()
  uint64_t vision_rows;  // f32 [max_images * N, hidden], read by prefill() for negative tokens
  uint64_t tokens;       // i32 [chunk], input of prefill() and decode(); -1 - r stands for row r of vision_rows
  uint64_t logits;       // f32 [vocabulary], result of prefill() (its last position) and decode()
  uint64_t scores;       // f32 [score_rows, vocabulary], result of score()
} lmmc_model;

extern const lmmc_model lmmc_program;  // defined by the emitted program.c

// What a program computes; the emitted model.c defines it, once for each level that it is compiled for.
typedef struct {
  void (*vision)(const lmmc_memory *);
  void (*project)(const lmmc_memory *);
  void (*prefill)(const lmmc_memory *, int64_t sequence, int64_t position);
  void (*decode)(const lmmc_memory *, int64_t position);
  void (*score)(const lmmc_memory *, int64_t sequence, int64_t position);  // as prefill(), with the logits of every row
} lmmc_code;

extern const lmmc_code LMMC_LEVELED(lmmc_code);

#endif
