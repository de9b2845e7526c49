// Two kinds of tokenizer, id for id and text for text as their originals:
//   1, scored pieces: SentencePiece BPE with byte fallback (`tokenizer.model`): identity normaliser, whitespace escaped to
//      U+2581, extra whitespace kept. Control and byte pieces never match text.
//   2, merge list: the BPE of a `tokenizer.json`. Byte-level (the text is cut into words, a word begins as bytes), or after
//      SentencePiece (characters, U+2581 for a space, bytes for characters that there are none for).
// Where their data stands says contract/tokenizer_blob.h.
#ifndef LMMC_TOKENIZER_TOKENIZER_H
#define LMMC_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "contract/tokenizer_blob.h"

typedef struct {
  uint32_t flags, pieces, slots, wholes;
  int32_t unk, bos, eos;
  const float *score;
  const uint32_t *offset, *table, *whole_offset;
  const int32_t *whole_id;
  const int32_t (*merge)[3];  // NULL with scored pieces
  const uint32_t *merge_table;
  uint32_t merges, merge_slots;
  lmmc_split split;
  const uint8_t *whole_kind, *type, *text, *whole_text;
  uint64_t piece_basis, merge_factor;  // of the hashes
  // found while the blob is checked
  int32_t byte_id[256];  // -1: none
  uint32_t longest;
  uint8_t whole_start[256];  // kinds of the whole tokens that begin with a byte
  bool has_unused;
} lmmc_tokenizer;

// A growing list of token ids; start from {0}, end with lmmc_ids_free.
typedef struct {
  int32_t *values;
  size_t count, capacity;
} lmmc_ids;

bool lmmc_ids_append(lmmc_ids *ids, int32_t value, lmmc_error *e);
bool lmmc_ids_append_all(lmmc_ids *ids, const int32_t *values, size_t count, lmmc_error *e);
void lmmc_ids_free(lmmc_ids *ids);

// Checks all of the blob (every offset, id and type) and makes `*t` point into it. Code 1 when something is wrong.
bool lmmc_tokenizer_open(lmmc_tokenizer *t, const uint8_t *blob, uint64_t bytes, lmmc_error *e);

// Appends the ids of `text` (any bytes; those that are not UTF-8 count as U+FFFD each). No BOS; nothing for an empty
// text. O(n log n). Code 1 when memory is short or the text is longer than 700 MiB.
bool lmmc_tokenize(const lmmc_tokenizer *t, const char *text, size_t bytes, lmmc_ids *ids, lmmc_error *e);

// The same for a part of a prompt; `first` when the prompt's text begins with it.
bool lmmc_tokenize_part(const lmmc_tokenizer *t, const char *text, size_t bytes, bool first, lmmc_ids *ids, lmmc_error *e);

// The longest whole token of a template or raw prompt that `text` begins with, special or word: its length in bytes, and its id
// in `*id`; 0 for none.
size_t lmmc_tokenizer_special(const lmmc_tokenizer *t, const char *text, size_t bytes, int32_t *id);

// Length in bytes of the UTF-8 character at `text`; 0 when there is none.
size_t lmmc_utf8_length(const char *text, size_t bytes);

// Ids back to text, one at a time. Start from {0}. The texts of all calls, joined, are sentencepiece's Decode of all ids, or for a
// byte-level tokenizer their bytes as UTF-8, with U+FFFD for each longest sequence that is the start of a character only.
typedef struct {
  bool begun;  // the leading space is no longer dropped
  bool byte_level;
  bool strips;      // the space that is dropped may come from a byte piece
  uint8_t held[4];  // byte pieces that do not make a character yet
  uint32_t held_count;
} lmmc_detokenizer;

// Appends the text that id adds, whole characters only. Ids beyond the pieces (spare rows of the head) are passed over.
bool lmmc_detokenize(const lmmc_tokenizer *t, lmmc_detokenizer *d, int32_t id, lmmc_text *text, lmmc_error *e);

// Appends what is still held at the end: U+FFFD for an unfinished character, or with scored pieces for each of its bytes.
bool lmmc_detokenize_end(lmmc_detokenizer *d, lmmc_text *text, lmmc_error *e);

#endif
