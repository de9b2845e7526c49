// Encoding: a text becomes symbols, which merge in pairs, the best pair first.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "split.h"
#include "tokenizer_internal.h"

enum {
  MAX_TEXT = 700 << 20,
  MAX_SYMBOLS = INT32_MAX / 2,  // of one word; there may be twice as many pairs
};

// The id of a normal, user-defined or unused piece; -1 for none.
static int32_t find(const lmmc_tokenizer *t, const uint8_t *text, uint32_t length) {
  if (length > t->longest) return -1;
  uint64_t h = lmmc_piece_hash(t->piece_basis, text, length);
  for (uint32_t slot = (uint32_t)(h ^ h >> 32) & (t->slots - 1);; slot = (slot + 1) & (t->slots - 1)) {
    uint32_t id = t->table[slot];
    if (id == LMMC_EMPTY_SLOT) return -1;
    if (t->offset[id + 1] - t->offset[id] == length && memcmp(t->text + t->offset[id], text, length) == 0) return (int32_t)id;
  }
}

// The id that a pair of pieces merges into, and the merge's rank; -1 for none.
static int32_t find_merge(const lmmc_tokenizer *t, int32_t left, int32_t right, uint32_t *rank) {
  uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * t->merge_factor;
  for (uint32_t slot = (uint32_t)(h ^ h >> 32) & (t->merge_slots - 1);; slot = (slot + 1) & (t->merge_slots - 1)) {
    *rank = t->merge_table[slot];
    if (*rank == LMMC_EMPTY_SLOT) return -1;
    const int32_t *m = t->merge[*rank];
    if (m[0] == left && m[1] == right) return m[2];
  }
}

static bool has_prefix(const lmmc_tokenizer *t, const char *text, size_t bytes, bool first) {
  if (!(t->flags & LMMC_TOKENIZER_DUMMY_PREFIX) || (!first && t->flags & LMMC_TOKENIZER_PREFIX_ONCE)) return false;
  bool marked = bytes > 0 && (*text == ' ' || (bytes >= 3 && memcmp(text, lmmc_space_mark, 3) == 0));
  return !marked || !(t->flags & LMMC_TOKENIZER_PREFIX_UNLESS_MARK);
}

// The text that the model sees; at most 3 bytes for each of `text` and for the prefix.
static uint32_t normalize(const lmmc_tokenizer *t, const char *text, size_t bytes, bool first, uint8_t *out) {
  uint8_t *p = out;
  bool marks = !(t->flags & LMMC_TOKENIZER_BYTE_LEVEL);
  if (has_prefix(t, text, bytes, first)) p = (uint8_t *)memcpy(p, lmmc_space_mark, 3) + 3;
  for (size_t i = 0, length; i < bytes; i += length) {
    const char *from = text + i;
    size_t count = length = lmmc_utf8_length(from, bytes - i);
    if (length == 0) {
      from = lmmc_replacement;
      count = 3;
      length = 1;
    } else if (*from == ' ' && marks) {
      from = lmmc_space_mark;
      count = 3;
    }
    p = (uint8_t *)memcpy(p, from, count) + count;
  }
  return (uint32_t)(p - out);
}

typedef struct {
  int32_t previous, next;  // -1 at the ends
  uint32_t start, length;  // length 0: merged into another
  int32_t id;              // of a merge list; -1 with scored pieces
  bool frozen;             // a user-defined symbol never merges
} symbol;

typedef struct {
  float score;
  int32_t left, right;
  uint32_t length;  // of both together, when the pair was found
  int32_t id;       // of both together
} pair;

typedef struct {
  const lmmc_tokenizer *t;
  uint8_t *text;    // normalised
  symbol *symbols;  // [capacity]
  pair *heap;       // [2 * capacity], the best pair first
  size_t capacity;
  int32_t heap_count;
  uint32_t *left_half;  // per unused piece: bytes of the left half that made it last; NULL when there are none
} encoder;

static bool better(const pair *a, const pair *b) { return a->score > b->score || (a->score == b->score && a->left < b->left); }

static void push(encoder *c, pair p) {
  int32_t i = c->heap_count++;
  for (int32_t up; i > 0 && better(&p, &c->heap[up = (i - 1) / 2]); i = up) c->heap[i] = c->heap[up];
  c->heap[i] = p;
}

static pair pop(encoder *c) {
  pair top = c->heap[0], last = c->heap[--c->heap_count];
  int32_t i = 0;
  for (int32_t child; (child = 2 * i + 1) < c->heap_count; i = child) {
    if (child + 1 < c->heap_count && better(&c->heap[child + 1], &c->heap[child])) child++;
    if (!better(&c->heap[child], &last)) break;
    c->heap[i] = c->heap[child];
  }
  c->heap[i] = last;
  return top;
}

static void consider(encoder *c, int32_t left, int32_t right) {
  if (left < 0 || right < 0) return;
  const lmmc_tokenizer *t = c->t;
  const symbol *l = &c->symbols[left], *r = &c->symbols[right];
  if (l->frozen || r->frozen) return;
  uint32_t length = l->length + r->length, rank;
  if (t->merge) {
    int32_t id = find_merge(t, l->id, r->id, &rank);
    if (id >= 0) push(c, (pair){-(float)rank, left, right, length, id});
    return;
  }
  int32_t id = find(t, c->text + l->start, length);
  if (id < 0) return;
  push(c, (pair){t->score[id], left, right, length, id});
  if (t->type[id] == LMMC_UNUSED) c->left_half[id] = l->length;
}

static int32_t scored_symbols(encoder *c, uint32_t end) {
  int32_t count = 0;
  for (uint32_t at = 0; at < end; count++) {
    int32_t id;
    uint32_t length = (uint32_t)lmmc_tokenizer_whole(c->t, LMMC_INNER, c->text + at, end - at, &id);
    symbol *s = &c->symbols[count];
    *s = (symbol){count - 1, count + 1, at, length, -1, length > 0};
    if (!length) s->length = (uint32_t)lmmc_utf8_length((const char *)c->text + at, end - at);
    if (!s->length) s->length = 1;  // only after a user-defined piece that ends inside a character
    at += s->length;
  }
  c->symbols[count - 1].next = -1;
  return count;
}

// The symbols of a merge list from the characters of a word, or its bytes; bytes without a piece are left out, as the
// tokenizers library does. `*word` moves behind what was read, which with SPLIT_MARKS ends before the next mark.
static int32_t listed_symbols(encoder *c, uint32_t *word, uint32_t end) {
  const lmmc_tokenizer *t = c->t;
  const bool bytes = t->flags & LMMC_TOKENIZER_BYTE_LEVEL, marks = t->flags & LMMC_TOKENIZER_SPLIT_MARKS;
  int32_t count = 0;
  uint32_t at = *word;
  while (at < end) {
    uint32_t length = bytes ? 1 : (uint32_t)lmmc_utf8_length((const char *)c->text + at, end - at);
    int32_t id = bytes ? t->byte_id[c->text[at]] : find(t, c->text + at, length);
    if (id >= 0) {
      c->symbols[count] = (symbol){count - 1, count + 1, at, length, id, false};
      count++;
    }
    for (uint32_t i = 0; !bytes && id < 0 && i < length; i++, count++)
      c->symbols[count] = (symbol){count - 1, count + 1, at + i, 1, t->byte_id[c->text[at + i]], false};
    at += length;
    if (marks && end - at >= 3 && memcmp(c->text + at, lmmc_space_mark, 3) == 0) break;
  }
  if (count > 0) c->symbols[count - 1].next = -1;
  *word = at;
  return count;
}

static void merge(encoder *c, int32_t count) {
  for (int32_t i = 1; i < count; i++) consider(c, i - 1, i);
  while (c->heap_count > 0) {
    pair p = pop(c);
    symbol *l = &c->symbols[p.left], *r = &c->symbols[p.right];
    if (!l->length || !r->length || l->length + r->length != p.length) continue;  // one of them has changed since
    l->length = p.length;
    l->id = p.id;
    l->next = r->next;
    if (r->next >= 0) c->symbols[r->next].previous = p.left;
    r->length = 0;
    consider(c, l->previous, p.left);
    consider(c, p.left, l->next);
  }
}

// The ids of one symbol. An unused piece is taken apart again into the halves that made it (the depth is bounded by the
// length of a piece); one that nothing made, a single character, is unknown. `*unknown` says that the id before was the
// unknown piece: a run of them is one.
static bool output_scored(const encoder *c, uint32_t start, uint32_t length, bool *unknown, lmmc_ids *ids, lmmc_error *e) {
  const lmmc_tokenizer *t = c->t;
  int32_t id = find(t, c->text + start, length);
  if (id >= 0 && t->type[id] == LMMC_UNUSED) {
    uint32_t left = c->left_half[id];
    if (left) return output_scored(c, start, left, unknown, ids, e) && output_scored(c, start + left, length - left, unknown, ids, e);
    id = -1;
  }
  bool was_unknown = *unknown;
  *unknown = id < 0;
  if (id >= 0) return lmmc_ids_append(ids, id, e);
  if (!(t->flags & LMMC_TOKENIZER_BYTE_FALLBACK)) return was_unknown || lmmc_ids_append(ids, t->unk, e);
  for (uint32_t i = 0; i < length; i++)
    if (!lmmc_ids_append(ids, t->byte_id[c->text[start + i]], e)) return false;
  return true;
}

static bool reserve(encoder *c, size_t symbols, lmmc_error *e) {
  if (symbols <= c->capacity) return true;
  if (symbols > MAX_SYMBOLS) return lmmc_fail(e, 1, "a word of %zu bytes is too long, the limit is %d", symbols, MAX_SYMBOLS);
  size_t capacity = symbols < 64 ? 64 : symbols + symbols / 2;
  free(c->symbols);
  free(c->heap);
  c->symbols = malloc(capacity * sizeof *c->symbols);
  // Every merge takes one pair out and puts at most two in.
  c->heap = malloc(2 * capacity * sizeof *c->heap);
  c->capacity = c->symbols && c->heap ? capacity : 0;
  return c->capacity || lmmc_fail(e, 1, "out of memory for a word of %zu bytes", symbols);
}

static bool encode_scored(encoder *c, uint32_t length, lmmc_ids *ids, lmmc_error *e) {
  const lmmc_tokenizer *t = c->t;
  if (t->has_unused && !c->left_half && !(c->left_half = calloc(t->pieces, sizeof *c->left_half)))
    return lmmc_fail(e, 1, "out of memory for %" PRIu32 " pieces", t->pieces);
  if (!reserve(c, length, e)) return false;
  merge(c, scored_symbols(c, length));
  bool unknown = false;
  for (int32_t i = 0; i >= 0; i = c->symbols[i].next)
    if (!output_scored(c, c->symbols[i].start, c->symbols[i].length, &unknown, ids, e)) return false;
  return true;
}

// One word, or with SPLIT_MARKS all up to the next mark; `*at` moves behind it.
static bool encode_word(encoder *c, uint32_t *at, uint32_t end, lmmc_ids *ids, lmmc_error *e) {
  if (c->t->flags & LMMC_TOKENIZER_WHOLE_WORDS) {
    int32_t id = find(c->t, c->text + *at, end - *at);
    if (id >= 0) {
      *at = end;
      return lmmc_ids_append(ids, id, e);
    }
  }
  if (!reserve(c, end - *at, e)) return false;
  int32_t count = listed_symbols(c, at, end);
  merge(c, count);
  for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = c->symbols[i].next)
    if (!lmmc_ids_append(ids, c->symbols[i].id, e)) return false;
  return true;
}

static bool encode_listed(encoder *c, uint32_t at, uint32_t end, lmmc_ids *ids, lmmc_error *e) {
  const lmmc_tokenizer *t = c->t;
  if (t->flags & LMMC_TOKENIZER_BYTE_LEVEL) {
    lmmc_splitter s = {.text = c->text + at, .bytes = end - at, .how = t->split, .digits = t->flags & LMMC_TOKENIZER_DIGITS};
    for (size_t word; (word = lmmc_split_next(&s));)
      if (!encode_word(c, &at, at + (uint32_t)word, ids, e)) return false;
  }
  while (at < end)
    if (!encode_word(c, &at, end, ids, e)) return false;
  return true;
}

// A text without words. Scored pieces find the inner tokens themselves, as symbols that do not merge.
static bool encode(encoder *c, const char *text, size_t bytes, bool first, lmmc_ids *ids, lmmc_error *e) {
  if (bytes == 0) return true;
  uint32_t end = normalize(c->t, text, bytes, first, c->text), from = 0, length;
  if (!c->t->merge) return encode_scored(c, end, ids, e);
  for (uint32_t i = 0; i < end; i += length) {
    int32_t id;
    length = (uint32_t)lmmc_tokenizer_whole(c->t, LMMC_INNER, c->text + i, end - i, &id);
    if (length && (!encode_listed(c, from, i, ids, e) || !lmmc_ids_append(ids, id, e))) return false;
    if (length)
      from = i + length;
    else
      length = 1;
  }
  return encode_listed(c, from, end, ids, e);
}

// Cuts a text at its words of one kind, and what is between at those of the next.
static bool encode_around(encoder *c, unsigned kind, const char *text, size_t bytes, bool first, lmmc_ids *ids, lmmc_error *e) {
  if (kind > LMMC_LATE) return encode(c, text, bytes, first, ids, e);
  size_t from = 0, length;
  for (size_t i = 0; i < bytes; i += length) {
    int32_t id;
    length = lmmc_tokenizer_whole(c->t, kind, (const uint8_t *)text + i, bytes - i, &id);
    if (length && (!encode_around(c, kind << 1, text + from, i - from, first && from == 0, ids, e) || !lmmc_ids_append(ids, id, e)))
      return false;
    if (length)
      from = i + length;
    else
      length = 1;
  }
  return encode_around(c, kind << 1, text + from, bytes - from, first && from == 0, ids, e);
}

bool lmmc_tokenize_part(const lmmc_tokenizer *t, const char *text, size_t bytes, bool first, lmmc_ids *ids, lmmc_error *e) {
  if (bytes == 0) return true;
  if (bytes > MAX_TEXT) return lmmc_fail(e, 1, "a text of %zu bytes is too long, the limit is %d", bytes, MAX_TEXT);
  encoder c = {.t = t, .text = malloc(3 * bytes + 3)};
  bool done = (c.text || lmmc_fail(e, 1, "out of memory for a text of %zu bytes", bytes)) &&
              encode_around(&c, LMMC_WORD, text, bytes, first, ids, e);
  free(c.text);
  free(c.symbols);
  free(c.heap);
  free(c.left_half);
  return done;
}

bool lmmc_tokenize(const lmmc_tokenizer *t, const char *text, size_t bytes, lmmc_ids *ids, lmmc_error *e) {
  return lmmc_tokenize_part(t, text, bytes, true, ids, e);
}
