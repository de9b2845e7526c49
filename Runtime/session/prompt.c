#define _GNU_SOURCE  // memmem
#include "prompt.h"

#include <inttypes.h>
#include <string.h>

#include "white_space.h"

#define PLACE "<image>"

typedef struct {
  lmmc_prompt *p;
  const lmmc_model *model;
  const lmmc_tokenizer *tokenizer;
  bool has_bos;     // one that the text does not begin with itself
  lmmc_text piece;  // text since the last image or special token; it is tokenised as one
  lmmc_error *e;
} builder;

static bool token(builder *b, int32_t id) {
  b->p->text_tokens++;
  return lmmc_ids_append(&b->p->tokens, id, b->e);
}

static bool flush(builder *b) {
  size_t before = b->p->tokens.count;
  // Nothing but a BOS that was put before it stands before the first piece.
  bool first = before == (size_t)b->has_bos;
  bool done = lmmc_tokenize_part(b->tokenizer, b->piece.bytes, b->piece.count, first, &b->p->tokens, b->e);
  b->p->text_tokens += (int32_t)(b->p->tokens.count - before);
  b->piece.count = 0;
  return done;
}

static bool image(builder *b) {
  if (!flush(b)) return false;
  int64_t row = (int64_t)b->p->images++ * b->model->vision_tokens;
  for (int32_t i = 0; i < b->model->vision_tokens; i++, row++)
    if (!lmmc_ids_append(&b->p->tokens, (int32_t)(-1 - row), b->e)) return false;
  b->p->visual_tokens += b->model->vision_tokens;
  return true;
}

// Bytes before the first place of `text`, `bytes` where there is none.
static size_t before_place(const lmmc_model *model, const char *text, size_t bytes) {
  const char *place = model->vision_tokens > 0 && bytes > 0 ? memmem(text, bytes, PLACE, sizeof PLACE - 1) : NULL;
  return place ? (size_t)(place - text) : bytes;
}

// Bytes up to behind the first place of `text`, all where there is none.
static size_t behind_place(const lmmc_model *model, const char *text, size_t bytes) {
  size_t before = before_place(model, text, bytes);
  return before < bytes ? before + sizeof PLACE - 1 : bytes;
}

static int64_t count_places(const lmmc_model *model, const char *text, size_t bytes) {
  int64_t count = 0;
  for (size_t i = 0; before_place(model, text + i, bytes - i) < bytes - i; i += behind_place(model, text + i, bytes - i)) count++;
  return count;
}

// Adds text without places; with `special` its special tokens become ids.
static bool add_text(builder *b, const char *text, size_t bytes, bool special) {
  size_t from = 0, length;
  bool done = true;
  for (size_t i = 0; special && done && i < bytes; i += length) {
    int32_t id = 0;
    length = lmmc_tokenizer_special(b->tokenizer, text + i, bytes - i, &id);
    if (id >= b->model->vocabulary) length = 0;  // files do list added tokens that the model has no row for
    if (length == 0) {
      length = 1;
      continue;
    }
    done = lmmc_text_append(&b->piece, text + from, i - from, b->e) && flush(b) && token(b, id);
    from = i + length;
  }
  return done && lmmc_text_append(&b->piece, text + from, bytes - from, b->e);
}

// Adds text; its places become images before anything else is read, so that no token takes one away.
static bool add(builder *b, const char *text, size_t bytes, bool special) {
  bool done = true;
  for (size_t i = 0, behind; done && i < bytes; i += behind) {
    size_t before = before_place(b->model, text + i, bytes - i);
    behind = behind_place(b->model, text + i, bytes - i);
    done = add_text(b, text + i, before, special) && (before == behind || image(b));
  }
  return done;
}

// A BOS, where the program wants one and the text that comes first has none.
static bool add_bos(builder *b, const char *first, size_t bytes) {
  const lmmc_model *m = b->model;
  if (!m->adds_bos) return true;
  int32_t id;
  const size_t length = before_place(m, first, bytes);
  if (length > 0 && lmmc_tokenizer_special(b->tokenizer, first, length, &id) && id == m->bos) return true;
  b->has_bos = true;
  return token(b, m->bos);
}

// What a conversation becomes that stands on one line behind its images. No place is left, whatever places within places there were.
static bool flatten(lmmc_text *out, const char *text, size_t bytes, lmmc_error *e) {
  const size_t place = sizeof PLACE - 1;
  for (size_t i = 0; i < bytes; i++) {
    if (text[i] == '\n') continue;
    if (!lmmc_text_append(out, text + i, 1, e)) return false;
    if (out->count >= place && memcmp(out->bytes + out->count - place, PLACE, place) == 0) out->count -= place;
  }
  return true;
}

// Compression tokens stand side by side behind the image, as many as the model was trained with, and something follows them.
static bool check_compression(const lmmc_prompt *p, const lmmc_model *m, lmmc_error *e) {
  const int64_t count = (int64_t)p->tokens.count;
  int64_t found = 0, before, rows = 0;
  if (m->compression_count == 0) return true;
  const int64_t end = lmmc_compressed_part(m, p->tokens.values, count, &before);
  for (int64_t i = 0; i < count; i++) {
    found += p->tokens.values[i] == m->compression_token;
    if (p->tokens.values[i] < 0) rows = i + 1;
  }
  if (found == 0 && p->images == 0) return true;
  if (found != m->compression_count || end - before != found || before < rows)
    return lmmc_fail(e, 2, "the prompt has %" PRId64 " compression token%s%s, this program wants %" PRId32 " side by side behind the image",
                     found, found == 1 ? "" : "s", found == m->compression_count ? " in other places" : "", m->compression_count);
  return end < count || lmmc_fail(e, 2, "the prompt ends with its compression tokens, at least one other token is needed behind them");
}

static bool check_images(const lmmc_model *m, int64_t places, bool raw, int images, lmmc_error *e) {
  if (images > 0 && m->vision_tokens == 0) return lmmc_fail(e, 2, "this program has no vision tower, '--image' must be left out");
  if (places > images || (raw && places != images))
    return lmmc_fail(e, 2, "the prompt has %" PRId64 " '<image>' place%s for %d image%s, %s", places, places == 1 ? "" : "s", images,
                     images == 1 ? "" : "s", raw ? "'--raw-prompt' wants as many places as '--image'" : "more places than '--image' fills");
  if (images > m->max_images)
    return lmmc_fail(e, 1, "%d images are too many, this program was compiled for at most %" PRId32, images, m->max_images);
  if (m->compression_count > 0 && images > 1)
    return lmmc_fail(e, 2, "%d images are too many, this program's compression tokens stand behind one", images);
  if (images > 1 && m->one_image)
    return lmmc_fail(e, 1, "%d images are too many, the token reducer of this program, '%s', knows prompts of one", images, m->reducer);
  return true;
}

static void cut(const char **text, size_t *bytes, bool start, bool end) {
  size_t n;
  while (start && (n = lmmc_white_space(*text, *bytes, false)) > 0) *text += n, *bytes -= n;
  while (end && (n = lmmc_white_space(*text, *bytes, true)) > 0) *bytes -= n;
}

static bool add_special(builder *b, const char *text) { return add(b, text, strlen(text), true); }

// What stands before the words of a conversation's first turn.
static bool add_head(builder *b, const lmmc_message *system, bool has_missing) {
  const lmmc_template *t = &b->model->prompt;
  const lmmc_message own = {.role = LMMC_SYSTEM, .text = t->system, .bytes = t->system ? strlen(t->system) : 0};
  if (!system && t->system) system = &own;
  const char *head = system ? t->system_start : has_missing ? t->before : t->alone;
  bool done = add_bos(b, head, strlen(head)) && add_special(b, head);
  if (!system) return done;
  const char *text = system->text;
  size_t bytes = system->bytes;
  cut(&text, &bytes, t->cuts_system, t->cuts_system);
  return done && add_text(b, text, bytes, false) && add_special(b, has_missing ? t->system_before : t->system_alone);
}

// A user's turn, up to where the answer begins. `system`: of the first turn, where there is one.
static bool add_turn(builder *b, const lmmc_message *m, bool is_first, const lmmc_message *system) {
  const lmmc_template *t = &b->model->prompt;
  const char *text = m->text;
  size_t bytes = m->bytes;
  lmmc_text flat = {0};
  int64_t places = count_places(b->model, text, bytes);
  if (m->images > 0 && t->flattens_words) {
    if (!flatten(&flat, text, bytes, b->e)) return lmmc_text_free(&flat), false;
    text = flat.count > 0 ? flat.bytes : "", bytes = flat.count, places = 0;
  }
  const bool has_missing = places < m->images;
  bool done = is_first ? add_head(b, system, has_missing) : add_special(b, has_missing ? t->next_before : t->next);
  cut(&text, &bytes, has_missing ? t->cuts_start_behind_image : t->cuts_start, t->cuts_end);
  for (; done && places < m->images; places++) done = add_special(b, t->image);
  done = done && (!has_missing || add_special(b, t->between)) && add(b, text, bytes, false) && add_special(b, t->after);
  lmmc_text_free(&flat);
  return done;
}

// An answer that was given.
static bool add_answer(builder *b, const lmmc_message *m) {
  const lmmc_template *t = &b->model->prompt;
  if (m->tokens) {
    bool done = flush(b);
    for (size_t i = 0; done && i < m->tokens->count; i++) done = token(b, m->tokens->values[i]);
    return done;
  }
  const char *text = m->text;
  size_t bytes = m->bytes;
  cut(&text, &bytes, t->cuts_answer, t->cuts_answer);
  return add_special(b, t->before_answer) && add_text(b, text, bytes, false);
}

// The last of a prompt, and whether it is one that this program can take.
static bool end_prompt(builder *b, int images) {
  lmmc_prompt *p = b->p;
  const lmmc_model *model = b->model;
  if (!flush(b)) return false;
  if (p->tokens.count > (size_t)model->context)
    return lmmc_fail(b->e, 1, "the prompt is %zu tokens long, %d of them vision tokens, and the context of this program is %" PRId32,
                     p->tokens.count, p->visual_tokens, model->context);
  // Memory is taken for the places that were made, and filled with the images that were given.
  if (p->images != images)
    return lmmc_fail(b->e, 2, "the prompt has %" PRId32 " '<image>' place%s for %d image%s, this program's template writes them by itself",
                     p->images, p->images == 1 ? "" : "s", images, images == 1 ? "" : "s");
  if (p->tokens.count == 0) return lmmc_fail(b->e, 2, "the prompt is empty, at least one token is needed");
  return check_compression(p, model, b->e);
}

// Whether the messages follow each other as they must, in a program that takes as many.
static bool check_messages(const lmmc_model *m, const char *system, const lmmc_message *messages, int count, lmmc_error *e) {
  const bool has_system = count > 0 && messages[0].role == LMMC_SYSTEM;
  const int turns = count - has_system;
  int64_t places = 0, images = 0;
  if ((has_system || system) && !m->prompt.system_start)
    return lmmc_fail(e, 2, "the conversation has a system text, which this program's template does not take");
  for (int i = 0; i < turns; i++) {
    const lmmc_message *message = &messages[has_system + i];
    if (message->role != (i % 2 == 0 ? LMMC_USER : LMMC_ASSISTANT))
      return lmmc_fail(e, 2, "message %d of the conversation is not the %s's, who is next", has_system + i,
                       i % 2 == 0 ? "user" : "assistant");
    if (message->role != LMMC_USER) continue;
    const int64_t own = count_places(m, message->text, message->bytes);
    if (own > message->images)
      return lmmc_fail(e, 2, "message %d has %" PRId64 " '<image>' places for %d images", has_system + i, own, message->images);
    if (i > 0 && message->images > 0 && !m->prompt.next_before)
      return lmmc_fail(e, 2, "message %d has an image, which this program's template takes in the first turn alone", has_system + i);
    places += own, images += message->images;
  }
  if (turns % 2 == 0) return lmmc_fail(e, 2, "the conversation does not end with a user's message");
  if (turns > 1 && !m->prompt.next)
    return lmmc_fail(e, 2, "the conversation has %d turns, and this program's template knows one", (turns + 1) / 2);
  return check_images(m, places, false, images > INT32_MAX ? INT32_MAX : (int)images, e);
}

bool lmmc_prompt_converse(lmmc_prompt *p, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *system,
                          const lmmc_message *messages, int count, lmmc_error *e) {
  builder b = {p, model, tokenizer, false, {0}, e};
  if (!check_messages(model, system, messages, count, e)) return false;
  const lmmc_message given = {.role = LMMC_SYSTEM, .text = system, .bytes = system ? strlen(system) : 0};
  const int first = messages[0].role == LMMC_SYSTEM;
  const lmmc_message *head = first ? &messages[0] : system ? &given : NULL;
  int images = 0;
  bool done = true;
  for (int i = first; done && i < count; i++) {
    const lmmc_message *m = &messages[i];
    if (m->role == LMMC_USER) images += m->images;
    done = m->role == LMMC_USER ? add_turn(&b, m, i == first, head) : add_answer(&b, m);
  }
  done = done && end_prompt(&b, images);
  lmmc_text_free(&b.piece);
  return done;
}

bool lmmc_prompt_build(lmmc_prompt *p, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *text, size_t bytes, bool raw,
                       int images, lmmc_error *e) {
  builder b = {p, model, tokenizer, false, {0}, e};
  if (!check_images(model, count_places(model, text, bytes), raw, images, e)) return false;
  const lmmc_message message = {.role = LMMC_USER, .text = text, .bytes = bytes, .images = images};
  bool done = raw ? add_bos(&b, text, bytes) && add(&b, text, bytes, true) : add_turn(&b, &message, true, NULL);
  done = done && end_prompt(&b, images);
  lmmc_text_free(&b.piece);
  return done;
}

int64_t lmmc_compressed_part(const lmmc_model *m, const int32_t *tokens, int64_t count, int64_t *before) {
  int64_t first = 0, end = 0;
  for (int64_t i = 0; m->compression_count > 0 && i < count; i++) {
    if (tokens[i] != m->compression_token) continue;
    if (end == 0) first = i;
    end = i + 1;
  }
  if (before) *before = first;
  return end;
}

void lmmc_prompt_free(lmmc_prompt *p) {
  lmmc_ids_free(&p->tokens);
  lmmc_ids_free(&p->question);
}

void lmmc_prompt_trim(lmmc_prompt *p, const lmmc_model *model, int32_t image, int32_t rows) {
  const int32_t first = image * model->vision_tokens, end = first + model->vision_tokens;
  size_t count = 0;
  for (size_t i = 0; i < p->tokens.count; i++) {
    const int32_t token = p->tokens.values[i], row = -1 - token;
    if (row >= first + rows && row < end) continue;
    p->tokens.values[count++] = token;
  }
  p->visual_tokens -= (int32_t)(p->tokens.count - count);
  p->tokens.count = count;
}
