// A tokenizer as it stands in the attached bytes and is read in place. Little-endian; sections in this order, each padded with
// zeros to a multiple of 8 bytes; the blob itself starts at a multiple of 8:
//
//   lmmc_tokenizer_header      n pieces, m slots, s whole tokens, r merges, q slots of merges
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
//   u8  type[n]                lmmc_piece_type
//   u8  text[offset[n]]
//   u8  whole_text[whole_offset[s]]
//
// Hash of a piece, h: 64-bit FNV-1a over its bytes from lmmc_piece_basis on; of a merge: (left << 32 | right) * lmmc_merge_factor. Its first slot is (h ^ h >> 32) & (slots - 1), then the next slot, cyclically. The compiler takes the first seed with which no long run of
// slots is full, so that no vocabulary makes looking up slow.
// Whole tokens are found in a text before the rest becomes pieces: the control pieces, the tokens that files add, and user-defined
// pieces.
#ifndef LMMC_CONTRACT_TOKENIZER_BLOB_H
#define LMMC_CONTRACT_TOKENIZER_BLOB_H
#include <stdint.h>

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

// As sentencepiece's ModelProto.SentencePiece.Type.
enum lmmc_piece_type { LMMC_NORMAL = 1, LMMC_UNKNOWN, LMMC_CONTROL, LMMC_USER_DEFINED, LMMC_UNUSED, LMMC_BYTE };

// How a byte-level tokenizer's regular expression cuts a text into words.
typedef enum {
  LMMC_SPLIT_NONE,
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  LMMC_SPLIT_GPT2,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  LMMC_SPLIT_LLAMA3,
} lmmc_split;

#define LMMC_TOKENIZER_MAGIC "lmmctok2"  // without its NUL

// 64 bytes.
typedef struct {
  char magic[8];
  uint64_t bytes;  // of the whole blob
  uint32_t kind;   // lmmc_tokenizer_kind
  uint32_t flags;  // lmmc_tokenizer_flags
  uint32_t pieces, slots, wholes;
  int32_t unk, bos, eos;  // -1: none
  uint32_t split;         // lmmc_split
  uint32_t merges, merge_slots;
  uint32_t seed;  // of both tables
} lmmc_tokenizer_header;

// `seed` as in the header.
static inline uint64_t lmmc_piece_basis(uint32_t seed) { return UINT64_C(0xcbf29ce484222325) + seed * UINT64_C(0x9E3779B97F4A7C15); }
static inline uint64_t lmmc_merge_factor(uint32_t seed) {
  return UINT64_C(0x9E3779B97F4A7C15) + 2 * (uint64_t)seed * UINT64_C(0xD1B54A32D192ED03);
}
static inline uint64_t lmmc_piece_hash(uint64_t basis, const uint8_t *text, uint32_t bytes) {
  uint64_t hash = basis;
  for (uint32_t i = 0; i < bytes; i++) hash = (hash ^ text[i]) * UINT64_C(0x100000001b3);
  return hash;
}

#endif
