#include "printable.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint32_t lmmc_character(const char *bytes, size_t count, size_t *length) {
  const uint8_t *p = (const uint8_t *)bytes;
  *length = 1;
  if (p[0] < 0x80) return p[0];
  size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
  if (p[0] < 0xC2 || p[0] > 0xF4 || count < n) return LMMC_NO_CHARACTER;
  uint32_t character = p[0] & (0x7Fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xC0) != 0x80) return LMMC_NO_CHARACTER;
    character = character << 6 | (p[i] & 0x3F);
  }
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if (character < (n == 4 ? 0x10000u : n == 3 ? 0x800u : 0x80u) || character >> 11 == 0x1B || character > 0x10FFFF)
    return LMMC_NO_CHARACTER;
  *length = n;
  return character;
}

// Unicode's general categories Cc, Cf, Zl and Zp; the compiler's own messages ask Swift for them, and a test compares the two.
static const uint32_t unprintable[][2] = {
    {0x0000, 0x001F},   {0x007F, 0x009F},   {0x00AD, 0x00AD},   {0x0600, 0x0605},   {0x061C, 0x061C},   {0x06DD, 0x06DD},
    {0x070F, 0x070F},   {0x0890, 0x0891},   {0x08E2, 0x08E2},   {0x180E, 0x180E},   {0x200B, 0x200F},   {0x2028, 0x202E},
    {0x2060, 0x2064},   {0x2066, 0x206F},   {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD},
    {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
};

bool lmmc_unprintable(uint32_t character) {
  for (size_t i = 0; i < sizeof unprintable / sizeof *unprintable && unprintable[i][0] <= character; i++)
    if (character <= unprintable[i][1]) return true;
  return false;
}

size_t lmmc_escape(char out[LMMC_ESCAPE], uint32_t character, unsigned char byte) {
  if (character == LMMC_NO_CHARACTER) return (size_t)snprintf(out, LMMC_ESCAPE, "\\x%02x", byte);
  if (character == '\n' || character == '\t' || character == '\r')
    return (size_t)snprintf(out, LMMC_ESCAPE, "\\%c", character == '\n' ? 'n' : character == '\t' ? 't' : 'r');
  return (size_t)snprintf(out, LMMC_ESCAPE, "\\u{%" PRIx32 "}", character);
}

void lmmc_printable(char *out, size_t capacity, const char *text) {
  size_t count = strlen(text), at = 0, cut = 0;  // cut: where "..." still fits
  for (size_t length; count > 0; text += length, count -= length) {
    char escape[LMMC_ESCAPE];
    uint32_t character = lmmc_character(text, count, &length);
    bool escaped = character == LMMC_NO_CHARACTER || lmmc_unprintable(character);
    const char *shown = escaped ? escape : text;
    size_t size = escaped ? lmmc_escape(escape, character, (unsigned char)*text) : length;
    if (size >= capacity - at) {
      memcpy(out + cut, "...", 4);
      return;
    }
    memcpy(out + at, shown, size);
    at += size;
    if (at + 4 <= capacity) cut = at;
  }
  out[at] = 0;
}
