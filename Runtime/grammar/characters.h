// Sets of Unicode characters, and the bytes that spell them in UTF-8.
#ifndef LMMC_GRAMMAR_CHARACTERS_H
#define LMMC_GRAMMAR_CHARACTERS_H

#include "expression.h"

#define LMMC_LAST_CHARACTER 0x10FFFFu

typedef struct {
  uint32_t low, high;
} lmmc_character_range;

// Start from {0}, end with lmmc_characters_free. Ranges may stand in any order until lmmc_characters_settle.
typedef struct {
  lmmc_character_range *ranges;
  size_t count, room;
  bool failed;  // memory is out
} lmmc_characters;

void lmmc_characters_add(lmmc_characters *c, uint32_t low, uint32_t high);
// Ascending, no two of which touch, without the surrogates, which UTF-8 has not.
void lmmc_characters_settle(lmmc_characters *c);
// All others; settled, as its argument must be.
void lmmc_characters_invert(lmmc_characters *c);
// Those of a settled set that are in [low, high], added to `out`.
void lmmc_characters_within(const lmmc_characters *c, uint32_t low, uint32_t high, lmmc_characters *out);
bool lmmc_characters_hold(const lmmc_characters *c, uint32_t character);
void lmmc_characters_free(lmmc_characters *c);

// One character of the settled set, as UTF-8.
lmmc_expression lmmc_characters_expression(lmmc_rules *r, const lmmc_characters *c);
// One character of a range, which is no surrogate.
lmmc_expression lmmc_character_range_expression(lmmc_rules *r, uint32_t low, uint32_t high);

// The UTF-8 of a character: 1 to 4 bytes.
size_t lmmc_character_bytes(uint32_t character, uint8_t out[4]);
// The character at `text`, and its length; LMMC_NO_CHARACTER (base/printable.h) where there is none, as for an overlong form or a
// surrogate.
uint32_t lmmc_character_at(const char *text, size_t bytes, size_t *length);

#endif
