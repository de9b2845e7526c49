// What may reach a terminal as it is, and how the rest is shown: `\u{1b}`, and `\xe9` for a byte that is no UTF-8.
#ifndef LMMC_BASE_PRINTABLE_H
#define LMMC_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LMMC_NO_CHARACTER UINT32_MAX

// The code point of the UTF-8 character at `bytes`, of which there are `count` > 0, and its length; LMMC_NO_CHARACTER and 1 where none begins.
uint32_t lmmc_character(const char *bytes, size_t count, size_t *length);

// Controls (C0, DEL, C1), line and paragraph separators and format characters, which are invisible and may turn the order of what follows.
bool lmmc_unprintable(uint32_t character);

// The shown form of an unprintable character or, with LMMC_NO_CHARACTER, of `byte`; its length.
enum { LMMC_ESCAPE = 12 };
size_t lmmc_escape(char out[LMMC_ESCAPE], uint32_t character, unsigned char byte);

// `text` on one line as it may be shown, cut short with "..." when it does not fit into `capacity` >= 4 bytes.
void lmmc_printable(char *out, size_t capacity, const char *text);

#endif
