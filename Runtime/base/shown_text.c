#include "shown_text.h"

#include "printable.h"

bool lmmc_text_show(lmmc_text *out, const char *text, size_t bytes, lmmc_error *e) {
  bool done = true;
  for (size_t i = 0, length; done && i < bytes; i += length) {
    uint32_t c = lmmc_character(text + i, bytes - i, &length);
    char escape[LMMC_ESCAPE];
    bool escaped = c == LMMC_NO_CHARACTER || (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
    done = escaped ? lmmc_text_append(out, escape, lmmc_escape(escape, c, (unsigned char)text[i]), e)
                   : lmmc_text_append(out, text + i, length, e);
  }
  return done;
}
