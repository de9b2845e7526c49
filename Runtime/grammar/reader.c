#include "reader.h"

#include <stdlib.h>
#include <string.h>

bool lmmc_reader_is(const lmmc_reader *t, const char *token) {
  const size_t length = strlen(token);
  return t->bytes - t->at >= length && memcmp(t->text + t->at, token, length) == 0;
}

bool lmmc_reader_skip(lmmc_reader *t, const char *token) {
  if (!lmmc_reader_is(t, token)) return false;
  t->at += strlen(token);
  return true;
}

lmmc_number_result lmmc_reader_number(lmmc_reader *t, uint32_t *out) {
  const size_t begin = t->at;
  uint64_t value = 0;
  while (t->at < t->bytes && t->text[t->at] >= '0' && t->text[t->at] <= '9' && value <= LMMC_MOST_ROUNDS)
    value = 10 * value + (uint64_t)(t->text[t->at++] - '0');
  if (value > LMMC_MOST_ROUNDS) return LMMC_NUMBER_TOO_LARGE;
  *out = (uint32_t)value;
  return t->at > begin ? LMMC_NUMBER_READ : LMMC_NO_NUMBER;
}

int lmmc_hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
  return -1;
}

void lmmc_expressions_add(lmmc_rules *r, lmmc_expressions *l, lmmc_expression x) {
  if (l->count == l->room) {
    const size_t room = l->room ? 2 * l->room : 16;
    lmmc_expression *grown = realloc(l->parts, room * sizeof *grown);
    if (!grown) {
      lmmc_rules_fail(r, 1, "out of memory for a grammar");
      return;
    }
    l->parts = grown;
    l->room = room;
  }
  l->parts[l->count++] = x;
}

lmmc_expression lmmc_expressions_end(lmmc_rules *r, lmmc_expressions *l, lmmc_expression_kind kind) {
  lmmc_expression x = LMMC_NEVER;
  if (!r->failed) x = kind == LMMC_OF_CHOICE ? lmmc_rules_choice(r, l->parts, l->count) : lmmc_rules_sequence(r, l->parts, l->count);
  free(l->parts);
  return x;
}
