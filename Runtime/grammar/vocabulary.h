// The tokens that an answer may be made of, as a tree of their bytes. It is a flat array of bytes that holds no pointers, so that it can be
// made when a program is compiled and lie in it, read only. Little-endian; the array starts at a multiple of 8:
//
//   lmmc_vocabulary_header      n nodes, t tokens, s of them safe
//   lmmc_trie_node[n + 1]       in the order of their paths (preorder); the last is an end mark with end = n and token = t
//   i32 id[t]                   tokens in the order of their bytes; those that are node i's path are from its `token` to the next node's
//   i32 by_characters[s]        the safe tokens, those of most characters first
//   u32 longer[256]             how many of them have more characters than this
//   u32 order[rows]             where a token stands in id[]; UINT32_MAX for one without a text
//   u64 safe_bits[]             a bit for each row: whether it is a safe token
//
// There are two trees behind each other. The first has the safe tokens: whole UTF-8 characters, none of which is a quote, a backslash, a
// control character or DEL. In a JSON string, and in most other text, they are allowed all together or by their number of characters, and
// are not looked at one by one. The second has all others. Each has nodes of depth one at its top.
#ifndef LMMC_GRAMMAR_VOCABULARY_H
#define LMMC_GRAMMAR_VOCABULARY_H

#include "base/text.h"
#include "tokenizer/tokenizer.h"

#define LMMC_VOCABULARY_MAGIC "lmmcvoc1"  // without its NUL

enum lmmc_vocabulary_flags {
  LMMC_VOCABULARY_DROPS_SPACE = 1,  // the first token of an answer loses a space that it begins with (SentencePiece's dummy prefix)
};

enum { LMMC_MOST_SAFE_CHARACTERS = 255, LMMC_LONGEST_TOKEN = 256 };  // of a safe token; in bytes

// 64 bytes.
typedef struct {
  char magic[8];
  uint64_t bytes;          // of all
  uint32_t rows;           // ids are below this
  uint32_t flags;          // lmmc_vocabulary_flags
  int32_t kept_space;      // the token of the byte 20, which is not dropped, or -1
  uint32_t nodes, tokens;  // of both trees
  uint32_t safe_nodes, safe_tokens;
  uint32_t longest;          // token, in bytes
  uint32_t most_characters;  // of a safe token
  uint32_t reserved[3];      // zero
} lmmc_vocabulary_header;

typedef struct {
  uint32_t end : 24;    // the node behind all that begin with this path
  uint32_t depth : 8;   // bytes of the path, less one
  uint32_t token : 24;  // the first token that begins with it
  uint32_t byte : 8;    // the last of its path
} lmmc_trie_node;

typedef struct {
  lmmc_vocabulary_header header;
  const lmmc_trie_node *node;
  const int32_t *id;
  const int32_t *by_characters;
  const uint32_t *longer, *order;
  const uint64_t *safe_bits;
} lmmc_vocabulary;

// What a token adds to a text.
typedef struct {
  const uint8_t *bytes;
  uint32_t count;
  int32_t id;
} lmmc_token_bytes;

// Appends the tree of `tokens`, which come in any order and are put in that of their bytes, to an empty text. Tokens without bytes are left
// out, and so are those longer than LMMC_LONGEST_TOKEN: they are never allowed, and their text can be made of others. `kept_space` and
// `flags` as in the header. Code 1 when memory is out, an id is not below `rows`, or there are more than 2^24 nodes.
bool lmmc_vocabulary_build(lmmc_token_bytes *tokens, size_t count, uint32_t rows, uint32_t flags, int32_t kept_space, lmmc_text *out,
                           lmmc_error *e);

// The same of all tokens of a tokenizer that have a text: control tokens and `unk` have none.
bool lmmc_vocabulary_of_tokenizer(const lmmc_tokenizer *t, uint32_t rows, lmmc_text *out, lmmc_error *e);

// The bytes of a token, in `out`, which has room for header.longest; how many, 0 for a token without a text or an id that is none.
uint32_t lmmc_vocabulary_text(const lmmc_vocabulary *v, int32_t id, uint8_t *out);

// Words of a set of tokens: a bit for each row, the lowest of a word first.
static inline size_t lmmc_mask_words(const lmmc_vocabulary *v) { return ((size_t)v->header.rows + 63) / 64; }

// Checks the array (every node and id) and makes `*v` point into it. Code 1 when something is wrong.
bool lmmc_vocabulary_open(lmmc_vocabulary *v, const void *array, uint64_t bytes, lmmc_error *e);

#endif
