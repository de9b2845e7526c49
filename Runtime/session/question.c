#define _GNU_SOURCE  // memmem
#include "question.h"

#include <string.h>
#include <strings.h>

#include "base/printable.h"
#include "tokenizer/split.h"
#include "white_space.h"

static const char *const phrases[] = {"Answer the question using a single word or phrase.",
                                      "Answer with the option's letter from the given choices directly."};

static const char *const common_words[] = {
    "a",    "an",   "and",  "answer", "at",  "are", "be",   "been", "being", "but",   "by",    "did", "do",       "does", "for", "from",
    "had",  "has",  "have", "he",     "how", "i",   "if",   "into", "is",    "it",    "onto",  "or",  "question", "she",  "so",  "the",
    "then", "they", "to",   "upon",   "was", "we",  "were", "what", "when",  "where", "which", "who", "why",      "with", "you"};

static bool is_common(const char *word, size_t length) {
  for (size_t i = 0; i < sizeof common_words / sizeof *common_words; i++)
    if (strlen(common_words[i]) == length && strncasecmp(common_words[i], word, length) == 0) return true;
  return false;
}

// `<image> <image> ...` and the line break behind it, at the start of a text: its bytes, 0 where there is no such start.
static size_t places(const char *text, size_t bytes) {
  static const char place[] = "<image>";
  size_t n = 0;
  while (bytes - n >= sizeof place - 1 && memcmp(text + n, place, sizeof place - 1) == 0) {
    n += sizeof place - 1;
    if (n < bytes && text[n] == ' ') n++;
  }
  return n > 0 && n < bytes && text[n] == '\n' ? n + 1 : 0;
}

// Takes a phrase out of a text, wherever it stands.
static void take_out(lmmc_text *text, const char *phrase) {
  const size_t length = strlen(phrase);
  char *at = text->bytes;
  for (char *end; (end = text->bytes + text->count, at = memmem(at, (size_t)(end - at), phrase, length));) {
    memmove(at, at + length, (size_t)(end - at) - length);
    text->count -= length;
  }
}

static bool is_blank(const char *text, size_t bytes) {
  size_t n;
  while (bytes > 0 && (n = lmmc_white_space(text, bytes, false)) > 0) text += n, bytes -= n;
  return bytes == 0;
}

// Bytes of a text up to the next word, and of that.
typedef struct {
  size_t before, length;
} word;

static word next_word(const char *text, size_t bytes) {
  word w = {0};
  for (size_t i = 0, n; i < bytes; i += n) {
    const uint32_t code = lmmc_character(text + i, bytes - i, &n);
    if (code != LMMC_NO_CHARACTER && lmmc_is_word_character(code))
      w.length += n;
    else if (w.length > 0)
      break;
    else
      w.before += n;
  }
  return w;
}

// The same of what white space separates.
static word next_piece(const char *text, size_t bytes) {
  word w = {0};
  size_t n;
  while (w.before < bytes && (n = lmmc_white_space(text + w.before, bytes - w.before, false)) > 0) w.before += n;
  while (w.before + w.length < bytes && lmmc_white_space(text + w.before + w.length, bytes - w.before - w.length, false) == 0) w.length++;
  return w;
}

static bool append(lmmc_ids *ids, const lmmc_tokenizer *t, const char *text, size_t bytes, word (*next)(const char *, size_t), bool all,
                   lmmc_error *e) {
  for (word w; (w = next(text, bytes)).length > 0; text += w.before + w.length, bytes -= w.before + w.length)
    if ((all || !is_common(text + w.before, w.length)) && !lmmc_tokenize(t, text + w.before, w.length, ids, e)) return false;
  return true;
}

bool lmmc_prompt_ask(lmmc_prompt *p, const lmmc_model *m, const lmmc_tokenizer *t, const char *text, size_t bytes, lmmc_error *e) {
  static const char nothing_asked[] = "What do you see in this image?";
  lmmc_text asked = {0};
  if (m->question_bound == 0) return true;
  const size_t start = text ? places(text, bytes) : 0;
  bool done = !text || lmmc_text_append(&asked, text + start, bytes - start, e);
  for (size_t i = 0; asked.count > 0 && i < sizeof phrases / sizeof *phrases; i++) take_out(&asked, phrases[i]);
  if (is_blank(asked.bytes, asked.count)) {
    asked.count = 0;
    done = done && lmmc_text_append(&asked, nothing_asked, sizeof nothing_asked - 1, e);
  }
  done = done && append(&p->question, t, asked.bytes, asked.count, next_word, false, e) &&
         (p->question.count > 0 || append(&p->question, t, asked.bytes, asked.count, next_piece, true, e));
  if (p->question.count > (size_t)m->question_bound) p->question.count = (size_t)m->question_bound;
  lmmc_text_free(&asked);
  return done;
}
