// Two kinds of tokenizer, id for id and text for text as their originals:
//   1, scored pieces: SentencePiece BPE with byte fallback (`tokenizer.model`): identity normaliser, whitespace escaped to
//      U+2581, extra whitespace kept. Control and byte pieces never match text.
//   2, merge list: the BPE of a `tokenizer.json`. Byte-level (the text is cut into words, a word begins as bytes), or after
//      SentencePiece (characters, U+2581 for a space, bytes for characters that there are none for).
//
// The data is read in place from the attached bytes. Blob, little-endian; sections in this order, each padded with
// zeros to a multiple of 8 bytes; the blob itself starts at a multiple of 8:
//
//   header, 64 bytes: char magic[8] "lmmctok2", u64 bytes of the whole blob, u32 kind (lmmc_tokenizer_kind),
//                     u32 flags (lmmc_tokenizer_flags), u32 n pieces, u32 m slots, u32 s whole tokens,
//                     i32 unk, i32 bos, i32 eos (-1: none), u32 split (lmmc_split), u32 r merges, u32 q slots of merges,
//                     u32 seed of both tables
//   f32 score[n]               kind 1 only
//   u32 offset[n + 1]          piece i is text[offset[i] .. offset[i + 1]); offset[0] = 0. UTF-8; of a byte-level
//                              tokenizer raw bytes; empty for an id without a token
//   u32 table[m]               open addressing over the pieces that match text, of kind 1 the normal, unused and, as they come
//                              with it, user-defined ones, of kind 2 the normal ones: an id, or 0xFFFFFFFF for an empty slot;
//                              m is a power of two, at least one slot is empty
//   i32 whole_id[s]
//   u32 whole_offset[s + 1]    whole token i is whole_text[whole_offset[i] .. whole_offset[i + 1]); ascending, as bytes
//   i32 merge[r][3]            kind 2 only: left id, right id, id of both; the rank is the index
//   u32 merge_table[q]         kind 2 only: as table, over the pairs of left and right
//   u8  whole_kind[s]          lmmc_whole_kind
//   u8  type[n]                sentencepiece's ModelProto.SentencePiece.Type
//   u8  text[offset[n]]
//   u8  whole_text[whole_offset[s]]
//
// Hash of a piece: 64-bit FNV-1a over its bytes (offset basis 0xcbf29ce484222325 + seed * 0x9E3779B97F4A7C15, prime
// 0x100000001b3), h; of a merge (left << 32 | right) * (0x9E3779B97F4A7C15 + 2 * seed * 0xD1B54A32D192ED03). Its first slot
// is (h ^ h >> 32) & (slots - 1), then the next slot, cyclically. The compiler takes the first seed with which no long run of
// slots is full, so that no vocabulary makes looking up slow.
// Whole tokens are found in a text before the rest becomes pieces: the control pieces, the tokens that files add, and user-defined
// pieces.
#ifndef LMMC_TOKENIZER_TOKENIZER_H
#define LMMC_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "split.h"

enum lmmc_tokenizer_kind { LMMC_SCORED_PIECES = 1, LMMC_MERGE_LIST };

enum lmmc_tokenizer_flags {
  LMMC_TOKENIZER_DUMMY_PREFIX = 1,   // a space is put before every text
  LMMC_TOKENIZER_BYTE_FALLBACK = 2,  // unknown characters become the byte pieces '<0x00>' to '<0xFF>', not 'unk'
  // The rest is of merge lists.
  LMMC_TOKENIZER_BYTE_LEVEL = 4,
  LMMC_TOKENIZER_PREFIX_ONCE = 8,          // no dummy prefix but at the very start of a prompt
  LMMC_TOKENIZER_PREFIX_UNLESS_MARK = 16,  // none before a text that begins with a space
  LMMC_TOKENIZER_SPLIT_MARKS = 32,         // a word ends before each U+2581
  LMMC_TOKENIZER_WHOLE_WORDS = 64,         // a word that is a piece is not built by merges
  LMMC_TOKENIZER_DIGITS = 128,             // each numeric character is a word
};

enum lmmc_whole_kind {
  LMMC_SPECIAL = 1,  // in templates and raw prompts only; prints nothing
  LMMC_WORD = 2,     // in any text as it was typed
  LMMC_LATE = 4,     // in what words leave of it
  LMMC_INNER = 8,    // in any text whose spaces are U+2581, the dummy prefix included
};

enum lmmc_piece_type { LMMC_NORMAL = 1, LMMC_UNKNOWN, LMMC_CONTROL, LMMC_USER_DEFINED, LMMC_UNUSED, LMMC_BYTE };

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

// Makes room for `capacity` ids in all, so that appending them allocates nothing.
bool lmmc_ids_reserve(lmmc_ids *ids, size_t capacity, lmmc_error *e);
bool lmmc_ids_append(lmmc_ids *ids, int32_t value, lmmc_error *e);
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
