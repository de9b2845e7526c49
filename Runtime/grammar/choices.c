#include "choices.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gbnf.h"

static bool read_list(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e) {
  json_error_t error;
  json_t *list = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
  const size_t count = json_array_size(list);
  lmmc_span *texts = malloc((count + 1) * sizeof *texts);
  bool done = texts || lmmc_fail(e, 1, "out of memory for %zu choices", count);
  if (done && !list) done = lmmc_fail(e, 2, "choices, line %d, column %d: %s", error.line, error.column, error.text);
  if (done && !json_is_array(list)) done = lmmc_fail(e, 2, "choices: expected an array of texts");
  for (size_t i = 0; done && i < count; i++) {
    const json_t *item = json_array_get(list, i);
    if (!json_is_string(item)) done = lmmc_fail(e, 2, "choice %zu is no text", i + 1);
    texts[i] = (lmmc_span){json_string_value(item), json_string_length(item)};
  }
  done = done && lmmc_choices_read(r, texts, count, e);
  free(texts);
  json_decref(list);
  return done;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool lmmc_choices_text_read(lmmc_rules *r, const char *text, size_t bytes, lmmc_error *e) {
  if (bytes > 0 && text[0] == '[') return read_list(r, text, bytes, e);
  size_t count = 1;
  for (size_t i = 0; i < bytes; i++) count += text[i] == ',';
  lmmc_span *texts = malloc(count * sizeof *texts);
  if (!texts) return lmmc_fail(e, 1, "out of memory for %zu choices", count);
  const char *at = text, *end = text + bytes;
  for (size_t i = 0; i < count; i++) {
    const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL, *last = comma ? comma : end;
    while (at < last && is_space(*at)) at++;
    while (at < last && is_space(last[-1])) last--;
    texts[i] = (lmmc_span){at, (size_t)(last - at)};
    at = comma ? comma + 1 : end;
  }
  const bool done = lmmc_choices_read(r, texts, count, e);
  free(texts);
  return done;
}
