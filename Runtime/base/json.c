#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "printable.h"

bool lmmc_json_string(lmmc_text *t, const char *bytes, size_t count, lmmc_error *e) {
  static const char names[] = "btnvfr";  // of 0x08 to 0x0D; JSON has no \v
  bool done = lmmc_text_append(t, "\"", 1, e);
  for (size_t i = 0, length; done && i < count; i += length) {
    uint32_t c = lmmc_character(bytes + i, count - i, &length);
    if (c == LMMC_NO_CHARACTER)
      c = 0xFFFD;
    else if (c != '"' && c != '\\' && !lmmc_unprintable(c)) {
      done = lmmc_text_append(t, bytes + i, length, e);
      continue;
    }
    char escape[16] = {'\\', (char)c, 0};
    if (c >= 8 && c <= 13 && c != 11)
      escape[1] = names[c - 8];
    else if (c > 0xFFFF)
      snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
    else if (c != '"' && c != '\\')
      snprintf(escape, sizeof escape, "\\u%04x", c);
    done = lmmc_text_append(t, escape, strlen(escape), e);
  }
  return done && lmmc_text_append(t, "\"", 1, e);
}

bool lmmc_json_ids(lmmc_text *t, const int32_t *ids, size_t count, lmmc_error *e) {
  bool done = lmmc_text_append(t, "[", 1, e);
  for (size_t i = 0; done && i < count; i++) done = lmmc_text_format(t, e, i ? ", %" PRId32 : "%" PRId32, ids[i]);
  return done && lmmc_text_append(t, "]", 1, e);
}
