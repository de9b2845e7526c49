#include "typed_message.h"

#include <string.h>

#define QUOTES "\"\"\""
enum { QUOTE_BYTES = 3 };

static const char next_prompt[] = ". ";

static bool begins_quoted(const lmmc_text *t) { return t->count >= QUOTE_BYTES && memcmp(t->bytes, QUOTES, QUOTE_BYTES) == 0; }

static bool ends_quoted(const lmmc_text *t) {
  return t->count >= QUOTE_BYTES && memcmp(t->bytes + t->count - QUOTE_BYTES, QUOTES, QUOTE_BYTES) == 0;
}

static bool is_blank(const lmmc_text *t) {
  for (size_t i = 0; i < t->count; i++)
    if (!strchr(" \t\r\n", t->bytes[i])) return false;
  return true;
}

// What a line that is none means.
static lmmc_says as_said(lmmc_typed_result r) {
  switch (r) {
    case LMMC_TYPED: break;
    case LMMC_TYPED_END: return LMMC_SAYS_END;
    case LMMC_TYPED_INTERRUPT: return LMMC_SAYS_INTERRUPT;
    case LMMC_TYPED_GOODBYE: return LMMC_SAYS_GOODBYE;
    case LMMC_TYPED_UNREADABLE: return LMMC_SAYS_FAILURE;
  }
  return LMMC_SAYS_WORDS;
}

// The rest of a text that stands between quotes, of which `message` has the first line without those that begin it.
static lmmc_says read_quoted(lmmc_typed_lines *l, lmmc_text *message, lmmc_text *line, lmmc_error *e) {
  for (bool is_begun = message->count > 0; !ends_quoted(message); is_begun = true) {
    const lmmc_typed_result r = lmmc_typed_next(l, next_prompt, line, e);
    if (r == LMMC_TYPED_END)
      return lmmc_fail(e, 2, "the text that '%s' begins has no end, a line that ends with '%s' is one", QUOTES, QUOTES), LMMC_SAYS_FAILURE;
    if (r == LMMC_TYPED_INTERRUPT || r == LMMC_TYPED_GOODBYE) return LMMC_SAYS_INTERRUPT;
    if (r != LMMC_TYPED) return as_said(r);
    // Quotes alone in the first line are no line of the text.
    const bool done = (!is_begun || lmmc_text_append(message, "\n", 1, e)) && lmmc_text_append(message, line->bytes, line->count, e);
    if (!done) return LMMC_SAYS_FAILURE;
  }
  message->count -= QUOTE_BYTES;
  if (message->count > 0 && message->bytes[message->count - 1] == '\n') message->count--;
  return is_blank(message) ? LMMC_SAYS_NOTHING : LMMC_SAYS_WORDS;
}

// The lines behind one that ends in a backslash.
static lmmc_says read_on(lmmc_typed_lines *l, lmmc_text *message, lmmc_text *line, lmmc_error *e) {
  while (message->count > 0 && message->bytes[message->count - 1] == '\\') {
    message->bytes[message->count - 1] = '\n';
    const lmmc_typed_result r = lmmc_typed_next(l, next_prompt, line, e);
    if (r == LMMC_TYPED_END) break;
    if (r == LMMC_TYPED_INTERRUPT || r == LMMC_TYPED_GOODBYE) return LMMC_SAYS_INTERRUPT;
    if (r != LMMC_TYPED) return as_said(r);
    if (!lmmc_text_append(message, line->bytes, line->count, e)) return LMMC_SAYS_FAILURE;
  }
  return is_blank(message) ? LMMC_SAYS_NOTHING : LMMC_SAYS_WORDS;
}

lmmc_says lmmc_typed_message(lmmc_typed_lines *l, const char *prompt, lmmc_text *message, lmmc_error *e) {
  const lmmc_typed_result r = lmmc_typed_next(l, prompt, message, e);
  if (r != LMMC_TYPED) return as_said(r);
  if (message->count > 0 && message->bytes[0] == '/' && !memchr(message->bytes, '\n', message->count)) return LMMC_SAYS_COMMAND;
  lmmc_text line = {0};
  lmmc_says says;
  if (begins_quoted(message)) {
    message->count -= QUOTE_BYTES;
    memmove(message->bytes, message->bytes + QUOTE_BYTES, message->count);
    says = read_quoted(l, message, &line, e);
  } else {
    says = read_on(l, message, &line, e);
  }
  lmmc_text_free(&line);
  return says;
}
