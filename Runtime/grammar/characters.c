#include "characters.h"

#include <stdlib.h>

#include "base/printable.h"

void lmmc_characters_add(lmmc_characters *c, uint32_t low, uint32_t high) {
  if (low > high || c->failed) return;
  if (c->count == c->room) {
    const size_t room = c->room ? 2 * c->room : 16;
    lmmc_character_range *grown = realloc(c->ranges, room * sizeof *grown);
    if (!grown) {
      c->failed = true;
      return;
    }
    c->ranges = grown;
    c->room = room;
  }
  c->ranges[c->count++] = (lmmc_character_range){low, high};
}

static int by_low(const void *a, const void *b) {
  const lmmc_character_range *x = a, *y = b;
  return (x->low > y->low) - (x->low < y->low);
}

static void join(lmmc_characters *c) {
  if (c->count == 0) return;
  qsort(c->ranges, c->count, sizeof *c->ranges, by_low);
  size_t kept = 0;
  for (size_t i = 1; i < c->count; i++) {
    lmmc_character_range *last = &c->ranges[kept];
    if (c->ranges[i].low <= last->high + 1) {
      if (c->ranges[i].high > last->high) last->high = c->ranges[i].high;
    } else {
      c->ranges[++kept] = c->ranges[i];
    }
  }
  c->count = kept + 1;
}

void lmmc_characters_settle(lmmc_characters *c) {
  join(c);
  // A range that reaches over the surrogates is cut in two.
  for (size_t i = 0, count = c->count; i < count && !c->failed; i++) {
    const lmmc_character_range range = c->ranges[i];
    if (range.high < 0xD800 || range.low > 0xDFFF) continue;
    const bool below = range.low<0xD800, above = range.high> 0xDFFF;
    if (below) c->ranges[i].high = 0xD7FF;
    if (below && above) lmmc_characters_add(c, 0xE000, range.high);
    if (!below && above) c->ranges[i].low = 0xE000;
    if (!below && !above) {
      for (size_t k = i + 1; k < c->count; k++) c->ranges[k - 1] = c->ranges[k];
      c->count--, count--, i--;
    }
  }
  if (c->count > 1) qsort(c->ranges, c->count, sizeof *c->ranges, by_low);
}

void lmmc_characters_invert(lmmc_characters *c) {
  lmmc_characters out = {0};
  uint32_t next = 0;
  for (size_t i = 0; i < c->count; i++) {
    if (c->ranges[i].low > next) lmmc_characters_add(&out, next, c->ranges[i].low - 1);
    next = c->ranges[i].high + 1;
  }
  if (next <= LMMC_LAST_CHARACTER) lmmc_characters_add(&out, next, LMMC_LAST_CHARACTER);
  lmmc_characters_settle(&out);
  out.failed |= c->failed;
  free(c->ranges);
  *c = out;
}

void lmmc_characters_within(const lmmc_characters *c, uint32_t low, uint32_t high, lmmc_characters *out) {
  for (size_t i = 0; i < c->count; i++) {
    const lmmc_character_range range = c->ranges[i];
    lmmc_characters_add(out, range.low > low ? range.low : low, range.high < high ? range.high : high);
  }
}

bool lmmc_characters_hold(const lmmc_characters *c, uint32_t character) {
  for (size_t i = 0; i < c->count; i++)
    if (c->ranges[i].low <= character && character <= c->ranges[i].high) return true;
  return false;
}

void lmmc_characters_free(lmmc_characters *c) {
  free(c->ranges);
  *c = (lmmc_characters){0};
}

size_t lmmc_character_bytes(uint32_t character, uint8_t out[4]) {
  if (character < 0x80) return out[0] = (uint8_t)character, 1;
  const size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--, character >>= 6) out[i] = (uint8_t)(0x80 | (character & 0x3F));
  static const uint8_t marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
  return out[0] = (uint8_t)(marks[length] | character), length;
}

uint32_t lmmc_character_at(const char *text, size_t bytes, size_t *length) {
  if (bytes == 0) return *length = 0, LMMC_NO_CHARACTER;
  return lmmc_character(text, bytes, length);
}

// Characters of one length, as alternatives of byte ranges in a row: cut where their last bytes do not go through all of 80 to BF.
static void ranges_of_length(lmmc_rules *r, lmmc_expression *choice, uint32_t low, uint32_t high, size_t length) {
  for (size_t i = 1; i < length; i++) {
    const uint32_t mask = (1u << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if (low & mask) {
      ranges_of_length(r, choice, low, low | mask, length);
      ranges_of_length(r, choice, (low | mask) + 1, high, length);
      return;
    }
    if ((high & mask) != mask) {
      ranges_of_length(r, choice, low, (high & ~mask) - 1, length);
      ranges_of_length(r, choice, high & ~mask, high, length);
      return;
    }
  }
  uint8_t first[4], last[4];
  lmmc_character_bytes(low, first);
  lmmc_character_bytes(high, last);
  lmmc_expression parts[4];
  for (size_t i = 0; i < length; i++) parts[i] = lmmc_rules_bytes(r, first[i], last[i]);
  *choice = lmmc_rules_either(r, *choice, lmmc_rules_sequence(r, parts, length));
}

lmmc_expression lmmc_character_range_expression(lmmc_rules *r, uint32_t low, uint32_t high) {
  static const uint32_t ends[] = {0x7F, 0x7FF, 0xFFFF, LMMC_LAST_CHARACTER};
  lmmc_expression choice = LMMC_NEVER;
  for (size_t length = 1; length <= 4 && low <= high; length++) {
    const uint32_t end = ends[length - 1] < high ? ends[length - 1] : high;
    if (low <= end) {
      ranges_of_length(r, &choice, low, end, length);
      low = end + 1;
    }
  }
  return choice;
}

lmmc_expression lmmc_characters_expression(lmmc_rules *r, const lmmc_characters *c) {
  if (c->failed) return lmmc_rules_fail(r, 1, "out of memory for a grammar");
  if (c->count == 0) return LMMC_NEVER;
  lmmc_expression *parts = malloc(c->count * sizeof *parts);
  if (!parts) return lmmc_rules_fail(r, 1, "out of memory for a grammar");
  for (size_t i = 0; i < c->count; i++) parts[i] = lmmc_character_range_expression(r, c->ranges[i].low, c->ranges[i].high);
  lmmc_expression x = lmmc_rules_choice(r, parts, c->count);
  free(parts);
  return x;
}
