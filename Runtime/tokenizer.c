#define _GNU_SOURCE  // memmem
#include "tokenizer.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the attached bytes are read in place");

enum { HEADER_BYTES = 64, MAX_TEXT = 700 << 20 };
#define EMPTY UINT32_MAX

typedef struct {
  char magic[8];
  uint64_t bytes;
  uint32_t kind, flags, pieces, slots, specials;
  int32_t unk, bos, eos, zero[4];
} header;
_Static_assert(sizeof(header) == HEADER_BYTES, "the header is 64 bytes");

// ---- growing lists

bool lmmc_ids_reserve(lmmc_ids *ids, size_t capacity, lmmc_error *e) {
  if (capacity <= ids->capacity) return true;
  int32_t *values = capacity > SIZE_MAX / sizeof *values ? NULL : realloc(ids->values, capacity * sizeof *values);
  if (!values) return lmmc_fail(e, 1, "out of memory for %zu tokens", capacity);
  ids->values = values;
  ids->capacity = capacity;
  return true;
}

bool lmmc_ids_append(lmmc_ids *ids, int32_t value, lmmc_error *e) {
  if (ids->count == ids->capacity && !lmmc_ids_reserve(ids, ids->capacity ? ids->capacity * 2 : 64, e)) return false;
  ids->values[ids->count++] = value;
  return true;
}

void lmmc_ids_free(lmmc_ids *ids) {
  free(ids->values);
  *ids = (lmmc_ids){0};
}

// ---- opening

// Takes a section of count * size bytes, padded to 8. Sizes come from the file: nothing here may overflow.
static const void *section(const uint8_t *blob, uint64_t bytes, uint64_t *at, uint64_t count, uint64_t size) {
  uint64_t length = count * size, padded = (length + 7) & ~(uint64_t)7;  // count and size are below 2^33 and 5
  if (padded > bytes - *at) return NULL;
  const void *start = blob + *at;
  *at += padded;
  return start;
}

static bool ascending(const uint32_t *offset, uint32_t count) {
  if (offset[0] != 0) return false;
  for (uint32_t i = 0; i < count; i++)
    if (offset[i] >= offset[i + 1]) return false;
  return true;
}

static int hex_digit(uint8_t c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// The value of a byte piece '<0xXX>', -1 for another text.
static int byte_value(const uint8_t *text, uint32_t length) {
  if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool check_piece(lmmc_tokenizer *t, uint32_t i, lmmc_error *e) {
  const uint8_t *text = t->text + t->offset[i];
  uint32_t length = t->offset[i + 1] - t->offset[i];
  if (!isfinite(t->score[i])) return lmmc_fail(e, 1, "tokenizer: the score of piece %" PRIu32 " is not a number", i);
  switch (t->type[i]) {
    case LMMC_UNKNOWN:
    case LMMC_CONTROL: return true;
    case LMMC_BYTE: {
      int value = byte_value(text, length);
      if (value < 0) return lmmc_fail(e, 1, "tokenizer: byte piece %" PRIu32 " is not written '<0xXX>'", i);
      t->byte_id[value] = (int32_t)i;
      return true;
    }
    case LMMC_USER_DEFINED:
      t->user_defined_start[*text] = true;
      if (length > t->longest_user_defined) t->longest_user_defined = length;
      break;
    case LMMC_UNUSED: t->has_unused = true; break;
    case LMMC_NORMAL: break;
    default: return lmmc_fail(e, 1, "tokenizer: piece %" PRIu32 " has type %d, known are 1 to 6", i, t->type[i]);
  }
  if (length > t->longest) t->longest = length;
  return true;
}

bool lmmc_tokenizer_open(lmmc_tokenizer *t, const uint8_t *blob, uint64_t bytes, lmmc_error *e) {
  *t = (lmmc_tokenizer){0};
  header h;
  if (bytes < sizeof h || (uintptr_t)blob % 8)
    return lmmc_fail(e, 1, "tokenizer: %" PRIu64 " bytes at address %p, wanted 64 or more at a multiple of 8", bytes,
                     (const void *)blob);
  memcpy(&h, blob, sizeof h);
  if (memcmp(h.magic, "lmmctok1", 8) != 0 || h.kind != 1)
    return lmmc_fail(e, 1, "tokenizer: the attached bytes do not begin with 'lmmctok1' and kind 1");
  if (h.bytes > bytes) return lmmc_fail(e, 1, "tokenizer: %" PRIu64 " bytes of %" PRIu64, bytes, h.bytes);
  if (h.pieces == 0 || h.pieces > INT32_MAX || h.specials > INT32_MAX || h.slots == 0 || (h.slots & (h.slots - 1)))
    return lmmc_fail(e, 1, "tokenizer: %" PRIu32 " pieces, %" PRIu32 " special tokens and %" PRIu32 " slots do not make sense",
                     h.pieces, h.specials, h.slots);

  t->flags = h.flags;
  t->pieces = h.pieces;
  t->slots = h.slots;
  t->specials = h.specials;
  t->unk = h.unk;
  t->bos = h.bos;
  t->eos = h.eos;
  uint64_t at = HEADER_BYTES, n = h.pieces, s = h.specials;
  bool fits = (t->score = section(blob, h.bytes, &at, n, 4)) && (t->offset = section(blob, h.bytes, &at, n + 1, 4)) &&
              (t->table = section(blob, h.bytes, &at, h.slots, 4)) &&
              (t->special_id = section(blob, h.bytes, &at, s, 4)) &&
              (t->special_offset = section(blob, h.bytes, &at, s + 1, 4)) &&
              (t->type = section(blob, h.bytes, &at, n, 1)) &&
              (t->text = section(blob, h.bytes, &at, t->offset[n], 1)) &&
              (t->special_text = section(blob, h.bytes, &at, t->special_offset[s], 1));
  if (!fits || at != h.bytes) return lmmc_fail(e, 1, "tokenizer: its sections do not fill its %" PRIu64 " bytes", h.bytes);
  if (!ascending(t->offset, h.pieces) || !ascending(t->special_offset, h.specials))
    return lmmc_fail(e, 1, "tokenizer: text offsets do not rise");

  for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
  for (uint32_t i = 0; i < h.pieces; i++)
    if (!check_piece(t, i, e)) return false;
  if (t->flags & LMMC_TOKENIZER_BYTE_FALLBACK)
    for (int i = 0; i < 256; i++)
      if (t->byte_id[i] < 0) return lmmc_fail(e, 1, "tokenizer: byte piece '<0x%02X>' is missing", (unsigned)i);
  if (t->unk < 0 || (uint32_t)t->unk >= t->pieces)
    return lmmc_fail(e, 1, "tokenizer: the unknown piece is id %" PRId32 " of %" PRIu32, t->unk, t->pieces);

  uint32_t empty = 0;
  for (uint32_t i = 0; i < t->slots; i++) {
    uint32_t id = t->table[i];
    if (id == EMPTY) empty++;
    else if (id >= t->pieces)
      return lmmc_fail(e, 1, "tokenizer: slot %" PRIu32 " holds id %" PRIu32 " of %" PRIu32, i, id, t->pieces);
  }
  if (!empty) return lmmc_fail(e, 1, "tokenizer: its table has no empty slot");
  for (uint32_t i = 0; i < t->specials; i++) {
    if (t->special_id[i] < 0) return lmmc_fail(e, 1, "tokenizer: special token %" PRIu32 " has a negative id", i);
    t->special_start[t->special_text[t->special_offset[i]]] = true;
  }
  return true;
}

// ---- encoding

static uint64_t fnv1a(const uint8_t *bytes, uint32_t count) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (uint32_t i = 0; i < count; i++) h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
  return h;
}

// The id of a normal, user-defined or unused piece; -1 for none.
static int32_t find(const lmmc_tokenizer *t, const uint8_t *text, uint32_t length) {
  if (length > t->longest) return -1;
  uint64_t h = fnv1a(text, length);
  for (uint32_t slot = (uint32_t)(h ^ h >> 32) & (t->slots - 1);; slot = (slot + 1) & (t->slots - 1)) {
    uint32_t id = t->table[slot];
    if (id == EMPTY) return -1;
    if (t->offset[id + 1] - t->offset[id] == length && memcmp(t->text + t->offset[id], text, length) == 0)
      return (int32_t)id;
  }
}

size_t lmmc_utf8_length(const char *text, size_t bytes) {
  const uint8_t *p = (const uint8_t *)text;
  if (bytes == 0) return 0;
  if (p[0] < 0x80) return 1;
  size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
  if (p[0] < 0xC2 || p[0] > 0xF4 || bytes < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
      (p[0] == 0xF4 && p[1] > 0x8F))
    return 0;
  return length;
}

static const char space_mark[3] = "\xE2\x96\x81";   // U+2581
static const char replacement[3] = "\xEF\xBF\xBD";  // U+FFFD

// The text that the model sees; at most 3 bytes for each of `text` and for the prefix.
static uint32_t normalize(const lmmc_tokenizer *t, const char *text, size_t bytes, uint8_t *out) {
  uint8_t *p = out;
  if (t->flags & LMMC_TOKENIZER_DUMMY_PREFIX) p = (uint8_t *)memcpy(p, space_mark, 3) + 3;
  for (size_t i = 0, length; i < bytes; i += length) {
    const char *from = text + i;
    size_t count = length = lmmc_utf8_length(from, bytes - i);
    if (length == 0) {
      from = replacement;
      count = 3;
      length = 1;
    } else if (*from == ' ') {
      from = space_mark;
      count = 3;
    }
    p = (uint8_t *)memcpy(p, from, count) + count;
  }
  return (uint32_t)(p - out);
}

typedef struct {
  int32_t previous, next;  // -1 at the ends
  uint32_t start, length;  // length 0: merged into another
  bool frozen;             // a user-defined symbol never merges
} symbol;

typedef struct {
  float score;
  int32_t left, right;
  uint32_t length;  // of both together, when the pair was found
} pair;

typedef struct {
  const lmmc_tokenizer *t;
  uint8_t *text;        // normalised
  symbol *symbols;
  pair *heap;           // the best pair first
  int32_t heap_count;
  uint32_t *left_half;  // per unused piece: bytes of the left half that made it last; NULL when there are none
} encoder;

static bool better(const pair *a, const pair *b) {
  return a->score > b->score || (a->score == b->score && a->left < b->left);
}

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
  const symbol *l = &c->symbols[left], *r = &c->symbols[right];
  if (l->frozen || r->frozen) return;
  uint32_t length = l->length + r->length;
  int32_t id = find(c->t, c->text + l->start, length);
  if (id < 0) return;
  push(c, (pair){c->t->score[id], left, right, length});
  if (c->t->type[id] == LMMC_UNUSED) c->left_half[id] = l->length;
}

static uint32_t user_defined_length(const encoder *c, uint32_t at, uint32_t end) {
  if (!c->t->user_defined_start[c->text[at]]) return 0;
  uint32_t length = end - at < c->t->longest_user_defined ? end - at : c->t->longest_user_defined;
  for (; length > 0; length--) {
    int32_t id = find(c->t, c->text + at, length);
    if (id >= 0 && c->t->type[id] == LMMC_USER_DEFINED) return length;
  }
  return 0;
}

static int32_t split(encoder *c, uint32_t end) {
  int32_t count = 0;
  for (uint32_t at = 0; at < end; count++) {
    uint32_t length = user_defined_length(c, at, end);
    symbol *s = &c->symbols[count];
    *s = (symbol){count - 1, count + 1, at, length, length > 0};
    if (!length) s->length = (uint32_t)lmmc_utf8_length((const char *)c->text + at, end - at);
    if (!s->length) s->length = 1;  // only after a user-defined piece that ends inside a character
    at += s->length;
  }
  c->symbols[count - 1].next = -1;
  return count;
}

static void merge(encoder *c, int32_t count) {
  for (int32_t i = 1; i < count; i++) consider(c, i - 1, i);
  while (c->heap_count > 0) {
    pair p = pop(c);
    symbol *l = &c->symbols[p.left], *r = &c->symbols[p.right];
    if (!l->length || !r->length || l->length + r->length != p.length) continue;  // one of them has changed since
    l->length = p.length;
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
static bool output(const encoder *c, uint32_t start, uint32_t length, bool *unknown, lmmc_ids *ids, lmmc_error *e) {
  const lmmc_tokenizer *t = c->t;
  int32_t id = find(t, c->text + start, length);
  if (id >= 0 && t->type[id] == LMMC_UNUSED) {
    uint32_t left = c->left_half[id];
    if (left) return output(c, start, left, unknown, ids, e) && output(c, start + left, length - left, unknown, ids, e);
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

bool lmmc_tokenize(const lmmc_tokenizer *t, const char *text, size_t bytes, lmmc_ids *ids, lmmc_error *e) {
  if (bytes == 0) return true;
  if (bytes > MAX_TEXT) return lmmc_fail(e, 1, "a text of %zu bytes is too long, the limit is %d", bytes, MAX_TEXT);
  encoder c = {.t = t};
  bool done = false, unknown = false;
  if (!(c.text = malloc(3 * bytes + 3))) goto out_of_memory;
  uint32_t length = normalize(t, text, bytes, c.text);
  // A byte gives at most one symbol, and so does the prefix.
  if (!(c.symbols = malloc((bytes + 1) * sizeof *c.symbols))) goto out_of_memory;
  if (t->has_unused && !(c.left_half = calloc(t->pieces, sizeof *c.left_half))) goto out_of_memory;
  int32_t count = split(&c, length);
  // Every merge takes one pair out and puts at most two in.
  if (!(c.heap = malloc(2 * (size_t)count * sizeof *c.heap))) goto out_of_memory;
  merge(&c, count);
  done = true;
  for (int32_t i = 0; done && i >= 0; i = c.symbols[i].next)
    done = output(&c, c.symbols[i].start, c.symbols[i].length, &unknown, ids, e);
  goto end;
out_of_memory:
  lmmc_fail(e, 1, "out of memory for a text of %zu bytes", bytes);
end:
  free(c.text);
  free(c.symbols);
  free(c.heap);
  free(c.left_half);
  return done;
}

size_t lmmc_tokenizer_special(const lmmc_tokenizer *t, const char *text, size_t bytes, int32_t *id) {
  size_t longest = 0;
  if (bytes == 0 || !t->special_start[(uint8_t)*text]) return 0;
  for (uint32_t i = 0; i < t->specials; i++) {
    size_t length = t->special_offset[i + 1] - t->special_offset[i];
    if (length <= longest || length > bytes || memcmp(t->special_text + t->special_offset[i], text, length) != 0) continue;
    longest = length;
    *id = t->special_id[i];
  }
  return longest;
}

// ---- decoding

// Whether up to 3 bytes can still become a character.
static bool unfinished(const uint8_t *p, uint32_t count) {
  if (count == 0 || p[0] < 0xC2 || p[0] > 0xF4) return false;
  uint32_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
  if (count >= length) return false;
  char whole[4] = {(char)p[0], (char)0x80, (char)0x80, (char)0x80};
  if (p[0] == 0xE0) whole[1] = (char)0xA0;  // the least second byte that is valid after these
  if (p[0] == 0xF0) whole[1] = (char)0x90;
  memcpy(whole, p, count);
  return lmmc_utf8_length(whole, length) == length;
}

// Writes held characters, and U+FFFD for bytes that begin none; with `all`, also for those that still might.
static bool release(lmmc_decoder *d, bool all, lmmc_text *text, lmmc_error *e) {
  while (d->held_count > 0 && (all || !unfinished(d->held, d->held_count))) {
    uint32_t length = (uint32_t)lmmc_utf8_length((char *)d->held, d->held_count), used = length ? length : 1;
    if (!lmmc_text_append(text, length ? (char *)d->held : replacement, length ? length : 3, e)) return false;
    d->held_count -= used;
    memmove(d->held, d->held + used, d->held_count);
    d->begun = true;
  }
  return true;
}

bool lmmc_decode(const lmmc_tokenizer *t, lmmc_decoder *d, int32_t id, lmmc_text *text, lmmc_error *e) {
  if (id < 0 || (uint32_t)id >= t->pieces) return true;
  uint8_t type = t->type[id];
  const uint8_t *p = t->text + t->offset[id], *end = t->text + t->offset[id + 1];
  if (type == LMMC_BYTE) {
    d->held[d->held_count++] = (uint8_t)byte_value(p, (uint32_t)(end - p));
    return release(d, false, text, e);
  }
  if (!release(d, true, text, e)) return false;
  if (type == LMMC_CONTROL) return true;
  bool first = !d->begun;
  d->begun = true;
  if (type == LMMC_UNKNOWN) return lmmc_text_append(text, " \xE2\x81\x87 ", 5, e);
  if (first && t->flags & LMMC_TOKENIZER_DUMMY_PREFIX && end - p >= 3 && memcmp(p, space_mark, 3) == 0) p += 3;
  while (p < end) {
    const uint8_t *mark = memmem(p, (size_t)(end - p), space_mark, 3), *stop = mark ? mark : end;
    if (!lmmc_text_append(text, p, (size_t)(stop - p), e) || (mark && !lmmc_text_append(text, " ", 1, e))) return false;
    p = mark ? mark + 3 : end;
  }
  return true;
}

bool lmmc_decode_end(lmmc_decoder *d, lmmc_text *text, lmmc_error *e) { return release(d, true, text, e); }
