#define _GNU_SOURCE  // memmem
#include "tokenizer.h"

#include "base/printable.h"
#include "tokenizer_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the attached bytes are read in place");

_Static_assert(sizeof(lmmc_tokenizer_header) == 64, "the header has no gaps");

// ---- growing lists

static bool reserve(lmmc_ids *ids, size_t capacity, lmmc_error *e) {
  if (capacity <= ids->capacity) return true;
  int32_t *values = capacity > SIZE_MAX / sizeof *values ? NULL : realloc(ids->values, capacity * sizeof *values);
  if (!values) return lmmc_fail(e, 1, "out of memory for %zu tokens", capacity);
  ids->values = values;
  ids->capacity = capacity;
  return true;
}

bool lmmc_ids_append(lmmc_ids *ids, int32_t value, lmmc_error *e) {
  if (ids->count == ids->capacity && !reserve(ids, ids->capacity ? ids->capacity * 2 : 64, e)) return false;
  ids->values[ids->count++] = value;
  return true;
}

bool lmmc_ids_append_all(lmmc_ids *ids, const int32_t *values, size_t count, lmmc_error *e) {
  bool done = true;
  for (size_t i = 0; done && i < count; i++) done = lmmc_ids_append(ids, values[i], e);
  return done;
}

void lmmc_ids_free(lmmc_ids *ids) {
  free(ids->values);
  *ids = (lmmc_ids){0};
}

// ---- opening

// Takes a section of count * size bytes, padded to 8. Sizes come from the file: nothing here may overflow.
static const void *section(const uint8_t *blob, uint64_t bytes, uint64_t *at, uint64_t count, uint64_t size) {
  uint64_t length = count * size, padded = (length + 7) & ~(uint64_t)7;  // count and size are below 2^33 and 13
  if (*at > bytes || padded > bytes - *at) return NULL;
  const void *start = blob + *at;
  *at += padded;
  return start;
}

static bool ascending(const uint32_t *offset, uint32_t count) {
  if (offset[0] != 0) return false;
  for (uint32_t i = 0; i < count; i++)
    if (offset[i] > offset[i + 1]) return false;
  return true;
}

static int hex_digit(uint8_t c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

// The value of a byte piece '<0xXX>', -1 for another text.
static int byte_value(const uint8_t *text, uint32_t length) {
  if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool check_piece(lmmc_tokenizer *t, uint32_t i, lmmc_error *e) {
  const uint8_t *text = t->text + t->offset[i];
  uint32_t length = t->offset[i + 1] - t->offset[i];
  if (t->score && !isfinite(t->score[i])) return lmmc_fail(e, 1, "tokenizer: the score of piece %" PRIu32 " is not a number", i);
  switch (t->type[i]) {
    case LMMC_UNKNOWN:
    case LMMC_CONTROL: return true;
    case LMMC_BYTE: {
      int value = byte_value(text, length);
      if (value < 0) return lmmc_fail(e, 1, "tokenizer: byte piece %" PRIu32 " is not written '<0xXX>'", i);
      t->byte_id[value] = (int32_t)i;
      return true;
    }
    case LMMC_USER_DEFINED: break;
    case LMMC_UNUSED: t->has_unused = t->has_unused || length > 0; break;
    case LMMC_NORMAL:
      if (t->flags & LMMC_TOKENIZER_BYTE_LEVEL && length == 1) t->byte_id[*text] = (int32_t)i;
      break;
    default: return lmmc_fail(e, 1, "tokenizer: piece %" PRIu32 " has type %d, known are 1 to 6", i, t->type[i]);
  }
  if (length > t->longest) t->longest = length;
  return true;
}

static bool check_table(const char *what, const uint32_t *table, uint32_t slots, uint32_t count, lmmc_error *e) {
  uint32_t empty = 0;
  for (uint32_t i = 0; i < slots; i++) {
    if (table[i] == LMMC_EMPTY_SLOT)
      empty++;
    else if (table[i] >= count)
      return lmmc_fail(e, 1, "tokenizer: %s slot %" PRIu32 " holds %" PRIu32 " of %" PRIu32, what, i, table[i], count);
  }
  return empty || lmmc_fail(e, 1, "tokenizer: its %s table has no empty slot", what);
}

static bool check_merges(const lmmc_tokenizer *t, lmmc_error *e) {
  for (uint32_t i = 0; i < t->merges; i++)
    for (int k = 0; k < 3; k++)
      if (t->merge[i][k] < 0 || (uint32_t)t->merge[i][k] >= t->pieces)
        return lmmc_fail(e, 1, "tokenizer: merge %" PRIu32 " names id %" PRId32 " of %" PRIu32, i, t->merge[i][k], t->pieces);
  return check_table("merge", t->merge_table, t->merge_slots, t->merges, e);
}

static bool are_characters(const uint8_t *text, uint32_t bytes) {
  uint32_t at = 0;
  for (size_t length; at < bytes && (length = lmmc_utf8_length((const char *)text + at, bytes - at)) > 0;) at += (uint32_t)length;
  return at == bytes;
}

static bool check_wholes(lmmc_tokenizer *t, lmmc_error *e) {
  for (uint32_t i = 0; i < t->wholes; i++) {
    const uint32_t *at = t->whole_offset + i;
    uint32_t length = at[1] - at[0], before = i ? at[0] - at[-1] : 0;
    unsigned kind = t->whole_kind[i];
    if (kind == 0 || kind > LMMC_INNER || kind & (kind - 1))
      return lmmc_fail(e, 1, "tokenizer: special token %" PRIu32 " is of kind %u, known are 1, 2, 4 and 8", i, kind);
    // Tokens that any text may hold become ids of the model unchecked; a special one's id is compared with the vocabulary by the prompt.
    if (t->whole_id[i] < 0 || (kind != LMMC_SPECIAL && (uint32_t)t->whole_id[i] >= t->pieces))
      return lmmc_fail(e, 1, "tokenizer: special token %" PRIu32 " is id %" PRId32 " of %" PRIu32, i, t->whole_id[i], t->pieces);
    // What an inner token leaves of a text is split and looked up as characters, so it must not end within one.
    if (t->merge && kind == LMMC_INNER && !are_characters(t->whole_text + at[0], length))
      return lmmc_fail(e, 1, "tokenizer: special token %" PRIu32 " is not UTF-8", i);
    int order = before ? memcmp(t->whole_text + at[-1], t->whole_text + at[0], before < length ? before : length) : -1;
    if (!length || order > 0 || (order == 0 && before >= length))
      return lmmc_fail(e, 1, "tokenizer: special token %" PRIu32 " is empty or does not come after the one before", i);
    t->whole_start[t->whole_text[at[0]]] |= t->whole_kind[i];
  }
  return true;
}

static bool check_bytes(const lmmc_tokenizer *t, lmmc_error *e) {
  bool needed = t->flags & LMMC_TOKENIZER_BYTE_FALLBACK || (t->merge && !(t->flags & LMMC_TOKENIZER_BYTE_LEVEL));
  for (int i = 0; needed && i < 256; i++)
    if (t->byte_id[i] < 0) return lmmc_fail(e, 1, "tokenizer: byte piece '<0x%02X>' is missing", (unsigned)i);
  return true;
}

bool lmmc_tokenizer_open(lmmc_tokenizer *t, const uint8_t *blob, uint64_t bytes, lmmc_error *e) {
  *t = (lmmc_tokenizer){0};
  lmmc_tokenizer_header h;
  if (bytes < sizeof h || (uintptr_t)blob % 8)
    return lmmc_fail(e, 1, "tokenizer: %" PRIu64 " bytes at address %p, wanted 64 or more at a multiple of 8", bytes, (const void *)blob);
  memcpy(&h, blob, sizeof h);
  if (memcmp(h.magic, LMMC_TOKENIZER_MAGIC, sizeof h.magic) != 0 || (h.kind != LMMC_SCORED_PIECES && h.kind != LMMC_MERGE_LIST))
    return lmmc_fail(e, 1, "tokenizer: the attached bytes do not begin with '" LMMC_TOKENIZER_MAGIC "' and kind 1 or 2");
  bool merges = h.kind == LMMC_MERGE_LIST;
  if (h.bytes > bytes || h.bytes < sizeof h) return lmmc_fail(e, 1, "tokenizer: %" PRIu64 " bytes of %" PRIu64, bytes, h.bytes);
  if (h.pieces == 0 || h.pieces > INT32_MAX || h.wholes > INT32_MAX || h.slots == 0 || (h.slots & (h.slots - 1)))
    return lmmc_fail(e, 1, "tokenizer: %" PRIu32 " pieces, %" PRIu32 " special tokens and %" PRIu32 " slots do not make sense", h.pieces,
                     h.wholes, h.slots);
  // A rank is a score, and a float counts exactly up to 2^24.
  if (h.split > LMMC_SPLIT_LLAMA3 || h.merges > 1 << 24 || h.merge_slots & (h.merge_slots - 1) || (h.merge_slots > 0) != merges ||
      (!merges && (h.merges || h.split)))
    return lmmc_fail(e, 1, "tokenizer: %" PRIu32 " merges, %" PRIu32 " slots for them and splitting %" PRIu32 " do not make sense",
                     h.merges, h.merge_slots, h.split);

  t->merges = h.merges;
  t->merge_slots = h.merge_slots;
  t->split = (lmmc_split)h.split;
  t->flags = h.flags;
  t->pieces = h.pieces;
  t->slots = h.slots;
  t->wholes = h.wholes;
  t->piece_basis = lmmc_piece_basis(h.seed);
  t->merge_factor = lmmc_merge_factor(h.seed);
  t->unk = h.unk;
  t->bos = h.bos;
  t->eos = h.eos;
  uint64_t at = sizeof h, n = h.pieces, s = h.wholes;
  bool fits =
      (merges || (t->score = section(blob, h.bytes, &at, n, 4))) && (t->offset = section(blob, h.bytes, &at, n + 1, 4)) &&
      (t->table = section(blob, h.bytes, &at, h.slots, 4)) && (t->whole_id = section(blob, h.bytes, &at, s, 4)) &&
      (t->whole_offset = section(blob, h.bytes, &at, s + 1, 4)) &&
      (!merges ||
       ((t->merge = section(blob, h.bytes, &at, h.merges, 12)) && (t->merge_table = section(blob, h.bytes, &at, h.merge_slots, 4)))) &&
      (t->whole_kind = section(blob, h.bytes, &at, s, 1)) && (t->type = section(blob, h.bytes, &at, n, 1)) &&
      (t->text = section(blob, h.bytes, &at, t->offset[n], 1)) && (t->whole_text = section(blob, h.bytes, &at, t->whole_offset[s], 1));
  if (!fits || at != h.bytes) return lmmc_fail(e, 1, "tokenizer: its sections do not fill its %" PRIu64 " bytes", h.bytes);
  if (!ascending(t->offset, h.pieces) || !ascending(t->whole_offset, h.wholes))
    return lmmc_fail(e, 1, "tokenizer: text offsets do not rise");

  for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
  for (uint32_t i = 0; i < h.pieces; i++)
    if (!check_piece(t, i, e)) return false;
  if (!check_bytes(t, e)) return false;
  if (!merges && !(t->flags & LMMC_TOKENIZER_BYTE_FALLBACK) && (t->unk < 0 || (uint32_t)t->unk >= t->pieces))
    return lmmc_fail(e, 1, "tokenizer: the unknown piece is id %" PRId32 " of %" PRIu32, t->unk, t->pieces);

  return check_table("piece", t->table, t->slots, t->pieces, e) && (!merges || check_merges(t, e)) && check_wholes(t, e);
}

const char lmmc_space_mark[3] = {'\xE2', '\x96', '\x81'}, lmmc_replacement[3] = {'\xEF', '\xBF', '\xBD'};

size_t lmmc_utf8_length(const char *text, size_t bytes) {
  size_t length;
  if (bytes == 0) return 0;
  if ((uint8_t)*text < 0x80) return 1;
  return lmmc_character(text, bytes, &length) == LMMC_NO_CHARACTER ? 0 : length;
}

// The first of the whole tokens `low` to `high`, which are longer than `depth` and the same before it, that has no byte below `byte` there.
static uint32_t lower_bound(const lmmc_tokenizer *t, uint32_t low, uint32_t high, size_t depth, unsigned byte) {
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (t->whole_text[t->whole_offset[middle] + depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

size_t lmmc_tokenizer_whole(const lmmc_tokenizer *t, unsigned kinds, const uint8_t *text, size_t bytes, int32_t *id) {
  if (bytes == 0 || !(t->whole_start[*text] & kinds)) return 0;
  size_t longest = 0;
  uint32_t low = 0, high = t->wholes;  // those that begin as the text does, up to `depth`
  for (size_t depth = 0; low < high; depth++) {
    // The one that ends here comes first.
    if (t->whole_offset[low + 1] - t->whole_offset[low] == depth) {
      if (t->whole_kind[low] & kinds) longest = depth, *id = t->whole_id[low];
      low++;
    }
    if (depth == bytes) break;
    low = lower_bound(t, low, high, depth, text[depth]);
    high = lower_bound(t, low, high, depth, text[depth] + 1u);
  }
  return longest;
}

size_t lmmc_tokenizer_special(const lmmc_tokenizer *t, const char *text, size_t bytes, int32_t *id) {
  return lmmc_tokenizer_whole(t, LMMC_SPECIAL | LMMC_WORD, (const uint8_t *)text, bytes, id);
}

// ---- ids to text

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
static bool release(lmmc_detokenizer *d, bool all, lmmc_text *text, lmmc_error *e) {
  while (d->held_count > 0 && (all || !unfinished(d->held, d->held_count))) {
    uint32_t length = (uint32_t)lmmc_utf8_length((char *)d->held, d->held_count), used = length ? length : 1;
    bool dropped = d->strips && !d->begun && *d->held == ' ';
    const char *from = length ? (char *)d->held : lmmc_replacement;
    if (!dropped && !lmmc_text_append(text, from, length ? length : 3, e)) return false;
    d->held_count -= used;
    memmove(d->held, d->held + used, d->held_count);
    d->begun = true;
  }
  return true;
}

static bool replace_held(lmmc_detokenizer *d, lmmc_text *text, lmmc_error *e) {
  d->held_count = 0;
  return lmmc_text_append(text, lmmc_replacement, 3, e);
}

// One byte more: a whole character is written, bytes that cannot become one are U+FFFD once.
static bool add_byte(lmmc_detokenizer *d, uint8_t byte, lmmc_text *text, lmmc_error *e) {
  d->held[d->held_count++] = byte;
  if (lmmc_utf8_length((char *)d->held, d->held_count) == d->held_count) {
    uint32_t count = d->held_count;
    d->held_count = 0;
    return lmmc_text_append(text, d->held, count, e);
  }
  if (unfinished(d->held, d->held_count)) return true;
  // What was held is broken off, and the byte begins anew.
  bool alone = d->held_count == 1;
  return replace_held(d, text, e) && (alone || add_byte(d, byte, text, e));
}

bool lmmc_detokenize(const lmmc_tokenizer *t, lmmc_detokenizer *d, int32_t id, lmmc_text *text, lmmc_error *e) {
  if (id < 0 || (uint32_t)id >= t->pieces) return true;
  uint8_t type = t->type[id];
  if (t->flags & LMMC_TOKENIZER_BYTE_LEVEL) {
    d->byte_level = true;
    for (uint32_t i = t->offset[id]; type != LMMC_CONTROL && i < t->offset[id + 1]; i++)
      if (!add_byte(d, t->text[i], text, e)) return false;
    return true;
  }
  const uint8_t *p = t->text + t->offset[id], *end = t->text + t->offset[id + 1];
  d->strips = t->merge && t->flags & LMMC_TOKENIZER_DUMMY_PREFIX;
  if (type == LMMC_BYTE) {
    d->held[d->held_count++] = (uint8_t)byte_value(p, (uint32_t)(end - p));
    return release(d, false, text, e);
  }
  if (!release(d, true, text, e)) return false;
  if (type == LMMC_CONTROL) return true;
  bool first = !d->begun;
  d->begun = true;
  if (type == LMMC_UNKNOWN) return lmmc_text_append(text, " \xE2\x81\x87 ", 5, e);
  if (first && t->flags & LMMC_TOKENIZER_DUMMY_PREFIX && end - p >= 3 && memcmp(p, lmmc_space_mark, 3) == 0) p += 3;
  while (p < end) {
    const uint8_t *mark = memmem(p, (size_t)(end - p), lmmc_space_mark, 3), *stop = mark ? mark : end;
    if (!lmmc_text_append(text, p, (size_t)(stop - p), e) || (mark && !lmmc_text_append(text, " ", 1, e))) return false;
    p = mark ? mark + 3 : end;
  }
  return true;
}

bool lmmc_detokenize_end(lmmc_detokenizer *d, lmmc_text *text, lmmc_error *e) {
  if (d->byte_level) return d->held_count == 0 || replace_held(d, text, e);
  return release(d, true, text, e);
}
