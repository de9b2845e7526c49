#include "white_space.h"

#include <string.h>

size_t lmmc_white_space(const char *text, size_t bytes, bool last) {
  static const char *const wide[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                     "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
  if (bytes == 0) return 0;
  unsigned char c = (unsigned char)text[last ? bytes - 1 : 0];
  if ((c >= 9 && c <= 13) || (c >= 28 && c <= 32)) return 1;
  for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
    size_t n = strlen(wide[i]);
    if (bytes >= n && memcmp(last ? text + bytes - n : text, wide[i], n) == 0) return n;
  }
  if (bytes < 3) return 0;
  const unsigned char *at = (const unsigned char *)text + (last ? bytes - 3 : 0);
  return at[0] == 0xe2 && at[1] == 0x80 && at[2] >= 0x80 && at[2] <= 0x8a ? 3 : 0;  // U+2000 to U+200A
}
